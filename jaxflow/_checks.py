"""Errors for users, raised on the host: one line that names the argument, the fault and the way out.

Values are looked at only where they are in hand. Under `jax.jit`, `vmap` or `grad` an array has a shape and no
values yet, so shapes are checked there and values are taken as given.
"""

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard

import numpy as np

# Longer values are cut where an error shows them: a word of 200,000 letters would hide what is wrong.
_SHOWN = 200

# What an error is made of.
FACTS = ("argument", "expected", "got", "way_out", "place")


class InputError(ValueError):
    """An argument that cannot be used: the facts as data, which each front puts into words.

    `str(error)` has Python's words: "`mask` must have shape (2, 16), got (16,); pass the tokenizer's attention_mask".
    The command line has its own (`in_words` with another `name`). In `expected` and `way_out`, arguments stand in
    backticks, like `truncate=True`, so that each front can write them in its way; data belong into `got` and
    `place`, which no front ever rewrites.

    Attributes:
        argument: the argument's name in Python, or an entry of it (`texts[3]`); None where `place` is the subject.
        expected: the condition, after "must": "have shape (2, 16)", "be one of 'mean', 'max'".
        got: the value passed, in words; `shown` cuts long values.
        way_out: the remedy.
        place: the position of the value, for example "line 17 of reviews.csv".
    """

    def __init__(
        self,
        argument: str | None,
        expected: str,
        got: str | None = None,
        way_out: str | None = None,
        *,
        place: str | None = None,
    ) -> None:
        # Copies (`at`, `__reduce__`) are made of `args`.
        super().__init__(argument, expected, got, way_out)
        self.argument, self.expected, self.got, self.way_out, self.place = argument, expected, got, way_out, place

    def in_words(self, name: Callable[[str], str] = lambda argument: f"`{argument}`") -> str:
        """The error as one line; `name` writes an argument, or an argument with a value such as `truncate=True`."""

        # Arguments stand in backticks in our own words alone: `got` and `place` are data, and stay as they are.
        def renamed(text: str) -> str:
            return re.sub(r"`(\w+(?:=[^`]*)?)`", lambda match: name(match[1]), text)

        subject = ": ".join(
            ([] if self.place is None else [self.place]) + ([] if self.argument is None else [name(self.argument)])
        )
        # On one line, whatever the data hold.
        got = "" if self.got is None else f", got {self.got}"
        way_out = "" if self.way_out is None else f"; {renamed(self.way_out)}"
        return " ".join(f"{subject} must {renamed(self.expected)}{got}{way_out}".splitlines())

    @property
    def facts(self) -> dict[str, str | None]:
        """What the error was made of, by name; to be kept where each front will put it into its words later."""
        return {name: getattr(self, name) for name in FACTS}

    @property
    def entry(self) -> int | None:
        """The number of the entry that `argument` names: 3 of `texts[3]`; None where it names none."""
        match = None if self.argument is None else re.fullmatch(r"\w+\[(\d+)\]", self.argument)
        return None if match is None else int(match[1])

    def at(self, place: str) -> "InputError":
        """The same error about an input that stands at `place`, which is the subject instead of `texts[0]`.

        An entry of `pairs`, the second of two texts, is the pair of the input there.
        """
        if self.entry is None:
            return type(self)(*self.args, place=place)
        where = f"the pair of {place}" if str(self.argument).startswith("pairs[") else place
        return type(self)(None, *self.args[1:], place=where)

    def also(self, way_out: str) -> "InputError":
        """The same error with one more way out."""
        both = way_out if self.way_out is None else f"{self.way_out}; {way_out}"
        return type(self)(self.argument, self.expected, self.got, both, place=self.place)

    def __str__(self) -> str:
        return self.in_words()

    def __reduce__(self) -> tuple[Callable[..., "InputError"], tuple[object, ...]]:
        # Errors travel between processes, where exceptions are made anew from positional arguments alone: not `place`.
        return _error_of, (type(self), self.args, self.place)


def _error_of(kind: type[InputError], arguments: tuple[Any, ...], place: str | None) -> InputError:
    return kind(*arguments, place=place)


def shown(value: object) -> str:
    """A value as an error shows it: its `repr` on one line, cut where it is long."""
    return shown_text(repr(value))


def shown_text(text: str) -> str:
    """Words that an error shows, on one line, cut where they are long."""
    text = " ".join(text.splitlines())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def is_traced(*values: object) -> bool:
    """Whether any of the values stands for an array inside a JAX transformation, so that it cannot be read."""
    # JAX takes a while to import: the command line's help and its errors do without.
    import jax.core

    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def _mark_forked() -> None:
    _process["forked"] = _process["forked"] or jax_at_work()


def jax_at_work() -> bool:
    """Whether JAX has begun to use devices in this process, which it does with threads of its own."""
    # Only here does JAX say whether it was used. Where it was not even imported, it was not.
    xla_bridge = sys.modules.get("jax._src.xla_bridge")
    return xla_bridge is not None and bool(xla_bridge.backends_are_initialized())


# Whether this process is a fork of one in which JAX was at work. Threads are not forked: work for them waits for ever.
_process = {"forked": False}
os.register_at_fork(after_in_child=_mark_forked)


def not_forked() -> None:
    """Refuse to work in a forked child of a process in which JAX was at work; it would hang without a word.

    Raises:
        InputError: this is one.
    """
    if _process["forked"]:
        expected = "be started before JAX is used, since JAX hangs in a fork"
        way_out = "start processes with multiprocessing.get_context('spawn'), or fork before JAX is first used"
        raise InputError(None, expected, "a fork of a process that had used it", way_out, place="this process")


@contextmanager
def arguments_named(**names: str) -> Iterator[None]:
    """Errors of some arguments, or of an entry of them, as errors of others: the name inside by the name outside."""
    try:
        yield
    except InputError as error:
        name, bracket, entry = (error.argument or "").partition("[")
        if name not in names:
            raise
        raise InputError(names[name] + bracket + entry, *error.args[1:], place=error.place) from None


def one_of(name: str, value: object, options: Sequence[str]) -> None:
    """Refuse a value that is not among the options."""
    if not isinstance(value, str) or value not in options:
        near = difflib.get_close_matches(value, options, n=1) if isinstance(value, str) else []
        way_out = f"did you mean {near[0]!r}?" if near else None
        raise InputError(name, f"be one of {', '.join(map(repr, options))}", shown(value), way_out)


def as_flag(name: str, value: object) -> bool:
    """Take in True or False, NumPy's included; a word such as "no" would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(name, "be True or False", shown(value))
    return bool(value)


def as_count(name: str, value: object) -> int:
    """A checked number of things.

    Raises:
        InputError: it is no whole number above 0.
    """
    if not _is_count(value):
        raise InputError(name, "be a whole number, 1 or more", shown(value))
    return int(value)


def as_count_or_none(name: str, value: object) -> int | None:
    """As `as_count`, where None stands for a number that follows from something else."""
    if value is not None and not _is_count(value):
        raise InputError(name, "be a whole number, 1 or more, or None", shown(value))
    return None if value is None else int(value)


def _is_count(value: object) -> TypeGuard[int | np.integer]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 1)


def refuse_table(name: str, value: object) -> None:
    """Refuse a table, or a dictionary, where texts are wanted: going through it gives the names of its columns."""
    if isinstance(value, Mapping) and {"role", "content"} <= value.keys():
        way_out = "put a message into a list, which is a conversation"
        raise InputError(name, "be a sequence of texts", "one message", way_out)
    if isinstance(value, Mapping) or hasattr(value, "columns"):
        raise InputError(name, "be a sequence of texts", type(value).__name__, "pass a column of it")


def first_index(where: np.ndarray) -> tuple[int, ...]:
    """Index of the first true entry, as plain integers."""
    return tuple(int(i) for i in np.argwhere(where)[0])


def index_words(index: Sequence[int], axes: Sequence[str]) -> str:
    """An index in words: `example 3, layer 1, head 1`. What stands before the named axes is the example's index.

    Layers and heads are counted from 1, as everywhere in the interface; positions and examples from 0.
    """
    batch, named = index[: len(index) - len(axes)], index[len(index) - len(axes) :]
    words = [f"example {', '.join(map(str, batch))}"] if batch else []
    words += [f"{axis} {i + 1 if axis in ('layer', 'head') else i}" for axis, i in zip(axes, named, strict=True)]
    return ", ".join(words)


def how_to_install(extra: str) -> str:
    """The command for an extra, which pip takes from the installed package, a clone's included."""
    return f"pip install 'jaxflow-attention[{extra}]'"


def missing_extra(package: str, extra: str, purpose: str) -> InputError:
    """The error for an optional package that is not installed; `purpose` is a noun: "reading Parquet"."""
    return InputError(package, f"be installed for {purpose}", None, f"install it with: {how_to_install(extra)}")
