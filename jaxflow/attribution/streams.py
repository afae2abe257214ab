"""The readers of methods that run during the forward pass, and what they and programs of a method's own gave."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxflow._typing import AtLayers, Queries, Square
from jaxflow.attribution.methods import GraphMethod, Method, ModelMethod, ProgramMethod, Streaming
from jaxflow.running import LayerView, PassOutputs, Reader, ReaderInputs, at_layers, layer_places, layer_room, put_layer

Rows: TypeAlias = Float[Array, "row place query token"]


def rides_along(method: Method) -> bool:
    """Whether a method runs on the model's batch, without a graph."""
    return isinstance(method, Streaming | ModelMethod | ProgramMethod)


def riding_only(methods: Iterable[Method]) -> list[Method]:
    """The methods that cannot take the graph, for tasks that keep it in any case."""
    return [method for method in methods if not isinstance(method, GraphMethod)]


def method_readers(methods: Iterable[Method], layers: tuple[int, ...]) -> dict[str, Reader]:
    """Readers of the methods that need no graph, by the keys of `relevance_read`; their arrays are the queries."""
    streaming = tuple(method for method in methods if isinstance(method, Streaming))
    # One reader for all streaming methods carries their states side by side.
    readers: dict[str, Reader] = {"streams": Streams(streaming, layers)} if streaming else {}
    own = (method for method in methods if isinstance(method, ModelMethod) and not isinstance(method, Streaming))
    return readers | {result_key(method): method.reader(layers) for method in own}


def relevance_read(methods: Iterable[Method], results: Mapping[str, Any]) -> Iterator[tuple[Method, AtLayers]]:
    """The methods that need no graph, each with its relevance in the readers' results."""
    for method in methods:
        if isinstance(method, Streaming):
            yield method, results["streams"][method.name]
        elif isinstance(method, ModelMethod | ProgramMethod):
            yield method, results[result_key(method)]


def result_key(method: Method) -> str:
    """The key in the results of a batch of a method that has a reader or a program of its own."""
    return f"method {method.name}"


@dataclass(frozen=True)
class Streams:
    """Relevance by methods that stream, by name `row layer query token`; its arrays are the queries, or None for all.

    Attributes:
        methods: that take the layers one by one.
        layers: whose relevance is kept, counted from 1.
    """

    methods: tuple[Streaming, ...]
    layers: tuple[int, ...]
    needs_logits: bool = False

    def start(self, inputs: ReaderInputs) -> tuple[tuple[Any, ...], tuple[Rows, ...]]:
        """Each method's state, and room for its relevance at the chosen layers."""
        tokens = inputs.mask.shape[-1]
        queries = tokens if inputs.examples is None else inputs.examples.shape[-1]
        # One place for each chosen layer, and one for all others where there are some.
        places = int(layer_places(self.layers, inputs.depth).max()) + 1
        carries = tuple(method.start(inputs.mask) for method in self.methods)
        return carries, tuple(layer_room(inputs, places, queries, tokens) for _ in self.methods)

    def step(
        self, inputs: ReaderInputs, carry: tuple[tuple[Any, ...], tuple[Rows, ...]], layer: LayerView
    ) -> tuple[tuple[Any, ...], tuple[Rows, ...]]:
        """Each method's step, and the rows of the queries into their place."""
        carries, rooms = carry
        # The layer's number is traced, so its place is looked up on the device.
        place = jnp.asarray(layer_places(self.layers, inputs.depth))[layer.index]
        stepped = [
            method.step(carried, layer.shares, layer.capacity)
            for method, carried in zip(self.methods, carries, strict=True)
        ]
        rows = [_rows(relevance, inputs.examples) for _, relevance in stepped]
        # Only the queries' rows are kept: `row query token` of `row token token`.
        kept = tuple(put_layer(room, row, place) for room, row in zip(rooms, rows, strict=True))
        return tuple(carried for carried, _ in stepped), kept

    def finish(
        self, inputs: ReaderInputs, carry: tuple[tuple[Any, ...], tuple[Rows, ...]], outputs: PassOutputs
    ) -> dict[str, AtLayers]:
        """By each method's name, the layers as they were asked for."""
        # Chosen layers lie sorted, each once; here they come in the order asked for, repeats included.
        order = layer_places(self.layers, inputs.depth)[[layer - 1 for layer in self.layers]]
        names = [method.name for method in self.methods]
        return {name: at_layers(room, order) for name, room in zip(names, carry[1], strict=True)}


def _rows(relevance: Square, queries: Queries | None) -> Float[Array, "row query token"]:
    """The queries' rows of a layer's relevance; all of them where there are no queries."""
    if queries is None:
        return relevance
    index: Int[Array, "row query 1"] = queries[..., :, None]
    return jnp.take_along_axis(relevance, index, axis=-2)
