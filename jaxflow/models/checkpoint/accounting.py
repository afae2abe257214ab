"""Accounting of a checkpoint's keys: each is used, expected to be left over, or an error."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jaxflow._checks import InputError
from jaxflow.models.checkpoint.config_file import WAY_OUT
from jaxflow.models.checkpoint.family import Family, Head
from jaxflow.models.checkpoint.weights import Weights
from jaxflow.models.config import EncoderConfig

# Types that weights can have, and types that only buffers have: position numbers, masks, counters.
FLOATS, BUFFERS = ("F64", "F32", "F16", "BF16"), ("I64", "BOOL")
# Safetensors' first letters of types, for people.
TYPE_WORDS = {"I": "int", "U": "uint", "F": "float", "C": "complex"}


@dataclass(frozen=True)
class Origin:
    """Where one of our parameters stands in a checkpoint.

    Attributes:
        rows: the checkpoint's keys, one row for each stored layer (one in all where nothing is stacked); three keys
            in a row where query, key and value are one parameter of ours.
        shape: of each of them in the file.
        turned: whether the file has the output axis first, as torch's linear maps do.
        stacked: whether ours has a leading layer axis.
    """

    rows: tuple[tuple[str, ...], ...]
    shape: tuple[int, ...]
    turned: bool
    stacked: bool

    @property
    def names(self) -> list[str]:
        """All of the keys."""
        return [name for row in self.rows for name in row]


def check_used(origins: Iterable[Origin], config: EncoderConfig, family: Family, weights: Weights) -> None:
    """Refuse weights that lack a key, or in which one has another shape or type than the encoder needs.

    Raises:
        InputError: the first keys in question are named.
    """
    # Missing keys come first: a wrong config.json shows best in what the file lacks.
    needed = {name: origin.shape for origin in origins for name in origin.names}
    missing = sorted(family.canonical(name) for name in needed if name not in weights)
    if missing:
        prefix, way_out = _way_out(missing, config, family, weights)
        behind = f" (it has them behind the prefix {prefix!r})" if prefix else ""
        raise InputError(
            "name_or_path",
            "name a checkpoint with the weights that its config.json speaks of",
            f"one that lacks {_listed(missing)}, which {_needed(config, family)} needs{behind}",
            way_out,
            place=str(weights.folder),
        )
    for name, shape in needed.items():
        key = family.canonical(name)
        if weights.shape(name) != shape:
            place = f"the weight {key!r} in {weights.folder}"
            expected, got = f"have config.json's shape {shape}", str(weights.shape(name))
            raise InputError(None, expected, got, WAY_OUT, place=place)
        if weights.dtype(name) not in FLOATS:
            place = f"the weight {key!r} in {weights.folder}"
            expected, way_out = "be of floating-point numbers of 16 bits or more", "use a model that is not quantised"
            raise InputError(None, expected, _in_words(weights.dtype(name)), way_out, place=place)


def _way_out(missing: Sequence[str], config: EncoderConfig, family: Family, weights: Weights) -> tuple[str | None, str]:
    """The prefix that the file puts before the missing keys, if it does, and the way out."""
    # Only a head is missing: the encoder alone can still be loaded.
    own = [name for name in missing if name.startswith(family.beginnings())]
    if not own and config.head.name != "bare":
        return None, 'in Python, pass `head="bare"` to load the encoder alone'
    keys = {weights.key(name) for name in weights}
    # A wrapper's prefix (a training framework's, say) stands before every key of the encoder, or it is none.
    for prefix in sorted(key.removesuffix(own[0]) for key in keys if own and key.endswith(f".{own[0]}")):
        if all(prefix + name in keys for name in own):
            return prefix, "take the prefix off with scripts/convert_checkpoint.py and its option --strip"
    return None, WAY_OUT


def left_over(
    origins: Iterable[Origin], config: EncoderConfig, family: Family, weights: Weights, *, named_head: bool
) -> str | None:
    """The keys that the encoder does not use, in words; None if the user need not know of any.

    If the user named the head, keys of any other heads may be left over. Keys of the encoder itself never may: they
    would change its attention.

    Raises:
        InputError: a key is left over that must be used.
    """
    used = {family.canonical(name) for origin in origins for name in origin.names}
    # Keys of the encoder have the family's prefix in all or in none of a checkpoint.
    prefixed = any(weights.key(name).startswith(f"{family.prefix}.") for name in used)
    expected = re.compile("|".join(_expected(config, family, named_head)))
    unused = sorted(
        name
        for name in weights
        if name not in used and not expected.fullmatch(name) and weights.dtype(name) not in BUFFERS
    )
    beginnings = (f"{family.prefix}.",) if prefixed else family.beginnings()
    # Unused keys of the encoder itself, as against those of heads and of optimisers.
    own = [name for name in unused if weights.key(name).startswith(beginnings)]
    if own or (unused and not named_head):
        alone = 'in Python, pass `head="bare"` to load the encoder alone, or another `head`; the rest is then left out'
        raise InputError(
            "name_or_path",
            "name a checkpoint that is used whole",
            f"one that has {_listed(own or unused)}, which {_needed(config, family)} does not use",
            WAY_OUT if own else alone,
            place=str(weights.folder),
        )
    return _listed([weights.key(name) for name in unused]) if unused else None


def _expected(config: EncoderConfig, family: Family, other_heads: bool) -> tuple[str, ...]:
    """Patterns of the keys that may be left over."""
    own = _modules(family.heads[config.head.name])
    # A head that the user did not ask for may be left out whole, adapters included.
    others = {key for head in family.heads.values() for key in _modules(head)} if other_heads else set()
    return (
        *family.leftovers,
        *map(re.escape, family.aliases),
        # Of the head itself only tied weights and the second of two names can be left over: the rest is used, and
        # more than a weight and a bias (an adapter's, say) would make its numbers others.
        *(rf"{re.escape(family.canonical(key))}(\.(weight|bias))?" for key in own),
        *(rf"{re.escape(family.canonical(key))}(\..*)?" for key in others - own),
    )


def _modules(head: Head) -> set[str]:
    return {key for key in head.keys.values() if isinstance(key, str)}


def _needed(config: EncoderConfig, family: Family) -> str:
    return f"a {family.title} encoder with the head {config.head.name!r}"


def _in_words(dtype: str) -> str:
    """A safetensors type under NumPy's name."""
    return TYPE_WORDS.get(dtype[:1], dtype[:1]) + dtype[1:].lower()


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:3]))
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
