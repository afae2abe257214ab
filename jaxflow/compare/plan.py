"""The plan of a comparison, checked before anything is computed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from jaxflow._checks import InputError, as_count, one_of, shown
from jaxflow._typing import Given, Integers
from jaxflow.attribution.answers import refuse_answers
from jaxflow.attribution.explaining import check_model, check_text
from jaxflow.attribution.items import check_positions, head_reads_at, is_row_by_row
from jaxflow.attribution.methods import Method
from jaxflow.attribution.question import CLASSIFIER, LAST, Question
from jaxflow.compare.units import Units, common_units, same_tokens, token_units
from jaxflow.flow.solve import as_layers
from jaxflow.models import Encoding, Model, as_model
from jaxflow.models.images import check_read_alike, pooled_of
from jaxflow.statistics.tests import CORRECTIONS

UNITS = ("auto", "tokens", "words")
# Models' heads whose numbers are classes of texts, so that pairs of them can be counted and heads matter to one.
CLASSES = ("sequence_classification", "next_sentence")


@dataclass(frozen=True)
class CompareOptions:
    """How two models are compared, beside the question. The first sentence of each is the command line's help.

    Attributes:
        threshold: share of its row from which on an arc of the fused attention is strong.
        decay: what is left of an influence one layer further down. See `influence`.
        units: tokens, words, or auto: words where tokenizers differ.
        batch_size: texts in a batch, at most. Long texts go in smaller ones.
        keep_heads: texts whose attention is kept for every head, the first ones; True for all of them. Large.
        least: texts that a word must be in to be tested.
        correction: for many tests: benjamini-hochberg, holm or none. See `adjusted`.
        seed: of the draws of intervals and tests.
    """

    threshold: float | int = 0.1
    decay: float | int = 0.8
    units: str = "auto"
    batch_size: int | np.integer = 16
    keep_heads: Given[bool | int] = False
    least: int | np.integer = 5
    correction: str = "benjamini-hochberg"
    seed: int = 0

    def __post_init__(self):
        one_of("units", self.units, UNITS)
        _check_share("threshold", self.threshold)
        _check_share("decay", self.decay)
        _ = as_count("batch_size", self.batch_size)
        one_of("correction", self.correction, CORRECTIONS)
        _ = as_count("least", self.least)
        kept = self.keep_heads
        if not isinstance(kept, bool | int | np.bool_ | np.integer) or kept < 0:
            raise InputError("keep_heads", "be True, False or a number of texts", shown(kept))


@dataclass(frozen=True)
class Plan:
    """The plan of a comparison.

    Attributes:
        encoders: the two models.
        question: the question to every text; its positions are those of units.
        pairs: compared layers, counted from 1.
        settings: the options of the comparison.
    """

    encoders: tuple[Model, Model]
    question: Question
    pairs: tuple[tuple[int, int], ...]
    settings: CompareOptions

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        """Methods of relevance."""
        return self.question.method_values

    def layers(self, which: int) -> tuple[int, ...]:
        """The layers of one model that are compared, counted from 1."""
        return tuple(pair[which] for pair in self.pairs)

    @property
    def same_depth(self) -> bool:
        """Whether layers answer to each other by number, so that paths through both models can be told."""
        first, second = (encoder.layers for encoder in self.encoders)
        return first == second

    def keeps_heads(self, number: int) -> bool:
        """Whether the attention of every head of a text is kept, by the text's number."""
        kept = self.settings.keep_heads
        # True is an int to Python, and would keep the first text alone.
        return bool(kept) if isinstance(kept, bool | np.bool_) else number < kept


@dataclass(frozen=True)
class TextPair:
    """One text as both models read it.

    Attributes:
        place: where it came from, in words.
        text: the text.
        pair: the second text, or None.
        encodings: its tokens in each model.
        units: the compared units.
        queries: units to explain.
    """

    place: str
    text: str
    pair: str | None
    encodings: tuple[Encoding, Encoding]
    units: Units
    queries: tuple[int, ...]


def make_plan(
    first: Given[Model], second: Given[Model], question: Question, options: CompareOptions | None = None
) -> Plan:
    """Check everything but the texts.

    Raises:
        InputError: see `compare_models`.
    """
    first, second = as_model("model_a", first), as_model("model_b", second)
    check_read_alike((first, second), "model_b")
    # Heads are compared with their namesakes, so there must be as many; layers may be paired by hand.
    heads = first.heads, second.heads
    if heads[0] != heads[1]:
        expected = f"have as many heads a layer as `model_a`, {heads[0]}"
        raise InputError("model_b", expected, str(heads[1]), "heads are compared one by one")
    if is_row_by_row(question.queries):
        raise InputError("queries", "be the same for all texts", f"{len(question.queries)} rows")
    refuse_answers(question, "a comparison")
    for model in (first, second):
        check_model(question, model)
    return Plan(
        encoders=(first, second),
        question=question,
        pairs=layer_pairs(question.layers, first.layers, second.layers),
        settings=options or CompareOptions(),
    )


def layer_pairs(layers: Integers | None, first: int, second: int) -> tuple[tuple[int, int], ...]:
    """Compared layers, counted from 1: None for all, numbers, or pairs `(of the first, of the second)`.

    Raises:
        InputError: a layer is not there, or the models differ in depth and no pairs are given.
    """
    # A question settles layers as ints or as rows of ints: here rows must be pairs.
    array = None if layers is None else np.asarray(layers)
    if array is None or array.ndim < 2:
        if first != second:
            expected = f"be pairs of layers, as the models have {first} and {second}"
            way_out = f"pass `layers=[(1, 1), ({first}, {second})]`, for example"
            raise InputError("layers", expected, shown(layers), way_out)
        return tuple((layer, layer) for layer in as_layers(layers, first))
    if array.shape[1] != 2:
        raise InputError("layers", "be None, ints, or pairs of ints", shown(layers))
    # Each column is held against its own model's depth.
    one, two = (as_layers(array[:, side], count) for side, count in ((0, first), (1, second)))
    return tuple(zip(one, two, strict=True))


def read_together(plan: Plan, texts: Any, pairs: Sequence[str] | None, **limits: Any) -> list[list[Encoding]]:
    """Tokens of each text, or image, in both models.

    Raises:
        InputError: a text is empty or too long for one of them.
    """
    return [encoder.tokenize(texts, pairs, **limits) for encoder in plan.encoders]


def settled_units(asked: str, alike: Iterable[bool]) -> str:
    """The units, "tokens" or "words", given for each text whether both models cut it alike.

    Raises:
        InputError: tokens were asked for and a text is cut in two ways.
    """
    if asked == "words":
        return asked
    # The first such text is named in the error.
    different = next((index for index, same in enumerate(alike) if not same), None)
    if different is None:
        return "tokens"
    if asked == "tokens":
        got = f"'tokens', and the models cut text {different} into different ones"
        raise InputError("units", "be 'words' or 'auto'", got, "pass `units='words'`")
    return "words"


def text_pair(
    plan: Plan, units: str, place: str, text: str, pair: str | None, encodings: tuple[Encoding, Encoding]
) -> TextPair:
    """One text with its units and the units to explain.

    Raises:
        InputError: it has no such unit, or the models wrote targets to it that are not the same.
    """
    pair = _shared_pair(pair, encodings, place)
    if units == "tokens":
        # `settled_units` has seen to it.
        assert same_tokens(*encodings)
        text_units = token_units(encodings[0])
    else:
        text_units = common_units(text, pair, *encodings)
    queries = _unit_queries(plan, text_units)
    check_positions(np.array(queries), len(text_units), place, units)
    for encoder, encoding in zip(plan.encoders, encodings, strict=True):
        check_text(plan.question, encoder, encoding, place)
    return TextPair(place, text, pair, encodings, text_units, queries)


def _shared_pair(pair: str | None, encodings: tuple[Encoding, Encoding], place: str) -> str | None:
    """A text's pair as it was given, or as both models wrote it.

    Raises:
        InputError: they wrote different ones, or one of them alone wrote any.
    """
    first, second = (encoding.written for encoding in encodings)
    if pair is not None or first == second:
        return first if pair is None else pair
    expected = "hold the targets of each text where the two models do not write the same ones"
    got = " and ".join("none" if each is None else shown(each) for each in (first, second))
    raise InputError("pairs", expected, got, "pass the targets as `pairs`", place=place)


def _unit_queries(plan: Plan, units: Units) -> tuple[int, ...]:
    """The units to explain in a text."""
    queries = plan.question.queries
    if queries is None:
        return tuple(range(len(units)))
    if isinstance(queries, str):
        pooled = pooled_of(plan.encoders[0])
        if queries == CLASSIFIER and pooled is not None:
            # All positions of the mean that the first model's head reads.
            return tuple(sorted({units.first[place] for place in np.flatnonzero(pooled.shares)}))
        # A model's position becomes the unit of the token there.
        return (len(units) - 1,) if queries == LAST else (units.first[head_reads_at(plan.encoders[0])],)
    return queries


def has_classes(encoder: Model) -> bool:
    """Whether the model's head tells classes of texts apart."""
    head = encoder.head
    return head.name in CLASSES and head.problem != "regression"


def _check_share(name: str, value: Any) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 < value <= 1:
        raise InputError(name, "be a number above 0 and up to 1", shown(value))
