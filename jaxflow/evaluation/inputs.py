"""Inputs of the measures: token ids in padded rows, and the positions that take part."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow._checks import InputError, as_flag, first_index, not_forked, one_of, shown
from jaxflow._typing import ArrayLike, Given
from jaxflow._untyped import Tokenizer
from jaxflow.models import Encoding, Model, TokenBatch, as_model
from jaxflow.models.config import UNLIMITED
from jaxflow.models.images import check_reads_texts

POSITIONS = ("tokens", "words", "all_but_last")


@runtime_checkable
class HasTokenizer(Protocol):
    """A model with a vocabulary and a tokenizer, in which blanks and special tokens have names."""

    @property
    def vocabulary(self) -> int:
        """How many tokens it knows."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """A tokenizer as Hugging Face's are, or None."""
        ...


@dataclass(frozen=True, eq=False)
class TokenInputs:
    """Token sequences, padded on the right.

    Attributes:
        input_ids: vocabulary indices.
        mask: true on real tokens, special tokens included.
        segments: token type ids.
        special: true on special tokens; None where these are not known.
    """

    input_ids: Int[np.ndarray, "example token"]
    mask: Bool[np.ndarray, "example token"]
    segments: Int[np.ndarray, "example token"]
    special: Bool[np.ndarray, "example token"] | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    def encodings(self) -> list[Encoding]:
        """Each example without padding, for the engine, which needs no strings or offsets."""
        special = np.zeros_like(self.mask) if self.special is None else self.special
        rows = zip(
            self.lengths.tolist(), self.input_ids.tolist(), self.segments.tolist(), special.tolist(), strict=True
        )
        return [
            Encoding(
                input_ids=tuple(ids[:length]),
                segments=tuple(segments[:length]),
                tokens=("",) * length,
                offsets=((-1, -1),) * length,
                source=(0,) * length,
                special=tuple(added[:length]),
            )
            for length, ids, segments, added in rows
        ]

    @property
    def lengths(self) -> Int[np.ndarray, " example"]:
        """Real tokens of each example."""
        return self.mask.sum(axis=-1)

    def positions(self, chosen: str | ArrayLike = "tokens") -> Bool[np.ndarray, "example token"]:
        """Which positions take part.

        Args:
            chosen: `"tokens"`, every real token; `"words"`, those that are not special; `"all_but_last"`, every real
                token but the last (as Abnar & Zuidema: `<bos>` too, `<eos>` not); or a mask
                `example token`, true only on real tokens.

        Raises:
            InputError: special tokens are not known, or the mask is of another shape or reaches into padding.
        """
        if isinstance(chosen, str):
            return self._named(chosen)
        mask = np.asarray(chosen)
        if mask.dtype != np.bool_ or mask.shape != self.mask.shape:
            expected = f"be one of {', '.join(map(repr, POSITIONS))} or booleans of shape {self.mask.shape}"
            raise InputError("positions", expected, f"{mask.dtype} of shape {mask.shape}")
        if (mask & ~self.mask).any():
            example, position = first_index(mask & ~self.mask)
            got = f"position {position} of example {example}, which is padding"
            raise InputError("positions", "be real tokens", got)
        return mask

    def _named(self, chosen: str) -> Bool[np.ndarray, "example token"]:
        one_of("positions", chosen, POSITIONS)
        if chosen == "tokens":
            return self.mask
        if chosen == "all_but_last":
            # Padding is on the right, so the last real token stands at its row's length less 1.
            return self.mask & (np.arange(self.mask.shape[1]) < self.lengths[:, None] - 1)
        if self.special is None:
            expected = "be another than 'words' where the special tokens are not known, as with ids alone"
            way_out = "load the model with its tokenizer, or pass `special` to token_inputs"
            raise InputError("positions", expected, shown(chosen), way_out)
        return self.mask & ~self.special


# All that the measures take.
Texts: TypeAlias = Given[TokenInputs | TokenBatch | str | Iterable[Any]]


def token_inputs(
    model: Model,
    texts: Texts,
    pairs: Given[str | Sequence[str] | None] = None,
    *,
    special: Given[Iterable[ArrayLike] | None] = None,
    max_length: int | None = None,
    truncate: Given[bool] = False,
) -> TokenInputs:
    """The measures' inputs, from texts or from tokens.

    Args:
        model: whose tokens these are.
        texts: a sequence of texts, of `Encoding`, or of sequences of token ids; a `TokenBatch` `example token`,
            padded on the right; or a `TokenInputs`.
        pairs: a second text for each text, for models that read two.
        special: booleans, as `texts` are laid out, for ids whose special tokens the tokenizer doesn't tell. Without
            it these are the tokens that the tokenizer added, or, in ids, its [CLS], [SEP], `<bos>` and `<eos>`.
        max_length: most tokens a text may have; the model's limit where that is less.
        truncate: cut longer texts rather than refuse them.

    Raises:
        InputError: there are no texts, or an example is empty, too long, padded elsewhere than on the right, or holds
            ids beyond the vocabulary; it is named.
    """
    not_forked()
    truncate = as_flag("truncate", truncate)
    model = as_model("model", model)
    check_reads_texts(model, "model", "this measure", "images go through `jaxflow.attribute` and sweeps alone")
    if isinstance(texts, TokenInputs):
        return texts
    if isinstance(texts, TokenBatch):
        made = _of_batch(model, texts)
    else:
        listed = [texts] if isinstance(texts, str) else list(texts)
        if not listed:
            raise InputError("texts", "hold at least one text", "none")
        if isinstance(listed[0], str):
            pairs = [pairs] if isinstance(pairs, str) else pairs
            listed = model.tokenize(listed, pairs, max_length=max_length, truncate=truncate)
        # All encodings or all ids: a mixture goes to `_of_ids`, which refuses it.
        encodings = [entry for entry in listed if isinstance(entry, Encoding)]
        made = _of_encodings(encodings) if len(encodings) == len(listed) else _of_ids(model, listed)
    if special is not None:
        made = TokenInputs(made.input_ids, made.mask, made.segments, _as_special(special, made.mask))
    _check(model, made)
    return made


def padded(
    rows: Sequence[ArrayLike],
) -> tuple[Float[np.ndarray, "example *rest token"], Bool[np.ndarray, "example token"]]:
    """Arrays `*rest token` of different lengths as one, 0 on padding, and the mask of their own entries.

    For `result.relevance["flow"]` of one query: `padded([rows[:, 0] for rows in result.relevance["flow"]])`.

    Raises:
        InputError: there is none, or they differ in the other axes.
    """
    arrays = [np.asarray(row) for row in rows]
    shapes = {array.shape[:-1] for array in arrays if array.ndim}
    if len(shapes) != 1 or any(not array.ndim for array in arrays):
        got = f"{len(arrays)} with the other axes {shapes}"
        raise InputError("rows", "be arrays that differ in their last axis alone", got)
    width = max(array.shape[-1] for array in arrays)
    # At least float32: whole numbers become floating-point ones.
    dtype = np.result_type(np.float32, *arrays)
    values = np.zeros((len(arrays), *shapes.pop(), width), dtype)
    mask = np.zeros((len(arrays), width), bool)
    for index, array in enumerate(arrays):
        values[index, ..., : array.shape[-1]] = array
        mask[index, : array.shape[-1]] = True
    return values, mask


def one_array(argument: str, rows: ArrayLike) -> np.ndarray:
    """Rows of texts as one array.

    Raises:
        InputError: they differ in length.
    """
    try:
        return np.asarray(rows)
    except ValueError:
        way_out = "put them together with `jaxflow.evaluation.padded`"
        raise InputError(
            argument, "be one array, padded as the texts are", "rows of different lengths", way_out
        ) from None


def blank_id(model: Model, blank: object = None) -> int:
    """The id of the blank: the one given (an id or a token), else the tokenizer's unknown token, else its mask.

    Raises:
        InputError: there is no such token, or the model reads images.
    """
    check_reads_texts(model, "model", "blanks in the place of tokens", "choose a method that puts none in")
    tokenizer = model.tokenizer if isinstance(model, HasTokenizer) else None
    if blank is None and tokenizer is not None:
        # Either id may be None, and 0 is an id, so `or` would not do.
        blank = next((i for i in (tokenizer.unk_token_id, tokenizer.mask_token_id) if i is not None), None)
    if isinstance(blank, str) and tokenizer is not None:
        # An unknown token stays a string, and is refused below.
        blank = tokenizer.get_vocab().get(blank, blank)
    if isinstance(blank, bool) or not isinstance(blank, int | np.integer):
        raise InputError("blank", f"be a token of {model.name} or its id", shown(blank), "pass the id")
    vocabulary = _vocabulary(model)
    if not 0 <= blank < vocabulary:
        raise InputError("blank", f"be an id below {vocabulary}", str(blank))
    return int(blank)


def _vocabulary(model: Model) -> int:
    """Size of the model's vocabulary; unlimited where the model does not say."""
    return model.vocabulary if isinstance(model, HasTokenizer) else UNLIMITED


def _of_encodings(encodings: list[Encoding]) -> TokenInputs:
    ids, mask = _rows([encoding.input_ids for encoding in encodings])
    segments, _ = _rows([encoding.segments for encoding in encodings])
    special, _ = _rows([encoding.special for encoding in encodings])
    return TokenInputs(ids, mask, segments, special.astype(bool))


def _of_ids(model: Model, sequences: list[Any]) -> TokenInputs:
    try:
        ids, mask = _rows([np.asarray(sequence) for sequence in sequences])
    except (TypeError, ValueError) as error:
        got = type(sequences[0]).__name__
        raise InputError("texts", "be texts, encodings, token ids or a TokenBatch", got) from error
    return TokenInputs(ids, mask, np.zeros_like(ids), _known_special(model, ids, mask))


def _of_batch(model: Model, batch: TokenBatch) -> TokenInputs:
    ids, mask, segments = (np.asarray(part) for part in (batch.input_ids, batch.mask, batch.segments))
    if ids.ndim != 2 or not ids.size:
        raise InputError("texts", "be a TokenBatch of shape (example, token)", str(ids.shape))
    return TokenInputs(ids, mask, segments, _known_special(model, ids, mask))


def _rows(sequences: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(sequence) for sequence in sequences])
    # At least one column, so that rows of no tokens reach the check that names them.
    ids = np.zeros((len(sequences), max(1, int(lengths.max()))), np.int32)
    for row, sequence in enumerate(sequences):
        array = np.asarray(sequence)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iub"):
            raise ValueError
        ids[row, : len(array)] = array
    return ids, np.arange(ids.shape[1]) < lengths[:, None]


def _known_special(model: Model, ids: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    tokenizer = model.tokenizer if isinstance(model, HasTokenizer) else None
    if tokenizer is None:
        return None
    names = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id")
    known = [getattr(tokenizer, name, None) for name in names]
    # Not [MASK] and [UNK], which are special to tokenizers but stand for words of the text.
    return mask & np.isin(ids, [i for i in known if i is not None])


def _as_special(special: Iterable[ArrayLike], mask: np.ndarray) -> np.ndarray:
    """Booleans as one padded array, from a sequence of rows or from an array of the mask's shape."""
    array = np.zeros(mask.shape, bool)
    rows = list(special)
    if len(rows) != len(mask):
        raise InputError("special", f"have one row for each of {len(mask)} examples", str(len(rows)))
    for index, row in enumerate(rows):
        row, length = np.asarray(row), int(mask[index].sum())
        # A row may come with its padding or without.
        if row.dtype != np.bool_ or row.shape not in ((length,), mask.shape[1:]):
            got = f"{row.dtype} of shape {row.shape}"
            raise InputError(f"special[{index}]", f"be {length} booleans", got)
        array[index, :length] = row[:length]
    return array


def _check(model: Model, inputs: TokenInputs) -> None:
    lengths, limit, vocabulary = inputs.lengths, model.max_length, _vocabulary(model)
    if not lengths.all():
        entry = f"texts[{int(lengths.argmin())}]"
        raise InputError(entry, "have at least one token", "none", "leave it out")
    if lengths.max() > limit:
        entry = f"texts[{int(lengths.argmax())}]"
        raise InputError(entry, f"have at most {limit} tokens", str(lengths.max()), "shorten it")
    if not np.array_equal(inputs.mask, np.arange(inputs.mask.shape[1]) < lengths[:, None]):
        expected = "be padded on the right, since classifiers read the first token at position 0"
        raise InputError("texts", expected, "padding elsewhere")
    # The device would give NaN for such an id, which says less than this error.
    wrong = inputs.mask & ((inputs.input_ids < 0) | (inputs.input_ids >= vocabulary))
    if wrong.any():
        example, position = first_index(wrong)
        got = f"{inputs.input_ids[example, position]} at position {position}"
        raise InputError(f"texts[{example}]", f"have ids below {vocabulary}", got)
