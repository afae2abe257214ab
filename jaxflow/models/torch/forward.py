"""One pass of a PyTorch model of transformers over texts of one length."""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import torch
from jaxtyping import Bool, Int

from jaxflow._typing import TorchModule, TorchTensor
from jaxflow._untyped import HubModel, HubOutput
from jaxflow.models.config import HeadConfig
from jaxflow.models.torch.parts import Inside, LayerParts

Ids = Int[np.ndarray, "row token"]


@dataclass(frozen=True, eq=False)
class TorchPass:
    """What the model gave, as tensors that may still be differentiated.

    Attributes:
        attentions: `row head query key`, one a layer.
        hidden: `row token width` after each layer; None where the model doesn't give one a layer.
        logits: `row label`, `row token label`, or None for a model without a head.
        embedded: `row token width` before the first layer; None where it is not given.
        inside: what was seen of the layers' parts; None unless it was asked for.
    """

    attentions: tuple[TorchTensor, ...]
    hidden: tuple[TorchTensor, ...] | None
    logits: Any
    embedded: Any = None
    inside: Inside | None = None


@dataclass(frozen=True, eq=False)
class TorchCaller:
    """Calls a model as its `forward` takes it.

    Attributes:
        model: of transformers.
        head: on the model.
        segments: whether it takes token type ids.
    """

    model: HubModel
    head: HeadConfig
    segments: bool

    def __call__(
        self,
        ids: Ids,
        mask: Bool[np.ndarray, "row token"],
        segments: Ids,
        *,
        differentiable: bool,
        parts: LayerParts | None = None,
    ) -> TorchPass:
        """Run texts of one length; the mask may leave out tokens between others; `parts` are watched."""
        # A model that is spread over devices takes its inputs where its embeddings are.
        device = self.model.get_input_embeddings().weight.device
        given = {"input_ids": ids, "attention_mask": mask} | ({"token_type_ids": segments} if self.segments else {})
        tensors = {name: torch.tensor(np.asarray(values, np.int64), device=device) for name, values in given.items()}
        flags: dict[str, Any] = {
            "use_cache": False,
            "output_attentions": True,
            "output_hidden_states": True,
            "return_dict": True,
        }
        if self.head.name == "next_token":
            # The next token follows from the last position alone.
            flags["logits_to_keep"] = 1
        wanted = taken_of(self.model, tensors | flags)
        with (
            evaluating(self.model),
            torch.set_grad_enabled(differentiable),
            from_embeddings([self.model.get_input_embeddings()] if differentiable else []),
            nullcontext() if parts is None else parts.watched() as inside,
        ):
            try:
                outputs = self.model(**wanted)
            except torch.OutOfMemoryError as error:
                raise out_of_memory(error) from None
        attentions = tuple(outputs.get("attentions") or ())
        states = outputs.get("hidden_states")
        # The embeddings come first.
        hidden = embedded = None
        if states is not None and len(states) == len(attentions) + 1:
            embedded, hidden = states[0], tuple(states[1:])
        return TorchPass(attentions, hidden, self._logits(outputs), embedded, inside)

    def _logits(self, outputs: HubOutput) -> TorchTensor | None:
        match self.head.name:
            case "bare":
                return None
            case "question_answering":
                return torch.stack([outputs["start_logits"], outputs["end_logits"]], dim=-1)
            case "next_token":
                return outputs["logits"][:, -1]
            case _:
                return outputs["logits"]


def array_of(tensor: TorchTensor) -> np.ndarray:
    """A tensor in single precision on the host."""
    return tensor.detach().to("cpu", torch.float32).numpy()


def gradients_of(output: TorchTensor, cotangent: np.ndarray, attentions: tuple[TorchTensor, ...]) -> list[np.ndarray]:
    """The derivative of `<cotangent, output>` in each layer's attention; 0 where it does not depend on it."""
    weights = torch.tensor(cotangent, dtype=output.dtype, device=output.device)
    try:
        slopes = torch.autograd.grad(output, attentions, weights, retain_graph=True, allow_unused=True)
    except torch.OutOfMemoryError as error:
        raise out_of_memory(error) from None
    return [
        np.zeros(attention.shape, np.float32) if slope is None else array_of(slope)
        for slope, attention in zip(slopes, attentions, strict=True)
    ]


def out_of_memory(error: Exception) -> Exception:
    """Torch's error as the engine knows it, which halves the batch."""
    torch.cuda.empty_cache()
    return jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {error}")


def taken_of(model: HubModel, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a model takes: others are left out, and what it must have is asked for, all the same."""
    taken = inspect.signature(model.forward).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values()):
        return given
    return {name: value for name, value in given.items() if name in taken}


@contextmanager
def evaluating(model: HubModel) -> Iterator[None]:
    """Without dropout; a model in training goes on training afterwards."""
    training = [module for module in model.modules() if module.training]
    _ = model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def from_embeddings(modules: Iterable[TorchModule]) -> Iterator[None]:
    """Derivatives begin at these embeddings, also where all parameters are frozen."""

    def begin(module: TorchModule, inputs: object, output: Any) -> Any:
        if isinstance(output, tuple):
            # I-BERT's give the scale that they are rounded to as well.
            return (begin(module, inputs, output[0]), *output[1:])
        return output if output.requires_grad else output.detach().requires_grad_()

    # Sides of a model may share one.
    handles = [module.register_forward_hook(begin) for module in dict.fromkeys(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
