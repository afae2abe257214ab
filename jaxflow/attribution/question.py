"""The question to every text: one frozen value, with its checks, its documentation and its JSON."""

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, cached_property
from typing import Any, TypeAlias, TypedDict

import numpy as np
from jaxtyping import Int

from jaxflow._checks import InputError, shown
from jaxflow._names import imported, is_path, value_json, value_of_json
from jaxflow._typing import Given, Integers, Settled
from jaxflow._untyped import JsonObject, JsonValue
from jaxflow.attribution.methods import AT, GraphMethod, Method, ModelMethod, ProgramMethod, Streaming, mixing_of
from jaxflow.attribution.registry import Methods, as_methods, method_json, method_of_json, several
from jaxflow.evaluation.token_target import PREDICTED, Token, written_target
from jaxflow.flow.solution import Solver
from jaxflow.flow.solve import as_layers, as_solver
from jaxflow.mixing import MIXINGS, Mixing, as_mixing, mixing_json

# Positions with a name: the text's last token, the one that the model's head reads, and those that predicted an answer.
LAST, CLASSIFIER, ANSWER = "last", "classifier", "answer"
ALL = "all"
TARGETS = "be None, 'predicted', a class by its name or number, a pair of classes, or a jaxflow.Token"

# Of a question that is made: everything, a word, positions, or positions by text.
SettledQueries: TypeAlias = str | tuple[int, ...] | tuple[tuple[int, ...], ...] | None
GivenTarget: TypeAlias = str | int | Sequence[str | int] | Token | None
Positions = Int[np.ndarray, " query"]


class Asked(TypedDict, total=False):
    """What each field of a `Question` takes, for calls that take the fields by name; see there what they mean."""

    methods: Methods
    mixing: str | Mixing
    target: GivenTarget
    queries: str | Integers | None
    layers: Integers | None
    flow: str | Solver
    tol: float


@dataclass(frozen=True)
class Question:
    """What is asked about every text, by `attribute`, sweeps, comparisons and pages alike.

    All of them take its fields by name as well: `attribute(model, texts, queries=None, flow="exact")`. The first
    sentence of each field is the help of the command line's option.

    Attributes:
        methods: methods of relevance, or your own as package.module:NAME; flow@attention-gradient is flow by a mixing
            of its own. In Python one or several, by name, or by value, such as `Flow("exact", name="exact flow")`,
            `Rollout(mixing="attention-gradient")`, or one of your own.
        mixing: what the capacities of the graph are made of, by a mixing's name, or your own as package.module:NAME.
            In Python also a value, such as `jaxflow.mixing.Attention(heads="max", residual=0.3)`. Methods that carry a
            mixing of their own have that.
        target: what is explained: a class by name or number, a difference such as good--bad, or predicted. In Python
            a difference may be a pair, `("good", "bad")`; None is `"predicted"`, the class that the model gives each
            text. Where the head is over tokens, names are those of tokens (of a masked language model) or of their
            classes, at the text's mask token; `jaxflow.Token("is", "are", at=3)`, is--are@3, says another position.
            It goes with mixings that need gradients, and with references that explain a number.
        queries: positions to explain: numbers such as 0,3, or all, last, classifier (where the model's head reads), or
            answer (of a decoder). In Python None for all, an int, several, a word, or integers `text query` where they
            differ from text to text. 0 is [CLS] or its equivalent. Decoders are asked about the last token where no
            question is passed, as their first position sees itself alone. `"answer"` explains every token of an answer
            to a prompt, by the position that predicted it, the one before; where something is explained (`target`),
            it is that token's own logit there, or the difference of a `jaxflow.Token("is", "are")`, and every token
            of the answer costs a pass of its own, forward and back, over the text up to it.
        layers: layers to explain, counted from 1. In Python None for all, an int, or several; where two models are
            compared also pairs (of the first, of the second).
        flow: how flow is solved: auto, exact, relaxed, bounds or smooth, or your own solver as package.module:NAME. In
            Python also a solver, such as `Relaxed(passes=600)`.
        tol: gap between a flow's bounds up to which it counts as certified.
    """

    methods: Settled[Methods] = ("raw", "rollout", "flow")
    mixing: Settled[str | Mixing] = "attention"
    target: Settled[GivenTarget] = None
    queries: Settled[str | Integers | None] = 0
    layers: Settled[Integers | None] = None
    flow: Settled[str | Solver] = "auto"
    tol: Given[float] = 1e-6

    def __post_init__(self):
        def settle(name: str, value: object) -> None:
            # The value is frozen once it is checked: nothing is settled anywhere else.
            object.__setattr__(self, name, value)

        # Named values are imported once: programs are compiled for a method, and found again by its value.
        given = several(self.methods)
        settle(
            "methods", tuple(imported("methods", each) if is_path(each) and AT not in each else each for each in given)
        )
        settle("target", _as_target(self.target))
        settle("queries", _as_queries(self.queries))
        # Whether the layers are there is known with the model, see `layers_of`.
        settle("layers", None if self.layers is None else _as_numbers("layers", self.layers))
        settle("tol", _as_tol(self.tol))
        settle("flow", imported("flow", self.flow) if is_path(self.flow) else self.flow)
        _ = as_solver("flow", self.flow)
        settle("mixing", as_mixing(imported("mixing", self.mixing) if is_path(self.mixing) else self.mixing))
        # The reader of a ModelMethod may take gradients of its own.
        reads = any(isinstance(each, ModelMethod) for each in self.method_values)
        if self.target is not None and not reads and not self.explains:
            got = f"{shown(self.target)} with the mixing {self.mixing.name!r}, which needs no gradients"
            way_out = "leave it out; or, of a model with a head, ask `methods='flow@attention-gradient'`"
            raise InputError("target", "be left out", got, way_out)

    # Every batch asks for them, and each check against a protocol is slow.
    @cached_property
    def method_values(self) -> tuple[Method, ...]:
        """The methods as values; the name "flow" stands for flow by `flow` and `tol`."""
        return as_methods(self.methods, self.flow, self.tol)

    @cached_property
    def mixings(self) -> tuple[Mixing, ...]:
        """Its mixing, and those that methods carry; each once."""
        return tuple(dict.fromkeys((self.mixing, *(mixing_of(each, self.mixing) for each in self.method_values))))

    def read_mixings(self) -> tuple[JsonObject, ...]:
        """JSON of the mixings that methods read, each once; methods that read no graph read none."""
        read = (each for each in self.method_values if isinstance(each, GraphMethod | Streaming))
        return tuple(map(_mixing_json, dict.fromkeys(mixing_of(each, self.mixing) for each in read)))

    @cached_property
    def explains(self) -> bool:
        """Whether a number of the model's is explained: a mixing needs gradients, or a method a target."""
        asking = (each.explains for each in self.method_values if isinstance(each, ProgramMethod))
        return any("gradients" in mixing.needs for mixing in self.mixings) or any(asking)

    def layers_of(self, depth: int) -> tuple[int, ...]:
        """The layers to explain in a model of `depth` layers, counted from 1.

        Raises:
            InputError: one of them is not there, or they are pairs.
        """
        return as_layers(self.layers, depth)

    def values(self, tokens: int, depth: int) -> int:
        """Number of relevance values of a text, given its tokens and the model's layers."""
        if self.queries is None or self.queries == ANSWER:
            # An answer may be most of a text.
            queries = tokens
        else:
            # Any other named position is one a text.
            queries = 1 if isinstance(self.queries, str) else len(self.queries)
        return tokens * queries * (depth if self.layers is None else len(self.layers)) * len(self.methods)

    def as_json(self) -> JsonObject:
        """The question as manifests have it: the same question gives the same JSON.

        Raises:
            InputError: a method or a mixing has a field of a kind that has no JSON.
        """
        # A word, as on the command line: null would not tell a reader that everything was asked for.
        queries = ALL if self.queries is None else self.queries
        return {
            "methods": [
                # A mixing of a user's own is no name that another reader could know.
                method_json(value if is_path(given) else given)
                for given, value in zip(self.methods, self.method_values, strict=True)
            ],
            "mixing": _mixing_json(self.mixing),
            "target": asdict(self.target) if isinstance(self.target, Token) else _lists(self.target),
            "queries": _lists(queries),
            "layers": ALL if self.layers is None else _lists(self.layers),
            "flow": self.flow if isinstance(self.flow, str) else value_json("flow", self.flow),
            "tol": self.tol,
        }

    @classmethod
    def from_json(cls, description: Mapping[str, JsonValue]) -> "Question":
        """The question that `as_json` described.

        Raises:
            InputError: it describes none, or a class of a user's own that cannot be imported.
        """
        given = dict(description)
        flow, queries, layers, target = (given[name] for name in ("flow", "queries", "layers", "target"))
        return cls(
            methods=tuple(map(method_of_json, given["methods"])),
            mixing=_mixing_of_json(given["mixing"]),
            target=Token(**target) if isinstance(target, Mapping) else target,
            queries=None if queries == ALL else queries,
            layers=None if layers == ALL else layers,
            flow=value_of_json("flow", flow) if isinstance(flow, Mapping) else flow,
            tol=given["tol"],
        )


# As callers hand it in; anything else is refused in one line.
GivenQuestion: TypeAlias = Given[Question | None]


def as_question(question: GivenQuestion, changes: Mapping[str, Any], default: Question | None = None) -> Question:
    """The question from a function's arguments.

    Args:
        question: a question, or None.
        changes: fields by name, which replace the question's.
        default: the question to take instead of None.

    Raises:
        InputError: it is no question, a name is no field, or a field does not fit.
    """
    known = [each.name for each in fields(Question)]
    listed = ", ".join(f"`{name}`" for name in known)
    if question is not None and not isinstance(question, Question):
        way_out = f"pass its fields by name ({listed}), second texts as `pairs`, and a second model as `other`"
        raise InputError("question", "be a Question", f"{shown(question)} of type {type(question).__name__}", way_out)
    for name in changes:
        if name not in known:
            # They read like fields of the question, and stand in many a call that was written before mixings.
            belongs = name in ("heads", "residual")
            way_out = f"pass `mixing=jaxflow.mixing.Attention({name}=...)`" if belongs else None
            raise InputError(name, f"be left out: the question's fields are {listed}", None, way_out)
    return replace(question or default or Question(), **changes)


@cache
def field_docs(kind: type) -> dict[str, str]:
    """The descriptions of a dataclass's attributes in its docstring, by name."""
    _, _, listed = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    # An entry begins at an indent of 4; its further lines have 8 or more.
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _as_target(target: Any) -> str | int | tuple[str | int, str | int] | Token | None:
    if target is None or (isinstance(target, str) and target == PREDICTED):
        return None
    # A string is read as the command line reads it.
    target = written_target(target) if isinstance(target, str) else target
    if isinstance(target, Token):
        return target
    parts = tuple(target) if isinstance(target, list | tuple) else (target,)
    fit = all(isinstance(each, str | int | np.integer) and not isinstance(each, bool) for each in parts)
    # A pair is a difference, which the predicted class is no part of.
    if not fit or len(parts) != (2 if isinstance(target, list | tuple) else 1):
        raise InputError("target", TARGETS, shown(target))
    if len(parts) == 2 and PREDICTED in parts:
        raise InputError("target", "be two classes where it is a difference", shown(target))
    named = tuple(each if isinstance(each, str) else int(each) for each in parts)
    return named if len(named) == 2 else named[0]


def _as_queries(queries: str | Integers | None) -> str | tuple[Any, ...] | None:
    if queries is None or (isinstance(queries, str) and queries in (LAST, CLASSIFIER, ANSWER)):
        return queries
    if isinstance(queries, str):
        raise InputError("queries", f"be None, integers, {LAST!r}, {CLASSIFIER!r} or {ANSWER!r}", shown(queries))
    positions = _as_numbers("queries", queries)
    # The least over all rows, where positions differ from text to text.
    least = int(np.min(positions))
    if least < 0:
        raise InputError("queries", "be positions of tokens, from 0 on", str(least))
    return positions


def _as_numbers(name: str, value: Integers) -> tuple[Any, ...]:
    """Integers as a tuple, or as a tuple of rows. Within rows, which must be of one length, they may repeat."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        # Rows of different lengths, say: refused below, with everything else that is no integer.
        array = np.asarray(None)
    if array.dtype.kind not in "iu" or not array.size or array.ndim > 2:
        raise InputError(name, "be None, an int, or several ints", shown(value))
    if array.ndim == 2:
        return tuple(map(tuple, array.tolist()))
    numbers = tuple(array.reshape(-1).tolist())
    if len(set(numbers)) < len(numbers):
        raise InputError(name, "be one or more different ints", ",".join(map(str, numbers)))
    return numbers


def _as_tol(tol: Any) -> float:
    # True is an int to Python, and NaN fails every comparison.
    number = isinstance(tol, int | float | np.number) and not isinstance(tol, bool)
    if not number or not (tol >= 0 and math.isfinite(tol)):
        raise InputError("tol", "be a number, 0 or more", shown(tol))
    return float(tol)


def _lists(value: object) -> JsonValue:
    """Tuples as lists, as JSON has them."""
    return list(map(_lists, value)) if isinstance(value, tuple) else value


def _mixing_json(mixing: Mixing) -> JsonObject:
    """A mixing's JSON; that of a user's own names its class."""
    known = type(mixing) in MIXINGS.values()
    plain = mixing_json(mixing) if known else {"name": mixing.name, **value_json("mixing", mixing)}
    return {name: _lists(value) for name, value in plain.items()}


def _mixing_of_json(description: Mapping[str, JsonValue]) -> Mixing:
    # Only mixings of a user's own are described by their class.
    if "class" in description:
        return value_of_json("mixing", description)
    given = {name: _tuples(value) for name, value in description.items() if name != "name"}
    return MIXINGS[description["name"]](**given)


def _tuples(value: JsonValue) -> JsonValue:
    # JSON has no tuples, and a mixing's fields must be hashable.
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
