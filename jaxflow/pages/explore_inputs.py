"""What `explore` is given, as every model reads it: texts or images, labels, positions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxflow._checks import InputError, shown
from jaxflow.attribution.explaining import check_text
from jaxflow.attribution.items import as_texts, item_of, positions_of
from jaxflow.attribution.question import Question
from jaxflow.compare.units import same_tokens
from jaxflow.inputs.images import named_images
from jaxflow.models import Encoding, Model
from jaxflow.models.images import check_alone, images_of
from jaxflow.models.two_streams import encoder_layers_of
from jaxflow.pages.explore_pairs import in_one_sequence
from jaxflow.pages.explore_task import ExploredItem

# A page of more would open slowly. Values are attention weights of all heads, both models together.
MOST_EXPLORED = 500
VALUES = 80_000_000


@dataclass(frozen=True, eq=False)
class ReadTexts:
    """Texts as every model reads them, as many as a page can hold.

    Attributes:
        models: that read them; of an encoder-decoder its attention as one sequence.
        texts: of images the names.
        pairs: the second texts, or None.
        encodings: of each model.
        total: how many there were before those that no page could hold were left out.
    """

    models: Sequence[Model]
    texts: list[str]
    pairs: list[str] | None
    encodings: list[list[Encoding]]
    total: int


def read_texts(
    models: Sequence[Model], question: Question, texts: Any, pairs: Any, *, max_length: int | None, truncate: bool
) -> ReadTexts:
    """Texts, or images, in every model; what is left out is never run.

    Raises:
        InputError: one of them cannot be read.
    """
    heads = [each.layers * each.heads for each in models]
    if images_of(models[0]) is not None:
        check_alone(pairs, max_length, truncate)
        return _read_images(models, heads, texts)
    firsts, seconds = as_texts(texts, pairs)
    limits: dict[str, Any] = {"max_length": max_length, "truncate": truncate}
    if firsts and any(map(encoder_layers_of, models)):
        models, seconds = [in_one_sequence(models, question, firsts, seconds, **limits)], None
        limits, heads = {}, [models[0].layers * models[0].heads]
    # Both models' tokens decide how many texts the page can hold.
    encodings = [each.tokenize(firsts, seconds, **limits) for each in models]
    kept = _fitting(encodings, heads)
    return ReadTexts(
        models,
        firsts[:kept],
        None if seconds is None else seconds[:kept],
        [coded[:kept] for coded in encodings],
        len(firsts),
    )


def _read_images(models: Sequence[Model], heads: Sequence[int], images: Any) -> ReadTexts:
    """Images in every model; those that no page could hold are not even opened."""
    named = named_images("texts", images)
    readers = [reader for reader in map(images_of, models) if reader is not None]
    # All images of a model have as many tokens.
    values = sum(number * reader.layout.shown**2 for number, reader in zip(heads, readers, strict=True))
    kept = named[: max(1, min(MOST_EXPLORED, VALUES // values))]
    return ReadTexts(
        models, [name for name, _ in kept], None, [each.encode_named(kept) for each in readers], len(named)
    )


def explored_items(read: ReadTexts, question: Question, *, asked: bool) -> list[ExploredItem]:
    """Texts as every model reads them, with the positions to explain, checked.

    Args:
        read: the texts.
        question: to each of them.
        asked: whether it asks for more than raw attention and rollout, which are of all positions.
    """
    items = []
    for index, coded in enumerate(zip(*read.encodings, strict=True)):
        facts = (index, f"text {index}", read.texts[index], None if read.pairs is None else read.pairs[index])
        for model, encoding in zip(read.models, coded, strict=True):
            check_text(question, model, encoding, facts[1])
        # Each model has its own tokens, and so its own positions.
        every = tuple(item_of(*facts, encoding, np.arange(encoding.listed)) for encoding in coded)
        chosen = tuple(
            item_of(*facts, encoding, positions_of(question.queries, model, encoding, index))
            for model, encoding in zip(read.models, coded, strict=True)
        )
        items.append(ExploredItem(index, every, chosen if asked else None, len(coded) == 1 or same_tokens(*coded)))
    return items


def _fitting(encodings: Sequence[Sequence[Encoding]], heads: Sequence[int]) -> int:
    """How many texts a page can hold, at least one."""
    # A byte for each weight of each head; the first text always fits.
    left = VALUES
    for count, coded in enumerate(zip(*encodings, strict=True)):
        left -= sum(number * len(encoding) ** 2 for number, encoding in zip(heads, coded, strict=True))
        if count and (left < 0 or count == MOST_EXPLORED):
            return count
    return len(encodings[0])


def as_labels(labels: Iterable[object] | None, count: int, models: Sequence[Model]) -> list[str | None]:
    """What each text should be taken for, by the name of a class; None where it is not known.

    Raises:
        InputError: they are not as many as the texts, or no classes of the model.
    """
    if labels is None:
        return [None] * count
    given = list(labels)
    if len(given) != count:
        raise InputError("labels", f"be as many as the {count} texts", str(len(given)))
    # The second model is the fine-tuned one: its classes count first.
    head = next((model.head for model in reversed(models) if model.labels), None)
    names = None if head is None else head.class_names()
    return [_as_label(label if head is None else head.index_of("labels", label), names) for label in given]


def _as_label(label: Any, names: tuple[str, ...] | None) -> str | None:
    if label is None:
        return None
    # A model without names takes any word.
    if names is None or str(label) in names:
        return str(label)
    if isinstance(label, int | np.integer) or str(label).isdecimal():
        number = int(label)
        if 0 <= number < len(names):
            return names[number]
    raise InputError("labels", f"be classes of the model ({', '.join(names)}), or their numbers", shown(label))
