"""Attention in hand as a model: texts whose attention was computed elsewhere, in any framework."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from jaxflow._checks import InputError, arguments_named, as_flag, index_words, shown
from jaxflow._typing import ArrayLike, Attentions, Given, Pairs, Tokens
from jaxflow.graph.arrays import read_array, read_layers
from jaxflow.graph.attention import as_attention
from jaxflow.models.answers import with_answer
from jaxflow.models.batch import TokenBatch
from jaxflow.models.config import HeadConfig
from jaxflow.models.fingerprint import array_fingerprint, text_fingerprint
from jaxflow.models.given_tokens import Spelling, as_mask, as_tokens, encoding_of, real_tokens, spelling_of
from jaxflow.models.model import ModelDefaults
from jaxflow.models.prediction import Prediction
from jaxflow.models.recording import Number, Recording, cotangent, no_rows, recording, room_for
from jaxflow.models.tokens import Encoding, pad
from jaxflow.models.two_streams import moves_of

# Of one example; examples differ in their number of tokens.
Heads = Float[np.ndarray, "layer head _ _"]
# A weight above the diagonal of a causal mask is 0, but for rounding.
AHEAD = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class AttentionInHand(ModelDefaults):
    """Texts with their attention, which `attribute`, `explore` and all else take as they take a model.

    Attributes:
        name: on pages.
        texts: one an example.
        encodings: of the same texts; a token's id is the number of its example.
        attentions: of the same texts.
        predictions: of the same texts; None where nothing is known.
        gradients: derivative of an explained number in the attention of the same texts; None where it is not known.
        looks_back: whether positions attend only to themselves and to those before.
        encoder_layers: how many layers are an encoder's below a decoder; 0 for one sequence.
        reads: position that the model's head reads; None where it is not known.
        layers_are: what its layers are, for pages; empty where nothing need be said.
        kept: programs.
    """

    name: str
    texts: tuple[str, ...]
    encodings: tuple[Encoding, ...]
    attentions: tuple[Heads, ...]
    predictions: tuple[Prediction | None, ...]
    gradients: tuple[Heads, ...] | None = None
    looks_back: bool = False
    encoder_layers: int = 0
    reads: int | None = None
    layers_are: str = ""
    kept: dict[object, object] = field(default_factory=dict, repr=False)

    @property
    def module(self) -> Recording:
        """It has no parameters."""
        return no_rows(*self.attentions[0].shape[:2])

    @property
    def head(self) -> HeadConfig:
        """Where there are gradients, one class: the number that was explained."""
        if self.gradients is None:
            return HeadConfig()
        return HeadConfig("sequence_classification", outputs=1, labels=("explained",))

    @property
    def causal(self) -> bool:
        """Whether positions attend only to themselves and to those before."""
        return self.looks_back

    @property
    def reads_at(self) -> int | None:
        """Position that the model's head reads; None where it is not known."""
        return self.reads

    @property
    def gives(self) -> frozenset[str]:
        """Attention, and gradients where they were given."""
        return frozenset({"attention"} if self.gradients is None else {"attention", "gradients"})

    @property
    def has_answers(self) -> bool:
        """Whether each text is a prompt with its answer."""
        return self.looks_back and all(1 in encoding.source for encoding in self.encodings)

    @property
    def max_length(self) -> int:
        """Tokens of the longest text."""
        return max(map(len, self.encodings))

    def tokenize(
        self, texts: Sequence[str], pairs: Pairs = None, *, max_length: int | None = None, truncate: Given[bool] = False
    ) -> list[Encoding]:
        """The tokens of its own texts."""
        if pairs is not None:
            way_out = "of a prompt with its answer, pass the tokens of both, and where it begins as `answer_starts`"
            raise InputError("pairs", "be left out where attention is in hand", None, way_out)
        if max_length is not None or truncate:
            raise InputError("texts", "be those whose attention is in hand, uncut", None, "cut the attention first")
        if tuple(texts) != self.texts:
            raise InputError("texts", "be those whose attention is in hand", f"{len(texts)} others")
        return list(self.encodings)

    def pad(self, encodings: Sequence[Encoding], length: int | None = None) -> TokenBatch:
        """A batch whose ids are the numbers of examples."""
        return pad(encodings, 0, length)

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the attention and of the tokens."""
        tokens = text_fingerprint("\n".join(" ".join(encoding.tokens) for encoding in self.encodings))
        return {"weights": array_fingerprint((self.attentions, self.gradients)), "tokenizer": tokens}

    def speaks(self, encodings: Sequence[Encoding]) -> list[bool]:
        """Whether the prediction of each text was given."""
        return [self.predictions[encoding.input_ids[0]] is not None for encoding in encodings]

    def predict(self, logits: ArrayLike, encodings: Sequence[Encoding] | None = None) -> list[Prediction]:
        """The predictions as they were given."""
        assert encodings is not None
        known = [self.predictions[encoding.input_ids[0]] for encoding in encodings]
        return [Prediction("", {}) if each is None else each for each in known]

    def record(self, batch: TokenBatch, numbers: Sequence[Number], needs: frozenset[str]) -> Recording:
        """The attention of a batch's texts, padded on the right."""
        ids, lengths = np.asarray(batch.input_ids), np.asarray(batch.mask).sum(axis=-1)
        # Rows that fill the batch up are the first token of a text.
        owners, tokens = ids[:, 0], ids.shape[1]
        scores = np.zeros((len(owners), 1), np.float32)
        attention = _padded([self.attentions[owner] for owner in owners], lengths, tokens)
        moves = moves_of(self, batch, self.layers)
        if not numbers or self.gradients is None:
            return recording(attention, None, scores, moves=moves)
        gradient = _padded([self.gradients[owner] for owner in owners], lengths, tokens)
        cotangents = [cotangent(number, scores) for number in numbers]
        return recording(attention, None, scores, cotangents, [gradient] * len(numbers), moves=moves)


# Of all examples, or of each.
Starts: TypeAlias = int | Sequence[int] | np.ndarray | None
# A label of each example (of one alone where it is single), or probabilities by label.
GivenPredictions: TypeAlias = Given[str | Mapping[str, float] | Sequence[str | Mapping[str, float] | None] | None]


def attention_in_hand(
    attentions: Any,
    tokens: Tokens,
    *,
    mask: ArrayLike | None = None,
    texts: Pairs = None,
    predictions: GivenPredictions = None,
    gradients: Attentions | None = None,
    causal: Given[bool | None] = None,
    answer_starts: Given[Starts] = None,
    name: str = "attention in hand",
) -> AttentionInHand:
    """Take in attention with its tokens, checked, padding cut away; arguments as of `attribute_attention`."""
    causal = _is_causal(causal, answer_starts)
    array = read_layers(attentions)
    # A single example is a batch of one.
    single = array.ndim == 4
    given = array[None] if single else array
    if given.ndim not in (4, 5):
        expected = "have shape (batch, layer, head, query, key), or a tuple of (batch, head, query, key) a layer"
        raise InputError("attentions", expected, str(array.shape))
    listed = as_tokens(tokens, len(given), single)
    known = as_mask(mask, listed, given)
    # Checked as for a graph, for the error that says what is wrong with it.
    checked, real = as_attention(given, normalize=False, mask=known)
    real, weights = np.asarray(real), np.asarray(checked)
    listed = [real_tokens(row, real[index], index) for index, row in enumerate(listed)]
    if causal:
        _warn_of_looking_ahead(weights, real)
    written, starts = as_texts(texts, len(listed)), _as_starts(answer_starts, real)
    parts, spelling = zip(listed, written, starts, strict=True), spelling_of(listed)
    encoded = [_encoded(row, text, start, index, spelling) for index, (row, text, start) in enumerate(parts)]
    return AttentionInHand(
        name=name,
        texts=tuple(text for text, _ in encoded),
        encodings=tuple(encoding for _, encoding in encoded),
        attentions=_cut(weights, real),
        predictions=as_predictions(predictions, len(listed)),
        gradients=None if gradients is None else _cut(_as_gradients(gradients, weights.shape, single), real),
        looks_back=causal,
    )


def _is_causal(causal: Given[bool | None], answer_starts: Given[Starts]) -> bool:
    """Whether it is a decoder's: an answer's tokens see the prompt's and not the other way round."""
    told = answer_starts is not None if causal is None else as_flag("causal", causal)
    if answer_starts is not None and not told:
        raise InputError("causal", "be True, or left out, beside `answer_starts`", "False")
    return told


def _as_starts(starts: Given[Starts], mask: Bool[np.ndarray, "example token"]) -> list[int | None]:
    """How many real tokens stand before each example's answer; None where there are no answers."""
    if starts is None:
        return [None] * len(mask)
    try:
        given = np.asarray(read_array("answer_starts", starts))
    except InputError:
        # Lists of unequal lengths, words and the like are refused with what else is no position.
        given = np.array(None)
    if given.ndim > 1 or given.dtype.kind not in "iu" or (given.ndim == 1 and len(given) != len(mask)):
        expected = f"be a position, or one for each of {len(mask)} examples"
        raise InputError("answer_starts", expected, shown(starts), "pass the length of the padded prompts, say")
    counts = []
    for index, start in enumerate(np.broadcast_to(given, len(mask))):
        before = int(mask[index, : max(start, 0)].sum())
        if not 0 < before < mask[index].sum():
            name = "answer_starts" if given.ndim == 0 else f"answer_starts[{index}]"
            expected = "leave a real token on either side of it, padding counted as `attentions` has it"
            raise InputError(name, expected, str(start), place=f"text {index}")
        counts.append(before)
    return counts


def _encoded(
    tokens: list[str], text: str | None, start: int | None, index: int, spelling: Spelling
) -> tuple[str, Encoding]:
    """An example's text and encoding; from `start` on its tokens are an answer's."""
    if start is None:
        return encoding_of(tokens, text, index, spelling)
    prompt_text, prompt = encoding_of(tokens[:start], text, index, spelling)
    answer_text, answer = encoding_of(tokens[start:], None, index, spelling)
    return prompt_text, replace(with_answer(prompt, answer), written=answer_text)


def looks_like_a_decoder(model: AttentionInHand) -> bool:
    """Whether no position attends to a later one, and some to earlier ones, though nobody said it was a decoder's."""
    if model.looks_back or model.encoder_layers or model.reads is not None:
        return False
    reach = [attention.max(axis=(0, 1)) for attention in model.attentions]
    ahead, back = (any((part(each, k) > AHEAD).any() for each in reach) for part, k in ((np.triu, 1), (np.tril, -1)))
    return back and not ahead


def _padded(
    parts: Sequence[Heads], lengths: np.ndarray, tokens: int
) -> Float[np.ndarray, "row layer head token token"]:
    room = room_for(len(parts), *parts[0].shape[:2], tokens, tokens)
    for row, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        room[row, :, :, :length, :length] = part[:, :, :length, :length]
    return room


def _cut(arrays: np.ndarray, mask: Bool[np.ndarray, "example token"]) -> tuple[Heads, ...]:
    """Each example's real tokens alone, wherever its padding stood."""
    return tuple(array[:, :, row][..., row].astype(np.float32) for array, row in zip(arrays, mask, strict=True))


def as_texts(texts: Pairs, examples: int) -> list[str | None]:
    """Take in the text of each example, or None for each."""
    if texts is None:
        return [None] * examples
    given: list[Any] = [texts] if isinstance(texts, str) else list(texts)
    if len(given) != examples or not all(isinstance(text, str) for text in given):
        raise InputError("texts", f"be a text for each of {examples} examples", shown(texts))
    return given


def as_predictions(predictions: GivenPredictions, examples: int) -> tuple[Prediction | None, ...]:
    """Labels, or probabilities by label, of each example."""
    if predictions is None:
        return (None,) * examples
    given = [predictions] if isinstance(predictions, str | Mapping) else list(predictions)
    if len(given) != examples:
        raise InputError("predictions", f"have an entry for each of {examples} examples", f"{len(given)}")
    return tuple(_as_prediction(each, index) for index, each in enumerate(given))


def _as_prediction(given: object, index: int) -> Prediction | None:
    if given is None or isinstance(given, Prediction):
        return given
    if isinstance(given, str):
        return Prediction(given, {})
    if isinstance(given, Mapping) and given:
        scores = {str(label): float(chance) for label, chance in given.items()}
        return Prediction(max(scores, key=lambda label: scores[label]), scores)
    raise InputError(f"predictions[{index}]", "be a label, or probabilities by label", shown(given))


def read_gradients(gradients: Any) -> np.ndarray:
    """The derivative of a number in the attention of every layer, as one array.

    Raises:
        InputError: a layer has none, or it is no array.
    """
    none = isinstance(gradients, list | tuple) and (not gradients or any(each is None for each in gradients))
    if gradients is None or none:
        expected = "hold the derivatives in the attention of every layer"
        way_out = "pass torch.autograd.grad(number, outputs.attentions) of a number that was computed from these"
        raise InputError("gradients", expected, shown(gradients), way_out)
    with arguments_named(attentions="gradients"):
        return np.asarray(read_layers(gradients), np.float32)


def _as_gradients(gradients: Attentions, shape: tuple[int, ...], single: bool) -> np.ndarray:
    array = read_gradients(gradients)
    array = array[None] if single and array.ndim == 4 else array
    if array.shape != shape:
        raise InputError("gradients", f"have attention's shape {shape}", str(array.shape))
    return array


def _warn_of_looking_ahead(attention: np.ndarray, mask: Bool[np.ndarray, "example token"]) -> None:
    pairs = mask[:, :, None] & mask[:, None, :]
    ahead = np.triu(np.ones(attention.shape[-2:], bool), 1) & pairs[:, None, None]
    wrong = (attention > AHEAD) & ahead
    if wrong.any():
        place = index_words(tuple(int(i) for i in np.argwhere(wrong)[0]), ("layer", "head", "query", "key"))
        lost = "was the causal mask lost, or is it padding that `mask` should leave out?"
        message = f"`causal=True`, but attention looks ahead, first at {place}: {lost}"
        warnings.warn(message, stacklevel=4)
