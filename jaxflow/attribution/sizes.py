"""How large batches are: so that a device is busy, its memory suffices, and few programs serve for all texts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxflow._checks import InputError
from jaxflow.models import Encoding

# Sequences are padded to one of these lengths, so that few programs are compiled for texts of many lengths.
BUCKETS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
# More tokens at once, padding included, keep no device busier. On a processor they fill the caches sooner, and a
# program of more than 32 MB is given its memory page by page at every run (MiniLM's takes about 25 MB so).
ON_PROCESSOR, ON_ACCELERATOR = 2 << 10, 1 << 14
# A packed batch has room for one of these shares of its tokens. Texts of one bucket fill about the last.
SHARES = (1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4)
# A batch of few texts is as much smaller as a power of this.
STEP = 4
# Batches that may be on their way at once, each with what its program takes.
ON_THE_WAY = 3


def bucket(length: int) -> int:
    """The length that a text of so many tokens is padded to."""
    return next((size for size in BUCKETS if size >= length), -(-length // BUCKETS[-1]) * BUCKETS[-1])


@dataclass(frozen=True)
class Sizes:
    """How many texts, and how many of their tokens, make a batch.

    It follows from what the device is and what the user wants, never from what else uses the device, so that the same
    texts always make the same batches.

    Attributes:
        batch_size: texts, at most; None where it follows from their length.
        tokens: of a batch, padding included, where `batch_size` is None; on each device.
        limit: most tokens that a text may have.
        devices: over how many a batch is spread.
        packs: whether all but attention runs on real tokens alone.
    """

    batch_size: int | None
    tokens: int
    limit: int
    devices: int = 1
    packs: bool = False

    def length(self, encodings: Sequence[Encoding]) -> int:
        """The length that texts are padded to together."""
        return self.bucket(max(map(len, encodings)))

    def bucket(self, length: int) -> int:
        """The length that a text of so many tokens is padded to: no more than the model takes."""
        return min(bucket(length), self.limit)

    def most(self, length: int) -> int:
        """How many texts of a padded length make a full batch."""
        return self.batch_size or self.devices * max(1, self.tokens // length)

    def fits(self, length: int, texts: int, tokens: int) -> bool:
        """Whether a batch holds so many texts with so many tokens of their own."""
        full = self.most(length)
        packed = self.packs and self.batch_size is None and texts > 1
        # What fills a batch up takes one token each.
        return texts <= full and (not packed or tokens + full - texts <= SHARES[-1] * full * length)

    def rows(self, length: int, texts: int) -> int:
        """How many texts a batch is filled up to: the full batch's or, for few, a share of it."""
        each = -(-self.most(length) // self.devices)
        while -(-each // STEP) * self.devices >= texts and each > 1:
            each = -(-each // STEP)
        return each * self.devices

    def packed(self, rows: int, length: int, tokens: int) -> int | None:
        """How many tokens a batch is packed into; None where that isn't worth it."""
        if not self.packs:
            return None
        rooms = (int(share * rows * length) for share in SHARES)
        return next((room for room in rooms if room >= tokens), None)


def sizes_of(batch_size: Any, limit: int, device: Any, devices: int, *, packs: bool) -> Sizes:
    """The sizes for a kind of device, and for what the user wants.

    Raises:
        InputError: `batch_size` is neither None nor a whole number above 0.
    """
    tokens = ON_PROCESSOR if device.platform == "cpu" else ON_ACCELERATOR
    if batch_size is None:
        return Sizes(None, tokens, limit, devices, packs)
    if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
        raise InputError(f"`batch_size` must be a whole number, 1 or more, or None, got {batch_size!r}")
    return Sizes(int(batch_size), tokens, limit, devices, packs)


def room(device: Any, parameters: int) -> int | None:
    """Bytes that the program of one batch may take on a device beside the encoder's parameters; None if unknown.

    From what the device has in all, not from what is free, for the sake of the same batches every time.
    """
    stats = device.memory_stats() or {}
    whole = stats.get("bytes_limit")
    if whole is None and device.platform == "cpu" and hasattr(os, "sysconf"):
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None if whole is None else max(0, whole - parameters) // ON_THE_WAY
