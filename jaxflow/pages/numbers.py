"""How the explorer's page keeps numbers of a text: relevance of each method, and attention of each head.

Relevance is kept in half precision, method by method, `layer query token`: differences from the query before, first
their low bytes, then their high ones. Attention is one byte a weight, `layer head key query`: the root of the weight in
steps. Both are deflated, and written as text of 85 signs that stand for themselves in HTML.

Half precision has a relative error of at most 2^-11, or 3e-8 of the method's scale; with 255 steps a weight a is off by
at most sqrt(a) / 255 + 1 / (4 * 255^2). A text whose numbers would take more than `ROOM` has both rounded more: see
`GRAINS`. MiniLM's page of 256 tokens by three methods takes 1.9 MB so, with 5 bits and 35 steps, and 5.9 without; one
of 512 tokens by two methods takes 4.9 MB, as nothing coarser than the last grain is ever shown.
"""

import base64
import zlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8, UInt16

from jaxflow.pages.units import HeadAttention

# Characters that the numbers of one text may take, of both models together: its page then stays below 2 MB.
ROOM = 1_680_000
# Levels of deflation; the second takes 4 to 8 % less, in ten times the time.
QUICK, CAREFUL = 6, 9
# Python's signs for base 85, and those that stand here for the four that HTML reads as markup, or a shell as a command.
_PYTHONS, _OURS = b"<>&`", b",./:"


@dataclass(frozen=True)
class Grain:
    """How finely a text's numbers are kept.

    Attributes:
        bits: of a half-precision number's fraction, so that it is off by at most 2^-(bits + 1) of itself.
        steps: of the root of an attention weight.
    """

    bits: int
    steps: int


# From the finest. More than that would be seen in the pictures: a weight of .01 is then off by up to .0035.
GRAINS = tuple(
    Grain(bits, steps)
    for bits, steps in ((10, 255), (8, 181), (7, 127), (6, 91), (6, 63), (5, 47), (5, 39), (5, 35), (5, 31))
)


@dataclass(frozen=True, eq=False)
class Numbers:
    """The numbers of one text in one model.

    Attributes:
        relevance: by method, divided by its scale.
        attention: of every head.
    """

    relevance: Mapping[str, Float[np.ndarray, "layer _ unit"]]
    attention: HeadAttention

    def fused(self, method: str) -> bool:
        """Whether a method's numbers are no more than the mean of the heads."""
        values, mean = self.relevance[method], self.attention.mean(axis=1, dtype=np.float64)
        return values.shape == mean.shape and bool(np.allclose(values, mean, rtol=1e-3, atol=1e-5))

    def codes(self, grain: Grain, left_out: Sequence[str]) -> bytes:
        """What is deflated."""
        kept = [half_codes(values, grain.bits) for name, values in self.relevance.items() if name not in left_out]
        # Of a key, positions one after another: they often attend alike.
        levels = np.ascontiguousarray(as_levels(self.attention, grain.steps).swapaxes(-1, -2))
        return b"".join([*map(_differences, kept), levels.tobytes()])


def as_levels(attention: HeadAttention, steps: int) -> UInt8[np.ndarray, "_ _ _ _"]:
    """Attention as one byte a weight, the root of the weight in steps."""
    # The root spends more steps on small weights, which most are.
    return np.rint(np.sqrt(np.clip(attention, 0, 1)) * steps).astype(np.uint8)


def half_codes(values: Float[np.ndarray, "layer _ unit"], bits: int) -> UInt16[np.ndarray, "layer _ unit"]:
    """Half-precision floats by their bits, without the last ones of the fraction."""
    codes = np.ascontiguousarray(values, "<f2").view("<u2")
    left = 10 - bits
    # Half a step up, then down; a carry goes on into the exponent, as it should.
    return ((codes.astype(np.uint32) + ((1 << left) >> 1)) >> left).astype(np.uint16)


def numbers_text(sides: Sequence[Numbers]) -> tuple[Grain, tuple[str, ...], list[str]]:
    """One text's numbers as text, for each model, as finely as there is room.

    Returns:
        How finely; methods that are left out, as the page takes the mean of the heads for them; the texts.
    """
    exact = _packed(sides, GRAINS[0], (), QUICK)
    if _fits(exact):
        return GRAINS[0], (), [as_text(each) for each in exact]
    # Where heads are rounded anyway their mean is as good, and takes no room.
    fused = tuple(name for name in sides[0].relevance if all(side.fused(name) for side in sides))
    # Sizes fall along the grains, and the last one is taken whatever its size.
    place = bisect_left(GRAINS[:-1], True, lo=1, key=lambda grain: _fits(_packed(sides, grain, fused, QUICK)))
    # The one before may fit when it is packed with care.
    finer = GRAINS[max(1, place - 1)]
    packed = _packed(sides, finer, fused, CAREFUL)
    grain = finer if _fits(packed) else GRAINS[place]
    if grain != finer:
        packed = _packed(sides, grain, fused, CAREFUL)
    return grain, fused, [as_text(each) for each in packed]


def _packed(sides: Sequence[Numbers], grain: Grain, left_out: Sequence[str], level: int) -> list[bytes]:
    return [_deflated(side.codes(grain, left_out), level) for side in sides]


def _fits(packed: Sequence[bytes]) -> bool:
    return sum(len(each) * 5 // 4 for each in packed) <= ROOM


def _differences(codes: UInt16[np.ndarray, "layer _ unit"]) -> bytes:
    """Differences from the query before, the sign in the last bit: all low bytes, then all high ones."""
    before = np.concatenate([np.zeros_like(codes[:, :1]), codes[:, :-1]], axis=1)
    # Modulo 2^16; small ones of either sign become small numbers.
    change = (codes - before).view(np.int16)
    folded = ((change << 1) ^ (change >> 15)).astype("<u2")
    return folded.view("u1").reshape(-1, 2).T.tobytes()


def _deflated(codes: bytes, level: int) -> bytes:
    # Numbers have few long repeats: short ones are left to the code of single bytes, which takes 3 % less.
    packer = zlib.compressobj(level, strategy=zlib.Z_FILTERED)
    return packer.compress(codes) + packer.flush()


def as_text(packed: bytes) -> str:
    """Bytes in base 85, with signs that HTML leaves alone."""
    return base64.b85encode(packed).translate(bytes.maketrans(_PYTHONS, _OURS)).decode("ascii")
