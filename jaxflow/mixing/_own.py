"""A position's own stream beside a mixing's weights: a share of the position, measured, or wide."""

from dataclasses import dataclass, field

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxflow._checks import InputError, one_of, shown
from jaxflow._typing import Capacity, Given, Square, TokenMask
from jaxflow.graph import attention as _attention
from jaxflow.graph.graph import with_residual
from jaxflow.mixing._protocol import Capacities
from jaxflow.mixing.attention import as_share

# The own stream is on the weights' diagonal already; and: as wide as can be.
MEASURED, WIDE = "measured", "wide"
ROWS = SHARES, SIZES, AUTO = "shares", "sizes", "auto"


def as_own(own: Given[float | str], words: tuple[str, ...] = (MEASURED, WIDE)) -> float | str:
    """Take in a mixing's `own`, checked: a share in [0, 1], or one of the words."""
    if not isinstance(own, str):
        return as_share(own, "own")
    if own not in words:
        known = " or ".join(map(repr, words))
        raise InputError("own", f"be a share in [0, 1], or {known}", shown(own))
    return own


@dataclass(frozen=True)
class OwnStream:
    """The options of mixings that measure all of a position, the residual connection included.

    Attributes:
        own: "measured" (on the weights' diagonal already), a share, or "wide"; see `with_own_stream`.
        rows: "shares" or "sizes", whether rows are scaled to sum to 1 or keep their size; "auto" is sizes for wide own
            streams, else shares.
    """

    own: Given[float | str] = field(default=MEASURED, kw_only=True)
    rows: str = field(default=AUTO, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", as_own(self.own))
        one_of("rows", self.rows, ROWS)
        if self.rows == SIZES and not isinstance(self.own, str):
            got = f"{SIZES!r} with an `own` of {self.own}"
            raise InputError("rows", f"be {SHARES!r} where own streams are a share of each position", got)

    @property
    def wide(self) -> bool:
        """Whether own streams must bind no flow."""
        return self.own == WIDE

    def settled(self, weights: Square, mask: Bool[Array, "*row token"]) -> Capacities:
        """Capacities by these options; `weights` may hold anything on padding."""
        pairs = mask[..., :, None] & mask[..., None, :]
        weights = jnp.where(pairs, weights, jnp.zeros((), weights.dtype))
        shares = self.rows == SHARES or (self.rows == AUTO and not self.wide)
        return with_own_stream(weights, self.own, mask, scaled=shares)


def with_own_stream(weights: Square, own: float | str, mask: Bool[Array, "*row token"], *, scaled: bool) -> Capacities:
    """A layer's weights with own streams as a mixing's `own` asks for them.

    Args:
        weights: not negative, 0 on padding.
        own: a share: rows are scaled to sum to 1, then of each position the share is its own and the rest its
            weights'. "measured": nothing beside the weights, whose diagonal holds it. "wide": 0 here, as only all
            layers together tell how wide; see `wide_own`.
        mask: true on real tokens.
        scaled: whether rows are scaled to sum to 1; a row of zeros becomes the identity's.
    """
    if scaled or not isinstance(own, str):
        # By a power of two first: sums of very large weights would overflow, and very small ones be lost.
        even = _attention.evened(weights, (-1,))
        # The functions of the graph take an axis of layers: here it holds this layer alone.
        weights = _attention.renormalized(even[..., None, :, :], mask)[..., 0, :, :]
    share = 0.0 if isinstance(own, str) else own
    return with_residual(weights, jnp.full(mask.shape[:-1], share, weights.dtype), mask)


def wide_own(weights: Capacity, mask: TokenMask) -> Float[Array, "*batch token"]:
    """Own streams that bind no flow: the same in all layers, and for all real positions of a text.

    A flow from position v to another token u leaves v's column somewhere, and not by own streams: over all layers it
    is at most the sum of v's rows without the diagonal, and likewise at most the sum of u's columns. So the largest
    sum of rows bounds all flows between different positions, and so does the largest sum of columns. A minimum cut
    holds no arc of more than the flow, so own streams above the smaller of the two never are in one: flows between
    different positions are what they would be with infinite own streams. (A position's flow to itself goes along its
    own stream, which nothing else bounds.)

    The power of two that is taken is at most `4 * layers` times the largest sum of a row in one layer, so the graph's
    scale, which tolerances are relative to, stays within that factor of what it is without own streams.
    """
    diagonal = jnp.eye(weights.shape[-1], dtype=bool)
    between = jnp.sum(jnp.where(diagonal, jnp.zeros((), weights.dtype), weights), axis=-3)
    # batch: the largest sum of a position's rows, and of its columns.
    rows, columns = (jnp.max(jnp.sum(between, axis=axis), axis=-1) for axis in (-1, -2))
    most = jnp.minimum(rows, columns)
    # most = m * 2^e with m in [1/2, 1): 2^(e + 1) is more than the sum by more than its rounding; 1 where all is 0.
    _, exponent = jnp.frexp(most)
    wide = jnp.where(most > 0, jnp.ldexp(jnp.ones_like(most), exponent + 1), jnp.ones_like(most))
    return jnp.where(mask, wide[..., None], jnp.zeros((), weights.dtype))
