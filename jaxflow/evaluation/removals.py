"""What becomes of tokens that are removed: another token in their place, hidden from attention, or really taken out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from jaxflow._checks import InputError, one_of, shown
from jaxflow._typing import Given
from jaxflow.evaluation.inputs import HasTokenizer, TokenInputs, blank_id
from jaxflow.models import Model, TokenBatch

# A batch, and the tokens to remove -> the batch without them.
Change: TypeAlias = Callable[[TokenBatch, Bool[np.ndarray, "row token"]], TokenBatch]


@runtime_checkable
class Removal(Protocol):
    """A way to take tokens out of a text: a frozen value.

    Attributes:
        name: in tables and errors.
        takes_away: whether a removed token is gone from its place, so that a head cannot read it any more.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def takes_away(self) -> bool: ...  # noqa: D102

    def change(self, model: Model) -> Change:
        """How batches of the model change.

        Raises:
            InputError: the model has no token for it.
        """
        ...


@dataclass(frozen=True)
class Replace:
    """Another token stands in a removed one's place, and the others see it.

    Attributes:
        substitute: `"blank"`, the tokenizer's unknown token, or its mask where it has none; `"mask"`; `"pad"`, which is
            seen here like any other token; or a token or id of your own.
        name: in tables.
    """

    substitute: Given[str | int] = "blank"
    name: str = "blank"

    takes_away = False

    def change(self, model: Model) -> Change:
        """Ids alone change."""
        number = self._id(model)

        def change(batch: TokenBatch, gone: Bool[np.ndarray, "row token"]) -> TokenBatch:
            ids = np.where(gone, number, np.asarray(batch.input_ids))
            return replace(batch, input_ids=jnp.asarray(ids, jnp.int32))

        return change

    def _id(self, model: Model) -> int:
        if self.substitute == "blank":
            return blank_id(model)
        if self.substitute not in ("mask", "pad"):
            return blank_id(model, self.substitute)
        tokenizer = model.tokenizer if isinstance(model, HasTokenizer) else None
        number = getattr(tokenizer, f"{self.substitute}_token_id", None)
        if number is None:
            got = f"{shown(self.substitute)}, and {model.name} has no such token"
            way_out = "pass `removal='delete'`, or a token in jaxflow.evaluation.Replace"
            raise InputError("removal", "be one that the model has a token for", got, way_out)
        return int(number)


@dataclass(frozen=True)
class Drop:
    """A removed token is hidden from attention; the others keep their places."""

    name: str = "drop"

    takes_away = True

    def change(self, model: Model) -> Change:
        """The mask alone changes: ids, and so positions, stay as they are."""
        return lambda batch, gone: replace(batch, mask=jnp.asarray(np.asarray(batch.mask) & ~gone))


@dataclass(frozen=True)
class Delete:
    """A removed token is taken out, and those behind it close up, as in a text that never had it."""

    name: str = "delete"

    takes_away = True

    def change(self, model: Model) -> Change:
        """Ids, segments and mask close up, and padding grows."""

        def change(batch: TokenBatch, gone: Bool[np.ndarray, "row token"]) -> TokenBatch:
            left = np.asarray(batch.mask) & ~gone
            # Stable, so that tokens which stay keep their order; what is left over comes last, as padding. The padded
            # length stays, and so does the compiled program.
            order = np.argsort(~left, axis=-1, kind="stable")
            ids, segments, mask = (
                jnp.asarray(np.take_along_axis(np.asarray(part), order, axis=-1))
                for part in (batch.input_ids, batch.segments, left)
            )
            return replace(batch, input_ids=ids, mask=mask, segments=segments)

        return change


REMOVALS: dict[str, Removal] = {
    "blank": Replace(),
    "drop": Drop(),
    "mask": Replace("mask", "mask"),
    "pad": Replace("pad", "pad"),
    "delete": Delete(),
}


def as_removal(removal: Given[str | Removal], blank: Given[str | int | None] = None) -> Removal:
    """A removal by name or value.

    Args:
        removal: a name of `REMOVALS`, or a value.
        blank: the token that `"blank"` puts in; None for the tokenizer's.

    Raises:
        InputError: there is no such removal.
    """
    if isinstance(removal, str):
        one_of("removal", removal, tuple(REMOVALS))
        return Replace(blank) if removal == "blank" and blank is not None else REMOVALS[removal]
    if not isinstance(removal, Removal) or isinstance(removal, type):
        expected = f"be one of {', '.join(map(repr, REMOVALS))}, or a value such as Delete()"
        raise InputError("removal", expected, shown(removal))
    return removal


def check_read(model: Model, inputs: TokenInputs, removal: Removal, chosen: Bool[np.ndarray, "example token"]) -> None:
    """Refuse to take away the token that the head reads.

    Raises:
        InputError: it is among the positions that take part.
    """
    # A head that reads no single token loses none of its own inputs.
    if not removal.takes_away or model.reads_at is None:
        return
    # From -1, the last token, to its position in each example.
    places = model.reads_at % inputs.lengths
    if chosen[np.arange(len(inputs)), places].any():
        which = {0: "first", -1: "last"}.get(model.reads_at, f"{model.reads_at}.")
        does = "hides" if removal.name == "drop" else "takes out"
        expected = (
            f'leave out the {which} token, which the classifier reads, where `removal="{removal.name}"` {does} tokens'
        )
        raise InputError("positions", expected, "positions that hold it", 'pass `removal="blank"`, or others')
