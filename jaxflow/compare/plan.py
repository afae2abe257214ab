"""What is compared and how, checked before anything is computed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxflow import _checks
from jaxflow._checks import InputError
from jaxflow.attribution.methods import Method, as_methods
from jaxflow.compare.units import Units, same_tokens, token_units, word_units
from jaxflow.evaluation import Target
from jaxflow.evaluation.target import resolve, scale_of
from jaxflow.flow.solution import Solver
from jaxflow.flow.solve import as_layers
from jaxflow.graph import attention
from jaxflow.graph.graph import as_residual
from jaxflow.models import Encoding, Model, as_model
from jaxflow.statistics.tests import CORRECTIONS

UNITS = ("auto", "tokens", "words")
# Heads fused by how much the score of a class rests on them, as `class_attention` does.
CLASS = "class"
# Models' heads whose numbers are classes of texts, so that pairs of them can be counted and heads matter to one.
CLASSES = ("sequence_classification", "next_sentence")


@dataclass(frozen=True)
class Settings:
    """How two models are compared. The arguments of `compare_models`, which says what they are."""

    methods: Any = ("raw", "rollout", "flow")
    queries: Any = 0
    layers: Any = None
    heads: Any = "mean"
    target: Any = "predicted"
    residual: float | int = 0.5
    threshold: float | int = 0.1
    decay: float | int = 0.8
    units: str = "auto"
    flow: str | Solver = "auto"
    tol: float | int | np.floating = 1e-6
    batch_size: int | np.integer = 16
    keep_heads: bool | int = False
    least: int | np.integer = 5
    correction: str = "benjamini-hochberg"
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """What is done to every batch.

    Attributes:
        encoders: the two models.
        methods: of relevance.
        pairs: layers that are compared, counted from 1.
        heads: how each model's heads are fused: a name, or weights `layer head`; `CLASS` for what `target` rests on.
        target: what is explained where heads are fused so.
        residual: share of the residual connection.
        queries: units whose make-up is asked for; None for every one.
        settings: all else.
    """

    encoders: tuple[Model, Model]
    methods: tuple[Method, ...]
    pairs: tuple[tuple[int, int], ...]
    heads: tuple[Any, Any]
    target: Target
    residual: Float[Array, ""]
    queries: tuple[int, ...] | None
    settings: Settings

    @property
    def same_depth(self) -> bool:
        """Whether layers answer to each other by number, so that paths through both models can be told."""
        first, second = (encoder.layers for encoder in self.encoders)
        return first == second

    def keeps_heads(self, number: int) -> bool:
        """Whether the attention of every head of a text is kept, by the text's number."""
        kept = self.settings.keep_heads
        return kept if isinstance(kept, bool) else number < kept


@dataclass(frozen=True)
class TextPair:
    """One text as both models read it.

    Attributes:
        place: where it came from, in words.
        text: the text.
        pair: the second text, or None.
        encodings: its tokens in each model.
        units: what is compared.
        queries: units whose make-up is asked for.
    """

    place: str
    text: str
    pair: str | None
    encodings: tuple[Encoding, Encoding]
    units: Units
    queries: tuple[int, ...]


def make_plan(first: Any, second: Any, settings: Settings) -> Plan:
    """Check all that does not depend on the texts.

    Raises:
        InputError: see `compare_models`.
    """
    first, second = as_model("encoder_a", first), as_model("encoder_b", second)
    heads = first.heads, second.heads
    if heads[0] != heads[1]:
        raise InputError(
            f"`encoder_a` has {heads[0]} heads a layer and `encoder_b` {heads[1]}; heads are compared one by one, "
            "so compare models with as many"
        )
    _checks.one_of("units", settings.units, UNITS)
    _check_number("threshold", settings.threshold, "the least share of its row that makes an arc strong")
    _check_number("decay", settings.decay, "what is left of an influence one layer further down")
    _check_count("batch_size", settings.batch_size)
    _checks.one_of("correction", settings.correction, CORRECTIONS)
    _check_count("least", settings.least)
    return Plan(
        encoders=(first, second),
        methods=as_methods(settings.methods, settings.flow, settings.tol),
        pairs=layer_pairs(settings.layers, first.layers, second.layers),
        heads=(_as_heads(settings.heads, first), _as_heads(settings.heads, second)),
        target=_as_target(settings, (first, second)),
        residual=as_residual(settings.residual, (), jnp.float32),
        queries=_as_queries(settings.queries),
        settings=settings,
    )


def layer_pairs(layers: Any, first: int, second: int) -> tuple[tuple[int, int], ...]:
    """Layers that are compared, from 1: None for all of them, numbers, or pairs `(of the first, of the second)`.

    Raises:
        InputError: a layer is not there, or the models differ in depth and no pairs are given.
    """
    array = None if layers is None else _array_of(layers)
    if array is None or array.ndim < 2:
        if first != second:
            raise InputError(
                f"the models have {first} and {second} layers, so `layers` must say which are compared, as pairs "
                f"(of the first, of the second), such as [(1, 1), ({first}, {second})]"
            )
        return tuple((layer, layer) for layer in as_layers(layers, first))
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise InputError(f"`layers` must be None, ints, or pairs of ints, got {layers!r}")
    one, two = (as_layers(array[:, side], count) for side, count in ((0, first), (1, second)))
    return tuple(zip(one, two, strict=True))


def read_together(plan: Plan, texts: Sequence[str], pairs: Sequence[str] | None, **limits: Any) -> list[list[Encoding]]:
    """Tokens of each text in both models.

    Raises:
        InputError: a text is empty or too long for one of them.
    """
    return [encoder.tokenize(texts, pairs, **limits) for encoder in plan.encoders]


def settled_units(asked: str, alike: Iterable[bool]) -> str:
    """Whether tokens or words are compared, given for each text whether both models cut it alike.

    Raises:
        InputError: tokens were asked for and a text is cut in two ways.
    """
    if asked == "words":
        return asked
    different = next((index for index, same in enumerate(alike) if not same), None)
    if different is None:
        return "tokens"
    if asked == "tokens":
        raise InputError(
            f"the models cut text {different} into different tokens, so units='tokens' cannot be; use units='words'"
        )
    return "words"


def text_pair(
    plan: Plan, units: str, place: str, text: str, pair: str | None, encodings: tuple[Encoding, Encoding]
) -> TextPair:
    """One text, its units and the units that are asked for.

    Raises:
        InputError: it has no such unit.
    """
    if units == "tokens":
        assert same_tokens(*encodings)
        found = token_units(encodings[0])
    else:
        found = word_units(text, pair, *encodings)
    queries = tuple(range(len(found))) if plan.queries is None else plan.queries
    if min(queries) < 0 or max(queries) >= len(found):
        wrong = next(query for query in queries if not 0 <= query < len(found))
        raise InputError(f"`queries` must be positions of {units}, got {wrong} for {place} of {len(found)}")
    return TextPair(place, text, pair, encodings, found, queries)


def has_classes(encoder: Model) -> bool:
    """Whether the model's head tells classes of texts apart."""
    head = encoder.head
    return head.name in CLASSES and head.problem != "regression"


def _as_heads(heads: Any, encoder: Model) -> Any:
    if isinstance(heads, str):
        _checks.one_of("heads", heads, (*attention.FUSIONS, CLASS))
        return heads
    shape = (encoder.layers, encoder.heads)
    return jnp.broadcast_to(attention.as_head_weights(heads, (*shape, 1, 1)), shape)


def _as_target(settings: Settings, encoders: Sequence[Model]) -> Target:
    """What is explained: of each model the logit of the same class, or of the class that it predicts itself."""
    fused = isinstance(settings.heads, str) and settings.heads == CLASS
    target = settings.target
    if not fused:
        if not (isinstance(target, str) and target == "predicted"):
            raise InputError(f"`target` goes with heads={CLASS!r}, got heads={settings.heads!r}")
        return Target()
    if not isinstance(target, str | int | np.integer):
        raise InputError(f"`target` must be 'predicted', or a class by its label or index, got {target!r}")
    found = Target(target, quantity="logit")
    for encoder in encoders:
        _ = scale_of(encoder, found)
        _ = encoder.head.index_of("target", target)
        # The predicted class is one of the model's; another must be.
        _ = resolve(encoder, found, 1, lambda head=encoder.head: np.zeros((1, head.outputs)))
    return found


def _as_queries(queries: Any) -> tuple[int, ...] | None:
    if queries is None:
        return None
    array = _array_of(queries)
    if array.dtype.kind not in "iu" or not array.size or array.ndim > 1:
        raise InputError(f"`queries` must be None, an int or a sequence of ints, got {queries!r}")
    return tuple(int(query) for query in array.reshape(-1))


def _array_of(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:
        return np.asarray(None)


def _check_number(name: str, value: Any, meaning: str) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 < value <= 1:
        raise InputError(f"`{name}` must be a number above 0 and up to 1 ({meaning}), got {value!r}")


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise InputError(f"`{name}` must be a whole number, 1 or more, got {value!r}")
