"""Methods by name, and the checks of a user's own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from jaxflow._checks import InputError, one_of, shown
from jaxflow._names import value_json, value_of_json
from jaxflow._typing import Given
from jaxflow._untyped import JsonValue
from jaxflow.attribution.corrected import CORRECTED, Corrected
from jaxflow.attribution.flow_methods import JointFlow, WidestPath
from jaxflow.attribution.methods import (
    AT,
    Flow,
    GraphMethod,
    Method,
    ModelMethod,
    ProgramMethod,
    Raw,
    Rollout,
    Streaming,
    own_mixing,
    storage_of,
)
from jaxflow.flow.solution import Solver
from jaxflow.references import REFERENCES

# One method or several, by name or value.
Methods: TypeAlias = str | Method | Sequence[str | Method]
METHODS: dict[str, Method] = {
    method.name: method for method in (Raw(), Rollout(), Flow(), JointFlow(), WidestPath(), *REFERENCES)
}

# Columns that every table of results may have, `first_target` only where there are targets, and `answer` where answers
# were asked for; and keys beside which summaries put the methods' names.
TEXT_COLUMNS = ("id", "text", "pair", "tokens", "offsets", "source", "first_target")
# Of images alone.
PICTURE = ("image", "grid")
COLUMNS = (*TEXT_COLUMNS, *PICTURE, "queries", "layers", "answer", "prediction", "probabilities")
PROOF = ("certified", "certified_share")
# Behind a method's name, the column of where its values are saturated.
SATURATED = ":saturated"
RESERVED = frozenset({*COLUMNS, *PROOF, "token", "tag", "count", "counts"})
STORAGE = ("float32", "float64")
WAYS = "`__call__`, `start` and `step`, `reader`, or `program`"


def as_methods(methods: Given[Methods], flow: Given[str | Solver], tol: Given[float]) -> tuple[Method, ...]:
    """Methods from names and values; `flow` and `tol` are for the name "flow".

    Raises:
        InputError: a name is not known, a value is no method, or two have the same name.
    """
    chosen = tuple(_as_method(each, flow, tol) for each in several(methods))
    if not chosen:
        raise InputError("methods", f"name at least one of {', '.join(METHODS)}", "none")
    names = [method.name for method in chosen]
    if len(set(names)) < len(names):
        raise InputError("methods", "have different names", ", ".join(names), "set their `name`")
    return chosen


def several(methods: Given[Methods]) -> tuple[Any, ...]:
    """One method or several as a tuple."""
    # A string can be iterated over, and so may a method.
    if isinstance(methods, str | Method) or not isinstance(methods, Iterable):
        return (methods,)
    return tuple(methods)


def method_json(method: Any) -> JsonValue:
    """A method's JSON: the name of a known one, or name, class and fields."""
    if isinstance(method, str):
        return method
    described = value_json("methods", method)
    # Methods that carry no mixing are described as they were before any could.
    if "mixing" in described["fields"] and method.mixing is None and _optional_mixing(method):
        del described["fields"]["mixing"]
    return {"name": method.name, **described}


def method_of_json(description: JsonValue) -> Any:
    """The method that `method_json` described."""
    return value_of_json("methods", description) if isinstance(description, Mapping) else description


def method_name(description: JsonValue) -> str:
    """The name of the method that `method_json` described."""
    return description["name"] if isinstance(description, Mapping) else description


def is_flow(description: JsonValue) -> bool:
    """Whether `method_json` described a method whose values are certified flows."""
    # A name alone stands for a built-in method; values are told by their class, whatever they are called.
    flows = (Flow(), JointFlow())
    if isinstance(description, Mapping):
        return description.get("class") in [value_json("methods", flow)["class"] for flow in flows]
    return description.removesuffix(CORRECTED).partition(AT)[0] in [flow.name for flow in flows]


def _as_method(method: Any, flow: Given[str | Solver], tol: Given[float]) -> Method:
    if isinstance(method, str) and method.endswith(CORRECTED):
        return Corrected(_as_method(method.removesuffix(CORRECTED), flow, tol))
    # What has one of the ways to read is an attempt at a method, and refused below; of anything else the message lists
    # the names that are known.
    attempted = any(map(partial(hasattr, method), ("name", "__call__", "start", "reader", "program")))
    if isinstance(method, str) or not attempted:
        base, at, mixing = method.partition(AT) if isinstance(method, str) else (method, "", "")
        one_of("methods", base, tuple(METHODS))
        known = METHODS[base]
        if at:
            known = _with_mixing(known, mixing, method)
        # The name "flow" takes the question's solver; a `Flow` value keeps its own.
        return replace(known, method=flow, tol=tol) if isinstance(known, Flow) else known
    # A class has its methods' attributes, too, and would pass the checks below.
    if isinstance(method, type):
        name = method.__name__
        raise InputError("methods", "be names or values", f"the class {name}", f"pass {name}()")
    if not isinstance(method, GraphMethod | Streaming | ModelMethod | ProgramMethod):
        raise InputError("methods", f"have a `name`, and {WAYS}", shown(method))
    # Programs are compiled for these and found again by hash. A class with __eq__ alone has None for a hash.
    if isinstance(method, Streaming | ModelMethod | ProgramMethod) and getattr(type(method), "__hash__", None) is None:
        raise InputError("methods", "be hashable", shown(method), "make its class a frozen dataclass")
    _check_name(method)
    with _as_error_of_methods(method.name):
        _ = own_mixing(method)
    if storage_of(method) not in STORAGE:
        raise InputError("methods", f"have a `storage` of {' or '.join(STORAGE)}", shown(storage_of(method)))
    return method


def _with_mixing(method: Any, mixing: str, given: str) -> Any:
    """A method of the given name with a mixing of its own, by the mixing's name."""
    if not _optional_mixing(method):
        raise InputError("methods", f"carry no mixing where they read no graph, as {method.name!r}", shown(given))
    with _as_error_of_methods(given):
        return replace(method, mixing=mixing)


def _optional_mixing(method: Method) -> bool:
    """Whether a method may carry a mixing, and carries none by default."""
    field = getattr(type(method), "__dataclass_fields__", {}).get("mixing")
    return field is not None and field.default is None


def of_methods(error: InputError, name: str) -> InputError:
    """An error of a method's own mixing, said of that method."""
    return InputError(None, error.expected, error.got, error.way_out, place=f"the mixing of {shown(name)}")


@contextmanager
def _as_error_of_methods(name: str) -> Iterator[None]:
    """Errors of a method's own mixing, said of that method."""
    try:
        yield
    except InputError as error:
        raise of_methods(error, name) from None


def _check_name(method: Method) -> None:
    name = method.name
    if not isinstance(name, str) or not name or not name.isprintable():
        raise InputError("methods", "have a `name` of printable characters, one at least", shown(name))
    if name in RESERVED or name.endswith(SATURATED):
        raise InputError("methods", "have a `name` that is no other column of results", shown(name), "rename it")
