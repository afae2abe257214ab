"""Methods as values: each says how much each token contributed, given the graph, the layers, or the model itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxflow._names import imported, is_path
from jaxflow._switches import broadcasting
from jaxflow._typing import AnyArray, AtLayers, Queries, Settled, Square, TokenMask
from jaxflow.flow.solution import Solver
from jaxflow.flow.solve import as_solver, begin_flow
from jaxflow.flow.worker import Worker
from jaxflow.graph.graph import AttentionGraph, with_own
from jaxflow.graph.rollout import leveled, no_layers, product, raw_attention, sized
from jaxflow.mixing import MIXINGS, Mixing, as_mixing
from jaxflow.models import Model
from jaxflow.running import Arrays, Program, Reader, Target

# Relevance, `row token token`, and the power of two that was taken out of it, by row.
Leveled: TypeAlias = tuple[Square, Int[Array, "*batch"]]
# Between a method's name and that of its mixing.
AT = "@"


@runtime_checkable
class Method(Protocol):
    """A way of saying how much each token contributed; write one and pass it as `methods`.

    Beside its name a method has one of four ways to read: `GraphMethod`, `Streaming`, `ModelMethod`, `ProgramMethod`.
    It may have a `storage`, "float32" (the default) or "float64": the type in which results hold its relevance, on disk
    as well. It may have a `mixing`, by name or value, whose capacities it reads; None, as without one, stands for the
    question's.
    """

    @property
    def name(self) -> str:
        """What its relevance is called in results; a column of tables."""
        ...


@runtime_checkable
class GraphMethod(Method, Protocol):
    """A method that takes the whole graph.

    @dataclass(frozen=True)
    class LastLayer:
        name: str = "last"

        def __call__(self, graph, queries, layers):
            return Scores(Raw()(graph, queries, (graph.num_layers,) * len(layers)).relevance)
    """

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> "Scores":
        """Relevance to the queries at the layers, of a batch of examples."""
        ...


@runtime_checkable
class Streaming(Method, Protocol):
    """A method that takes the layers one by one during the forward pass, so that no graph is kept.

    It must be hashable, as programs are compiled for it.
    """

    def start(self, mask: TokenMask) -> Arrays:
        """Its state before the first layer; JAX arrays."""
        ...

    def step(self, carry: Arrays, attention: Square, capacity: Square) -> tuple[Arrays, Square]:
        """Its state after a layer, and the layer's relevance of every token to every position.

        `attention` is the layer's weights as shares, `capacity` its arcs, own streams included.
        """
        ...


@runtime_checkable
class ModelMethod(Method, Protocol):
    """A method that reads the model rather than the graph, by a reader that rides along its forward pass.

    It must be hashable, as programs are compiled for it.

        @dataclass(frozen=True)
        class HiddenNorms:
            name: str = "norms"

            def reader(self, layers):
                return HiddenNormsReader(layers)
    """

    def reader(self, layers: tuple[int, ...]) -> Reader:
        """The reader, which gives `row layer query token`: relevance at the layers, counted from 1.

        Its `examples` are the queries, `row query`; None stands for every position. A `running.GradientReader` is
        given gradients.
        """
        ...


@runtime_checkable
class ProgramMethod(Method, Protocol):
    """A method that runs the model by a program of its own: several passes, say, or gradients in the embeddings.

    The program goes over the same batches as the pass that other methods share. It must be hashable. It may have
    `pair_numbers(model)`: the numbers that it keeps for each pair of tokens of a text, by which batches are sized.

        @dataclass(frozen=True)
        class Occlusion:
            name: str = "occlusion"
            needs: frozenset[str] = frozenset()
            explains: bool = True

            def program(self, model, layers, target):
                return OcclusionProgram(blank_id(model), layers, target)
    """

    @property
    def needs(self) -> frozenset[str]:
        """What the model must give, beside attention, as a mixing's needs (`Model.gives`)."""
        ...

    @property
    def explains(self) -> bool:
        """Whether it needs a target, the number of the model that is explained."""
        ...

    def program(self, model: Model, layers: tuple[int, ...], target: Target | None) -> Program:
        """The program, whose output is `row layer query token`: relevance at the layers, counted from 1.

        Args:
            model: that reads the texts; the program itself is given the module.
            layers: of the relevance.
            target: the explained number, None unless the method `explains`.

        Returns:
            A program with `Inputs.examples` of two parts: the queries, `row query`, or None for every position; and the
            target's arrays, for `target.value(logits, arrays)`.
        """
        ...


@runtime_checkable
class Beginning(GraphMethod, Protocol):
    """A method that hands part of its work to the CPU, so that the device goes on with the next batch."""

    def begin(
        self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...], worker: Worker
    ) -> "Callable[[], Scores]":
        """Do the device's share, hand over the rest, and return what waits for it."""
        ...


@dataclass(frozen=True)
class Scores:
    """A method's relevance, `batch layer query token`, and for methods with proofs where it is proven.

    A method that says the same of every layer may give one layer of relevance, which then stands at each.

    `settled` is the stage that settled each value, and `saturated` where a value is no more than a trivial cut, as in
    `FlowSolution`.
    """

    relevance: AnyArray
    certified: AnyArray | None = None
    settled: AnyArray | None = None
    saturated: AnyArray | None = None


@dataclass(frozen=True)
class Raw:
    """Raw attention: a layer's own weights.

    Attributes:
        name: its column; without one of your own it says the mixing, as in `raw@attention-gradient`.
        mixing: what the capacities are made of, by name or value; None for the question's.
    """

    name: str = "raw"
    mixing: Settled[str | Mixing | None] = None

    def __post_init__(self) -> None:
        settle_mixing(self)

    def start(self, mask: TokenMask) -> None:
        """Nothing goes from layer to layer."""

    def step(self, carry: None, attention: Square, capacity: Square) -> tuple[None, Square]:
        """A layer's own attention."""
        return None, attention

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> Scores:
        """Rows of `raw_attention`."""
        return Scores(_raw_rows(graph, queries, layers))


@dataclass(frozen=True)
class Rollout:
    """Attention rollout: the share that came from each token over all paths.

    Where rows of the capacities do not sum to 1 these are products, which grow or shrink with every layer. Beyond 2^96
    or below 2^-96 a layer's are scaled by a power of two, so that they still rank tokens.

    `name` and `mixing` are as those of `Raw`.
    """

    name: str = "rollout"
    mixing: Settled[str | Mixing | None] = None

    def __post_init__(self) -> None:
        settle_mixing(self)

    def start(self, mask: TokenMask) -> Leveled:
        """Below the first layer tokens are themselves."""
        return no_layers(mask), jnp.zeros(mask.shape[:-1], jnp.int32)

    def step(self, carry: Leveled, attention: Square, capacity: Square) -> tuple[Leveled, Square]:
        """The product with one more layer's capacities."""
        below, power = carry
        # capacity: from this layer's positions to those below; below: from there to the input tokens. Powers of two
        # are taken out and put back exactly.
        rolled, power = leveled(product(capacity, below), power)
        return (rolled, power), sized(rolled, power)

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> Scores:
        """Rows of `attention_rollout`."""
        return Scores(_rollout_rows(graph, queries, layers))


@dataclass(frozen=True)
class Flow:
    """Attention flow: the maximum flow from each token.

    Attributes:
        method: of `attention_flow`, or a solver.
        tol: as of `attention_flow`.
        name: as of `Raw`.
        mixing: as of `Raw`.
    """

    method: str | Solver = "auto"
    tol: float | int | np.floating = 1e-6
    name: str = "flow"
    mixing: Settled[str | Mixing | None] = None

    # Exact values are right to 1e-9, which float32 would lose.
    storage = "float64"

    def __post_init__(self):
        # An unknown solver is refused where it is named, not at the first batch.
        _ = as_solver("method", self.method)
        settle_mixing(self)

    def __call__(self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> Scores:
        """Values of `attention_flow`, and which of them are certified."""
        # Alone there is no next batch to go on with: begin, and wait.
        with Worker() as worker:
            return self.begin(graph, queries, layers, worker)()

    def begin(
        self, graph: AttentionGraph, queries: Queries, layers: tuple[int, ...], worker: Worker
    ) -> Callable[[], Scores]:
        """The same, with the CPU's share handed to the worker."""
        # The device has its share queued when this returns; `finish` waits for the CPU.
        finish = begin_flow(graph, queries, layers, self.method, self.tol, worker)

        def scores() -> Scores:
            flow = finish()
            return Scores(flow.value, flow.certified, flow.settled, flow.saturated)

        return scores


def settle_mixing(method: Any) -> None:
    """Settle a frozen method's `mixing` as a value, and have its name say it, as in `flow@attention-gradient`.

    Names of a user's own are left as they are.
    """
    mixing, base = own_mixing(method), type(method).__dataclass_fields__["name"].default
    # The name that goes with another mixing goes with it: `replace(method, mixing=...)` gives the right one.
    if method.name in (base, *(f"{base}{AT}{name}" for name in MIXINGS)):
        object.__setattr__(method, "name", base if mixing is None else f"{base}{AT}{mixing.name}")
    object.__setattr__(method, "mixing", mixing)


def own_mixing(method: Any) -> Mixing | None:
    """The mixing that a method carries, as a value; None where it reads the question's.

    Raises:
        InputError: it is no mixing.
    """
    # `mixing` is no part of the protocol, so that a method from outside need not have it.
    value = getattr(method, "mixing", None)
    return None if value is None else as_mixing(imported("mixing", value) if is_path(value) else value)


def mixing_of(method: Method, default: Mixing) -> Mixing:
    """The mixing that a method reads; `default` is the question's."""
    return own_mixing(method) or default


def storage_of(method: Method) -> str:
    """The type in which results hold a method's relevance."""
    # `storage` is no part of the protocol, so that a method from outside need not have it.
    return getattr(method, "storage", "float32")


# Compiled as a whole, so that of all positions' relevance only the rows of the queries are stored.
@partial(jax.jit, static_argnames="layers")
@broadcasting
def _raw_rows(graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> AtLayers:
    return _rows(raw_attention(graph), queries, layers)


@partial(jax.jit, static_argnames="layers")
@broadcasting
def _rollout_rows(graph: AttentionGraph, queries: Queries, layers: tuple[int, ...]) -> AtLayers:
    def step(carry: Leveled, capacity: Square) -> tuple[Leveled, Square]:
        return method.step(carry, capacity, capacity)

    method = Rollout()
    # Layers in front for the scan, and behind the batch again.
    _, rolled = jax.lax.scan(step, method.start(graph.mask), jnp.moveaxis(with_own(graph.weights, graph.own), -3, 0))
    return _rows(jnp.moveaxis(rolled, 0, -3), queries, layers)


def _rows(relevance: Float[Array, "*batch layer token token"], queries: Queries, layers: Sequence[int]) -> AtLayers:
    # Layers first, as they are few, then of each the rows of the queries: `*batch layer query token`.
    chosen = relevance[..., jnp.asarray(layers) - 1, :, :]
    return jnp.take_along_axis(chosen, queries[..., None, :, None], axis=-2)
