"""A decoder's text: a prompt, and the answer that follows it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple, Protocol, runtime_checkable

from jaxflow._checks import InputError, arguments_named, shown
from jaxflow._typing import Inputs
from jaxflow._untyped import Tokenizer
from jaxflow.models.config import UNLIMITED, HeadConfig
from jaxflow.models.tokens import SHORTEN, Encoding, TakesTokens, tokenize

# The fields of an encoding with one entry a token.
TOKENS = ("input_ids", "segments", "tokens", "offsets", "source", "special")


class Continuation(NamedTuple):
    """What a model wrote.

    Attributes:
        ids: the likeliest tokens, one after the other.
        end: the token that ended them, which is none of them; None where their number did.
    """

    ids: tuple[int, ...]
    end: int | None


@runtime_checkable
class Generates(Protocol):
    """A model that continues prompts."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer, of transformers."""
        ...

    def generate(self, encodings: Sequence[Encoding], tokens: int) -> list[tuple[int, ...]]:
        """The likeliest next tokens of each prompt, one after the other, up to the token that ends a text.

        Args:
            encodings: of the prompts.
            tokens: most tokens of an answer.

        Returns:
            Their ids, without the token that ends the text; none where it came at once.
        """
        ...


def continues(head: HeadConfig, *, causal: bool) -> bool:
    """Whether a second text follows the first one as its answer, as in a decoder without another head."""
    return causal and head.name in ("next_token", "bare")


def tokenize_answers(
    tokenizer: Tokenizer, prompts: Inputs, answers: Inputs, limit: int, truncate: bool, config: TakesTokens
) -> list[Encoding]:
    """Each prompt's tokens, then those of its answer, each as the tokenizer cuts it alone.

    The prompt has the special tokens that it has alone; the answer has none.

    Args:
        tokenizer: of transformers.
        prompts: the texts.
        answers: one for each.
        limit: most tokens of both.
        truncate: cut longer prompts, at their beginning, and answers that leave no token of the prompt, at their end.
        config: what tokens must fit.

    Raises:
        InputError: as `tokenize` does.
    """
    # Longer prompts are cut below, where both lengths are known.
    most = UNLIMITED if truncate else limit
    firsts = tokenize(tokenizer, prompts, None, most, truncate, config)
    bare = partial(tokenizer, add_special_tokens=False)
    # The answers are texts to the tokenizer, and `pairs` to the user.
    with arguments_named(texts="pairs"):
        seconds = tokenize(bare, answers, None, most, truncate, config)
    if len(firsts) != len(seconds):
        raise InputError("pairs", f"have one text for each of the {len(firsts)} `texts`", str(len(seconds)))
    both = [with_answer(*each) for each in zip(firsts, seconds, strict=True)]
    return [_fitted(encoding, index, limit, truncate) for index, encoding in enumerate(both)]


def with_answer(prompt: Encoding, answer: Encoding) -> Encoding:
    """A prompt's tokens, and behind them those of an answer, as tokens of the pair."""
    marked = replace(answer, source=(1,) * len(answer), segments=(0,) * len(answer))
    return Encoding(**{name: getattr(prompt, name) + getattr(marked, name) for name in TOKENS})


def answer_of(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, Encoding]:
    """A generated answer's text, and its encoding; the token that ends a text stands for an answer of none."""
    ids = tuple(map(int, ids)) or (int(tokenizer.eos_token_id),)

    def decoded(count: int) -> str:
        return tokenizer.decode(list(ids[:count]), skip_special_tokens=False, clean_up_tokenization_spaces=False)

    text = decoded(len(ids))
    # A token's characters end where the text of the tokens up to it stops agreeing with the whole: a token that holds
    # a part of a character covers none of it until the last part has come.
    ends = [_common(decoded(count), text) for count in range(len(ids) + 1)]
    ends = [max(ends[: place + 1]) for place in range(len(ends))]
    count = len(ids)
    encoding = Encoding(
        input_ids=ids,
        segments=(0,) * count,
        tokens=tuple(map(str, tokenizer.convert_ids_to_tokens(list(ids)))),
        offsets=tuple(pairwise(ends)),
        source=(1,) * count,
        special=(False,) * count,
    )
    return text, encoding


def part_of(encoding: Encoding, places: Sequence[int]) -> Encoding:
    """The tokens of an encoding at some places."""
    return replace(encoding, **{name: tuple(getattr(encoding, name)[place] for place in places) for name in TOKENS})


def _fitted(encoding: Encoding, index: int, limit: int, truncate: bool) -> Encoding:
    """An encoding of at most so many tokens."""
    size = len(encoding)
    if size <= limit:
        return encoding
    if not truncate:
        raise InputError(f"texts[{index}]", f"have at most {limit} tokens with its answer", str(size), SHORTEN)
    # Special tokens in front stay, then goes the prompt's beginning, all but its last token, and the answer's end.
    front = next(place for place in range(size) if not encoding.special[place])
    prompt = encoding.source.index(1)
    if front + 2 > limit:
        raise InputError("max_length", f"be at least {front + 2}", shown(limit))
    first = min(front + size - limit, prompt - 1)
    return part_of(encoding, [*range(front), *range(first, size)][:limit])


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))
