"""Mixings by name, as values and as JSON."""

import dataclasses
from typing import Any

from jaxflow import _checks
from jaxflow._checks import InputError
from jaxflow._typing import Given
from jaxflow._untyped import JsonObject
from jaxflow.mixing._protocol import Mixing
from jaxflow.mixing.alti import Alti
from jaxflow.mixing.attention import Attention
from jaxflow.mixing.attention_gradient import AttentionGradient
from jaxflow.mixing.attention_measured import AttentionMeasured
from jaxflow.mixing.chefer_relevance import CheferRelevance
from jaxflow.mixing.gradient import Gradient
from jaxflow.mixing.norms import Norms
from jaxflow.mixing.value_zeroing import ValueZeroing
from jaxflow.models import Model

# Classes by the names that users write; a new mixing is added here.
MIXINGS: dict[str, type] = {
    "attention": Attention,
    "gradient": Gradient,
    "attention-measured": AttentionMeasured,
    "norms": Norms,
    "alti": Alti,
    "value-zeroing": ValueZeroing,
    "attention-gradient": AttentionGradient,
    "chefer-relevance": CheferRelevance,
}


# What a value must have to be a mixing.
PARTS = ("name", "needs", "capacities")


def as_mixing(value: Given[str | Mixing], model: Model | None = None) -> Mixing:
    """Take in a mixing, checked: a name of `MIXINGS`, or a value.

    Args:
        value: a name or a mixing.
        model: the model to use it with; None where it is not known yet.

    Raises:
        InputError: it is no mixing, is not hashable, or has needs that the model does not meet.
    """
    if isinstance(value, str):
        _checks.one_of("mixing", value, tuple(MIXINGS))
        value = MIXINGS[value]()
    # A class has the attributes of its instances, so it would pass for a mixing below.
    if isinstance(value, type):
        way_out = f"pass `mixing={value.__name__}()`"
        raise InputError("mixing", "be a name or a mixing's value", f"the class {value.__name__}", way_out)
    if not isinstance(value, Mixing):
        known = ", ".join(map(repr, MIXINGS))
        missing = [part for part in PARTS if not hasattr(value, part)]
        # Nothing of a mixing is no attempt at one.
        lacks = "" if missing == list(PARTS) else f", which has no {' and no '.join(missing)}"
        raise InputError("mixing", f"be one of {known}, or a value of jaxflow.mixing", _checks.shown(value) + lacks)
    try:
        # Programs are compiled for a mixing and found again by its value.
        _ = hash(value)
    except TypeError:
        way_out = "make its class a frozen dataclass of hashable fields"
        raise InputError("mixing", "be hashable", _checks.shown(value), way_out) from None
    if {"rerun", "gradients"} <= frozenset(value.needs):
        # A layer can be run again while it is there, and gradients come once the last one has passed.
        got = f"{value.name!r}, which needs both"
        way_out = "make one that reruns layers, one of gradients, and a method of each"
        raise InputError("mixing", "need reruns or gradients, not both", got, way_out)
    if model is not None:
        _check_model(value, model)
    return value


def _check_model(mixing: Mixing, model: Model) -> None:
    """Refuse a mixing with needs that a model does not meet."""
    missing = sorted(frozenset(mixing.needs) - model.gives)
    if missing:
        expected = f"need only what the model gives, {', '.join(sorted(model.gives))}"
        got = f"{mixing.name!r}, which needs {', '.join(missing)}"
        possible = [repr(name) for name, kind in MIXINGS.items() if kind().needs <= model.gives]
        # Of one mixing some variants need less than the others.
        lighter = Norms(variant="N-Res")
        if lighter.needs <= model.gives and not Norms().needs <= model.gives:
            possible.append(f"{lighter.name!r} of variant 'N' or {lighter.variant!r}")
        way_out = f"pass one that it can ({', '.join(possible)}), or a model that gives {' and '.join(missing)}"
        if "gradients" in missing and model.head.name == "bare":
            # There is no number whose gradient it could give.
            way_out += ", as one with a head does"
        raise InputError("mixing", expected, got, way_out)
    # Only some mixings have more to ask, such as weights of heads for the number of heads.
    check = getattr(mixing, "check", None)
    if check is not None:
        check(model)


def mixing_json(mixing: Mixing) -> JsonObject:
    """A mixing as JSON: its name and its fields."""
    # `name` and `needs` may be fields too; they follow from the class.
    fields = dataclasses.fields(mixing) if dataclasses.is_dataclass(mixing) else ()
    names = (each.name for each in fields if each.name not in ("name", "needs") and not _is_unnamed(mixing, each))
    return {"name": mixing.name} | {name: getattr(mixing, name) for name in names}


def _is_unnamed(mixing: Mixing, field: "dataclasses.Field[Any]") -> bool:
    """Whether a field came later, and has the value that all had before."""
    return "unnamed" in field.metadata and getattr(mixing, field.name) == field.default
