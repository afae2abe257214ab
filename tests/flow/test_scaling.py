"""Capacities of any size: bits are shifted exactly, bounds bracket and certified is right at every scale."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import jaxflow as jf
from jaxflow.flow import exact
from jaxflow.flow.scaling import is_usable, meet, meet_on_host, rounded_down, scaled, shifted
from tests.flow.families import FAMILIES
from tests.flow.oracles import OrTools

METHODS = ("bounds", "relaxed", "smooth")
SIZE = 256
# An array of numbers has nothing to shrink.
fuzzed = settings(deadline=None, max_examples=20, phases=[Phase.generate])


def singles(rng, size):
    """Single precision's numbers that are not negative, all alike: zeros, subnormal ones, infinity."""
    whole = rng.integers(0, 0x7F800001, size).astype(np.int32)
    small = rng.integers(0, 1 << rng.integers(1, 25, size)).astype(np.int32)
    return np.where(rng.random(size) < 0.5, whole, small).astype(np.int32).view(np.float32)


def beside(value, way):
    with np.errstate(over="ignore", under="ignore"):
        return float(np.nextafter(np.float32(value), np.float32(way)))


@pytest.mark.parametrize("up", [False, True])
@given(st.integers(0, 2**32))
@fuzzed
def test_a_shift_is_exact_or_rounded_to_the_next_number(up, seed):
    rng = np.random.default_rng(seed)
    values, powers = singles(rng, SIZE), rng.integers(-300, 300, SIZE).astype(np.int32)
    found = np.asarray(jax.jit(shifted, static_argnums=2)(values, powers, up))
    for value, power, ours in zip(values.tolist(), powers.tolist(), found.tolist(), strict=True):
        if np.isinf(value):
            assert np.isinf(ours)
            continue
        true = Fraction(value) * Fraction(2) ** power
        if np.isinf(ours):
            assert up
            assert true > Fraction(float(np.finfo(np.float32).max))
        elif up:
            assert Fraction(ours) >= true
            assert ours == 0 or Fraction(beside(ours, 0)) < true
        else:
            assert Fraction(ours) <= true
            above = beside(ours, np.inf)
            assert np.isinf(above) or Fraction(above) > true


@given(st.integers(0, 2**32))
@fuzzed
def test_bounds_meet_only_where_they_do(seed):
    """Equal ones, neighbours, and any two numbers, subnormal ones among them."""
    rng = np.random.default_rng(seed)
    lower, any_other = singles(rng, SIZE), singles(rng, SIZE)
    near = np.clip(lower.view(np.int32) + rng.integers(-2, 3, SIZE), 0, 0x7F800000).astype(np.int32).view(np.float32)
    upper = np.where(rng.random(SIZE) < 0.6, near, any_other)
    tol = np.float32(0) if rng.random() < 0.4 else singles(rng, 1)[0]
    if not np.isfinite(tol):
        tol = np.float32(1e-3)
    on_device = np.asarray(jax.jit(meet)(lower, upper, tol)).tolist()
    on_host = meet_on_host(np.float64(lower), np.float64(upper), float(tol)).tolist()
    for low, high, device, host in zip(lower.tolist(), upper.tolist(), on_device, on_host, strict=True):
        apart = Fraction(high) - Fraction(low) if np.isfinite([low, high]).all() else None
        true = apart is not None and 0 <= apart <= Fraction(float(tol))
        assert true or not device
        assert true or not host
        # Nothing that meets by much is refused.
        if true and (tol == 0 or 2 * apart < Fraction(float(tol))):
            assert device
            assert host


def test_what_is_usable_is_told_by_bits():
    values = np.array([0.0, -0.0, 1e-45, -1e-45, 1.0, -1.0, np.inf, -np.inf, np.nan, 3e38], np.float32)
    expected = [True, True, True, False, True, False, False, False, False, True]
    np.testing.assert_array_equal(jax.jit(is_usable)(values), expected)


@pytest.mark.parametrize("tol", [0.1, 1e-3, 1e-6, 1.0, 1e-60, 1e60, 0.0])
def test_a_tolerance_is_never_rounded_up(tol):
    single = rounded_down(tol, np.float32)
    assert single.dtype == np.float32
    assert float(single) <= tol
    assert beside(single, np.inf) > tol
    with jax.enable_x64(True):
        assert float(jax.jit(lambda t: rounded_down(t, jnp.float32))(jnp.asarray(tol))) <= tol


def test_examples_are_scaled_exactly_and_differentiate():
    rng = np.random.default_rng(0)
    mixing = rng.random((5, 3, 4, 4)).astype(np.float32)
    shifts = np.array([-140, -100, 0, 60, 126])
    given_sizes = np.ldexp(mixing, shifts[:, None, None, None]).astype(np.float32)
    found = jax.jit(scaled)(given_sizes)
    exponents = np.asarray(found.exponent, np.int64)
    # Exact also where the weights are subnormal.
    np.testing.assert_array_equal(np.ldexp(np.float64(found.weights), exponents), np.float64(given_sizes))
    sums = np.asarray(found.weights.sum(-1).max((-2, -1)))
    assert np.all(sums <= 1)
    assert np.all(sums[1:] >= 0.5)
    slope = jax.jit(jax.grad(lambda m: shifted(scaled(m).weights, scaled(m).exponent, True)[:4].sum()))(given_sizes)
    np.testing.assert_array_equal(slope[:4], np.ones((4, 3, 4, 4)))


LAYERS, TOKENS = 4, 6
NAMES = [name for name in FAMILIES if name != "only_residual"]
SCALES = (-149, -140, -128, -126, -124, -120, -100, -60, -1, 0, 1, 40, 100, 125)


def graph_at(power, seed, step=1):
    """One graph of each family, or of each step-th from the seed's on, its largest weight near 2^power."""
    names = NAMES[seed % step :: step]
    made = np.stack([FAMILIES[name](np.random.default_rng(seed + i), LAYERS, TOKENS) for i, name in enumerate(names)])
    weights = np.ldexp(made / made.max((1, 2, 3), keepdims=True), power).astype(np.float32)
    count = len(weights)
    own = jnp.zeros((count, LAYERS, TOKENS))
    return weights, jf.AttentionGraph(jnp.asarray(weights), own, jnp.ones((count, TOKENS), bool))


def solved(mixing):
    """The flow of the weights as they are, at a scale where the solver keeps every digit."""
    queries = np.broadcast_to(np.arange(TOKENS), (len(mixing), TOKENS))
    return exact.max_flow(np.float64(mixing), queries, tuple(range(1, LAYERS + 1))).value


@pytest.mark.slow
@pytest.mark.optimised
@pytest.mark.parametrize("method", METHODS)
def test_bounds_bracket_and_certify_at_every_scale(method):
    certified = 0
    for seed, power in enumerate(SCALES):
        # To a tolerance of 0 relaxations of all families take minutes: a third of the families at each scale, so that
        # each comes at four scales or more.
        mixing, graph = graph_at(power, seed, step=1 if method == "bounds" else 3)
        flow = solved(mixing)
        # Near the least of all sizes processors flush the graph's own mixing, which is then what bounds are of.
        held = np.asarray(graph.capacity)
        if np.any(held != mixing):
            flow = solved(held)
        for tol in (0.0, 1e-6):
            found = jf.attention_flow(graph, method=method, tol=tol)
            value, lower, upper = (np.float64(x) for x in (found.value, found.lower, found.upper))
            assert np.all(lower <= flow * (1 + 1e-14)), (power, tol)
            assert np.all(flow * (1 - 1e-14) <= upper), (power, tol)
            assert np.all((lower <= value) & (value <= upper))
            # Relative to an example's scale, the largest sum of a row.
            room = tol * np.broadcast_to(1.001 * held.sum(-1, dtype=float).max((1, 2))[:, None, None, None], flow.shape)
            met = np.asarray(found.certified)
            assert np.all((upper - lower)[met] <= room[met])
            if method != "smooth":
                assert np.all(np.abs(value - flow)[met] <= room[met] + 1e-14 * flow[met])
            if tol > 0 and power > -120:
                certified += bool(np.mean(found.certified) > 0.3)
    assert certified == sum(power > -120 for power in SCALES)


@pytest.mark.parametrize("power", [-140, -120, 0, 100])
def test_the_exact_solver_is_right_at_every_scale(power):
    mixing, graph = graph_at(power, 3)
    held = np.float64(graph.capacity)
    for method in ("exact", "auto"):
        found = jf.attention_flow(graph, layers=[3, 4], method=method, tol=0.0)
        assert np.all(found.upper[found.certified] == found.lower[found.certified])
        for example in range(0, len(mixing), 3):
            for place, layer in enumerate((3, 4)):
                oracle = OrTools(held[example], layer)
                for query, token in [(0, 1), (2, 2), (5, 0)]:
                    expected = oracle(query, token)
                    size = held[example].max() * 1e-12
                    np.testing.assert_allclose(
                        found.value[example, place, query, token], expected, rtol=1e-9, atol=size
                    )
