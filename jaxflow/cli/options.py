"""Options of the command line, made from the fields of the library's own values: one place says what each means."""

import argparse
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError
from jaxflow._parser import Group, count, layers, names, natural, positions, real, share
from jaxflow.attribution.defaults import DEFAULT_METHODS, PLAIN, default_question
from jaxflow.attribution.question import Question, field_docs
from jaxflow.evaluation.token_target import written_target
from jaxflow.mixing import MIXINGS, Mixing
from jaxflow.models import Model

# How values are read that are no words, and how such values are called in the help.
READ: dict[str, Callable[[str], Any]] = {
    "methods": names,
    "queries": positions,
    "layers": layers,
    **dict.fromkeys(("residual", "tol", "threshold", "decay"), real),
    **dict.fromkeys(("batch_size", "least"), count),
    "own": share,
    "target": written_target,
    "seed": natural,
}
SEVERAL = {"methods": "A,B", "queries": "N,N", "layers": "N,N"}
# What stands for None.
NONE = {"queries": "all", "layers": "all", "target": "predicted"}


def add_question(parser: argparse.ArgumentParser, default: Question, leave_out: Collection[str] = ()) -> None:
    """Add an option for each field of a question, and of the mixings that have a name."""
    group = parser.add_argument_group("what is asked about every text")
    add_fields(group, default, leave_out)
    for name, mixing in _mixing_fields().items():
        _add(group, name, getattr(mixing, name), f"{_help(mixing, name)}; of --mixing {mixing.name}, for example")


def add_fields(group: Group, default: Any, leave_out: Collection[str] = ()) -> None:
    """Add an option for each field of a dataclass's value; those that are not given are not in the namespace."""
    for each in fields(default):
        if each.name not in leave_out:
            _add(group, each.name, getattr(default, each.name), _help(default, each.name))


def given_fields(arguments: argparse.Namespace, kind: type) -> dict[str, Any]:
    """What was given of the fields of a dataclass, by name."""
    return {each.name: getattr(arguments, each.name) for each in fields(kind) if hasattr(arguments, each.name)}


def question_of(arguments: argparse.Namespace, default: Question) -> Question:
    """The question that was asked on the command line."""
    # A module of the user's own may lie where the command is run.
    sys.path.extend({str(Path.cwd())} - {*sys.path})
    question = replace(default, **given_fields(arguments, Question))
    own = {name: getattr(arguments, name) for name in _mixing_fields() if hasattr(arguments, name)}
    return replace(question, mixing=_with_fields(question.mixing, own)) if own else question


def with_positions(question: Question, arguments: argparse.Namespace, models: Sequence[Model]) -> Question:
    """The question, of the positions that these models are asked about where none were named."""
    return question if hasattr(arguments, "queries") else replace(question, queries=default_question(*models).queries)


def _with_fields(mixing: Any, own: Mapping[str, Any]) -> Any:
    # A mixing of a user's own need not be a dataclass.
    known = getattr(mixing, "__dataclass_fields__", {})
    for name in own:
        if name not in known:
            raise InputError(name, "go with a mixing that has it", repr(str(mixing.name)), "leave it out")
    return replace(mixing, **own)


def _mixing_fields() -> dict[str, Mixing]:
    """The fields of the mixings that have a name; for each the first mixing that has it."""
    by_field: dict[str, Mixing] = {}
    for kind in MIXINGS.values():
        mixing = kind()
        for each in fields(mixing):
            # One option for a field that several mixings share, such as the residual.
            _ = by_field.setdefault(each.name, mixing)
    return by_field


def _add(group: Group, name: str, default: object, about: str) -> None:
    metavar = SEVERAL.get(name, "N" if READ.get(name) in (count, natural) else name[0].upper())
    _ = group.add_argument(
        f"--{name.replace('_', '-')}",
        type=READ.get(name, str),
        # Only options that were given are in the namespace; the values' own defaults stand for the rest.
        default=argparse.SUPPRESS,
        metavar=metavar,
        help=f"{about} (default: {_words(name, default)})".replace("%", "%%"),
    )


def _help(value: object, name: str) -> str:
    """The first sentence of what a dataclass says of a field."""
    return field_docs(type(value)).get(name, "").partition(". ")[0].rstrip(".")


def _words(name: str, value: object) -> str:
    if value is None:
        return NONE.get(name, "none")
    if name == "queries" and value == (0,):
        return "0; last of a decoder or an encoder-decoder"
    if value == DEFAULT_METHODS:
        return f"{','.join(PLAIN)}, and {DEFAULT_METHODS[-1]} where the model has classes"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(getattr(value, "name", value))
