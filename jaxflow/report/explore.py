"""What the explorer shows: texts through one model or two, with the attention of every head."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxflow._checks import InputError, not_forked, one_of
from jaxflow.attribution import attribute
from jaxflow.compare.distances import jensen_shannon
from jaxflow.models import Encoding, TextEncoder
from jaxflow.report.units import HeadAttention, Pooled, pooled_pair

HeadTable = Float[np.ndarray, "layer head"]
# Lengths are rounded up to a multiple of this, so that texts of many lengths need few programs.
ROUNDING = 8
# A page of more would open slowly. Values are attention weights of all heads, both models together.
EXAMPLES = 500
VALUES = 80_000_000


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
    """

    name: str
    examples: tuple[Pooled, ...]
    attention: tuple[HeadAttention, ...]
    losses: tuple[float | None, ...]
    measures: Mapping[str, HeadTable] = field(default_factory=dict)
    roles: Sequence[Sequence[str]] | None = None

    @property
    def heads(self) -> tuple[int, int]:
        """Number of layers, and of heads in each."""
        layers, heads = self.attention[0].shape[:2]
        return layers, heads


@dataclass(frozen=True, eq=False)
class Exploration:
    """Texts as one model, or two, saw them.

    Attributes:
        sides: one a model.
        labels: what each text should have been taken for, None where it is not known.
        settings: heads, residual and flow, as they were asked for.
        change: of each text, the Jensen-Shannon distance of each head's attention in the two models, mean over
            positions; empty for one model, and for two whose layers or heads differ in number.
        moved: of each text, the total variation of rollout to the first position at the last layer of each model;
            empty for one model.
        total: how many texts there were before those that no page could hold were left out.
    """

    sides: tuple[Side, ...]
    labels: tuple[str | None, ...]
    settings: Mapping[str, Any]
    change: tuple[HeadTable, ...]
    moved: tuple[float, ...]
    total: int

    def __len__(self) -> int:
        return len(self.labels)

    def _repr_html_(self) -> str:
        """The page, in a frame, for notebooks."""
        from jaxflow.report.explorer import framed

        return framed(self)

    def with_heads(
        self,
        measures: Mapping[str, Sequence[Any]] | None = None,
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
            found = dict(side.measures)
            for name, tables in (measures or {}).items():
                found[name] = _as_table(name, tables, number, len(self.sides), side.heads)
            named = side.roles if roles is None else _as_roles(roles, number, len(self.sides), side.heads)
            sides.append(replace(side, measures=found, roles=named))
        return replace(self, sides=tuple(sides))


def explore(
    encoder: TextEncoder,
    texts: Any,
    other: TextEncoder | None = None,
    *,
    pairs: Any = None,
    labels: Iterable[Any] | None = None,
    methods: Sequence[str] = ("raw", "rollout", "flow"),
    queries: Any = None,
    heads: str = "mean",
    residual: float | int = 0.5,
    flow: Any = "auto",
    batch_size: int = 16,
    max_length: int | None = None,
    truncate: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Exploration:
    """Run texts through one model, or two, and keep all that the explorer's page shows.

    Where two models cut a text differently, it is looked at word by word: attention and relevance are summed over a
    word's tokens and averaged over those that ask. Texts beyond what a page can hold are left out from the end.

    Args:
        encoder: from `load_encoder`; of two, the first (the pretrained one, say).
        texts: a sequence of texts, or one.
        other: the second model (the fine-tuned one, say). Where its layers or heads are not as many, the page shows
            the two side by side, and differences only where they are defined.
        pairs: a second text for each, for models that read two.
        labels: what each text should be taken for, by the name of a class or its number; None where it is not known.
        methods: of `"raw"`, `"rollout"` and `"flow"`; raw and rollout are always there, as they cost little.
        queries: positions that flow is computed for, as in `attribute`; None for all. Flow at every position is what
            takes most of the time; `queries=0` takes [CLS] alone.
        heads: how heads are fused, as in `attribute`.
        residual: share of the residual connection.
        flow: how flow is computed.
        batch_size: texts in a batch, at most.
        max_length: most tokens of a text.
        truncate: cut longer texts rather than refuse them.
        progress: called with the number of texts that were just finished with one model.

    Raises:
        InputError: as `attribute` does, and for labels that are not as many as the texts, or no class of the model.
    """
    not_forked()
    if not isinstance(texts, Iterable):
        raise InputError(f"`texts` must be a text or a sequence of texts, got {type(texts).__name__}")
    texts = [texts] if isinstance(texts, str) else list(texts)
    methods = (methods,) if isinstance(methods, str) else tuple(methods)
    for name in methods:
        one_of("methods", name, ("raw", "rollout", "flow"))
    pairs = [pairs] if isinstance(pairs, str) else pairs if pairs is None else list(pairs)
    models = [encoder] if other is None else [encoder, other]
    _check_models(models)
    known = _as_labels(labels, len(texts), models)
    lengths = {"max_length": max_length, "truncate": truncate}
    total = len(texts)
    encodings = [model.tokenize(texts, pairs, **lengths) for model in models]
    kept = _fitting(encodings, [model.config.layers * model.config.heads for model in models])
    texts, pairs = texts[:kept], pairs if pairs is None else pairs[:kept]
    options: dict[str, Any] = {"heads": heads, "residual": residual, "batch_size": batch_size, **lengths}
    asked = queries if not isinstance(queries, np.ndarray) or queries.ndim < 2 else queries[:kept]
    found = []
    for model, coded in zip(models, encodings, strict=True):
        result = attribute(model, texts, pairs, ("raw", "rollout"), queries=None, **options)
        flows = None
        if "flow" in methods:
            flows = attribute(model, texts, pairs, "flow", queries=asked, flow=flow, progress=progress, **options)
        elif progress is not None:
            progress(kept)
        found.append((result, flows, list(_attention(model, coded[:kept], batch_size))))
    pooled = pooled_pair(found, [coded[:kept] for coded in encodings], texts, pairs)
    names = _names([model.name for model in models])
    sides = tuple(_side(name, shown, known[:kept]) for name, shown in zip(names, pooled, strict=True))
    change, moved = _changes(sides)
    named = heads if isinstance(heads, str) else "weights"
    settings = {"heads": named, "residual": float(residual), "flow": str(flow)}
    return Exploration(sides, tuple(known[:kept]), settings, change, moved, total)


def _names(given: Sequence[str]) -> list[str]:
    """Names of models that tell them apart: of folders the last part, and numbers where they are the same."""
    names = [Path(name).resolve().name if Path(name).is_dir() else name for name in given]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return names


def _side(name: str, shown: list[tuple[Pooled, np.ndarray]], labels: Sequence[str | None]) -> Side:
    examples = tuple(example for example, _ in shown)
    losses = tuple(_loss(example.scores, label) for example, label in zip(examples, labels, strict=True))
    return Side(name, examples, tuple(attention for _, attention in shown), losses)


def _loss(scores: Mapping[str, float], label: str | None) -> float | None:
    if label is None or label not in scores:
        return None
    # A probability that rounds to 0 has no finite log.
    return float(-np.log(max(scores[label], np.finfo(np.float64).tiny)))


def _changes(sides: Sequence[Side]) -> tuple[tuple[HeadTable, ...], tuple[float, ...]]:
    if len(sides) == 1:
        return (), ()
    first, second = sides
    alike = first.heads == second.heads
    change = [_distances(a, b) for a, b in zip(first.attention, second.attention, strict=True)] if alike else []
    rolled = [[example.relevance["rollout"][-1, 0] for example in side.examples] for side in sides]
    moved = [float(np.abs(b - a).sum(dtype=np.float64) / 2) for a, b in zip(*rolled, strict=True)]
    return tuple(change), tuple(moved)


def _distances(first: np.ndarray, second: np.ndarray) -> HeadTable:
    """Jensen-Shannon distance of each head's rows in two models, mean over positions."""
    size = first.shape[-1]
    # What is 0 in both adds nothing.
    fill = [(0, 0), (0, 0), (0, -size % ROUNDING), (0, -size % ROUNDING)]
    padded = [np.pad(each, fill) for each in (first, second)]
    # Units that one model has no token of have no row to compare; rows of all others sum to 1.
    both = (first[0, 0].sum(axis=-1) > 0) & (second[0, 0].sum(axis=-1) > 0)
    return np.asarray(_jensen_shannon(*padded))[..., :size][..., both].mean(axis=-1)


_jensen_shannon = jax.jit(jensen_shannon)


def _attention(model: TextEncoder, encodings: Sequence[Encoding], batch_size: int) -> Iterator[HeadAttention]:
    """Attention of every head, text by text in their order, padding cut away."""
    order = np.argsort([len(encoding) for encoding in encodings], kind="stable")
    found: dict[int, np.ndarray] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size].tolist()
        longest = max(len(encodings[index]) for index in chosen)
        length = min(-(-longest // ROUNDING) * ROUNDING, max(model.max_length, longest))
        # The last batch is filled up, so that it needs no program of its own.
        filled = chosen + [chosen[-1]] * (min(batch_size, len(order)) - len(chosen))
        batch = model.pad([encodings[index] for index in filled], length)
        output = np.asarray(model(batch, return_hidden_states=False).attention)
        for row, index in enumerate(chosen):
            size = len(encodings[index])
            found[index] = output[row, :, :, :size, :size]
    for index in range(len(encodings)):
        yield found[index]


def _fitting(encodings: Sequence[Sequence[Encoding]], heads: Sequence[int]) -> int:
    """How many texts a page can hold, at least one."""
    left = VALUES
    for count, coded in enumerate(zip(*encodings, strict=True)):
        left -= sum(number * len(encoding) ** 2 for number, encoding in zip(heads, coded, strict=True))
        if count and (left < 0 or count == EXAMPLES):
            return count
    return len(encodings[0])


def _check_models(models: Sequence[TextEncoder]) -> None:
    for model in models:
        if not isinstance(model, TextEncoder):
            raise InputError(f"`encoder` must come from load_encoder, got {type(model).__name__}")


def _as_labels(labels: Iterable[Any] | None, count: int, models: Sequence[TextEncoder]) -> list[str | None]:
    if labels is None:
        return [None] * count
    given = list(labels)
    if len(given) != count:
        raise InputError(f"`labels` must be as many as the {count} texts, got {len(given)}")
    head = next((model.config.head for model in reversed(models) if model.labels), None)
    names = None if head is None else head.class_names()
    return [_as_label(label if head is None else head.index_of("labels", label), names) for label in given]


def _as_label(label: Any, names: tuple[str, ...] | None) -> str | None:
    if label is None:
        return None
    if names is None or str(label) in names:
        return str(label)
    if isinstance(label, int | np.integer) or str(label).isdecimal():
        number = int(label)
        if 0 <= number < len(names):
            return names[number]
    raise InputError(f"`labels` must be classes of the model, {', '.join(names)}, or their numbers, got {label!r}")


def _as_table(name: str, tables: Sequence[Any], number: int, sides: int, shape: tuple[int, int]) -> HeadTable:
    if len(tables) != sides:
        raise InputError(f"`measures[{name!r}]` must have one table for each of the {sides} models, got {len(tables)}")
    table = np.asarray(tables[number], np.float32)
    if table.shape != shape:
        raise InputError(f"`measures[{name!r}]` must have shape {shape}, (layer, head), got {table.shape}")
    return table


def _as_roles(roles: Sequence[Any], number: int, sides: int, shape: tuple[int, int]) -> list[list[str]]:
    if len(roles) != sides or np.shape(roles[number]) != shape:
        raise InputError(f"`roles` must have a word for each of {shape} heads, in rows by layer, for each model")
    return [[str(role) for role in row] for row in roles[number]]
