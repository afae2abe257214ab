"""What a question's mixing needs of a model; where it needs gradients, the number that is explained."""

import jax.numpy as jnp
import numpy as np

from jaxflow._checks import InputError
from jaxflow.attribution.question import Question
from jaxflow.evaluation.target import Target, explained_of, resolve, scale_of
from jaxflow.mixing import as_mixing
from jaxflow.models import Model
from jaxflow.running import Arrays, Forward, Reader


def check_model(question: Question, model: Model) -> None:
    """Refuse a model that does not give what a question asks of it.

    Raises:
        InputError: a layer is not there, or the mixing needs what the model does not give, or explains a class that it
            does not have.
    """
    # The mixing alone was checked with the question; here what it needs is held against what the model gives.
    _ = as_mixing(question.mixing, model)
    if "gradients" in question.mixing.needs:
        target = _target(question)
        # In turn: the head tells no classes apart, several classes share the name, or none has it.
        _ = scale_of(model, target)
        _ = model.head.index_of("target", target.classes)
        # The predicted class is one of the model's; another must be.
        try:
            _ = resolve(model, target, 1, lambda: np.zeros((1, model.head.outputs)))
        except InputError as error:
            raise InputError("target", error.expected, error.got, error.way_out) from None


def forward_of(question: Question, model: Model, readers: tuple[Reader, ...], rows: int) -> tuple[Forward, Arrays]:
    """The program of some readers, and the arrays that follow theirs: those of the explained number.

    Args:
        question: what is asked about every text.
        model: that reads the texts.
        readers: readers of its forward pass.
        rows: number of rows in the batch.
    """
    if "gradients" not in question.mixing.needs:
        return Forward(readers, question.mixing), ()
    # One class for all rows, which is an input of the program, so that another class compiles nothing; or None for
    # the class that each row predicts.
    explained, given = explained_of(model, _target(question), rows)
    arrays = tuple(None if each is None else jnp.asarray(each) for each in given)
    return Forward(readers, question.mixing, explained), (arrays,)


def _target(question: Question) -> Target:
    """The logit of the question's class, or of the class that the model predicts."""
    # Logits, not probabilities: the gradient of a probability vanishes where the model is sure.
    return Target("predicted" if question.target is None else question.target, quantity="logit")
