"""A vision model of transformers in PyTorch: its passes over images, and what it was seen to give."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch
from jaxtyping import Float

from jaxflow._checks import InputError, shown_text
from jaxflow._typing import TorchTensor
from jaxflow._untyped import HubModel, Processor
from jaxflow.models.config import HeadConfig
from jaxflow.models.images import (
    CLASS,
    DISTILLATION,
    ImageBatch,
    ImageReader,
    PatchLayout,
    Pooled,
    as_image_processor,
    pooled_over,
    processed,
)
from jaxflow.models.recording import Number, Recording, cotangent, recording
from jaxflow.models.torch.forward import TorchPass, array_of, evaluating, out_of_memory, taken_of
from jaxflow.models.torch.head import labels_of, problem_of
from jaxflow.models.torch.parts import LayerParts, layer_parts
from jaxflow.models.torch.probe import Probe, checked_attention, summed
from jaxflow.models.torch.rooms import Rooms

# Square pixels that stand for an image where a model is run once.
PROBED = 64


def is_vision(model: HubModel) -> bool:
    """Whether a model reads images, and nothing else."""
    return getattr(model, "main_input_name", "") == "pixel_values" and not hasattr(model, "text_model")


@dataclass(frozen=True, eq=False)
class ImageCaller:
    """Calls a vision model.

    Attributes:
        model: of transformers.
    """

    model: HubModel

    def __call__(
        self,
        pixels: Float[np.ndarray, "row channel height width"],
        *,
        differentiable: bool,
        parts: LayerParts | None = None,
    ) -> TorchPass:
        """Run images; derivatives begin at the pixels, and `parts` are watched."""
        first = next(self.model.parameters())
        given = {
            "pixel_values": torch.tensor(pixels, dtype=first.dtype, device=first.device, requires_grad=differentiable),
            "output_attentions": True,
            "output_hidden_states": True,
            "return_dict": True,
        }
        with (
            evaluating(self.model),
            torch.set_grad_enabled(differentiable),
            nullcontext() if parts is None else parts.watched() as inside,
        ):
            try:
                outputs = self.model(**taken_of(self.model, given))
            except torch.OutOfMemoryError as error:
                raise out_of_memory(error) from None
        attentions = tuple(outputs.get("attentions") or ())
        states = outputs.get("hidden_states")
        hidden = embedded = None
        if states is not None and len(states) == len(attentions) + 1:
            embedded, hidden = states[0], tuple(states[1:])
        return TorchPass(attentions, hidden, outputs.get("logits"), embedded, inside)


@dataclass(frozen=True, eq=False)
class TorchImages:
    """A vision model as `TorchModel` runs it.

    Attributes:
        reader: of images.
        caller: of the model.
        head: on its layers.
        probe: what it was seen to give.
        pooled: the mean that its head reads; None where it reads one position, or there is no head.
    """

    reader: ImageReader
    caller: ImageCaller
    head: HeadConfig
    probe: Probe
    pooled: Pooled | None

    def record(self, batch: ImageBatch, numbers: Sequence[Number], needs: frozenset[str]) -> Recording:
        """Run a batch of images."""
        mask, pixels = np.asarray(batch.mask), np.asarray(batch.pixels)
        # Rows that fill the batch up are one token, and are not run.
        rows = np.flatnonzero(mask.sum(axis=1) == len(self.reader.layout.names))
        parts = self.probe.parts if needs & {"values", "norms"} else None
        rooms = Rooms(self.probe.layers, self.probe.heads, mask, each_token=False)
        seen = self.caller(pixels[rows], differentiable=bool(numbers), parts=parts)
        rooms.put(rows, seen, scored="logits" in needs)
        if parts is not None:
            rooms.put_inside(rows, seen, parts)
        scores = np.zeros((len(mask), 1), np.float32) if rooms.scores is None else rooms.scores
        cotangents = [cotangent(number, scores) for number in numbers]
        gradients = [rooms.gradients([(rows, seen)], each) for each in cotangents]
        made = recording(rooms.attention, rooms.hidden, scores, cotangents, gradients, **rooms.inside)
        return _in_order(made, self.reader.layout.order)


def torch_images(model: HubModel, processor: Processor, place: str, *, registers: bool) -> TorchImages:
    """Take in a vision model, which is run once over noise.

    Args:
        model: of transformers, with eager attention.
        processor: its image processor, or a processor that holds one.
        place: the model's name, for errors.
        registers: whether register tokens are among those of results.

    Raises:
        InputError: it gives no attention of patches to patches, or the processor's images do not fit it.
    """
    processor = as_image_processor(processor)
    noise = np.random.default_rng(0).integers(0, 256, (2, PROBED, PROBED, 3)).astype(np.uint8)
    pixels = np.stack([processed(processor, each) for each in noise])
    caller, head = ImageCaller(model), _head_of(model)
    try:
        seen = caller(pixels, differentiable=True)
    except Exception as error:  # Whatever the model itself raises.
        got = f"{pixels.shape[-2]} x {pixels.shape[-1]} ({shown_text(f'{type(error).__name__}: {error}')})"
        way_out = "set the processor's `size` if that is what does not fit; else pass the model's attention in hand"
        raise InputError("processor", "give images that the model takes", got, way_out, place=place) from None
    layout = replace(_layout(model, seen, pixels.shape[-2:], place), shows_registers=registers)
    attention = checked_attention(seen, len(layout.names), model, place)
    slopes: Sequence[TorchTensor | None] = ()
    if seen.logits is not None and all(each.requires_grad for each in seen.attentions):
        slopes = torch.autograd.grad(summed(seen.logits), seen.attentions, retain_graph=True, allow_unused=True)
    read = _read(seen)[layout.order]
    probe = Probe(
        layers=attention.shape[0],
        heads=attention.shape[2],
        causal=False,
        gradients=bool(slopes) and all(slope is not None for slope in slopes),
        # Only ever a token in front of the patches, or all patches, a mean.
        reads_at=int(np.argmax(read)) if read.sum() == 1 else None,
        together=True,
        parts=_parts(caller, pixels[:1], attention.shape[0], attention.shape[2]),
    )
    return TorchImages(
        ImageReader(processor, layout, pixels.shape[-2:]), caller, head, probe, pooled_over(read, layout)
    )


def _head_of(model: HubModel) -> HeadConfig:
    """The head by the name of the model's class; any other model is taken without its head."""
    if "ForImageClassification" not in type(model).__name__:
        return HeadConfig()
    labels = labels_of(model.config)
    return HeadConfig("sequence_classification", outputs=len(labels), labels=labels, problem=problem_of(model.config))


def _layout(model: HubModel, seen: TorchPass, size: tuple[int, int], place: str) -> PatchLayout:
    """The model's tokens, by its configuration and the size of its attention.

    Raises:
        InputError: they are no patches of one grid with tokens beside them.
    """
    config = getattr(model.config, "vision_config", None) or model.config
    shapes = {tuple(each.shape[1:]) for each in seen.attentions if each is not None}
    if not shapes or any(each is None for each in seen.attentions):
        got = "none, even with eager attention (its layers mix patches in other ways)"
        raise InputError("model", "give attention of every layer", got, place=place)
    if len(shapes) > 1:
        got = "layers of different shapes (it attends within windows, or merges patches on the way)"
        raise InputError("model", "give attention of all patches to all in every layer", got, place=place)
    patch = getattr(config, "patch_size", None)
    height, width = (patch, patch) if isinstance(patch, int) else tuple(patch or (0, 0))[:2]
    if not height or not width:
        raise InputError("model", "cut images into patches of one size", f"patch_size {patch}", place=place)
    rows, columns = size[0] // height, size[1] // width
    tokens = shapes.pop()[-1]
    registers = int(getattr(config, "num_register_tokens", 0) or 0)
    detections = int(getattr(config, "num_detection_tokens", 0) or 0)
    ahead = tokens - rows * columns - registers - detections
    known: tuple[str, ...] = (CLASS, DISTILLATION) if config.model_type == "deit" else (CLASS,)
    # Windows stand on the axis of the batch.
    if ahead not in (0, len(known)) or len(seen.attentions[0]) != 2:
        got = f"{tokens} tokens for {rows} x {columns} patches (it leaves some out, merges them, or has windows)"
        raise InputError("model", "give attention of all patches to all in every layer", got, place=place)
    return PatchLayout(rows, columns, known[:ahead], detections, registers)


def _read(seen: TorchPass) -> np.ndarray:
    """Positions that the head reads, by the derivative of its numbers in the last hidden states."""
    if seen.logits is None or seen.hidden is None or not seen.hidden[-1].requires_grad:
        return np.zeros(seen.attentions[0].shape[-1], bool)
    (slope,) = torch.autograd.grad(summed(seen.logits), seen.hidden[-1], retain_graph=True, allow_unused=True)
    if slope is None:
        return np.zeros(seen.attentions[0].shape[-1], bool)
    return (np.abs(array_of(slope)).max(axis=-1) > 0).all(axis=0)


def _parts(caller: ImageCaller, pixels: np.ndarray, layers: int, heads: int) -> LayerParts | None:
    """The parts of the layers, if put together they give what the layers gave."""
    for parts in layer_parts(caller.model, layers, heads):
        try:
            seen = caller(pixels, differentiable=False, parts=parts)
            if seen.hidden is not None and seen.inside is not None:
                with torch.no_grad():
                    if parts.fit(seen.inside, seen.attentions, (seen.embedded, *seen.hidden[:-1])):
                        return parts
        except (AttributeError, KeyError, RuntimeError):
            # Parts of these names that are not called, or of other shapes, or give more than a tensor, are others.
            continue
    return None


# Axes of tokens in a recording's arrays, from the last.
_AXES = {
    "attention": (-1, -2),
    "gradients": (-1, -2),
    "hidden": (-2,),
    "embedded": (-2,),
    "attended": (-2,),
    "values": (-2,),
    "deviations": (-1,),
}


def _in_order(made: Recording, order: np.ndarray) -> Recording:
    """A recording with its tokens in another order; padding behind them stays."""
    if (order == np.arange(len(order))).all():
        return made
    places = np.arange(made.attention.shape[-1])
    places[: len(order)] = order
    moved = {}
    for name, axes in _AXES.items():
        array = getattr(made, name)
        moved[name] = None if array is None else reduce(lambda each, axis: each.take(places, axis=axis), axes, array)
    return replace(made, **moved)
