"""A question's programs: what they need of a model, and where something is explained, its number."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow._checks import InputError, shown
from jaxflow._typing import Queries
from jaxflow.attribution.methods import ProgramMethod, mixing_of
from jaxflow.attribution.question import Question
from jaxflow.attribution.registry import of_methods
from jaxflow.attribution.streams import Readers, result_key
from jaxflow.evaluation.target import HEADS, Target, explained_of, resolve, scale_of
from jaxflow.evaluation.token_target import (
    NEXT,
    TOKEN_HEADS,
    Token,
    check_place,
    explained_token,
    next_token_target,
    token_id,
)
from jaxflow.mixing import as_mixing
from jaxflow.models import Encoding, Model, RecordsBatches, TokenBatch
from jaxflow.running import Arrays, Call, Forward, Inputs, JoinedPrograms, Program, pair_numbers


def check_model(question: Question, model: Model) -> None:
    """Refuse a model that does not give what a question asks of it.

    Raises:
        InputError: a layer is not there; a mixing or a method needs what the model does not give; or a class is
            explained that it does not have.
    """
    # Mixings alone were checked with the question; here what they need is held against what the model gives.
    _ = as_mixing(question.mixing, model)
    for method in question.method_values:
        try:
            _ = as_mixing(mixing_of(method, question.mixing), model)
        except InputError as error:
            raise of_methods(error, method.name) from None
    for method in own_programs(question):
        _check_needs(method, model)
    if question.explains:
        _check_target(question, model)


def check_text(question: Question, model: Model, encoding: Encoding, place: str) -> None:
    """Refuse a text that does not have the position that a question's target stands at.

    Raises:
        InputError: naming the text by its place.
    """
    target = _target(question, model) if question.explains else None
    if isinstance(target, Token):
        check_place(model, target, encoding, place)


def own_programs(question: Question) -> tuple[ProgramMethod, ...]:
    """The question's methods that have programs of their own."""
    return tuple(method for method in question.method_values if isinstance(method, ProgramMethod))


def call_of(
    question: Question,
    model: Model,
    readers: Readers,
    arrays: Mapping[Hashable, Arrays],
    batch: TokenBatch,
    queries: Queries | None = None,
    layers: tuple[int, ...] = (),
    wanted: tuple[int, ...] | None = None,
) -> Call:
    """The call for a batch: one forward pass with readers, and the programs of methods that have their own.

    Args:
        question: what is asked about every text.
        model: that reads the texts.
        readers: of the forward pass, by the use of their outputs, in the order that `results_of` is given.
        arrays: of the readers, by the same names; those that are not named have none.
        batch: its tokens.
        queries: for methods with programs of their own: positions to explain, None for all.
        layers: for these, of the relevance.
        wanted: of each row the token that was predicted, which is explained; None where they are not of answers.
    """
    # One class for all rows, which is an input of the program, so that another class compiles nothing; or None for
    # the class that each row predicts.
    target, given = _explained(question, model, batch, wanted)
    # Where no mixing needs gradients, the shared pass explains nothing.
    forward = Forward(tuple(readers.values()), question.mixing)
    examples: tuple[Arrays, ...] = tuple(map(arrays.get, readers))
    if forward.needs_gradients:
        forward, examples = replace(forward, target=target), (*examples, given)
    methods = own_programs(question)
    if not methods:
        return Call(forward, Inputs(batch, examples, None))
    own = [method.program(model, layers, target if method.explains else None) for method in methods]
    for method, program in zip(methods, own, strict=True):
        _check_runs(method, program, model)
    parts = [(queries, given if method.explains else None) for method in methods]
    return Call(JoinedPrograms((forward, *own)), Inputs(batch, (examples, *parts), None))


def results_of(question: Question, readers: Iterable[Hashable], outputs: Arrays) -> dict[Any, Arrays]:
    """A batch's outputs by the names of the readers, and by `result_key` of methods with programs of their own."""
    methods = own_programs(question)
    forward, *own = outputs if methods else (outputs,)
    results = dict(zip(readers, forward, strict=True))
    return results | {result_key(method): each for method, each in zip(methods, own, strict=True)}


def pair_numbers_of(question: Question, model: Model) -> int:
    """Numbers that a question's programs keep for each pair of tokens of a text, for `EngineOptions.pair_numbers`."""
    # The programs run one after the other, so that the largest counts; a method may know its own.
    parts = (*question.mixings, *own_programs(question))
    known = [getattr(part, "pair_numbers", None) for part in parts]
    return max(
        pair_numbers(part.needs, model) if own is None else own(model) for part, own in zip(parts, known, strict=True)
    )


def _check_runs(method: ProgramMethod, program: Program, model: Model) -> None:
    """Refuse a program of several passes where a model's batches are recorded, one pass each."""
    if isinstance(model, RecordsBatches) and getattr(program, "runs_model", True):
        got = f"{method.name!r} with {model.name}, which JAX does not run"
        way_out = "leave it out, or load the model with `jaxflow.load_model`, if it is of a family that runs in JAX"
        raise InputError("methods", "need one pass over the model", got, way_out)


def _check_needs(method: ProgramMethod, model: Model) -> None:
    missing = sorted(frozenset(method.needs) - model.gives)
    if missing:
        expected = f"need only what the model gives, {', '.join(sorted(model.gives))}"
        got = f"{method.name!r}, which needs {', '.join(missing)}"
        raise InputError("methods", expected, got, "leave it out, or pass a model that gives it")
    # Only some methods have more to ask.
    check = getattr(method, "check", None)
    if check is not None:
        check(model)


def _explained(
    question: Question, model: Model, batch: TokenBatch, wanted: tuple[int, ...] | None = None
) -> tuple[Any, Arrays]:
    """The explained number, and its arrays that are known beforehand; None where nothing is explained."""
    if not question.explains:
        return None, None
    target = _target(question, model)
    if wanted is not None and question.target in (None, Token()):
        # A token of an answer is explained by its own logit.
        target = Target(wanted, "logit")
    if isinstance(target, Token):
        number, given = explained_token(model, target, batch)
    else:
        number, given = explained_of(model, target, batch.mask.shape[0], gradients=False)
    return number, jax.tree.map(jnp.asarray, given)


def _target(question: Question, model: Model) -> Target | Token:
    """The logit that is explained: of a class, of the predicted one, or of a token; or a difference of two."""
    asked = question.target
    if model.head.name == NEXT:
        return next_token_target(model, asked)
    if isinstance(asked, Token):
        return asked
    classes, against = asked if isinstance(asked, tuple) else ("predicted" if asked is None else asked, None)
    # Logits, not probabilities: the gradient of a probability vanishes where the model is sure.
    if model.head.name in TOKEN_HEADS:
        return Token(classes, against)
    return Target(classes, "logit", against)


def _explaining(question: Question) -> tuple[str, str]:
    """What asks for an explained number, by kind and name: a method, or the mixing."""
    for method in question.method_values:
        own = isinstance(method, ProgramMethod) and method.explains
        if own or "gradients" in mixing_of(method, question.mixing).needs:
            carried = own or mixing_of(method, question.mixing) != question.mixing
            return ("the method", method.name) if carried else ("the mixing", question.mixing.name)
    return "the mixing", question.mixing.name


def _check_target(question: Question, model: Model) -> None:
    """Refuse a target that the model does not have."""
    target, argument = _target(question, model), "target"
    for mixing in question.mixings:
        if target.against is not None and "relevance" in mixing.needs:
            # Relevance would start at both with opposite signs. Its sum over the text, which the rules share out, is 0.
            way_out = "pass one of the two, or `mixing='attention-gradient'`"
            expected = f"be one class or token where a mixing is {mixing.name!r}"
            raise InputError(argument, expected, "a difference of two", way_out)
    if model.head.name not in (*HEADS, *TOKEN_HEADS):
        name, wants = _explaining(question)
        expected = "have a head that classifies texts or tokens, whose number is explained"
        got = f"the head {model.head.name!r} for {name} {shown(wants)}"
        way_out = "leave that out ('raw', 'rollout' and 'flow' by 'attention' need no head), or load a classifier"
        raise InputError(None, expected, got, way_out, place=model.name)
    if isinstance(target, Token):
        if model.head.name not in TOKEN_HEADS:
            way_out = "pass a class, or a pair of classes"
            raise InputError(argument, f"be no token where the model's head is {model.head.name}", "one", way_out)
        named = [each for each in (target.token, target.against) if each not in ("predicted", None)]
        numbers = [token_id(model, each) for each in named]
    else:
        # In turn: the head tells no classes apart, several classes share the name, or none has it.
        _ = scale_of(model, target)
        named = [each for each in (target.classes, target.against) if each not in ("predicted", None)]
        for each in named:
            _ = model.head.index_of(argument, each)
        try:
            numbers = [resolve(model, Target(each), 1, lambda: np.zeros((1, 1)))[0][0] for each in named]
        except InputError as error:
            raise InputError(argument, error.expected, error.got, error.way_out) from None
    if len(set(numbers)) < len(numbers):
        raise InputError(argument, "be a difference of two", f"{shown(named[0])} less {shown(named[1])}")
