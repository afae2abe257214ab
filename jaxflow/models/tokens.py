"""Text into tokens, and tokens into padded batches."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np

from jaxflow._checks import InputError, first_index, index_words, one_of, refuse_table, shown, shown_text
from jaxflow._typing import Given, Inputs, Pairs
from jaxflow._untyped import Coded, Tokenizer
from jaxflow.models.batch import TokenBatch
from jaxflow.models.checkpoint.as_written import WrittenTokenizer
from jaxflow.models.config import UNLIMITED, EncoderConfig

OWN_TOKENIZER = "use the tokenizer that belongs to these weights"
SHORTEN = "shorten it, or pass `truncate=True` to cut it"
TAKEN = "be a text that the model's tokenizer can cut into tokens"

# Tokenizers take 160 bytes and 2 microseconds a character, and some fail on words of millions. So only the beginning
# of a long text is read: first so many characters for each token that fits, then so many in all.
CHARACTERS_A_TOKEN = 64
CHARACTERS_MOST = 2**20
# Texts that one call of the tokenizer reads together, and the characters of a longer one, which it reads alone: calls
# cost much more than the few tokens of a short text.
TOGETHER, CHARACTERS_TOGETHER = 256, 1024


@dataclass(frozen=True)
class Encoding:
    """One text, or pair of texts, as tokens; no padding. All tuples have one entry a token.

    Attributes:
        input_ids: vocabulary indices.
        segments: token type ids, as the model was trained with.
        tokens: the tokenizer's own pieces.
        offsets: characters (start, end) in the text, or in the pair for the pair's tokens; (-1, -1) for special ones.
        source: 0 for the text's tokens, 1 for the pair's, -1 for special ones.
        special: whether the tokenizer added the token.
        written: the pair's text, where the model wrote it itself or it came with the tokens; else None.
    """

    input_ids: tuple[int, ...]
    segments: tuple[int, ...]
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    source: tuple[int, ...]
    special: tuple[bool, ...]
    written: str | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def listed(self) -> int:
        """How many tokens, the first ones, are among those of results: all, but for an image's registers."""
        return len(self)


@runtime_checkable
class TakesTokens(Protocol):
    """What a tokenizer's tokens must fit; an `EncoderConfig` is one."""

    @property
    def vocabulary(self) -> int:
        """How many tokens the model knows."""
        ...

    @property
    def segments(self) -> int:
        """How many segments (token type ids) it knows; 0 for none."""
        ...


def as_limit(tokenizer: Tokenizer, own: int, max_length: Given[int | None], *, paired: bool) -> int:
    """Most tokens of a text: the model's own limit, or `max_length` where that is less.

    Raises:
        InputError: no text fits into `max_length`.
    """
    if max_length is None:
        return own
    # Room for the special tokens and one of the text's own.
    smallest = tokenizer.num_special_tokens_to_add(pair=paired) + 1
    if isinstance(max_length, bool) or not isinstance(max_length, int) or max_length < smallest:
        raise InputError("max_length", f"be a whole number of at least {smallest}", shown(max_length))
    return min(own, max_length)


def tokenize(
    tokenizer: Tokenizer,
    texts: Inputs,
    pairs: Pairs,
    limit: int,
    truncate: bool,
    config: TakesTokens,
) -> list[Encoding]:
    """Encodings of texts, none longer than `limit`; all token type ids are 0 where the model has one segment or none.

    At most `CHARACTERS_MOST` characters of a text are read; a longer one is cut there if `truncate` is true.

    Raises:
        InputError: a text is empty, has no token, or one that the model does not know, or is too long and `truncate`
            is false; its index is named.
    """
    texts = as_strings("texts", texts)
    if pairs is not None:
        pairs = as_strings("pairs", pairs)
        if len(pairs) != len(texts):
            raise InputError("pairs", f"have one text for each of the {len(texts)} `texts`", str(len(pairs)))
    return [
        _encode(tokenizer, index, texts[index], None if pairs is None else pairs[index], coded, limit, truncate, config)
        for index, coded in enumerate(_read_together(tokenizer, texts, pairs, limit))
    ]


def check_template(tokenizer: Tokenizer, config: EncoderConfig, place: str) -> None:
    """Refuse a tokenizer that adds an unknown token to every text; it need not be in its vocabulary.

    Raises:
        InputError: the token is named.
    """
    try:
        coded = _call(tokenizer, "", None, {})
    except Exception:  # A tokenizer that refuses empty texts is checked by the first text instead.
        return
    unknown = _unknown(coded, config)
    if unknown is not None:
        got = f"a tokenizer that adds {unknown} to every text"
        expected = f"come with a tokenizer for its {config.vocabulary} tokens"
        raise InputError("name_or_path", expected, got, OWN_TOKENIZER, place=place)


def pad(
    encodings: Sequence[Encoding],
    pad_id: int,
    length: int | None = None,
    side: str = "right",
) -> TokenBatch:
    """A batch of encodings, padded to `length` or to the longest one."""
    one_of("side", side, ("right", "left"))
    if not encodings:
        raise InputError("encodings", "hold at least one encoding", "none")
    longest = max(map(len, encodings))
    length = longest if length is None else length
    if length < longest:
        raise InputError("length", f"be at least {longest}, the longest encoding's", str(length))
    shape = (len(encodings), length)
    ids, mask, segments = np.full(shape, pad_id, np.int32), np.zeros(shape, bool), np.zeros(shape, np.int32)
    for row, encoding in enumerate(encodings):
        # Padding fills the other side.
        start = 0 if side == "right" else length - len(encoding)
        here = slice(start, start + len(encoding))
        ids[row, here], mask[row, here], segments[row, here] = encoding.input_ids, True, encoding.segments
    return TokenBatch(jnp.asarray(ids), jnp.asarray(mask), jnp.asarray(segments))


def check_batch(batch: TokenBatch, config: EncoderConfig) -> None:
    """Refuse real tokens without a word embedding, segment or position in the model.

    Raises:
        InputError: the first wrong token's place in the batch is named.
    """
    mask = np.asarray(batch.mask)
    for name, values, rows in (
        ("input_ids", np.asarray(batch.input_ids), config.vocabulary),
        ("segments", np.asarray(batch.segments), config.segments or UNLIMITED),
    ):
        # Padding may hold anything: nothing reads it.
        wrong = mask & ((values < 0) | (values >= rows))
        if wrong.any():
            place = first_index(wrong)
            got = f"{values[place]} at {index_words(place, ('token',))}"
            raise InputError("batch", f"have `{name}` from 0 to {rows - 1}", got, OWN_TOKENIZER)
    longest = int(mask.sum(-1).max(initial=0))
    if config.positions and longest > config.max_length:
        expected = f"have at most {config.max_length} tokens a text"
        raise InputError(
            "batch", expected, f"{longest}", "shorten the text, or pass `truncate=True` when it is tokenised"
        )


def as_strings(name: Literal["texts", "pairs"], value: Any) -> list[str]:
    """Take in texts, checked: none is empty."""
    if isinstance(value, str):
        raise InputError(name, "be a sequence of texts", "one string", "put it in a list")
    refuse_table(name, value)
    try:
        entries = list(value)
    except TypeError:
        raise InputError(name, "be a sequence of texts", type(value).__name__) from None
    for index, text in enumerate(entries):
        if not isinstance(text, str):
            raise InputError(f"{name}[{index}]", "be a text", type(text).__name__, _way_to_text(name, text))
        if not text.strip():
            raise InputError(f"{name}[{index}]", "be a text that is not empty", shown(text), "leave it out")
    return [str(text) for text in entries]


def _way_to_text(name: str, value: Any) -> str | None:
    """How what often stands in the place of a text becomes one."""
    if isinstance(value, bytes):
        return "decode it"
    if isinstance(value, tuple | list) and name == "texts":
        return "pass second texts as `pairs`; of words, join them"
    # Tables hold None or NaN where a text is missing.
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "leave it out" if missing else None


def _read_together(
    tokenizer: Tokenizer, texts: Sequence[str], pairs: Sequence[str] | None, limit: int
) -> Iterator[Coded | None]:
    """Each text's tokens, by one call of the tokenizer for many; None for texts that it must read alone."""
    longest = min(CHARACTERS_TOGETHER, CHARACTERS_A_TOKEN * limit)
    for start in range(0, len(texts), TOGETHER):
        here = range(start, min(start + TOGETHER, len(texts)))
        short = [i for i in here if max(len(text) for text in (texts[i], pairs[i] if pairs else "")) <= longest]
        coded: dict[int, Coded] = {}
        # A call that fails is not told from here: reading the texts alone finds the one to name.
        with suppress(Exception):
            both = [[part[i] for i in short] for part in (texts, pairs) if part is not None]
            coded = dict(zip(short, _call_all(tokenizer, *both), strict=True))
        yield from map(coded.get, here)


def _encode(
    tokenizer: Tokenizer,
    index: int,
    text: str,
    pair: str | None,
    coded: Coded,
    limit: int,
    truncate: bool,
    config: TakesTokens,
) -> Encoding:
    """A text's tokens, checked; `coded` are all of them, where they were read already."""
    entry, parts = f"texts[{index}]", (text, pair)
    try:
        if coded is None:
            coded, parts = _first_tokens(tokenizer, text, pair, limit)
        if len(coded) > limit and truncate:
            # Again, so that the tokenizer itself cuts, and keeps the special tokens.
            coded = _call(tokenizer, *parts, {"truncation": True, "max_length": limit})
    except (UnicodeError, TypeError) as error:
        raise InputError(entry, "be valid Unicode", shown(text[:40]), "leave the text out") from error
    except Exception as error:  # The tokenizers library raises plain `Exception` for every failure.
        got = f"{shown(text[:40])} ({shown_text(str(error))})"
        raise InputError(entry, TAKEN, got, OWN_TOKENIZER) from error
    # Whether the text was read to its end; if not, its tokens are a lower bound.
    whole = parts == (text, pair)
    if len(coded) > limit:
        got = f"{'' if whole else 'at least '}{len(coded)}"
        raise InputError(entry, f"have at most {limit} tokens", got, SHORTEN)
    if not whole and not truncate:
        size = len(text) + len(pair or "")
        raise InputError(entry, f"have at most {CHARACTERS_MOST:,} characters", f"{size:,}", SHORTEN)
    unknown = _unknown(coded, config)
    if unknown is not None:
        expected = f"hold none but the model's {config.vocabulary} tokens"
        raise InputError(entry, expected, unknown, f"leave the text out, or {OWN_TOKENIZER}")
    # Some tokenizers number segments that their models do not have.
    segments = tuple(map(int, coded.type_ids)) if config.segments > 1 else (0,) * len(coded)
    if max(segments) >= config.segments > 1:
        expected = f"have token type ids below {config.segments}"
        raise InputError(entry, expected, str(max(segments)), OWN_TOKENIZER)
    # Special tokens belong to neither text.
    source = tuple(-1 if part is None else int(part) for part in coded.sequence_ids)
    if all(part == -1 for part in source):
        expected = "hold a token that the model's tokenizer knows"
        raise InputError(entry, expected, shown(text[:40]), "leave the text out")
    offsets = ((-1, -1) if part == -1 else span for part, span in zip(source, coded.offsets, strict=True))
    return Encoding(
        input_ids=tuple(map(int, coded.ids)),
        segments=segments,
        tokens=tuple(map(str, coded.tokens)),
        offsets=tuple((int(start), int(end)) for start, end in offsets),
        source=source,
        special=tuple(part == -1 for part in source),
    )


def _first_tokens(
    tokenizer: Tokenizer, text: str, pair: str | None, limit: int
) -> tuple[Coded, tuple[str, str | None]]:
    """All tokens of a text and its pair, or more than fit; and the parts of the text and the pair that were read."""
    few = CHARACTERS_A_TOKEN * limit
    for most in (few, max(few, CHARACTERS_MOST)):
        parts = _beginning(text, most), None if pair is None else _beginning(pair, most)
        coded = _call(tokenizer, *parts, {})
        # If each part that was cut has as many tokens as fit, the kept ones do not depend on the cut. If both were cut
        # and an odd number fits, the part that was longer as read keeps one more.
        sizes = Counter(coded.sequence_ids)
        if all(
            sizes[i] >= limit or part == full for i, (part, full) in enumerate(zip(parts, (text, pair), strict=True))
        ):
            break
    return coded, parts


def _beginning(text: str, most: int) -> str:
    """A text's first characters, up to the end of a word if there is one, which tokens do not cross."""
    if len(text) <= most:
        return text
    # In the second half alone: a beginning cut shorter than that might hold too few tokens.
    blank = max(text.rfind(each, most // 2, most) for each in " \n\t")
    return text[: most if blank < 0 or not text[:blank].strip() else blank]


def _call(tokenizer: Tokenizer, text: str, pair: str | None, options: dict[str, Any]) -> Coded:
    (coded,) = _call_all(tokenizer, text, pair, **options)
    return coded


def _call_all(
    tokenizer: Tokenizer, texts: str | list[str], pairs: str | list[str] | None = None, **options: Any
) -> list[Coded]:
    """The tokenizers library's own encodings, with offsets and sources beside the ids; one text alone has one."""
    if isinstance(tokenizer, WrittenTokenizer) and not options:
        coded = tokenizer.encodings(texts, pairs)
    else:
        options |= {"padding": False, "verbose": False, "return_token_type_ids": True}
        coded = tokenizer(texts, pairs, **options).encodings
    for one in coded:
        if len(one.ids) != len(one.tokens):
            raise ValueError(f"it gives {len(one.ids)} ids for {len(one.tokens)} tokens")
    return coded


def _unknown(coded: Coded, config: TakesTokens) -> str | None:
    """The first token without a row of the word embeddings, in words."""
    ids = coded.ids
    if max(ids, default=0) < config.vocabulary:
        return None
    # The first one is named.
    place = next(place for place, number in enumerate(ids) if number >= config.vocabulary)
    return f"{shown(coded.tokens[place])} with the id {ids[place]}"
