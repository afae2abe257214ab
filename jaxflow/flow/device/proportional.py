"""Lower bounds by flows in proportion to capacities: from the source down, and into the sinks, joined in between."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxflow._typing import AtLayers, Capacity, Queries, Square
from jaxflow.flow.device.composed import Onward, met_halfway
from jaxflow.flow.device.cut import HIGHEST
from jaxflow.flow.device.minsum import min_sum_down, unit_roundoff

_product = partial(jnp.matmul, precision=HIGHEST)


def proportional_flows(capacity: Capacity, queries: Queries, layers: tuple[int, ...]) -> AtLayers:
    """Value of a feasible flow for every pair, rounded down; exact at layers 1 and 2.

    Rows of `capacity` sum to 1 at most. In proportion to the capacities from the source down to some layer, and as
    `_into_sinks` below it, each node of the layer passing on the smaller of the two amounts; the best layer is taken.
    """
    # Why it is a flow: capacities of any size come scaled by a power of two that brings every row's sum below 1 (see
    # `flow/scaling.py`). From the source down, node i passes on `a[i] C[i, j]`, where a[i] is what arrived. Row sums of
    # at most 1 give `sum_j C[i, j] a[i] <= a[i]`, no node gives more than it got, and so a[i] <= 1 all the way down:
    # no arc carries more than it holds. From layer m on it is `_into_sinks`' flow, and node k passes min(arrived, what
    # it can send on): parts of both flows, scaled node by node.
    onward = _into_sinks(capacity, max(layers) - 1)
    best = met_halfway(capacity, onward, queries, layers, (_product, min_sum_down), jnp.maximum, 0.0)
    # Each layer passed adds at most 2 * token + 4 roundings to what an arc is taken to carry (token of them for a row's
    # sum, which was below 1 as the device added it up); a flow that much smaller fits. At layer 2 the capacities
    # themselves are met.
    roundings = jnp.asarray(
        [layer * (2 * capacity.shape[-1] + 4) if layer > 2 else 0 for layer in layers], capacity.dtype
    )
    return best * jnp.maximum(1 - roundings * unit_roundoff(capacity.dtype), 0)[:, None, None]


def _into_sinks(capacity: Capacity, depth: int) -> Onward:
    """Amounts that each node of layers 1 to `depth` can send to each input token, all by one flow.

    What a node can send on, it asks of the nodes above in proportion to their arcs into it, never more than they hold:
    from m to m + 1 the arcs carry `C[h, i] * min(1, y[i] / (what all arcs into i hold))`.
    """

    def step(amounts: Square, arcs: Square) -> tuple[Square, Float[Array, "*batch token token"]]:
        # Each arc into i carries `C[h, i] share[i] <= C[h, i]`, and together they bring `min(held[i], amounts[i])`,
        # which i can send on. Axes: `*batch node token`, one flow for each sink.
        held = jnp.sum(arcs, axis=-2)[..., :, None]
        share = jnp.minimum(amounts / jnp.where(held > 0, held, jnp.ones_like(held)), 1)
        amounts = _product(arcs, share)
        return amounts, amounts

    first = capacity[..., 0, :, :]
    _, others = jax.lax.scan(step, first, jnp.moveaxis(capacity[..., 1:depth, :, :], -3, 0))
    return jnp.concatenate([first[None], others])[:depth]
