"""The layers of Hugging Face's encoders in float64, watched by hooks; nothing here is ours."""

import copy
from dataclasses import dataclass
from typing import Any

import torch

# Where a layer's modules lie: values, output projection, norm of the attention block, norm of the feed-forward block.
BERT = ("attention.self.value", "attention.output.dense", "attention.output.LayerNorm", "output.LayerNorm")
MODULES = {
    "deberta-v2": ("attention.self.value_proj", *BERT[1:]),
    "roberta-prelayernorm": (*BERT[:2], "attention.LayerNorm", "intermediate.LayerNorm"),
    "distilbert": ("attention.v_lin", "attention.out_lin", "sa_layer_norm", "output_layer_norm"),
    "albert": ("attention.value", "attention.dense", "attention.LayerNorm", "full_layer_layer_norm"),
    "mpnet": ("attention.attn.v", "attention.attn.o", "attention.LayerNorm", "output.LayerNorm"),
}
PRE_NORM = ("roberta-prelayernorm",)


@dataclass
class TorchLayer:
    """One layer's numbers for a batch, and the layer itself."""

    inputs: Any  # row token width
    output: Any  # row token width
    attention: Any  # row head query key
    values: Any  # row head key head_width, bias included
    projection: Any  # head head_width width
    norms: tuple[Any, Any]  # the torch modules
    read: tuple[Any, Any]  # what each norm read, row token width
    attended: Any  # row token width
    pre_norm: bool
    module: Any
    arguments: tuple[Any, Any]
    value_module: Any

    def without_value(self, token: int) -> Any:
        """The layer's output where the value of one token is 0."""

        def silence(module: Any, inputs: Any, output: Any) -> Any:
            output = output.clone()
            output[:, token] = 0
            return output

        handle = self.value_module.register_forward_hook(silence)
        with torch.no_grad():
            output = self.module(*self.arguments[0], **self.arguments[1])
        handle.remove()
        return first(output)


def torch_layers(model: Any, inputs: dict[str, Any]) -> list[TorchLayer]:
    """Every layer of a model on a batch."""
    kind = model.config.model_type
    model = copy.deepcopy(model).double().eval()
    model.config._attn_implementation = "eager"
    base = model.base_model
    calls: list[dict[str, Any]] = []
    handles = []
    for layer in layers_of(base):
        named = [layer.get_submodule(path) for path in MODULES.get(kind, BERT)]
        handles += [
            layer.register_forward_pre_hook(
                lambda module, args, kwargs: calls.append({"module": module, "arguments": (args, kwargs)}),
                with_kwargs=True,
            ),
            layer.register_forward_hook(lambda module, args, output: calls[-1].update(output=first(output))),
            *(
                module.register_forward_hook(
                    lambda module, args, output, name=name: calls[-1].update({name: (module, args[0], output)})
                )
                for name, module in zip(("value", "projection", "norm1", "norm2"), named, strict=True)
            ),
        ]
    with torch.no_grad():
        output = model(**inputs, output_attentions=True)
    for handle in handles:
        handle.remove()
    pre_norm = kind in PRE_NORM
    return [made(call, attention, pre_norm) for call, attention in zip(calls, output.attentions, strict=True)]


def made(call: dict[str, Any], attention: Any, pre_norm: bool) -> TorchLayer:
    args, kwargs = call["arguments"]
    inputs = args[0] if args else kwargs["hidden_states"]
    value_module, _, values = call["value"]
    rows, heads, tokens, _ = attention.shape
    (norm1, read1, normal1), (norm2, read2, _) = call["norm1"], call["norm2"]
    weight = call["projection"][0].weight.detach()
    return TorchLayer(
        inputs=inputs,
        output=call["output"],
        attention=attention,
        values=values.reshape(rows, tokens, heads, -1).transpose(1, 2),
        # torch keeps width_out width_in.
        projection=weight.T.reshape(heads, -1, weight.shape[0]),
        norms=(norm1, norm2),
        read=(read1, read2),
        attended=read2 if pre_norm else normal1,
        pre_norm=pre_norm,
        module=call["module"],
        arguments=call["arguments"],
        value_module=value_module,
    )


def layers_of(base: Any) -> Any:
    if hasattr(base, "transformer"):
        return base.transformer.layer
    if base.config.model_type == "albert":
        return [layer for group in base.encoder.albert_layer_groups for layer in group.albert_layers]
    return base.encoder.layer


def first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple | list) else output


def deviation(norm: Any, state: Any) -> Any:
    return torch.sqrt(state.var(-1, unbiased=False) + norm.eps)
