"""What a flow solver returns: values between proven bounds."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, PyTree, UInt8

from jaxflow._checks import is_traced
from jaxflow._pytree import pytree
from jaxflow._typing import AnyArray, Capacity, Queries
from jaxflow.flow import exact

# What settles a pair, from the cheapest to the dearest: `FlowSolution.settled` counts them from 1.
STAGES = ("bounds", "relaxed", *exact.STAGES)
FIRST_EXACT = STAGES.index(exact.STAGES[0])


@pytree
class FlowSolution:
    """Maximum flows of many pairs, each between a lower and an upper bound that are proven.

    Arrays are JAX arrays in the graph's precision where a device computed them, and NumPy arrays in float64 where
    the host did. Pairs with padding at either end are 0 and certified.

    Attributes:
        value: `*batch layer query token`: the exact flow (within `tol`) where certified, else the upper bound, which
            on real attention is the closer one by far; by the smooth method the smooth value, between the bounds.
        lower: value of a flow that respects every capacity: one that was built, or one that the flows of the layer
            below prove to exist.
        upper: a bound that no flow exceeds: the capacity of a cut, or a composed bound.
        certified: whether the two meet within `tol` times the scale of the example's capacities (1 for attention: the
            power of two next below the largest sum of a row).
        saturated: whether the flow that was built fills one of the two trivial cuts, within `tol` times the scale:
            all that leaves the query, or all that enters the token in the first layer. There flow says nothing of
            what lies between. Never so for pairs with padding; `attention_flow` fills it in whatever the solver.
        cut: source side of a minimum cut of each pair, `*batch layer query token node_layer node`, where node layer
            0 is the input and those above the pair's own layer are all false; None unless it was asked for.
        settled: which stage settled each pair, a number that counts `STAGES` from 1; 0 for pairs with padding. None
            from solvers in pure JAX, which are one stage. `stages` counts them.
    """

    value: Float[Any, "*batch layer query token"]
    lower: Float[Any, "*batch layer query token"]
    upper: Float[Any, "*batch layer query token"]
    certified: Bool[Any, "*batch layer query token"]
    cut: PyTree = None
    settled: UInt8[Any, "*batch layer query token"] | None = None
    saturated: Bool[Any, "*batch layer query token"] | None = None

    @property
    def stages(self) -> dict[str, int] | None:
        """How many pairs each stage settled; None where it is not known, as from solvers in pure JAX.

        `bounds` and `relaxed` on the device; the others by solving: `closed_form` (layers 1 and 2), `one_pass` (all
        arcs out of the source, out of the nodes of its position or into the sink full), `cut` (a search of the
        residual graph) and `layer_below` (the flows of all positions one layer below).
        """
        if self.settled is None or is_traced(self.settled):
            return None
        return count_stages(self.settled)


def count_stages(settled: AnyArray) -> dict[str, int]:
    """How many pairs each stage settled, by the numbers in `FlowSolution.settled`."""
    return {stage: int(np.sum(settled == number)) for number, stage in enumerate(STAGES, 1)}


@runtime_checkable
class Solver(Protocol):
    """A way of bounding flows in pure JAX, as a value: frozen and hashable, so that it can be compiled for."""

    def __call__(self, capacity: Capacity, queries: Queries, layers: tuple[int, ...], tol: Any) -> FlowSolution:
        """Bounds of the flow from the queries at the layers (counted from 1) to every input token.

        They must hold for the capacities as given: what a solver computes with rounding, it rounds outward. Capacities
        are finite, not negative and of any size. `tol` is absolute here, `*batch 1 1 1`: each example's own scale is
        in it.
        """
        ...
