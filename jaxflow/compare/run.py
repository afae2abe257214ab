"""The job: the same texts through two models, batch by batch, and what differs."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import count, islice
from typing import Any

import numpy as np

from jaxflow._checks import InputError, not_forked
from jaxflow.compare.plan import Plan, Settings, TextPair, make_plan, read_together, settled_units, text_pair
from jaxflow.compare.result import ComparedText, Comparison
from jaxflow.compare.task import CompareTask, PairItem, Similarity
from jaxflow.compare.totals import Totals
from jaxflow.compare.units import same_tokens
from jaxflow.models import Model
from jaxflow.running import Engine, EngineOptions

# Texts that are sorted by length together.
WINDOW = 256


def compare_models(
    encoder_a: Model,
    encoder_b: Model,
    texts: Any,
    pairs: Any = None,
    methods: Any = ("raw", "rollout", "flow"),
    *,
    queries: Any = 0,
    layers: Any = None,
    heads: Any = "mean",
    target: Any = "predicted",
    residual: float | int = 0.5,
    threshold: float | int = 0.1,
    decay: float | int = 0.8,
    units: str = "auto",
    flow: Any = "auto",
    tol: float | int | np.floating = 1e-6,
    batch_size: int | np.integer = 16,
    max_length: int | None = None,
    truncate: bool = False,
    keep_heads: bool | int = False,
    least: int | np.integer = 5,
    correction: str = "benjamini-hochberg",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Say what differs between two models that read the same texts: a pretrained one and its fine-tuned self, say.

    For each layer and head the distance between their attention; for each token the relevance that it gained or lost
    in the second model; strong arcs and paths that both share or only one of them has; and over all texts which
    layers, heads and words changed most, with intervals and tests against chance.

    Models with different tokenizers are compared word by word: what goes to a word's tokens is summed, what they
    attend to is averaged, and a flow to a word is the sum of the flows to its tokens.

    Args:
        encoder_a: the first model, from `load_model`.
        encoder_b: the second; what it has more of counts as gained.
        texts: a sequence of texts, or one.
        pairs: a second text for each, for models that read two.
        methods: as in `attribute`.
        queries: positions of units (tokens, or words where tokenizers differ) whose make-up is asked for; 0, the
            default, is [CLS] or its equivalent; None for every one. Strong paths lead to the first of them.
        layers: counted from 1; None for all, an int, or a sequence; for models of different depth pairs
            `(of the first, of the second)`.
        heads: how heads are fused: `"mean"`, `"max"`, `"min"`, weights `head` or `layer head`, or, of two models that
            classify texts, `"class"`: by `relu(gradient of a class's score * attention)`, as `class_attention` does,
            so that relevance and strong arcs are those of that class. Heads themselves are compared as they are.
        target: with `heads="class"`, a class by its label or index, or `"predicted"`: each model's own prediction.
        residual: share of the residual connection, in [0, 1].
        threshold: share of its row from which on an arc of the fused attention is strong.
        decay: what is left of an influence one layer further down, see `influence`.
        units: `"tokens"`, `"words"`, or `"auto"`: tokens where both models cut all texts alike.
        flow: how `"flow"` is computed, see `attribute`.
        tol: how near bounds must come for a flow to count as certified.
        batch_size: texts in a batch, at most; long texts go in smaller ones.
        max_length: most tokens a text may have, special ones included.
        truncate: cut longer texts rather than refuse them.
        keep_heads: keep the attention of every head in the result, of every text or of so many, the first ones; large.
        least: texts that a word must be in to be tested.
        correction: for many tests, see `adjusted`.
        seed: of the draws of intervals and tests.
        progress: called with the number of texts that were just finished.

    Returns:
        The texts in their order, and a summary. A model against itself gives exactly 0 everywhere.

    Raises:
        InputError: the models cannot be compared (heads differ in number, or depth without pairs of layers), or an
            argument or a text does not fit, which is named.
    """
    not_forked()
    if isinstance(texts, str):
        texts = [texts]
        pairs = [pairs] if isinstance(pairs, str) else pairs
    settings = Settings(
        methods=methods,
        queries=queries,
        layers=layers,
        heads=heads,
        target=target,
        residual=residual,
        threshold=threshold,
        decay=decay,
        units=units,
        flow=flow,
        tol=tol,
        batch_size=batch_size,
        keep_heads=keep_heads,
        least=least,
        correction=correction,
        seed=seed,
    )
    plan = make_plan(encoder_a, encoder_b, settings)
    read = _read(plan, texts, pairs, max_length=max_length, truncate=truncate)
    totals, found = Totals(plan), []
    with closing(compare_stream(plan, read, progress)) as compared:
        for text, similarity in compared:
            totals.add(text, similarity.products, similarity.cka)
            found.append(text)
    return Comparison(tuple(found), totals.summary())


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
        while window := list(islice(source, WINDOW)):
            yield [
                PairItem(index, text, plan.keeps_heads(index), index < importance_texts)
                for text, index in zip(window, numbers, strict=False)
            ]

    # The attention of every head of both models is held.
    held = sum(encoder.layers * encoder.heads for encoder in plan.encoders)
    options = EngineOptions(batch_size=plan.settings.batch_size, pair_numbers=held, pads_freely=True)
    told = None if progress is None else (lambda found: progress(len(found)))
    with closing(Engine(plan.encoders, CompareTask(plan), options).run(windows(), told)) as groups:
        for group in groups:
            yield from group


def _read(plan: Plan, texts: Any, pairs: Any, **limits: Any) -> list[TextPair]:
    texts = list(texts) if isinstance(texts, Iterable) else texts
    if isinstance(texts, list) and not texts:
        raise InputError("`texts` must hold at least one text, got none")
    pairs = list(pairs) if isinstance(pairs, Iterable) and not isinstance(pairs, str) else pairs
    first, second = read_together(plan, texts, pairs, **limits)
    both = list(zip(first, second, strict=True))
    units = settled_units(plan.settings.units, (same_tokens(*each) for each in both))
    return [
        text_pair(plan, units, f"text {index}", texts[index], None if pairs is None else pairs[index], each)
        for index, each in enumerate(both)
    ]
