"""Methods on flow beside pairwise maximum flow: the joint flow's shares, and widest paths."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxflow import _checks
from jaxflow._typing import Given, Queries, Settled, Square, TokenMask
from jaxflow.attribution.methods import Scores, settle_mixing
from jaxflow.flow.joint import SPLITS, check_gap, on_host, solve_joint
from jaxflow.flow.widest import max_min, widest_path
from jaxflow.flow.worker import Worker
from jaxflow.graph.graph import AttentionGraph
from jaxflow.mixing import Mixing


@dataclass(frozen=True)
class JointFlow:
    """Each token's share of the maximum flow to all tokens together, as `joint_flow` splits it.

    Certified where the split's duality gap is at most `tol`.

    Attributes:
        split: as of `joint_flow`.
        tol: as of `joint_flow`.
        name: as of `Raw`.
        mixing: as of `Raw`.
    """

    split: str = "analytic"
    tol: Given[float] = 1e-9
    name: str = "joint-flow"
    mixing: Settled[str | Mixing | None] = None

    storage = "float64"

    def __post_init__(self):
        _checks.one_of("split", self.split, SPLITS)
        check_gap(self.tol)
        settle_mixing(self)

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> Scores:
        """Shares of `joint_flow`."""
        with Worker() as worker:
            return self.begin(graph, queries, layers, worker)()

    def begin(
        self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...], worker: Worker
    ) -> Callable[[], Scores]:
        """The same, by the worker."""
        handed = worker.begin(solve_joint, *on_host(graph, queries), layers, self.split, float(self.tol))

        def scores() -> Scores:
            joint = handed.result()
            certified = np.broadcast_to((joint.gap <= self.tol)[..., None], joint.share.shape)
            return Scores(joint.share, certified)

        return scores


@dataclass(frozen=True)
class WidestPath:
    """Width of the widest path from each token: a lower bound of its flow, during the forward pass.

    Attributes:
        name: as of `Raw`.
        mixing: as of `Raw`.
    """

    name: str = "widest-path"
    mixing: Settled[str | Mixing | None] = None

    def __post_init__(self) -> None:
        settle_mixing(self)

    def start(self, mask: TokenMask) -> Square:
        """Below the first layer a token's path to itself has no arc: whatever goes through."""
        real = mask[..., :, None] & jnp.eye(mask.shape[-1], dtype=bool)
        return jnp.where(real, jnp.finfo(jnp.float32).max, jnp.float32(0))

    def step(self, carry: Square, attention: Square, capacity: Square) -> tuple[Square, Square]:
        """Paths by one more arc."""
        widths = max_min(capacity, carry)
        return widths, widths

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> Scores:
        """Rows of `widest_path`."""
        return Scores(widest_path(graph, queries, layers))
