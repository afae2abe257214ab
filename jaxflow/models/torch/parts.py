"""What stands inside the layers of PyTorch models whose parts are known by name: values, projections, norms."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from jaxflow._typing import TorchModule, TorchTensor
from jaxflow._untyped import HubModel
from jaxflow.models.recording import LayerWeights


@dataclass(frozen=True)
class Names:
    """Paths of a layer's parts.

    Attributes:
        value: gives the values, or queries, keys and values side by side.
        output: the output projection.
        attention_norm: the norm of the attention block.
        output_norm: the norm of the feed-forward block.
        pre_norm: whether the norms stand before their blocks.
    """

    value: str
    output: str
    attention_norm: str
    output_norm: str
    pre_norm: bool = False


# A layer that has all of these paths is then held against what they should give, see `LayerParts.fit`.
KNOWN = (
    # BERT, RoBERTa, CamemBERT, XLM-RoBERTa, ELECTRA and others of their shape.
    Names("attention.self.value", "attention.output.dense", "attention.output.LayerNorm", "output.LayerNorm"),
    Names("attention.v_lin", "attention.out_lin", "sa_layer_norm", "output_layer_norm"),
    Names("attention.attn.v", "attention.attn.o", "attention.LayerNorm", "output.LayerNorm"),
    Names("attn.c_attn", "attn.c_proj", "ln_1", "ln_2", pre_norm=True),
    # Llama, Mistral, Mixtral, Qwen, Gemma and others of their shape.
    Names("self_attn.v_proj", "self_attn.o_proj", "input_layernorm", "post_attention_layernorm", pre_norm=True),
    Names("self_attn.v_proj", "self_attn.out_proj", "self_attn_layer_norm", "final_layer_norm", pre_norm=True),
    Names("attention.self.value", "attention.output.dense", "attention.LayerNorm", "LayerNorm", pre_norm=True),
    # ViT and DeiT; and the towers of CLIP and SigLIP.
    Names("attention.v_proj", "attention.o_proj", "layernorm_before", "layernorm_after", pre_norm=True),
    Names("self_attn.v_proj", "self_attn.out_proj", "layer_norm1", "layer_norm2", pre_norm=True),
)
# How far the parts put together may be from what the layer gave, as a share of its largest number.
FITS, FITS_IN_HALF = 1e-4, 5e-2


@dataclass(eq=False)
class Inside:
    """What hooks saw of each layer in one pass: tensors by the layer's number."""

    values: dict[int, TorchTensor] = field(default_factory=dict)
    before_attention_norm: dict[int, TorchTensor] = field(default_factory=dict)
    behind_attention_norm: dict[int, TorchTensor] = field(default_factory=dict)
    before_output_norm: dict[int, TorchTensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LayerParts:
    """The parts of a model's layers.

    Attributes:
        layers: the modules.
        names: of their parts.
        heads: of each layer.
    """

    layers: tuple[HubModel, ...]
    names: Names
    heads: int

    @property
    def has_norms(self) -> bool:
        """Whether its norms are those that `NormOutput` describes."""
        norms = (self._part(layer, name) for layer in self.layers for name in self._norm_names)
        return all(isinstance(norm, torch.nn.LayerNorm) for norm in norms)

    @property
    def _norm_names(self) -> tuple[str, str]:
        return self.names.attention_norm, self.names.output_norm

    def _part(self, layer: HubModel, name: str) -> HubModel:
        return layer.get_submodule(name)

    @contextmanager
    def watched(self) -> Iterator[Inside]:
        """What the parts give while the model runs."""
        seen = Inside()
        with ExitStack() as stack:

            def watch(
                name: str, index: int, *, before: dict[int, TorchTensor] | None, behind: dict[int, TorchTensor] | None
            ) -> None:
                def look(module: TorchModule, inputs: tuple[TorchTensor, ...], output: TorchTensor) -> None:
                    for room, tensor in ((before, inputs[0]), (behind, output)):
                        if room is not None:
                            room[index] = tensor.detach()

                handle = self._part(self.layers[index], name).register_forward_hook(look)
                _ = stack.callback(handle.remove)

            for index in range(len(self.layers)):
                watch(self.names.value, index, before=None, behind=seen.values)
                attention_norm, output_norm = self._norm_names
                watch(attention_norm, index, before=seen.before_attention_norm, behind=seen.behind_attention_norm)
                watch(output_norm, index, before=seen.before_output_norm, behind=None)
            yield seen

    def values(self, seen: Inside, index: int) -> TorchTensor:
        """The vectors that attention averages, `row head token head_width`."""
        given = seen.values[index]
        width = self.head_width
        # Behind queries and keys, where they come side by side; several heads may share one.
        own = given[..., -min(given.shape[-1], self.heads * width) :]
        split = own.unflatten(-1, (-1, width)).transpose(1, 2)
        return split.repeat_interleave(self.heads // split.shape[1], dim=1)

    def attended(self, seen: Inside, index: int) -> TorchTensor:
        """The states after the attention block, `row token width`."""
        return (seen.before_output_norm if self.names.pre_norm else seen.behind_attention_norm)[index]

    def deviations(self, seen: Inside, index: int) -> TorchTensor:
        """`sqrt(variance + epsilon)` of the states before the two norms, `row norm token`."""
        states = (seen.before_attention_norm[index], seen.before_output_norm[index])
        norms = (self._part(self.layers[index], name) for name in self._norm_names)
        return torch.stack(
            [
                (state.float().var(dim=-1, unbiased=False) + norm.eps).sqrt()
                for state, norm in zip(states, norms, strict=True)
            ],
            dim=1,
        )

    @property
    def head_width(self) -> int:
        """Numbers of one head's values."""
        return _matrix(self._part(self.layers[0], self.names.output)).shape[0] // self.heads

    def weights(self) -> LayerWeights:
        """Output projections and norms, as JAX takes them."""
        matrices = [_matrix(self._part(layer, self.names.output)) for layer in self.layers]
        output = np.stack([matrix.reshape(self.heads, -1, matrix.shape[-1]) for matrix in matrices])
        if not self.has_norms:
            return LayerWeights(output, None, None, self.names.pre_norm)
        norms = [[self._part(layer, name) for name in self._norm_names] for layer in self.layers]
        scales, biases = (
            np.stack([[_numbers(getattr(norm, part)) for norm in pair] for pair in norms])
            for part in ("weight", "bias")
        )
        return LayerWeights(output, scales, biases, self.names.pre_norm)

    def fit(self, seen: Inside, attentions: tuple[TorchTensor, ...], states: tuple[TorchTensor, ...]) -> bool:
        """Whether the parts put together give what the layers gave.

        Args:
            seen: of one pass.
            attentions: of the same pass.
            states: the states before each layer.
        """
        for index, (layer, attention, inputs) in enumerate(zip(self.layers, attentions, states, strict=True)):
            mixed = (attention @ self.values(seen, index)).transpose(1, 2).flatten(-2)
            attended = inputs + self._part(layer, self.names.output)(mixed)
            if not self.names.pre_norm:
                attended = self._part(layer, self.names.attention_norm)(attended)
            expected = self.attended(seen, index)
            limit = FITS if expected.dtype == torch.float32 else FITS_IN_HALF
            if not bool((attended - expected).abs().max() <= limit * expected.abs().max()):
                return False
        return True


def layer_parts(model: HubModel, layers: int, heads: int) -> Iterator[LayerParts]:
    """The parts of a model's layers by every way of naming that they follow."""
    for stack in model.modules():
        if isinstance(stack, torch.nn.ModuleList) and len(stack) == layers:
            for names in KNOWN:
                if all(_has(layer, path) for layer in stack for path in vars(names).values() if isinstance(path, str)):
                    yield LayerParts(tuple(stack), names, heads)


def _has(layer: HubModel, path: str) -> bool:
    try:
        _ = layer.get_submodule(path)
    except AttributeError:
        return False
    return True


def _matrix(projection: HubModel) -> np.ndarray:
    """A projection's matrix, from its inputs to its outputs."""
    # GPT-2's projections hold it so; torch's own the other way round.
    weight = _numbers(projection.weight)
    return weight.T if isinstance(projection, torch.nn.Linear) else weight


def _numbers(tensor: TorchTensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float32).numpy()
