"""`explore`: texts through one model or two, with all that the explorer's page shows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Unpack

import jax
import numpy as np

from jaxflow._checks import InputError, as_flag, not_forked, shown
from jaxflow._typing import Given, Inputs, Pairs
from jaxflow.attribution.answers import refuse_answers
from jaxflow.attribution.explaining import check_model, pair_numbers_of
from jaxflow.attribution.items import check_rows
from jaxflow.attribution.question import LAST, Asked, GivenQuestion, Question, as_question
from jaxflow.evaluation import Target
from jaxflow.evaluation.target import explained_of
from jaxflow.heads.class_attention import ClassGradient, check_gates
from jaxflow.heads.importance import log_gates
from jaxflow.heads.roles import RoleTally, RoleWords
from jaxflow.models import Encoding, Model, as_model
from jaxflow.models.images import check_read_alike, images_of
from jaxflow.pages.carried import Carried, carried_words, class_method_of
from jaxflow.pages.exploration import Exploration, HeadTable, Side
from jaxflow.pages.explore_inputs import as_labels, explored_items, read_texts
from jaxflow.pages.explore_task import ExploredItem, ExploredModel, ExploredText, ExploreTask
from jaxflow.pages.page import mixing_words, page_settings
from jaxflow.pages.pieces import row_of
from jaxflow.pages.units import Pooled, pooled_text
from jaxflow.running import Engine, EngineOptions
from jaxflow.statistics.distances import jensen_shannon

__all__ = ["Exploration", "Side", "explore"]

# Lengths are rounded up to a multiple of this, so that texts of many lengths need few programs.
ROUNDING = 8


def explore(
    model: Model,
    texts: Inputs,
    question: GivenQuestion = None,
    *,
    other: Model | None = None,
    pairs: Pairs = None,
    labels: Iterable[object] | None = None,
    batch_size: int = 16,
    max_length: int | None = None,
    truncate: Given[bool] = False,
    roles: Given[bool] = False,
    importance: Given[bool] = False,
    progress: Callable[[int], None] | None = None,
    **changes: Unpack[Asked],
) -> Exploration:
    """Run texts through one model, or two, and keep all that the explorer's page shows.

    Each model runs once over each text, whatever is looked for.

    Where two models cut a text differently, it is looked at word by word: attention and relevance are summed over a
    word's tokens and averaged over those that ask. Texts beyond what a page can hold are left out from the end.

    Args:
        model: from `load_model`; of two, the first (the pretrained one, say).
        texts: a sequence of texts, or one; of models of images what `attribute` takes.
        question: what is asked about every text; by default every position is explained. Raw attention and rollout
            are always there, at every position and layer, as they cost little; its positions are those of the other
            methods. Flow at every position is what takes most of the time; `queries=0` takes [CLS] alone.
        other: the second model (the fine-tuned one, say). Where its layers or heads are not as many, the page shows
            the two side by side, and differences only where they are defined.
        pairs: a second text for each, for models that read two.
        labels: what each text should be taken for, by the name of a class or its number; None where it is not known.
        batch_size: texts in a batch, at most.
        max_length: most tokens of a text.
        truncate: cut longer texts rather than refuse them.
        roles: also say what each head does (`jaxflow.compare.head_roles`).
        importance: also say how much each head matters to the predicted class (`jaxflow.compare.head_importance`, by
            gradient); every model must classify texts.
        progress: called with the number of texts that were just finished with one model.
        changes: fields of the question by name, such as `queries=0`.

    Raises:
        InputError: as `attribute` does, and for labels that are not as many as the texts, or no class of the model.
    """
    not_forked()
    truncate, roles = as_flag("truncate", truncate), as_flag("roles", roles)
    importance = as_flag("importance", importance)
    # A page looks at every position unless fewer are asked for.
    question = as_question(question, changes, Question(queries=None))
    _check_layers(question)
    refuse_answers(question, "the explorer")
    models = [as_model("model", model)] + ([] if other is None else [as_model("other", other)])
    for each in models:
        check_model(question, each)
    check_read_alike(models, "other")
    if not isinstance(texts, Iterable) and images_of(models[0]) is None:
        raise InputError("texts", "be a text or a sequence of texts", type(texts).__name__)
    read = read_texts(models, question, texts, pairs, max_length=max_length, truncate=truncate)
    check_rows(question.queries, read.total)
    known = as_labels(labels, read.total, read.models)[: len(read.texts)]
    explored_models = [
        _explored_model(each, coded, roles=roles, importance=importance)
        for each, coded in zip(read.models, read.encodings, strict=True)
    ]
    task = ExploreTask(models=tuple(explored_models), question=question)
    items = explored_items(read, question, asked=bool(task.asked))
    explored_texts = _explored(task, items, batch_size, progress)
    return _exploration(
        explored_texts, items, explored_models, known, question, read.total, importance=importance, roles=roles
    )


def _explored(
    task: ExploreTask, items: Sequence[ExploredItem], batch_size: int, progress: Callable[[int], None] | None
) -> list[ExploredText]:
    """The texts in every model."""
    models = [each.model for each in task.models]
    # Both models' heads are held at once.
    held = sum(model.layers * model.heads + pair_numbers_of(task.question, model) for model in models)

    def told(explored_texts: Sequence[ExploredText]) -> None:
        # Progress counts texts of one model, and a batch is done in both at once.
        for _ in models:
            if progress is not None:
                progress(len(explored_texts))

    return Engine(models, task, EngineOptions(batch_size=batch_size, pair_numbers=held)).run_all(items, told)


def _exploration(
    explored_texts: Sequence[ExploredText],
    items: Sequence[ExploredItem],
    models: Sequence[ExploredModel],
    labels: Sequence[str | None],
    question: Question,
    total: int,
    *,
    importance: bool,
    roles: bool,
) -> Exploration:
    """What the page shows, by the units that the models have in common."""
    shown = [
        pooled_text(
            [(side.example, side.asked) for side in text.sides],
            [side.attention for side in text.sides],
            [each.encoding for each in item.every],
            item.every[0].text,
            item.every[0].pair,
        )
        for text, item in zip(explored_texts, items, strict=True)
    ]
    names = names_apart([each.model.name for each in models])
    sides = tuple(
        _side(
            name, [each[which] for each in shown], labels, _carried([each[which][0] for each in shown], model, question)
        )
        for which, (name, model) in enumerate(zip(names, models, strict=True))
    )
    change, moved = _changes(sides, explored_texts, -1 if all(each.model.causal for each in models) else 0)
    # Where the last position was asked for, the page of a decoder, or of targets, begins with it.
    at_end = all(each.model.causal or each.model.reads_at == -1 for each in models)
    asked = question.as_json()
    # Arcs are drawn by the question's own mixing, whatever the methods read.
    settings = page_settings(asked) | {
        "mixing": mixing_words(asked["mixing"]),
        "last": question.queries in (None, LAST) and at_end,
    }
    # Of a model in hand that was an encoder-decoder.
    if layers_are := getattr(models[0].model, "layers_are", ""):
        settings["layers"] = layers_are
    exploration = Exploration(sides, tuple(labels), settings, change, moved, total)
    return exploration.with_heads(
        {"importance": [_importance(explored_texts, which) for which in range(len(models))]} if importance else None,
        [_roles(explored_texts, which, model) for which, model in enumerate(models)] if roles else None,
    )


def _explored_model(model: Model, encodings: Sequence[Encoding], *, roles: bool, importance: bool) -> ExploredModel:
    gradient = None
    if importance:
        # Of importance the gates alone are read, not the weights.
        gradient = ClassGradient(explained_of(model, Target(), len(encodings))[0], keeps_weights=False)
    return ExploredModel(model, RoleWords(encodings) if roles else None, gradient)


def _check_layers(question: Question) -> None:
    """Refuse some of the layers: the page shows them all."""
    if question.layers is not None:
        raise InputError("layers", "be left out: the page shows all of them", shown(question.layers))


def _roles(found: Sequence[ExploredText], which: int, model: ExploredModel) -> list[list[str]]:
    """A word for what each head does, over all texts."""
    tally = RoleTally()
    assert model.words is not None
    for index, text in enumerate(found):
        watched = text.sides[which].roles
        assert watched is not None
        tally.add(watched, model.words.chance(index))
    return tally.names()


def _importance(found: Sequence[ExploredText], which: int) -> HeadTable:
    """How much each head matters to the predicted class, as `head_importance` has it."""
    scores = [side.importance for side in (text.sides[which] for text in found) if side.importance is not None]
    # text layer head
    gates = np.stack([np.asarray(each.gates) for each in scores])
    check_gates(gates)
    return np.abs(log_gates(np.array([each.value for each in scores]), gates)).mean(axis=0)


def names_apart(given: Sequence[str]) -> list[str]:
    """Names of models that tell them apart: of folders the last part, and numbers where they are the same."""
    # A path is too long for a heading.
    names = [Path(name).resolve().name if Path(name).is_dir() else name for name in given]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return names


def _carried(examples: Sequence[Pooled], model: ExploredModel, question: Question) -> tuple[Carried | None, ...]:
    """The words that carry each text's prediction, where a method tells."""
    asking, reads_at = class_method_of(question), model.model.reads_at
    if asking is None or reads_at is None:
        return (None,) * len(examples)
    method, target = asking
    return tuple(
        None
        if example.prediction is None
        else carried_words(
            row_of(example),
            example.queries[method],
            reads_at,
            method,
            target,
            example.relevance[method],
            example.saturated.get(method),
        )
        for example in examples
    )


def _side(
    name: str,
    shown: list[tuple[Pooled, np.ndarray]],
    labels: Sequence[str | None],
    carried: tuple[Carried | None, ...],
) -> Side:
    examples = tuple(example for example, _ in shown)
    losses = tuple(_loss(example.scores, label) for example, label in zip(examples, labels, strict=True))
    return Side(name, examples, tuple(attention for _, attention in shown), losses, carried=carried)


def _loss(scores: Mapping[str, float], label: str | None) -> float | None:
    if label is None or label not in scores:
        return None
    # A probability that rounds to 0 has no finite log.
    return float(-np.log(max(scores[label], np.finfo(np.float64).tiny)))


def _changes(
    sides: Sequence[Side], explored_texts: Sequence[ExploredText], place: int
) -> tuple[tuple[HeadTable, ...], tuple[float, ...]]:
    """Changes of each head's attention, and of rollout to the position at a place."""
    if len(sides) == 1:
        return (), ()
    first, second = sides
    # Where the models cut a text differently, heads are compared by the words that are shown.
    change = [
        _distances(one, two) if text.change is None else text.change
        for one, two, text in zip(first.attention, second.attention, explored_texts, strict=True)
        if first.heads == second.heads
    ]
    # The first position is the classification token of most models, or stands where it would. A decoder's first
    # position sees itself alone in any model; its last one predicts.
    rolled = [[example.relevance["rollout"][-1, place] for example in side.examples] for side in sides]
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
