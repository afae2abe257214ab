"""Images into tokens: a vision model's patches with their names, and batches that carry pixels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from jaxflow._checks import InputError
from jaxflow._pytree import pytree
from jaxflow._typing import Inputs
from jaxflow._untyped import Processor
from jaxflow.inputs.images import ImageLike, named_images, read_image
from jaxflow.models.batch import TokenBatch
from jaxflow.models.fingerprint import text_fingerprint
from jaxflow.models.tokens import Encoding, pad

CLASS, DISTILLATION, MEAN = "[CLS]", "[DIST]", "[MEAN]"


@pytree
class ImageBatch(TokenBatch):
    """Images as token sequences; ids and segments are 0.

    Attributes:
        pixels: as the image processor gives them; 0 in rows that fill the batch up.
    """

    pixels: Float[Array, "*batch channel height width"]


@dataclass(frozen=True)
class PatchLayout:
    """A vision model's tokens, in this order: class token and its like, patches row by row, others, registers.

    Registers stand last, wherever the model has them: what is left of a position's row without them are its first
    entries.

    Attributes:
        rows: of patches.
        columns: of patches.
        first: names of the tokens in front of the patches.
        detections: tokens behind the patches that stand for objects.
        registers: how many there are.
        shows_registers: whether they are among the tokens of results.
    """

    rows: int
    columns: int
    first: tuple[str, ...] = (CLASS,)
    detections: int = 0
    registers: int = 0
    shows_registers: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.rows, self.columns

    @property
    def patches(self) -> range:
        """Positions of the patches."""
        return range(len(self.first), len(self.first) + self.rows * self.columns)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of all tokens; rows and columns of patches are counted from 1."""
        places = ((row, column) for row in range(1, self.rows + 1) for column in range(1, self.columns + 1))
        return (
            *self.first,
            *(f"patch {row},{column}" for row, column in places),
            *(f"detection {number}" for number in range(1, self.detections + 1)),
            *(f"register {number}" for number in range(1, self.registers + 1)),
        )

    @property
    def shown(self) -> int:
        """How many tokens, the first ones, are among those of results."""
        return len(self.names) if self.shows_registers else len(self.names) - self.registers

    @cached_property
    def order(self) -> np.ndarray:
        """Of each token its place in models of transformers, which have registers in front of the patches."""
        places = np.arange(len(self.names))
        own, registers = places[: len(places) - self.registers], places[len(places) - self.registers :]
        ahead, rest = own[: len(self.first)], own[len(self.first) :]
        return np.argsort(np.concatenate([ahead, registers, rest]))


@dataclass(frozen=True, eq=False)
class Pooled:
    """A mean that a head reads, as one more row of an image's result.

    Attributes:
        name: of its position: `[MEAN]` for that of all patches.
        shares: of each position in the mean; they sum to 1.
    """

    name: str
    shares: Float[np.ndarray, " token"]


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageEncoding(Encoding):
    """One image as tokens.

    Attributes:
        name: of the image.
        pixels: as the image processor gives them.
        seen: the same as colours.
        grid: rows and columns of patches.
        shown: how many tokens are among those of results.
    """

    name: str
    pixels: Float[np.ndarray, "channel height width"]
    seen: UInt8[np.ndarray, "height width 3"]
    grid: tuple[int, int]
    shown: int

    @property
    def listed(self) -> int:
        """How many tokens, the first ones, are among those of results."""
        return self.shown


@dataclass(frozen=True, eq=False)
class ImageReader:
    """Reads images for a vision model.

    Attributes:
        processor: an image processor of transformers.
        layout: the model's tokens.
        size: height and width of what the model takes.
    """

    processor: Processor
    layout: PatchLayout
    size: tuple[int, int]

    @property
    def numbers(self) -> int:
        """Numbers of one image's pixels."""
        return 3 * self.size[0] * self.size[1]

    def encode(self, images: Inputs) -> list[Encoding]:
        """The tokens of each image; a folder gives those of its images.

        Raises:
            InputError: one of them is no image, or cannot be read; it is named.
        """
        if isinstance(images, list) and not images:
            return []
        return self.encode_named(named_images("texts", images))

    def encode_named(self, images: Iterable[tuple[str, ImageLike]]) -> list[Encoding]:
        """The tokens of images whose names are known.

        Raises:
            InputError: one of them is no image, or cannot be read; it is named.
        """
        return [self.encoded(name, processed(self.processor, read_image(image, name))) for name, image in images]

    def pad(self, encodings: Sequence[Encoding], length: int | None = None) -> ImageBatch:
        """A batch of images; what only fills it up has no pixels."""
        batch = pad(encodings, 0, length)
        pixels = np.zeros((len(encodings), 3, *self.size), np.float32)
        for row, encoding in enumerate(encodings):
            if isinstance(encoding, ImageEncoding):
                pixels[row] = encoding.pixels
        return ImageBatch(batch.input_ids, batch.mask, batch.segments, jnp.asarray(pixels))

    def fingerprint(self) -> str:
        """The hash of how images are read."""
        known = getattr(self.processor, "to_dict", dict)()
        return text_fingerprint(f"{type(self.processor).__name__} {sorted(known.items())} {self.layout}")

    def encoded(self, name: str, pixels: Float[np.ndarray, "channel height width"]) -> ImageEncoding:
        """The tokens of an image whose pixels are as the image processor gives them.

        Raises:
            InputError: they are of another size.
        """
        if pixels.shape != (3, *self.size):
            expected = f"be brought to {self.size[0]} x {self.size[1]} by the image processor"
            got = " x ".join(map(str, pixels.shape[1:]))
            raise InputError(None, expected, got, "pass a processor whose `size` fixes height and width", place=name)
        count, layout = len(self.layout.names), self.layout
        source = tuple(0 if place in layout.patches else -1 for place in range(count))
        return ImageEncoding(
            input_ids=(0,) * count,
            segments=(0,) * count,
            tokens=layout.names,
            offsets=((-1, -1),) * count,
            source=source,
            special=tuple(part < 0 for part in source),
            name=name,
            pixels=pixels,
            seen=colours(self.processor, pixels),
            grid=layout.grid,
            shown=layout.shown,
        )


def check_alone(pairs: object, max_length: object, truncate: bool) -> None:
    """Refuse what belongs to texts.

    Raises:
        InputError: it is named.
    """
    given = {"pairs": pairs is not None, "max_length": max_length is not None, "truncate": truncate}
    for argument, passed in given.items():
        if passed:
            raise InputError(argument, "be left out for images, which are all as long", None)


def check_reads_texts(model: Any, argument: str, purpose: str, way_out: str) -> None:
    """Refuse a model of images where texts alone go.

    Raises:
        InputError: it reads images.
    """
    if images_of(model) is not None:
        raise InputError(argument, f"read texts, for {purpose}", f"{model.name}, which reads images", way_out)


def check_read_alike(models: Sequence[Any], argument: str) -> None:
    """Refuse a model of images beside one of texts; `argument` is the second one's.

    Raises:
        InputError: they don't read the same.
    """
    reads = ["texts" if images_of(each) is None else "images" for each in models]
    if len(set(reads)) > 1:
        expected = f"read {reads[0]}, as {models[0].name} does"
        raise InputError(argument, expected, f"{models[1].name}, which reads {reads[1]}", "pass two models of one kind")


def images_of(model: object) -> ImageReader | None:
    """How a model reads images; None for one that reads texts."""
    return getattr(model, "images", None)


def pooled_of(model: object) -> Pooled | None:
    """The mean that a model's head reads; None where it reads one position, or there is no head."""
    return getattr(model, "pooled", None)


def pooled_over(read: Bool[np.ndarray, " token"], layout: PatchLayout) -> Pooled | None:
    """What a head reads where that is more than one position: each token beside the patches counts as much as all."""
    patches = np.zeros(len(read), bool)
    patches[list(layout.patches)] = True
    alone = [int(place) for place in np.flatnonzero(read & ~patches)]
    # Without a head, and without a class token, the mean stands for the image.
    means = bool(read[patches].all() or (not layout.first and not read.any()))
    count = len(alone) + means
    # One token alone is `reads_at`.
    if not count or (count == 1 and not means):
        return None
    shares = np.zeros(len(read))
    shares[alone] = 1 / count
    if means:
        shares[patches] = 1 / (count * patches.sum())
    return Pooled(" + ".join([*(layout.names[place] for place in alone), *[MEAN] * means]), shares)


def processed(processor: Processor, image: UInt8[np.ndarray, "_ _ 3"]) -> Float[np.ndarray, "channel height width"]:
    """What an image processor of transformers makes of one image."""
    # Single images alone: sizes may differ.
    given = processor(images=image, return_tensors="np", input_data_format="channels_last")["pixel_values"]
    return np.asarray(given, np.float32).reshape(np.shape(given)[-3:])


def colours(
    processor: Processor, pixels: Float[np.ndarray, "channel height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """The colours of what a processor gave."""
    values = np.moveaxis(pixels.astype(np.float64), 0, -1)
    if getattr(processor, "do_normalize", False):
        values = values * np.asarray(processor.image_std) + np.asarray(processor.image_mean)
    if getattr(processor, "do_rescale", True):
        values = values / (getattr(processor, "rescale_factor", None) or 1 / 255)
    return np.rint(values).clip(0, 255).astype(np.uint8)


def as_image_processor(processor: Processor) -> Processor:
    """A checked image processor, also out of a processor that holds one.

    Raises:
        InputError: it is none.
    """
    inner = getattr(processor, "image_processor", processor)
    if not callable(inner) or not hasattr(inner, "preprocess"):
        way_out = "load it with AutoImageProcessor.from_pretrained(name)"
        raise InputError("processor", "be an image processor, for a model of images", type(processor).__name__, way_out)
    return inner
