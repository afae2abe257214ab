"""An encoder-decoder's attention in hand as a model: sources with their targets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from jaxflow._checks import InputError, arguments_named, shown
from jaxflow._typing import AnyArray, ArrayLike, Attentions, Given, Pairs, Tokens
from jaxflow._untyped import HubOutput
from jaxflow.graph.arrays import read_layers
from jaxflow.graph.encoder_decoder import SIDES, as_attentions, is_encoder_decoder, joined, sides_of
from jaxflow.models.given_tokens import Pieces, as_mask, as_tokens, encoding_of, real_tokens, spelling_of
from jaxflow.models.in_hand import (
    AttentionInHand,
    GivenPredictions,
    Heads,
    Starts,
    as_predictions,
    as_texts,
    read_gradients,
)
from jaxflow.models.two_streams import with_targets

Sources = Bool[np.ndarray, "example source"]
Targets = Bool[np.ndarray, "example target"]


def refuse_targets(target_tokens: Tokens | None, target_mask: ArrayLike | None) -> None:
    """Refuse targets beside the attention of one sequence.

    Raises:
        InputError: it names what was passed.
    """
    for argument, given in (("target_tokens", target_tokens), ("target_mask", target_mask)):
        if given is not None:
            way_out = "pass its output, or a mapping with its three attentions"
            expected = "come with an encoder-decoder's attention"
            raise InputError(argument, expected, "attention of one sequence", way_out)


def refuse_starts(answer_starts: Given[Starts]) -> None:
    """Refuse to be told where an answer begins beside an encoder-decoder's attention.

    Raises:
        InputError: it was passed.
    """
    if answer_starts is not None:
        expected, way_out = "be left out of an encoder-decoder's attention", "its targets are its answer"
        raise InputError("answer_starts", expected, shown(answer_starts), way_out)


def encoder_decoder_in_hand(
    outputs: HubOutput,
    tokens: Tokens,
    target_tokens: Tokens | None,
    *,
    mask: ArrayLike | None = None,
    target_mask: ArrayLike | None = None,
    texts: Pairs = None,
    predictions: GivenPredictions = None,
    gradients: Attentions | None = None,
    name: str,
) -> AttentionInHand:
    """Take in an encoder-decoder's attention with its tokens, checked; arguments as of `attribute_attention`."""
    parts = {}
    for side, attentions in sides_of(outputs).items():
        with arguments_named(attentions=side):
            parts[side] = read_layers(attentions)
    if target_tokens is None:
        expected = "hold the tokens that the decoder read, a list an example"
        way_out = "pass tokenizer.convert_ids_to_tokens of each row of decoder_input_ids, the start token included"
        raise InputError("target_tokens", expected, "None", way_out)
    # A single example is a batch of one.
    single = parts[SIDES[0]].ndim == 4
    encoder, decoder, cross = (part[None] if single else part for part in parts.values())
    listed = as_tokens(tokens, len(encoder), single)
    real = as_mask(mask, listed, encoder)
    with arguments_named(tokens="target_tokens", mask="target_mask"):
        written = as_tokens(target_tokens, len(encoder), single)
        # Decoders start with a token that is often padding's, and it is read like any other.
        targets_real = as_mask(target_mask, [["", *row[1:]] for row in written], decoder)
    with arguments_named(source_mask="mask"):
        *checked, masks = as_attentions(encoder, decoder, cross, real, targets_real)
    sources, targets = (np.asarray(each) for each in masks)
    encodings = _encodings(listed, written, as_texts(texts, len(listed)), sources, targets)
    slopes = None
    if gradients is not None:
        slopes = _cut(
            [_as_slopes(gradients, side, part, single) for side, part in zip(SIDES, checked, strict=True)], masks
        )
    return AttentionInHand(
        name=name,
        texts=tuple(text for text, _ in encodings),
        encodings=tuple(encoding for _, encoding in encodings),
        attentions=_cut([np.asarray(part) for part in checked], masks),
        predictions=as_predictions(predictions, len(listed)),
        gradients=slopes,
        encoder_layers=encoder.shape[1],
    )


def _encodings(
    listed: Sequence[Pieces], written: Sequence[Pieces], texts: Sequence[str | None], sources: Sources, targets: Targets
) -> list[tuple[str, Any]]:
    """Each example's text, and the encoding of its sources and targets."""
    made, spelling, target_spelling = [], spelling_of(listed), spelling_of(written)
    for index, (row, target_row, text) in enumerate(zip(listed, written, texts, strict=True)):
        own, encoding = encoding_of(real_tokens(row, sources[index], index), text, index, spelling)
        with arguments_named(tokens="target_tokens"):
            pieces = real_tokens(target_row, targets[index], index)
            target_text, target = encoding_of(pieces, None, index, target_spelling)
        made.append((own, with_targets(encoding, target, target_text)))
    return made


def _cut(parts: Sequence[np.ndarray], masks: Sequence[AnyArray]) -> tuple[Heads, ...]:
    """Each example's three parts over its real sources and targets alone, as one array."""
    made = []
    for *example, source, target in zip(*parts, *(np.asarray(each) for each in masks), strict=True):
        rows, columns = (source, target, target), (source, target, source)
        made.append(joined(*(p[:, :, row][..., column] for p, row, column in zip(example, rows, columns, strict=True))))
    return tuple(each.astype(np.float32) for each in made)


def _as_slopes(gradients: Attentions, side: str, attention: AnyArray, single: bool) -> np.ndarray:
    """One part of the gradients, of the shape of its attention."""
    if not is_encoder_decoder(gradients):
        expected = f"hold {', '.join(SIDES)}"
        got, way_out = type(gradients).__name__, "pass a mapping that has them by these names"
        raise InputError("gradients", expected, got, way_out)
    slopes = read_gradients(sides_of(gradients)[side])
    slopes = slopes[None] if single else slopes
    if slopes.shape != attention.shape:
        raise InputError("gradients", f"have {side} of shape {attention.shape}", str(slopes.shape))
    return slopes
