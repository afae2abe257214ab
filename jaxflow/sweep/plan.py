"""What a sweep will do, known before it starts: every text checked, and cut into shards."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jaxflow._checks import InputError, one_of
from jaxflow.flow.solve import METHODS as FLOW_METHODS
from jaxflow.sweep.source import Example, Source

# A shard ends at whichever comes first, so that one never outgrows memory. Numbers are relevance values.
SHARD_EXAMPLES = 256
SHARD_VALUES = 2**25
METHODS = ("raw", "rollout", "flow")
HEADS = ("mean", "max", "min")


@dataclass(frozen=True)
class Settings:
    """What is computed for each text: all that decides the numbers, and nothing that doesn't.

    Attributes:
        methods: of relevance.
        queries: positions whose relevance is taken; None is every one.
        layers: counted from 1; None is every one.
        heads: how a layer's heads are fused.
        residual: the residual connection's share.
        flow: the method of solving flow.
        max_length: most tokens of a text; None is what the model takes.
        truncate: cut longer texts rather than refuse them.
    """

    methods: tuple[str, ...] = METHODS
    queries: tuple[int, ...] | None = (0,)
    layers: tuple[int, ...] | None = None
    heads: str = "mean"
    residual: float = 0.5
    flow: str = "auto"
    max_length: int | None = None
    truncate: bool = False

    def __post_init__(self):
        for name in ("methods", "queries", "layers"):
            values = getattr(self, name)
            if values is not None and (not values or len(set(values)) != len(values)):
                raise InputError(f"`{name}` must be different ones, one at least, got {','.join(map(str, values))!r}")
        for method in self.methods:
            one_of("methods", method, METHODS)
        one_of("heads", self.heads, HEADS)
        one_of("flow", self.flow, FLOW_METHODS)
        if not 0 <= self.residual <= 1:
            raise InputError(f"`residual` must be from 0 to 1, got {self.residual}")
        if any(query < 0 for query in self.queries or ()):
            raise InputError(f"`queries` must be positions from 0 on, got {min(self.queries or ())}")

    def check_layers(self, count: int) -> None:
        """Refuse layers that a model of so many doesn't have."""
        for layer in self.layers or ():
            if not 1 <= layer <= count:
                raise InputError(f"`layers` must be from 1 to {count}, got {layer}")

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON has them; None stands as "all" where that is what it means."""
        fields = dataclasses.asdict(self)
        fields |= {name: "all" for name in ("queries", "layers") if fields[name] is None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


@dataclass(frozen=True)
class Plan:
    """The sweep's size.

    Attributes:
        shards: examples of each shard, in order.
        tokens: tokens of each shard, special ones included.
    """

    shards: tuple[int, ...]
    tokens: tuple[int, ...]

    @property
    def examples(self) -> int:
        """Examples in all."""
        return sum(self.shards)


def make_plan(encoder: Any, source: Source, settings: Settings) -> Plan:
    """Read the whole input once, check every text against the model, and cut the sweep into shards.

    The plan follows from the input, the model and the settings alone, so that a resumed sweep makes the same one.

    Raises:
        InputError: a text is malformed, empty, or too long, or has no such query; its line or row is named.
    """
    settings.check_layers(encoder.config.layers)
    shards, tokens = [0], [0]
    values, count = 0, 0
    for example in source.examples():
        length = _checked_length(encoder, example, settings)
        cost = length * _rows(encoder, length, settings)
        if shards[-1] == SHARD_EXAMPLES or (shards[-1] and values + cost > SHARD_VALUES):
            shards.append(0)
            tokens.append(0)
            values = 0
        shards[-1] += 1
        tokens[-1] += length
        values += cost
        count += 1
    if not count:
        raise InputError(f"{source.name} has no text in it")
    return Plan(tuple(shards), tuple(tokens))


def shards(source: Source, plan: Plan) -> Iterator[list[Example]]:
    """The examples of each shard, in order.

    Raises:
        InputError: the input has changed since the plan was made.
    """
    examples = source.examples()
    for size in plan.shards:
        shard = list(islice(examples, size))
        if len(shard) != size:
            raise InputError(f"{source.name} changed while it was read; what is finished is kept")
        yield shard


def _rows(encoder: Any, length: int, settings: Settings) -> int:
    layers = encoder.config.layers if settings.layers is None else len(settings.layers)
    queries = length if settings.queries is None else len(settings.queries)
    return layers * queries * len(settings.methods)


def _checked_length(encoder: Any, example: Example, settings: Settings) -> int:
    """Tokens of an example. One at a time, so that an error can say where the text stands."""
    pairs = None if example.pair is None else [example.pair]
    try:
        (encoding,) = encoder.tokenize(
            [example.text], pairs, max_length=settings.max_length, truncate=settings.truncate
        )
    except InputError as error:
        message = str(error).replace("`texts[0]`", example.place).replace("`pairs[0]`", f"the pair of {example.place}")
        raise InputError(message) from error
    for query in settings.queries or ():
        if not 0 <= query < len(encoding):
            raise InputError(
                f"{example.place} has {len(encoding)} tokens, so no query position {query}; "
                f"ask for 0 to {len(encoding) - 1}, or for all"
            )
    return len(encoding)
