"""Potentials that minimise a smooth cut, by Newton's method on a graph of layers.

Nodes of one layer are not adjacent, so the second derivative is block tridiagonal with diagonal blocks: one Cholesky
factor of a token-by-token matrix a layer solves for all nodes at once.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow.flow.device.minsum import unit_roundoff

Arcs = Float[Array, "layer token token"]
Nodes = Float[Array, "node_layer token"]

# The temperature falls from 1 by this factor a step until it is the wanted one.
COOLING = 0.8
# Halvings of the interval in which the best length of a step is looked for.
HALVINGS = 8
# Share of its capacity by which a node is held back: after a step cut short ten times more, after a full one ten less.
FIRM = 1e-6
HIGHEST = jax.lax.Precision.HIGHEST


class Problem(NamedTuple):
    """Capacities between a source and a sink, which nodes are free, and the temperature."""

    capacity: Arcs
    free: Nodes
    temperature: Float[Array, ""]


def falls(potentials: Nodes) -> Arcs:
    """How much the potential falls along each arc."""
    return potentials[1:, :, None] - potentials[:-1, None, :]


def price(fall: Float[Array, "*arcs"], temperature: Float[Array, ""]) -> Float[Array, "*arcs"]:
    """Price of a fall: 0 up to 0, strictly convex above."""
    down = jnp.maximum(fall, 0)
    huber = jnp.where(down < temperature, down * down / (2 * temperature), down - temperature / 2)
    return (1 - temperature) * huber + temperature * down * down / 2


def slope(fall: Arcs, temperature: Float[Array, ""]) -> Arcs:
    """Derivative of `price`, from 0 to 1: the share of an arc's capacity that carries flow."""
    return (1 - temperature) * jnp.clip(fall / temperature, 0, 1) + temperature * jnp.maximum(fall, 0)


def _curvature(fall: Arcs, temperature: Float[Array, ""]) -> Arcs:
    down = jnp.where(fall < temperature, (1 - temperature) / temperature + temperature, temperature)
    return jnp.where(fall > 0, down, jnp.zeros_like(down))


def imbalance(flow: Arcs, free: Nodes) -> Nodes:
    """What each free node sends less what it gets; 0 at the others."""
    nothing = jnp.zeros_like(flow[:1, 0])
    sent = jnp.concatenate([nothing, flow.sum(2)])
    got = jnp.concatenate([flow.sum(1), nothing])
    return (sent - got) * free


def minimised(problem: Problem, steps: int) -> Nodes:
    """The potentials of least price, after at most that many steps of Newton's method (Levenberg's, line-searched).

    The price is convex and piecewise quadratic, so the method ends after finitely many steps, on real attention 8 to
    22 at temperatures from 0.2 to 0.05. Each costs, for each inner layer, a Cholesky factor and a solve with as many
    right-hand sides as there are tokens, and a dozen passes over the capacities.
    """
    depth, tokens = problem.capacity.shape[:2]
    level = jnp.arange(depth + 1, dtype=problem.capacity.dtype)[:, None]
    # Falling evenly from the source's layer, whose nodes and those above it are not free.
    count = problem.free[:, 0].sum() + 1
    start = jnp.broadcast_to(jnp.minimum(level / count, 1), (depth + 1, tokens))

    def improve(state: _Search) -> _Search:
        warmth = jnp.maximum(problem.temperature, COOLING ** (state.step + 1).astype(level.dtype))
        warm = problem._replace(temperature=warmth)
        potentials, ridge, met = _improved(warm, state.potentials, state.ridge)
        # Done only at the wanted temperature: at a higher one the price is another.
        return _Search(state.step + 1, potentials, ridge, met & (warmth <= problem.temperature))

    # A source at layer 1 leaves no node free: the potentials are given.
    first = _Search(jnp.zeros((), jnp.int32), start, least_ridge(level.dtype), jnp.asarray(problem.free.sum() == 0))
    return jax.lax.while_loop(lambda s: (s.step < steps) & ~s.met, improve, first).potentials


class _Search(NamedTuple):
    step: Int[Array, ""]
    potentials: Nodes
    ridge: Float[Array, ""]
    met: Bool[Array, ""]


def least_ridge(dtype: np.dtype) -> Float[Array, ""]:
    """The ridge that rounding calls for."""
    return jnp.asarray(16 * unit_roundoff(dtype), dtype)


def _improved(problem: Problem, potentials: Nodes, ridge: Float[Array, ""]) -> tuple[Nodes, Array, Bool[Array, ""]]:
    """One step: the potentials, the next step's ridge, and whether this one had nothing left to gain."""

    def unevenness(potentials: Nodes) -> Nodes:
        return imbalance(problem.capacity * slope(falls(potentials), problem.temperature), problem.free)

    # Newton's step: the direction along which the imbalance, the price's slope, would vanish were the price quadratic.
    uneven = unevenness(potentials)
    direction = solved(problem, falls(potentials), -uneven, ridge)
    # Rounding may leave no Cholesky factor; then nothing moves, and the next ridge is larger.
    sound = jnp.isfinite(direction).all()
    direction = jnp.where(sound, direction, jnp.zeros_like(direction))

    # The slope along the step, `-gain` at its start and rising.
    def climb(length: Array) -> Array:
        return jnp.sum(unevenness(potentials + length * direction) * direction)

    # The price is convex along the step: where its slope is not yet positive, it has only fallen.
    whole, gain = climb(jnp.ones_like(ridge)), -jnp.sum(uneven * direction)
    full = sound & (whole <= 0.1 * gain)

    def halve(_: Array | int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        falling = climb(middle) <= 0
        return jnp.where(falling, middle, ends[0]), jnp.where(falling, ends[1], middle)

    # If the full step overshoots, the length where the slope vanishes is bracketed by halving. The lower end is taken,
    # where the price still falls. (Both are computed in any case: a batch of pairs has no branches.)
    short, _ = jax.lax.fori_loop(0, HALVINGS, halve, (jnp.zeros_like(ridge), jnp.ones_like(ridge)))
    length = jnp.where(full, 1, short)
    # A step cut short says that the quadratic is no good here; a larger ridge makes the next one smaller.
    firmer = jnp.minimum(10 * ridge + FIRM, 1)
    ridge = jnp.where(length >= 0.5, jnp.maximum(0.1 * ridge, least_ridge(ridge.dtype)), firmer)
    cost = jnp.sum(problem.capacity * price(falls(potentials), problem.temperature))
    return potentials + length * direction, ridge, full & (gain <= unit_roundoff(ridge.dtype) * cost)


def _touching(arcs: Arcs) -> Nodes:
    """Sum of each node's arcs, up and down."""
    nothing = jnp.zeros_like(arcs[:1, 0])
    return jnp.concatenate([nothing, arcs.sum(2)]) + jnp.concatenate([arcs.sum(1), nothing])


def solved(problem: Problem, fall: Arcs, wanted: Nodes, ridge: Float[Array, ""]) -> Nodes:
    """The change of the free nodes' potentials that changes their imbalance by what is wanted; linear in it.

    Block elimination up the layers and substitution down again. A share of each node's capacity, the ridge, is added
    to the diagonal, so that a node on which no arc has a hold stays where it is.
    """
    weight = problem.capacity * _curvature(fall, problem.temperature)
    through = _touching(weight) + ridge * _touching(problem.capacity)
    diagonal = jnp.where((problem.free > 0) & (through > 0), through, jnp.ones_like(through))
    between = weight * problem.free[1:, :, None] * problem.free[:-1, None, :]
    wanted = wanted * problem.free
    identity = jnp.eye(weight.shape[-1], dtype=weight.dtype)

    # The system is block tridiagonal: D_m x_m - W_m x_(m-1) - W_(m+1)' x_(m+1) = w_m, where W_m has the weights of the
    # arcs from layer m to m - 1 and D_m their sums at each node. Up the layers x_(m-1) is eliminated: S_m = D_m - W_m
    # S_(m-1)^-1 W_m', r_m = w_m + W_m S_(m-1)^-1 r_(m-1); then down, x_m = S_m^-1 (r_m + W_(m+1)' x_(m+1)).
    def eliminate(below: tuple[Array, Array], layer: tuple[Array, Array, Array]) -> tuple[tuple, tuple]:
        factor, right = below
        arcs, own, share = layer
        solved_arcs = jax.scipy.linalg.cho_solve((factor, True), arcs.T)
        block = jnp.diag(own) - jnp.matmul(arcs, solved_arcs, precision=HIGHEST)
        # Made symmetric: rounding of the product is not, and Cholesky reads one half only.
        factor = jnp.linalg.cholesky((block + block.T) / 2, symmetrize_input=False)
        right = share + jnp.matmul(solved_arcs.T, right, precision=HIGHEST)
        return (factor, right), (factor, right)

    def substitute(above: Array, layer: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        factor, right, arcs = layer
        here = jax.scipy.linalg.cho_solve((factor, True), right + jnp.matmul(arcs.T, above, precision=HIGHEST))
        return here, here

    inner = slice(1, weight.shape[0])
    start = identity, jnp.zeros_like(wanted[0])
    _, (factors, rights) = jax.lax.scan(eliminate, start, (between[:-1], diagonal[inner], wanted[inner]))
    nothing = jnp.zeros_like(wanted[0])
    _, change = jax.lax.scan(substitute, nothing, (factors, rights, between[1:]), reverse=True)
    return jnp.concatenate([nothing[None], change, nothing[None]])
