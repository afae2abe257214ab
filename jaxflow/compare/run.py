"""`compare_models`: the same texts through two models, batch by batch, and the differences."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count, islice
from typing import Any, Unpack

import numpy as np

from jaxflow._checks import as_flag, not_forked
from jaxflow._typing import Given, Inputs, Pairs
from jaxflow.attribution.defaults import default_question
from jaxflow.attribution.explaining import pair_numbers_of
from jaxflow.attribution.items import as_texts
from jaxflow.attribution.question import Asked, GivenQuestion, as_question
from jaxflow.compare.one_text import PairItem, Similarity
from jaxflow.compare.plan import CompareOptions, Plan, TextPair, make_plan, read_together, settled_units, text_pair
from jaxflow.compare.result import ComparedText, Comparison
from jaxflow.compare.task import CompareTask
from jaxflow.compare.totals import Totals
from jaxflow.compare.units import same_tokens
from jaxflow.models import Model, as_model
from jaxflow.models.images import ImageEncoding, images_of
from jaxflow.running import Engine, EngineOptions

# Texts that are sorted by length together.
WINDOW = 256


def compare_models(
    model_a: Model,
    model_b: Model,
    texts: Inputs,
    question: GivenQuestion = None,
    *,
    pairs: Pairs = None,
    threshold: float | int = 0.1,
    decay: float | int = 0.8,
    units: str = "auto",
    batch_size: int | np.integer = 16,
    max_length: int | None = None,
    truncate: Given[bool] = False,
    keep_heads: Given[bool | int] = False,
    least: int | np.integer = 5,
    correction: str = "benjamini-hochberg",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    **changes: Unpack[Asked],
) -> Comparison:
    """Say what differs between two models that read the same texts: a pretrained one and its fine-tuned self, say.

    For each layer and head the distance between their attention; for each token the relevance that it gained or lost
    in the second model; strong arcs, alike in both or stronger in one; and over all texts which layers, heads and words
    changed most, with intervals and tests against chance.

    Models with different tokenizers are compared word by word: what goes to a word's tokens is summed, what they
    attend to is averaged, and a flow to a word is the sum of the flows to its tokens.

    Args:
        model_a: the first model, from `load_model`.
        model_b: the second; what it has more of counts as gained.
        texts: a sequence of texts, or one; of two models of images what `attribute` takes. Where these have tokens
            beside the patches that are not alike, units are by name, and registers are left out.
        question: what is asked about every text; `Question()` by default. Its positions are those of units (tokens, or
            words where tokenizers differ); strong paths lead to the first of them. Its layers may be pairs
            `(of the first, of the second)`, as models of different depth need. With the mixing `"attention-gradient"`
            relevance and strong arcs are those of the target; heads themselves are compared as they are.
        pairs: a second text for each, for models that read two.
        threshold: share of its row from which on an arc of the fused attention is strong.
        decay: what is left of an influence one layer further down, see `influence`.
        units: `"tokens"`, `"words"`, or `"auto"`: tokens where both models cut all texts alike.
        batch_size: texts in a batch, at most; long texts go in smaller ones.
        max_length: most tokens a text may have, special ones included.
        truncate: cut longer texts rather than refuse them.
        keep_heads: keep the attention of every head in the result, of every text or of so many, the first ones; large.
        least: texts that a word must be in to be tested.
        correction: for many tests, see `adjusted`.
        seed: of the draws of intervals and tests.
        progress: called with the number of texts that were just finished.
        changes: fields of the question by name, such as `queries=[0, 2]`.

    Returns:
        The texts in their order, and a summary. A model against itself gives exactly 0 everywhere.

    Raises:
        InputError: the models cannot be compared (heads differ in number, or depth without pairs of layers), or an
            argument or a text does not fit, which is named.
    """
    not_forked()
    # One value from here on, with its checks.
    options = CompareOptions(
        threshold=threshold,
        decay=decay,
        units=units,
        batch_size=batch_size,
        keep_heads=keep_heads,
        least=least,
        correction=correction,
        seed=seed,
    )
    truncate = as_flag("truncate", truncate)
    models = as_model("model_a", model_a), as_model("model_b", model_b)
    plan = make_plan(*models, as_question(question, changes, default_question(*models)), options)
    if isinstance(texts, Iterator):
        # Both models read them.
        texts = list(texts)
    read = _read(plan, *as_texts(texts, pairs, models[0]), max_length=max_length, truncate=truncate)
    totals, compared_texts = Totals(plan), []
    with closing(compare_stream(plan, read, progress)) as compared:
        for text, similarity in compared:
            totals.add(text, similarity.products, similarity.cka)
            compared_texts.append(text)
    return Comparison(tuple(compared_texts), totals.summary(), (models[0].name, models[1].name))


def compare_stream(
    plan: Plan,
    texts: Iterable[TextPair],
    progress: Callable[[int], None] | None = None,
    *,
    importance_texts: int = 0,
) -> Generator[tuple[ComparedText, Similarity], None, None]:
    """Texts in their order, as they come; two windows of them at most are in hand at once.

    Close what this gives if you don't exhaust it, so that nothing goes on solving.

    Args:
        plan: what is compared.
        texts: as both models read them.
        progress: called with the number of texts that were just finished.
        importance_texts: of how many texts, the first ones, `Similarity` has what the importance of heads is made of.
    """
    source, numbers = iter(texts), count()

    def windows() -> Iterator[list[PairItem]]:
        # Windows are sorted by length, each by itself, so that texts come out in order after one of them at most.
        while window := list(islice(source, WINDOW)):
            yield [
                PairItem(index, text, plan.keeps_heads(index), index < importance_texts)
                # The window ends first: `zip` must not draw a number that no text gets.
                for text, index in zip(window, numbers, strict=False)
            ]

    # The attention of every head of both models is held at once, which bounds the rows of a batch.
    held = sum(model.layers * model.heads + pair_numbers_of(plan.question, model) for model in plan.encoders)
    options = EngineOptions(batch_size=plan.settings.batch_size, pair_numbers=held, pads_freely=_may_have_more(plan))
    told = None if progress is None else (lambda found: progress(len(found)))
    with closing(Engine(plan.encoders, CompareTask(plan), options).run(windows(), told)) as groups:
        for group in groups:
            yield from group


def _may_have_more(plan: Plan) -> bool:
    """Whether units may be more than what a model takes: not where both cut images into the same tokens."""
    names = [None if reader is None else reader.layout.names for reader in map(images_of, plan.encoders)]
    return names[0] is None or names[0] != names[1]


def _read(plan: Plan, texts: Any, pairs: Sequence[str] | None, **limits: Any) -> list[TextPair]:
    first, second = read_together(plan, texts, pairs, **limits)
    if images_of(plan.encoders[0]) is not None:
        # Of images the names; of folders they are more than was passed.
        texts = [each.name for each in first if isinstance(each, ImageEncoding)]
    both = list(zip(first, second, strict=True))
    units = settled_units(plan.settings.units, (same_tokens(*each) for each in both))
    return [
        text_pair(plan, units, f"text {index}", texts[index], None if pairs is None else pairs[index], each)
        for index, each in enumerate(both)
    ]
