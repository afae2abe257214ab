"""What a question's mixings need of a model; where they need gradients, the number that is explained."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from jaxflow._checks import InputError
from jaxflow.attribution.methods import mixing_of
from jaxflow.attribution.question import Question
from jaxflow.attribution.registry import of_methods
from jaxflow.evaluation.target import Target, explained_of, resolve, scale_of
from jaxflow.mixing import as_mixing
from jaxflow.models import Model
from jaxflow.running import Arrays, Forward, Mixed, Reader


def check_model(question: Question, model: Model) -> None:
    """Refuse a model that does not give what a question asks of it.

    Raises:
        InputError: a layer is not there, or a mixing needs what the model does not give, or explains a class that it
            does not have.
    """
    # Mixings alone were checked with the question; here what they need is held against what the model gives.
    _ = as_mixing(question.mixing, model)
    for method in question.method_values:
        try:
            _ = as_mixing(mixing_of(method, question.mixing), model)
        except InputError as error:
            raise of_methods(error, method.name) from None
    if question.needs_gradients:
        target = _target(question)
        # In turn: the head tells no classes apart, several classes share the name, or none has it.
        _ = scale_of(model, target)
        _ = model.head.index_of("target", target.classes)
        # The predicted class is one of the model's; another must be.
        try:
            _ = resolve(model, target, 1, lambda: np.zeros((1, model.head.outputs)))
        except InputError as error:
            raise InputError("target", error.expected, error.got, error.way_out) from None


def forward_of(
    question: Question, model: Model, readers: tuple[Reader | Mixed, ...], rows: int
) -> tuple[Forward, Arrays]:
    """The program of some readers, and the arrays that follow theirs: those of the explained number.

    Args:
        question: what is asked about every text.
        model: that reads the texts.
        readers: readers of its forward pass; those that are not `Mixed` have the question's mixing.
        rows: number of rows in the batch.
    """
    program = Forward(readers, question.mixing)
    if not program.needs_gradients:
        return program, ()
    # One class for all rows, which is an input of the program, so that another class compiles nothing; or None for
    # the class that each row predicts.
    explained, given = explained_of(model, _target(question), rows)
    arrays = tuple(None if each is None else jnp.asarray(each) for each in given)
    return replace(program, target=explained), (arrays,)


def _target(question: Question) -> Target:
    """The logit of the question's class, or of the class that the model predicts."""
    # Logits, not probabilities: the gradient of a probability vanishes where the model is sure.
    return Target("predicted" if question.target is None else question.target, quantity="logit")
