"""What is explained of heads over tokens: a token of a masked language model, or a token's class, at one position."""

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxflow._checks import InputError, shown
from jaxflow._typing import Given
from jaxflow._untyped import Tokenizer
from jaxflow.evaluation.inputs import HasTokenizer
from jaxflow.evaluation.target import Explained, GivenClasses, Target
from jaxflow.models import Encoding, Model, TokenBatch

# Heads whose numbers are `row token label`, with names for the labels.
TOKEN_HEADS = ("masked_lm", "token_classification")
# The head whose number of a text is over the tokens that may follow it.
NEXT = "next_token"
PREDICTED = "predicted"
# Classes of each row, and the position of each.
GivenTokens: TypeAlias = tuple[GivenClasses, Int[Any, " row"]]


@dataclass(frozen=True)
class Token:
    """A token's score at a position of each text, or by how much it beats a foil there.

        jf.attribute(model, "the keys [MASK] here", mixing="attention-gradient", target=jf.Token("are", "is"))

    Attributes:
        token: as the tokenizer writes it, or its id; `"predicted"` is the likeliest. Of a head that classifies tokens,
            a class by name or number.
        against: the foil, whose score is taken off; None for none.
        at: the position, 0 for the first token; None is the text's one mask token, and of a decoder, which takes no
            other, its last token: what follows it is explained.
    """

    token: Given[str | int] = PREDICTED
    against: Given[str | int | None] = None
    at: Given[int | None] = None

    def __post_init__(self) -> None:
        for name, value in (("token", self.token), ("against", self.against)):
            number = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not (isinstance(value, str) or number or (value is None and name == "against")):
                raise InputError(name, "be a token's or class's name or number", shown(value))
        if PREDICTED in (self.token, self.against) and self.against is not None:
            raise InputError("target", "be two names or numbers where it is a difference", shown(PREDICTED))
        at = self.at
        if at is not None and (isinstance(at, bool) or not isinstance(at, int | np.integer) or at < 0):
            raise InputError("at", "be a position, 0 or more, or None for the mask token", shown(at))
        if at is not None:
            object.__setattr__(self, "at", int(at))


def written_target(text: str) -> str | tuple[str, ...] | Token:
    """A target as it is written: a name; a difference, with two dashes between; a token, its position behind @.

    A name that is no difference keeps its dashes; that of a class may always be its number.
    """
    named, at = (text, None) if (match := re.fullmatch(r"(.+)@([0-9]{1,9})", text)) is None else match.groups()
    parts = named.split("--")
    parts = parts if len(parts) == 2 and all(parts) else [named]
    if at is not None:
        return Token(*parts, at=int(at))
    return parts[0] if len(parts) == 1 else tuple(parts)


@dataclass(frozen=True)
class ExplainedToken:
    """A token target for programs, as `Explained` for classes of texts.

    Attributes:
        number: the number at the position.
    """

    number: Explained

    def settle(
        self, logits: Float[Array, "row token label"], given: GivenTokens
    ) -> tuple["ExplainedToken", GivenTokens]:
        """The same number with its tokens as these logits have them, whatever the text becomes; and its arrays."""
        classes, at = given
        number, classes = self.number.settle(_at(logits, at), classes)
        return ExplainedToken(number), (classes, at)

    def value(self, logits: Float[Array, "row token label"], given: GivenTokens) -> Float[Array, " row"]:
        """The explained number of each row."""
        classes, at = given
        return self.number.value(_at(logits, at), classes)


def explained_token(model: Model, target: Token, batch: TokenBatch) -> tuple[ExplainedToken, GivenTokens]:
    """A token target for programs, and its arrays for a batch.

    Raises:
        InputError: the model has no such token.
    """
    rows = batch.mask.shape[0]
    token, against = (
        None if each in (None, PREDICTED) else np.full(rows, token_id(model, each), np.int32)
        for each in (target.token, target.against)
    )
    number = Explained("identity", token is None, None if against is None else "given")
    if target.at is not None:
        at = np.full(rows, target.at, np.int32)
    else:
        # Rows that only fill the batch up have none: the first position, which they have.
        at = np.argmax(np.asarray(batch.input_ids) == _mask_id(model), axis=-1).astype(np.int32)
    return ExplainedToken(number), ((token, against), at)


def next_token_target(model: Model, asked: str | int | tuple[str | int, str | int] | Token | None) -> Target:
    """What a decoder's head says of the next token: a token's logit, or by how much it beats a foil.

    Args:
        model: whose head is over the tokens that follow.
        asked: a question's target.

    Raises:
        InputError: the model has no such token, or the target stands elsewhere.
    """
    if isinstance(asked, Token):
        if asked.at is not None:
            got, way_out = f"at {asked.at}", "leave `at` out, and end the text where the token is predicted"
            raise InputError("target", "be what follows a decoder's text", got, way_out)
        named = (asked.token, asked.against)
    else:
        named = asked if isinstance(asked, tuple) else (PREDICTED if asked is None else asked, None)
    token, against = (each if each in (None, PREDICTED) else token_id(model, each) for each in named)
    if against is not None and against == token:
        raise InputError("target", "be a difference of two", f"{shown(named[0])} less {shown(named[1])}")
    return Target(token, "logit", against)


def check_place(model: Model, target: Token, encoding: Encoding, place: str) -> None:
    """Refuse a text that does not have the position of a token target.

    Raises:
        InputError: naming the text by its place.
    """
    if target.at is not None:
        if target.at >= len(encoding):
            expected = f"stand at a position of the text, from 0 to {len(encoding) - 1}"
            raise InputError("target", expected, str(target.at), place=place)
        return
    count = int(np.sum(np.asarray(encoding.input_ids) == _mask_id(model)))
    if count != 1:
        expected, got = "stand at the text's one mask token", f"a text with {count}"
        if model.head.name != "masked_lm" and not count:
            # Texts of heads that classify tokens have none.
            expected, got = f"say which token is explained where the head is {model.head.name}", "no position"
        raise InputError("target", expected, got, _with_a_place(target, encoding), place=place)


def _with_a_place(target: Token, encoding: Encoding) -> str:
    """How a target is passed that stands at a token of a text."""
    # The first token that is none of the tokenizer's own.
    at = next((place for place, special in enumerate(encoding.special) if not special), 0)
    named = [each for each in (target.token, target.against) if each is not None]
    given, written = ", ".join(map(repr, named)), "--".join(map(str, named))
    return f"say where, as in jaxflow.Token({given}, at={at}), or {written}@{at} on the command line"


def token_id(model: Model, token: Given[str | int]) -> int:
    """The number of a token, or of a class of tokens, among the head's.

    Raises:
        InputError: there is none.
    """
    if model.head.name == "masked_lm" and isinstance(model, HasTokenizer):
        index, outputs = _vocabulary_id(model.tokenizer, token), model.vocabulary
    else:
        index, outputs = model.head.index_of("target", token), model.head.outputs
        index = int(index) if isinstance(index, str) and index.isdecimal() else index
        if isinstance(index, str) and model.head.name == NEXT and isinstance(model, HasTokenizer):
            # A word that is written otherwise in the vocabulary.
            index = _vocabulary_id(model.tokenizer, token)
    if isinstance(index, str) or not 0 <= index < outputs:
        raise InputError("target", f"be 'predicted', a number below {outputs}, or a name of these", shown(token))
    return int(index)


def _vocabulary_id(tokenizer: Tokenizer, token: Given[str | int]) -> int:
    """The id of a token, as it is written in the vocabulary or as a word of one piece."""
    if not isinstance(token, str):
        return int(token)
    known = tokenizer.get_vocab().get(token)
    # A word whose one piece is written otherwise, as byte-level vocabularies do with blanks.
    pieces = [known] if known is not None else tokenizer.encode(token, add_special_tokens=False)
    unknown = known is None and pieces == [tokenizer.unk_token_id]
    if len(pieces) != 1 or unknown:
        got = f"{shown(token)}, which is {'none' if unknown else f'{len(pieces)} of them'}"
        raise InputError("target", "be one token of the model's vocabulary", got, "pass one token, or its id")
    return int(pieces[0])


def _mask_id(model: Model) -> int | None:
    return model.tokenizer.mask_token_id if isinstance(model, HasTokenizer) else None


def _at(logits: Float[Array, "row token label"], at: Int[Array, " row"]) -> Float[Array, "row label"]:
    return jnp.take_along_axis(logits, at[:, None, None], axis=1)[:, 0]
