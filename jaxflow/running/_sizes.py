"""Sizes of batches: they keep the device busy, fit its memory, and need few programs for texts of all lengths."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from jaxflow.devices import Device
from jaxflow.running._item import Item

ItemT = TypeVar("ItemT", bound=Item)

# Sequences are padded to one of these lengths, so that few programs are compiled for texts of many lengths.
BUCKETS = (
    *(8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512),
    # In finer steps: a text of 576 tokens padded to 640 took 1.2 times as long.
    *(576, 640, 704, 768, 832, 896, 960, 1024, 1280, 1536, 1792, 2048),
)
# Longer ones to a multiple of this.
FAR = 512
# More tokens at once, padding included, keep no device busier. On a processor they fill the caches sooner, and a
# program of more than 32 MB is given its memory page by page at every run (MiniLM's takes about 25 MB so).
ON_PROCESSOR, ON_ACCELERATOR = 2 << 10, 1 << 14
# A packed batch has room for one of these shares of its tokens. Texts of one bucket fill about the last.
SHARES = (1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4)
# Small batches are padded to the full batch's rows divided by a power of this.
STEP = 4
# Numbers that the outputs of one batch may hold for pairs of tokens, on each device.
HELD = 1 << 25
# Batches that may be on their way at once, each with the memory of its program.
ON_THE_WAY = 3


def bucket(length: int) -> int:
    """The length that a text of so many tokens is padded to."""
    return next((size for size in BUCKETS if size >= length), -(-length // FAR) * FAR)


@dataclass(frozen=True)
class Sizes:
    """Number of texts, and of their tokens, in a batch.

    It depends on the device and the user's options, never on other users of the device, so the same texts always make
    the same batches.

    Attributes:
        batch_size: texts, at most; None where it follows from their length.
        tokens: of a batch, padding included, where `batch_size` is None; on each device.
        limit: most tokens that a text is padded to; None for any.
        devices: over how many a batch is spread.
        packs: whether all but attention runs on real tokens alone.
        pair_numbers: numbers that the outputs hold for each pair of tokens (all heads' attention: layers * heads).
    """

    batch_size: int | None
    tokens: int
    limit: int | None
    devices: int = 1
    packs: bool = False
    pair_numbers: int = 0

    def length(self, items: Iterable[Item]) -> int:
        """The length that texts are padded to together."""
        return self.bucket(max(item.length for item in items))

    def bucket(self, length: int) -> int:
        """The length that a text of so many tokens is padded to: no more than the limit."""
        return bucket(length) if self.limit is None else min(bucket(length), self.limit)

    def most(self, length: int) -> int:
        """Texts of a padded length in a full batch."""
        most = self.batch_size or self.devices * max(1, self.tokens // length)
        if not self.pair_numbers:
            return most
        # Numbers kept for pairs grow with the square of the length, so they set the limit for long texts.
        held = self.devices * max(1, HELD // (self.pair_numbers * length * length))
        # A power of two where memory sets the limit, so that few shapes are compiled.
        return min(most, 1 << (held.bit_length() - 1))

    def fits(self, length: int, texts: int, tokens: int) -> bool:
        """Whether a batch holds so many texts with so many tokens of their own."""
        full = self.most(length)
        packed = self.packs and self.batch_size is None and texts > 1
        # Each text that fills the batch up takes one token.
        return texts <= full and (not packed or tokens + full - texts <= SHARES[-1] * full * length)

    def rows(self, length: int, texts: int) -> int:
        """Rows of a batch of so many texts: the full batch's or, for few texts, a share of it."""
        # Rows of each device, divided by `STEP` while they still hold the texts.
        each = -(-self.most(length) // self.devices)
        while -(-each // STEP) * self.devices >= texts and each > 1:
            each = -(-each // STEP)
        return each * self.devices

    def packed(self, rows: int, length: int, tokens: int) -> int | None:
        """Number of tokens that a batch is packed into; None where packing does not pay."""
        if not self.packs:
            return None
        rooms = (int(share * rows * length) for share in SHARES)
        return next((room for room in rooms if room >= tokens), None)


def batches_of(items: Iterable[ItemT], sizes: Sizes) -> Iterator[list[ItemT]]:
    """Texts of like length together, the longest first."""
    batch: list[ItemT] = []
    tokens = 0
    for item in sorted(items, key=lambda item: -item.length):
        longest = batch[0].length if batch else 0
        # Texts less than half as long cost less apart.
        apart = 2 * item.length < longest
        if batch and (apart or not sizes.fits(sizes.bucket(longest), len(batch) + 1, tokens + item.length)):
            yield batch
            batch, tokens = [], 0
        batch.append(item)
        tokens += item.length
    if batch:
        yield batch


def device_tokens(device: Device) -> int:
    """Tokens of a batch, padding included, that keep a device busy."""
    return ON_PROCESSOR if device.platform == "cpu" else ON_ACCELERATOR


def room(device: Device, parameters: int) -> int | None:
    """Bytes that the programs of one batch may take on a device beside the models' parameters; None if unknown.

    A share of the device's whole memory, not of what is free, so that batches are the same every time.
    """
    stats = device.memory_stats() or {}
    whole = stats.get("bytes_limit")
    if whole is None and device.platform == "cpu" and hasattr(os, "sysconf"):
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Each batch on its way may take an equal share of the memory beside the parameters.
    return None if whole is None else max(0, whole - parameters) // ON_THE_WAY
