"""What a sweep computes for each text: all that decides the numbers, and nothing that doesn't."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from jaxflow._checks import InputError, one_of
from jaxflow.flow.solve import METHODS as FLOW_METHODS
from jaxflow.models import Model

METHODS = ("raw", "rollout", "flow")
HEADS = ("mean", "max", "min")


@dataclass(frozen=True)
class Settings:
    """What is computed for each text.

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

    def check(self, encoder: Model, *, paired: bool) -> None:
        """Refuse what a model cannot do, before any text is read."""
        for layer in self.layers or ():
            if not 1 <= layer <= encoder.layers:
                raise InputError(f"`layers` must be from 1 to {encoder.layers}, got {layer}")
        # No text at all: what is checked is that there is a tokenizer and that the length makes sense.
        _ = encoder.tokenize([], [] if paired else None, max_length=self.max_length, truncate=self.truncate)

    def of_attribution(self) -> dict[str, Any]:
        """Those that say what is made of tokens, by the names that `attribute` has for them."""
        return {name: value for name, value in vars(self).items() if name not in ("max_length", "truncate")}

    def values(self, tokens: int, layers: int) -> int:
        """How many numbers a text of so many tokens gets from a model of so many layers."""
        queries = tokens if self.queries is None else len(self.queries)
        return tokens * queries * (layers if self.layers is None else len(self.layers)) * len(self.methods)

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON has them; None stands as "all" where that is what it means."""
        fields = dataclasses.asdict(self)
        fields |= {name: "all" for name in ("queries", "layers") if fields[name] is None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
