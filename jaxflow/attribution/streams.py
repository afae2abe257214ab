"""The readers of methods, of their relevance or their graphs, and what they and programs of a method's own gave."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxflow._checks import InputError
from jaxflow._typing import AtLayers, Queries, Square, TokenMask
from jaxflow.attribution.methods import GraphMethod, Method, ModelMethod, ProgramMethod, Streaming, mixing_of
from jaxflow.mixing import Mixing
from jaxflow.running import (
    Arrays,
    Item,
    LayerView,
    Mixed,
    PassOutputs,
    Reader,
    ReaderInputs,
    at_layers,
    check_faults,
    layer_places,
    layer_room,
    put_layer,
)
from jaxflow.running.readers import Faults, KeptGraph

Rows: TypeAlias = Float[Array, "row place query token"]
# Readers by the use of their outputs: a word, or a word with a mixing or a method's name.
# States of methods, and the room for their relevance.
Carry: TypeAlias = tuple[tuple[Arrays, ...], tuple[Rows, ...]]
Readers: TypeAlias = dict[Hashable, Reader | Mixed]


def rides_along(method: Method) -> bool:
    """Whether a method runs on the model's batch, without a graph."""
    return isinstance(method, Streaming | ModelMethod | ProgramMethod)


def takes_graph(method: Method) -> TypeGuard[GraphMethod]:
    """Whether a method can take the graph, whether or not it runs during the forward pass as well."""
    return isinstance(method, GraphMethod)


def riding_only(methods: Iterable[Method]) -> list[Method]:
    """The methods that cannot take the graph, for tasks that keep it in any case."""
    return [method for method in methods if not takes_graph(method)]


def method_readers(methods: Iterable[Method], layers: tuple[int, ...], mixing: Mixing) -> Readers:
    """Readers of the methods that need no graph, for `relevance_read`; their arrays are the queries.

    Args:
        methods: of relevance; the others are left out.
        layers: of the relevance, counted from 1.
        mixing: the question's, for methods that carry none.
    """
    streaming: dict[Mixing, tuple[Streaming, ...]] = {}
    own: Readers = {}
    for method in methods:
        each = mixing_of(method, mixing)
        if isinstance(method, Streaming):
            streaming[each] = (*streaming.get(each, ()), method)
        elif isinstance(method, ModelMethod):
            own[result_key(method)] = _mixed(method.reader(layers), each, mixing)
    # One reader for all streaming methods of a mixing carries their states side by side.
    return {("streams", each): _mixed(Streams(group, layers), each, mixing) for each, group in streaming.items()} | own


def graph_readers(methods: Iterable[Method], mixing: Mixing) -> Readers:
    """Readers that keep a graph for each mixing of these methods, under ("graph", mixing)."""
    return {("graph", each): _mixed(KeptGraph(), each, mixing) for each in (mixing_of(one, mixing) for one in methods)}


def fault_readers(mixings: Sequence[Mixing]) -> Readers:
    """Readers of what is wrong with capacities, for `refuse_faults`; the pass's mixing stands first."""
    return {("faults", each): _mixed(Faults(), each, mixings[0]) for each in mixings}


def refuse_faults(items: Sequence[Item], mixings: Sequence[Mixing], results: Mapping[Any, Arrays]) -> None:
    """Refuse a batch in which a text's capacities, by any of the mixings, are no graph's.

    Raises:
        InputError: naming the text.
    """
    for mixing in mixings:
        check_faults(items, results["faults", mixing], mixing)


def relevance_read(
    methods: Iterable[Method], results: Mapping[Any, Arrays], mixing: Mixing
) -> Iterator[tuple[Method, AtLayers]]:
    """The methods that need no graph, each with its relevance in the readers' results; `mixing` is the question's."""
    for method in methods:
        if isinstance(method, Streaming):
            yield method, results["streams", mixing_of(method, mixing)][method.name]
        elif isinstance(method, ModelMethod | ProgramMethod):
            yield method, results[result_key(method)]


def result_key(method: Method) -> tuple[str, str]:
    """The key in the results of a batch of a method that has a reader or a program of its own."""
    return "method", method.name


def _mixed(reader: Reader, mixing: Mixing, default: Mixing) -> Reader | Mixed:
    return reader if mixing == default else Mixed(reader, mixing)


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

    def start(self, inputs: ReaderInputs) -> Carry:
        """Each method's state, and room for its relevance at the chosen layers."""
        tokens = inputs.mask.shape[-1]
        queries = tokens if inputs.examples is None else inputs.examples.shape[-1]
        # One place for each chosen layer, and one for all others where there are some.
        places = int(layer_places(self.layers, inputs.depth).max()) + 1
        carries = tuple(method.start(inputs.mask) for method in self.methods)
        return carries, tuple(layer_room(inputs, places, queries, tokens) for _ in self.methods)

    def step(self, inputs: ReaderInputs, carry: Carry, layer: LayerView) -> Carry:
        """Each method's step, and the rows of the queries into their place."""
        carries, rooms = carry
        # The layer's number is traced, so its place is looked up on the device.
        place = jnp.asarray(layer_places(self.layers, inputs.depth))[layer.index]
        stepped = [
            method.step(carried, layer.shares, layer.capacity)
            for method, carried in zip(self.methods, carries, strict=True)
        ]
        for method, (_, relevance) in zip(self.methods, stepped, strict=True):
            _check_step(method, relevance, inputs.mask)
        rows = [_rows(relevance, inputs.examples) for _, relevance in stepped]
        # Only the queries' rows are kept: `row query token` of `row token token`.
        kept = tuple(put_layer(room, row, place) for room, row in zip(rooms, rows, strict=True))
        return tuple(carried for carried, _ in stepped), kept

    def finish(self, inputs: ReaderInputs, carry: Carry, outputs: PassOutputs) -> dict[str, AtLayers]:
        """By each method's name, the layers as they were asked for."""
        # Chosen layers lie sorted, each once; here they come in the order asked for, repeats included.
        order = layer_places(self.layers, inputs.depth)[[layer - 1 for layer in self.layers]]
        names = [method.name for method in self.methods]
        return {name: at_layers(room, order) for name, room in zip(names, carry[1], strict=True)}


def _check_step(method: Streaming, relevance: Array, mask: TokenMask) -> None:
    """Refuse relevance that is not of every token to every position: JAX would not name the method."""
    shape = (*mask.shape, mask.shape[-1])
    if jnp.shape(relevance) != shape:
        got = f"shape {jnp.shape(relevance)} from {method.name!r}"
        raise InputError("methods", f"give relevance of shape {shape} from `step`", got, "return (carry, relevance)")


def _rows(relevance: Square, queries: Queries | None) -> Float[Array, "row query token"]:
    """The queries' rows of a layer's relevance; all of them where there are no queries."""
    if queries is None:
        return relevance
    index: Int[Array, "row query 1"] = queries[..., :, None]
    return jnp.take_along_axis(relevance, index, axis=-2)
