"""Capacities of any size brought to where no digit is lost, bounds brought back, and the comparison of the two.

Processors may take subnormal numbers (below 1.2e-38 in single precision) for 0, in products, sums and comparisons. A
weight that vanishes so would leave a cut that is no bound, and a difference that vanishes would make bounds meet that
do not. So each example is multiplied by a power of two that brings its largest row's sum between 1/2 and 1, by
arithmetic on the numbers' bits, and what is returned is rounded outward in the same way.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float64, Int, Integer

from jaxflow._checks import is_traced
from jaxflow._typing import AtLayers, Capacity, DTypeLike
from jaxflow.flow.solution import FlowSolution

# Scaled weights below this are nothing (from below) or this (from above): so that no rounding error of theirs is lost
# to underflow, which compensated sums rely on.
SMALLEST = 2.0**-100


class Scaled(NamedTuple):
    """An example's weights times a power of two, its largest row's sum between 1/2 and 1.

    Attributes:
        weights: the weights; exact but for those below 2^-126 of the scale in single precision.
        above: none below the weights, and none between 0 and `SMALLEST`: what upper bounds are made of.
        below: none above the weights, and none between 0 and `SMALLEST`: what flows are made of.
        exponent: weights were divided by 2^exponent.
        sound: whether all weights of the example are finite and not negative; if not, they are taken for 0 here.
    """

    weights: Capacity
    above: Capacity
    below: Capacity
    exponent: Int[Array, "*batch 1 1 1"]
    sound: Bool[Array, "*batch 1 1 1"]


def scaled(capacity: Capacity) -> Scaled:
    """Bring every example to the same scale, exactly: rows then sum to less than 1, but for the sum's own rounding."""
    sound = jnp.all(is_usable(capacity), axis=(-3, -2, -1), keepdims=True)
    capacity = jnp.where(sound, capacity, jnp.zeros_like(capacity))
    exponent = _exponent(capacity)
    weights = shifted(capacity, -exponent, False)
    large = weights >= SMALLEST
    smallest = jnp.where(bits(capacity) > 0, jnp.full_like(weights, SMALLEST), jnp.zeros_like(weights))
    return Scaled(
        weights=weights,
        above=jnp.where(large, weights, smallest),
        below=jnp.where(large, weights, jnp.zeros_like(weights)),
        exponent=exponent,
        sound=sound,
    )


def scale_exponent(capacity: Capacity) -> Int[Array, "*batch 1 1 1"]:
    """The scale of each example's capacities, as the exponent of a power of two: what `tol` is relative to.

    The power of two at or next below the largest sum of a row (taken as 2^-10 larger, so that rows which sum to 1 but
    for rounding have scale 1); 0 where all capacities are 0.
    """
    capacity = jax.lax.stop_gradient(capacity)
    largest = _power(jnp.max(bits(capacity), axis=(-3, -2, -1), keepdims=True), capacity.dtype)
    sums = jnp.max(jnp.sum(shifted(capacity, -largest, False), axis=-1, keepdims=True), axis=(-3, -2), keepdims=True)
    # frexp counts from above: 1 is 1/2 times 2^1.
    _, further = jnp.frexp(sums * (1 + 2.0**-10))
    return jnp.where(sums > 0, largest.astype(jnp.int32) + further - 1, 0)


def solution(
    weights: Scaled, lower: AtLayers, upper: AtLayers, tol: Any, value: AtLayers | None = None
) -> FlowSolution:
    """What bounds of scaled weights say of the weights themselves.

    Args:
        weights: what the bounds are of.
        lower: lower bounds.
        upper: upper bounds.
        tol: how near they must come, brought back, to count as met.
        value: what lies between them, for solvers that have a value of their own.

    Returns:
        Bounds rounded outward, certified where they meet, and the best value between them. An example that is not
        sound is NaN throughout and never certified.
    """
    # Bounds that cross are wrong, whatever their distance: the weights were not what was assumed of them.
    crossed = lower > upper
    lower = jnp.minimum(lower, upper)
    if value is not None:
        # A bound that is relaxed to the value stays one.
        fixed = jax.lax.stop_gradient(value)
        lower, upper = jnp.minimum(lower, fixed), jnp.maximum(upper, fixed)
    outward = shifted(lower, weights.exponent, False), shifted(upper, weights.exponent, True)
    certified = meet(*jax.lax.stop_gradient(outward), tol) & ~crossed & weights.sound
    if value is None:
        # The middle is nearest where the two meet. Its derivative is the upper bound's everywhere: the concave one.
        best = jnp.where(certified, (lower + upper) / 2, upper)
        value = upper + jax.lax.stop_gradient(best - upper)
    outward = shifted(value, weights.exponent, True), *outward
    value, lower, upper = (jnp.where(weights.sound, x, jnp.full_like(x, jnp.nan)) for x in outward)
    return FlowSolution(value=value, lower=lower, upper=upper, certified=certified)


def meet(lower: Float[Array, "*pair"], upper: Float[Array, "*pair"], tol: Any) -> Bool[Array, "*pair"]:
    """Whether `upper - lower <= tol`, never yes by rounding or underflow; `tol` is rounded down to the bounds' format.

    Each pair is scaled so that its upper bound lies between 1/2 and 1; differences are then 0 or normal numbers.
    """
    power = -_power(upper)
    # No flow is below 0, so neither is a bound that a negative one stands for.
    low = shifted(jnp.where(bits(lower) < 0, jnp.zeros_like(lower), lower), power, False)
    high, most = shifted(upper, power, False), rounded_down(tol, upper.dtype)
    room = shifted(jnp.broadcast_to(most, upper.shape), power, False)
    apart = high - low
    # A difference that is rounded to less than `room` is less; one that is rounded to it may be more, unless it was
    # not rounded at all (Sterbenz 1974: numbers within a factor of 2 of one another, and those of which one is 0).
    exact = (2 * low >= high) | (bits(low) == 0)
    near = (apart < room) | ((apart == room) & exact)
    return near & (bits(lower) <= bits(upper)) & is_usable(upper) & ~jnp.isnan(lower)


def meet_on_host(lower: np.ndarray, upper: np.ndarray, tol: Any) -> np.ndarray:
    """Whether `upper - lower <= tol`, never yes by rounding, for NumPy arrays in double precision."""
    with np.errstate(invalid="ignore", over="ignore"):
        apart = upper - lower
        exact = (2 * lower >= upper) | (lower == 0)
        return (lower <= upper) & np.isfinite(upper) & ((apart < tol) | ((apart == tol) & exact))


def capacity_on_host(
    weights: Float[np.ndarray, "*batch layer token token"],
    own: Float[np.ndarray, "*batch layer token"],
    dtype: DTypeLike = np.float64,
) -> Float[np.ndarray, "*batch layer token token"]:
    """`AttentionGraph.capacity` on the host: the same numbers, of which no program is made.

    In double precision, or in the graph's own, which holds them as well.
    """
    capacity = weights.astype(dtype)
    # Sums on the diagonal are rounded to the graph's precision, as a device rounds them.
    np.einsum("...ii->...i", capacity)[...] = np.einsum("...ii->...i", weights) + own
    # Devices take numbers below the least normal one for 0. Most graphs hold none: then nothing is written.
    least = np.finfo(weights.dtype).smallest_normal
    if any(np.count_nonzero(part > 0) != np.count_nonzero(part >= least) for part in (weights, own)):
        capacity[capacity < least] = 0.0
    return capacity


def ends_and_scale_on_host(
    capacity: Float[np.ndarray, "*batch layer token token"],
    queries: Integer[np.ndarray, "*batch query"],
    layers: tuple[int, ...],
) -> tuple[Float64[np.ndarray, "*batch source_layer query token"], Float64[np.ndarray, "*batch 1 1 1"]]:
    """The smaller of each pair's two trivial cuts, and `2 ** scale_exponent` of each example.

    The trivial cuts are what leaves the query, and what enters the token in layer 1.

    Args:
        capacity: capacities whose sums are finite.
        queries: positions of the sources.
        layers: of the sources, counted from 1.
    """
    # Both are made of the sums of rows, `*batch layer token`: they are summed once.
    leaving = np.einsum("...ij->...i", capacity, dtype=np.float64)
    entering = capacity[..., 0, :, :].sum(axis=-2, dtype=np.float64)
    sources = np.take_along_axis(leaving[..., [layer - 1 for layer in layers], :], queries[..., None, :], axis=-1)
    ends = np.minimum(sources[..., :, None], entering[..., None, None, :])
    fraction, exponent = np.frexp(leaving.max(axis=(-2, -1)))
    # frexp counts from above: 1 is 1/2 times 2^1.
    _, further = np.frexp(fraction * (1 + 2.0**-10))
    scale = np.where(fraction > 0, np.ldexp(1.0, exponent + further - 1), 1.0)
    return ends, scale[..., None, None, None]


def fills_on_host(lower: np.ndarray, ends: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Whether flows fill a trivial cut, within `room` or what double precision rounds."""
    return lower + room >= ends * (1 - 1e-12)


def rounded_down(tol: Any, dtype: DTypeLike) -> Any:
    """A tolerance in an array's format, never above it."""
    if is_traced(tol) or isinstance(tol, jax.Array):
        near = tol.astype(dtype)
        above = near.astype(tol.dtype) > tol if near.dtype != tol.dtype else jnp.zeros(near.shape, bool)
        return jnp.where(above, _as_float(bits(near) - 1, near.dtype), near)
    with np.errstate(over="ignore", under="ignore"):
        near = np.asarray(tol, dtype)
    return np.nextafter(near, np.zeros_like(near)) if float(near) > float(tol) else near


def is_usable(values: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Whether numbers are finite and not negative; told by their bits, as -1e-40 may compare as 0."""
    infinity = _layout(values.dtype)[2]
    return ((bits(values) >= 0) & (bits(values) < infinity)) | (bits(values) == jnp.iinfo(bits(values).dtype).min)


def bits(values: Float[Array, "..."]) -> Int[Array, "..."]:
    """A number's bits as an integer: ordered like the numbers where they are not negative, and never taken for 0."""
    return jax.lax.bitcast_convert_type(values, jnp.int64 if values.dtype == jnp.float64 else jnp.int32)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def shifted(values: Float[Array, "..."], exponent: Int[Array, "..."], up: bool) -> Float[Array, "..."]:
    """Numbers, not negative, times 2^exponent: exactly, or rounded to the next number up or down.

    Subnormal numbers are read and written as what they are. What is too large for the format becomes infinite, or by
    rounding down the largest number there is. Infinities and what is no number stay.
    """
    size, bias, infinity = _layout(values.dtype)
    whole = bits(values)
    exponent = exponent.astype(whole.dtype)
    field, fraction = _parts(whole, values.dtype)
    field, significand = field + exponent, fraction | (1 << size)
    normal = (field << size) | fraction
    # Below the smallest normal number the significand loses bits.
    lost = jnp.clip(1 - field, 0, size + 2)
    kept = significand >> lost
    if up:
        kept = kept + ((kept << lost) != significand).astype(kept.dtype)
    result = jnp.where(field >= 1, normal, kept)
    largest = jnp.asarray(infinity if up else infinity - 1, whole.dtype)
    result = jnp.where(field > 2 * bias, largest, result)
    # What is 0, infinite or no number; -0 is 0.
    result = jnp.where((whole == 0) | (whole == jnp.iinfo(whole.dtype).min), jnp.zeros_like(whole), result)
    return _as_float(jnp.where((whole & infinity) == infinity, whole, result), values.dtype)


@shifted.defjvp
def _shifted_jvp(up: bool, primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> tuple[Array, Array]:
    values, exponent = primals
    # In two steps, as one factor alone might be beyond what the format holds.
    half = exponent // 2
    one = jnp.ones_like(exponent, dtype=values.dtype)
    return shifted(values, exponent, up), tangents[0] * jnp.ldexp(one, half) * jnp.ldexp(one, exponent - half)


def _exponent(capacity: Capacity) -> Int[Array, "*batch 1 1 1"]:
    """The exponent of the power of two next above every row's sum; at least the format's least."""
    capacity = jax.lax.stop_gradient(capacity)
    # First by the largest weight, as sums of very large ones would overflow and those of the smallest be 0.
    largest = _power(jnp.max(bits(capacity), axis=(-3, -2, -1), keepdims=True), capacity.dtype)
    sums = jnp.sum(shifted(capacity, -largest, False), axis=-1, keepdims=True)
    _, further = jnp.frexp(jnp.max(sums, axis=(-3, -2), keepdims=True))
    # Factors below that, of which the derivative is made, would be taken for 0.
    return jnp.maximum(largest.astype(jnp.int32) + further, 1 - _layout(capacity.dtype)[1])


def _power(values: Array, dtype: DTypeLike | None = None) -> Int[Array, "..."]:
    """Exponents that bring positive numbers (or their bits, of a format) between 1/2 and 1; 0 for 0."""
    whole, dtype = (bits(values), values.dtype) if dtype is None else (values, dtype)
    field, _ = _parts(whole, dtype)
    return jnp.where(whole > 0, field - (_layout(dtype)[1] - 1), 0)


def _parts(whole: Int[Array, "..."], dtype: DTypeLike) -> tuple[Int[Array, "..."], Int[Array, "..."]]:
    """A positive number's exponent, as its bits count it, and the fraction; subnormal ones as if they were normal."""
    size, bias, _ = _layout(dtype)
    subnormal = (whole >= 0) & (whole < (1 << size))
    # A subnormal number's bits count multiples of the smallest one.
    normal = jnp.where(subnormal, bits(whole.astype(dtype)), whole)
    field = (normal >> size) - jnp.where(subnormal, bias + size - 1, 0).astype(whole.dtype)
    return field, normal & ((1 << size) - 1)


def _layout(dtype: DTypeLike) -> tuple[int, int, int]:
    """How many bits a fraction has, what is added to exponents, and the bits of infinity."""
    about = jnp.finfo(dtype)
    size, bias = int(about.nmant), int(about.maxexp) - 1
    return size, bias, (2 * bias + 1) << size


def _as_float(whole: Int[Array, "..."], dtype: DTypeLike) -> Float[Array, "..."]:
    return jax.lax.bitcast_convert_type(whole, dtype)
