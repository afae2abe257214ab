"""The job: the same texts through two models, batch by batch, and what differs."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from typing import Any

import numpy as np

from jaxflow._checks import InputError, not_forked
from jaxflow.compare.batch import Finish, Similarity, begin, padded_length
from jaxflow.compare.plan import Plan, Settings, TextPair, make_plan, read_together, settled_units, text_pair
from jaxflow.compare.result import ComparedText, Comparison
from jaxflow.compare.stream import fitting
from jaxflow.compare.totals import Totals
from jaxflow.compare.units import same_tokens
from jaxflow.flow.worker import Worker
from jaxflow.models import TextEncoder

# Texts that are sorted by length together; in a stream, those that are in hand at once.
WINDOW = 256


def compare_models(
    encoder_a: TextEncoder,
    encoder_b: TextEncoder,
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
        encoder_a: the first model, from `load_encoder`.
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
    plan: Plan, texts: Iterable[TextPair], progress: Callable[[int], None] | None = None
) -> Generator[tuple[ComparedText, Similarity], None, None]:
    """Texts in their order, as they come; no more than a window of them is in hand at once.

    Close what this gives if you don't exhaust it, so that nothing goes on solving.
    """
    with Worker() as worker:
        source, start = iter(texts), 0
        while window := list(islice(source, WINDOW)):
            found: dict[int, tuple[ComparedText, Similarity]] = {}
            waiting: deque[Finish] = deque()
            for chosen in chain(_batches(plan, window), (None,)):
                if chosen is not None:
                    kept = [plan.keeps_heads(start + index) for index in chosen]
                    waiting.append(begin(plan, [window[index] for index in chosen], chosen, kept, worker))
                # The next batch is on its way to the device while the CPU solves the flows of the one before.
                while len(waiting) > (0 if chosen is None else 1):
                    done = waiting.popleft()()
                    found |= done
                    if progress is not None:
                        progress(len(done))
            start += len(window)
            yield from (found[index] for index in range(len(window)))


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


def _batches(plan: Plan, window: Sequence[TextPair]) -> Iterator[list[int]]:
    """Texts of one bucket of lengths together."""
    buckets: dict[int, list[int]] = {}
    for index, item in enumerate(window):
        buckets.setdefault(padded_length(item), []).append(index)
    for length, chosen in sorted(buckets.items()):
        size = fitting(plan.encoders, length, int(plan.settings.batch_size))
        yield from (chosen[start : start + size] for start in range(0, len(chosen), size))
