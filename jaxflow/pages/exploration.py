"""What the explorer shows, as data: texts as one model or two saw them, with the attention of every head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxflow._checks import InputError, shown
from jaxflow._typing import ArrayLike
from jaxflow._untyped import JsonValue
from jaxflow._views import shown_as_html
from jaxflow.pages.carried import Carried
from jaxflow.pages.units import HeadAttention, Pooled

HeadTable = Float[np.ndarray, "layer head"]


@dataclass(frozen=True, eq=False)
class Side:
    """One model's view of the texts.

    Attributes:
        name: the model's.
        examples: its attribution: raw attention and rollout at every position, flow at those that were asked for.
        attention: of each text, the attention of every head, between the units that the page shows.
        losses: of each text, minus the log of the label's probability; None where either is not known.
        measures: numbers of each head by name, such as its importance.
        roles: a word for each head, in rows by layer; None where they are not known.
        carried: of each text, the words that carry the prediction, or the class that was asked for, at the last layer;
            None where nothing that was asked is of a class, or not of the position that the head reads.
    """

    name: str
    examples: tuple[Pooled, ...]
    attention: tuple[HeadAttention, ...]
    losses: tuple[float | None, ...]
    measures: Mapping[str, HeadTable] = field(default_factory=dict)
    roles: Sequence[Sequence[str]] | None = None
    carried: tuple[Carried | None, ...] = ()

    @property
    def heads(self) -> tuple[int, int]:
        """Number of layers, and of heads in each."""
        # layer head unit unit
        layers, heads = self.attention[0].shape[:2]
        return layers, heads


@dataclass(frozen=True, eq=False)
class Exploration:
    """Texts as one model, or two, saw them.

    Attributes:
        sides: one a model.
        labels: what each text should have been taken for, None where it is not known.
        settings: the mixing in words, its residual, and flow's solver, as `page_settings` has them; and `causal`,
            whether the models are decoders that were asked about their last position; and `first`, what the page
            begins with, by names of its state, where something was asked for; and `layers`, what the layers are, where
            that needs to be said.
        change: of each text, the Jensen-Shannon distance of each head's attention in the two models, mean over
            positions; empty for one model, and for two whose layers or heads differ in number.
        moved: of each text, the total variation of rollout to the first position (of decoders to the last) at the last
            layer of each model; empty for one model.
        total: how many texts there were before those that no page could hold were left out.
    """

    sides: tuple[Side, ...]
    labels: tuple[str | None, ...]
    settings: Mapping[str, JsonValue]
    change: tuple[HeadTable, ...]
    moved: tuple[float, ...]
    total: int

    def __repr__(self) -> str:
        """What it is of, without its arrays."""
        what = "text" if self.sides[0].examples[0].picture is None else "image"
        count = f"{len(self)} {what}{'s' * (len(self) != 1)}"
        return f"Exploration({count}; {' and '.join(side.name for side in self.sides)})"

    def __len__(self) -> int:
        return len(self.labels)

    def _repr_html_(self) -> str | None:
        """The page, in a frame, for notebooks; see `jaxflow._views`."""
        return shown_as_html(self)

    def with_heads(
        self,
        measures: Mapping[str, Sequence[ArrayLike]] | None = None,
        roles: Sequence[Any] | None = None,
    ) -> "Exploration":
        """The same with numbers or roles of heads that were found elsewhere, for the head grid.

        Args:
            measures: by name, `layer head` for each model.
            roles: for each model a word a head, in rows by layer.

        Raises:
            InputError: not one table a model, or one of another shape.
        """
        sides = []
        for number, side in enumerate(self.sides):
            # New measures go beside those that are there; new roles replace the old.
            all_measures = dict(side.measures)
            for name, tables in (measures or {}).items():
                all_measures[name] = _as_table(name, tables, number, len(self.sides), side.heads)
            named = side.roles if roles is None else _as_roles(roles, number, len(self.sides), side.heads)
            sides.append(replace(side, measures=all_measures, roles=named))
        return replace(self, sides=tuple(sides))


def _as_table(name: str, tables: Sequence[Any], number: int, sides: int, shape: tuple[int, int]) -> HeadTable:
    if len(tables) != sides:
        got = f"{len(tables)} of {name!r}"
        raise InputError("measures", f"have one table for each of the {sides} models", got)
    table = np.asarray(tables[number], np.float32)
    if table.shape != shape:
        got = f"{table.shape} of {name!r}"
        raise InputError("measures", f"have tables of shape {shape}, (layer, head)", got)
    return table


def _as_roles(roles: Sequence[Any], number: int, sides: int, shape: tuple[int, int]) -> list[list[str]]:
    if len(roles) != sides or np.shape(roles[number]) != shape:
        expected = f"have a word for each of {shape} heads, in rows by layer, for each of the {sides} models"
        raise InputError("roles", expected, shown(roles))
    return [[str(role) for role in row] for row in roles[number]]
