"""The question to ask where the user asked none, or named no methods."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jaxflow._checks import InputError
from jaxflow._untyped import JsonValue
from jaxflow.attribution.explaining import check_model
from jaxflow.attribution.question import CLASSIFIER, LAST, GivenQuestion, Question, as_question
from jaxflow.evaluation.token_target import TOKEN_HEADS
from jaxflow.models import Model
from jaxflow.models.images import pooled_of
from jaxflow.models.two_streams import encoder_layers_of

# The paper's methods; and flow through capacities of the class, which says what a prediction rests on.
PLAIN = Question().methods
DEFAULT_METHODS = (*PLAIN, "flow@attention-gradient")


def default_question(*models: Model) -> Question:
    """The paper's methods, of the positions to ask these models about where the user named none."""
    # A decoder's first position sees itself alone; its prediction is read at the last, behind an encoder too.
    decodes = any(model.causal or encoder_layers_of(model) for model in models)
    # Where a head reads the mean of an image's patches, that is asked about.
    averages = any(pooled_of(model) is not None for model in models)
    return Question(queries=LAST) if decodes else Question(queries=CLASSIFIER) if averages else Question()


def question_for(
    question: GivenQuestion,
    changes: Mapping[str, object],
    models: Sequence[Model],
    default: Question,
    begun: Sequence[JsonValue] | None = None,
) -> Question:
    """The question of a call: where no methods were named, with that of the class if the models have one.

    Args:
        question: a question, or None.
        changes: fields by name, which replace the question's.
        models: that read the texts.
        default: the question to take instead of None; its methods stand only where one was passed.
        begun: methods of the run that is gone on with, see `by_default`.

    Raises:
        InputError: as `as_question`.
    """
    if question is not None or "methods" in changes:
        return as_question(question, changes, default)
    return by_default(as_question(None, changes, replace(default, methods=DEFAULT_METHODS)), models, begun)


def by_default(question: Question, models: Sequence[Model], begun: Sequence[JsonValue] | None = None) -> Question:
    """The question where no methods were named: without that of the class where a model has none.

    Args:
        question: with `DEFAULT_METHODS`.
        models: that read the texts.
        begun: methods of the run that is gone on with; one that was begun without that of the class stays so.
    """
    if "gradients" in question.mixing.needs:
        # Flow is of the class already.
        return replace(question, methods=PLAIN)
    # With a target, what is missing for it is said later.
    plain = replace(question, methods=PLAIN) if question.target is None else question
    if begun is not None:
        return question if list(begun) == list(question.methods) else plain
    if any(model.head.name in TOKEN_HEADS for model in models):
        # A token is explained at a text's mask, which most texts don't have.
        return plain
    try:
        for model in models:
            check_model(question, model)
    except InputError:
        # What is wrong with the rest of the question is said later.
        return plain
    return question
