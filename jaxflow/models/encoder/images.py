"""A loaded model of images: encoder, image processor and labels in one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from jaxflow._checks import InputError
from jaxflow._typing import Inputs, Pairs
from jaxflow._untyped import Processor
from jaxflow.models.encoder.texts import TextEncoder
from jaxflow.models.fingerprint import array_fingerprint, config_text, text_fingerprint
from jaxflow.models.images import (
    CLASS,
    DISTILLATION,
    ImageBatch,
    ImageReader,
    PatchLayout,
    Pooled,
    check_alone,
    pooled_over,
)
from jaxflow.models.tokens import Encoding


@dataclass(frozen=True)
class ImageEncoder(TextEncoder):
    """A model of images with its image processor; what is run and asked of it is as for texts.

    Attributes:
        processor: transformers' image processor, or None if it was left out.
    """

    processor: Processor = None

    @property
    def reader(self) -> Any:
        """What of transformers reads its inputs: the image processor, or None if it was left out."""
        return self.processor

    @cached_property
    def images(self) -> ImageReader:
        """How it reads images.

        Raises:
            InputError: the model was loaded without its image processor.
        """
        if self.processor is None:
            way_out = "load it with `tokenizer=True`"
            raise InputError(None, "be loaded with its image processor", None, way_out, place=self.name)
        cut = self.config.patches
        assert cut is not None
        first = (CLASS, DISTILLATION)[: cut.tokens]
        layout = PatchLayout(cut.rows, cut.columns, first, registers=self.config.registers)
        return ImageReader(self.processor, layout, cut.size)

    @property
    def pooled(self) -> Pooled | None:
        """What a head reads beside the class token; None where it reads that alone."""
        read = np.zeros(self.max_length, bool)
        read[: 2 if self.head.distilled else 1] = True
        if self.head.with_mean:
            read[: self.max_length - self.config.registers] = True
        return pooled_over(read, self.images.layout)

    @property
    def gives(self) -> frozenset[str]:
        """All of `GIVES` but word embeddings, which images do not have."""
        return super().gives - {"embeddings"}

    def fingerprint(self) -> dict[str, str]:
        """Hashes of its configuration, its weights and how it reads images."""
        return {
            "config": text_fingerprint(config_text(self.config)),
            "weights": array_fingerprint(self.module),
            "tokenizer": self.images.fingerprint(),
        }

    def tokenize(
        self, texts: Inputs, pairs: Pairs = None, *, max_length: int | None = None, truncate: bool = False
    ) -> list[Encoding]:
        """Tokens of each image: a path of a file or a folder, a picture of PIL, or an array `height width channel`.

        Raises:
            InputError: one of them is no image, or cannot be read; or what belongs to texts is passed.
        """
        check_alone(pairs, max_length, truncate)
        return self.images.encode(texts)

    def pad(self, encodings: Sequence[Encoding], length: int | None = None, *, side: str = "right") -> ImageBatch:
        """Images as one batch; what only fills it up has no pixels."""
        if side != "right":
            raise InputError("side", "be 'right' for images, whose class token comes first", repr(side))
        return self.images.pad(encodings, length)
