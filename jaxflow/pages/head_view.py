"""bertviz's `head_view` arguments: attention in hand as bertviz's users pass it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from jaxflow._checks import InputError, shown
from jaxflow._typing import ArrayLike
from jaxflow._untyped import JsonObject
from jaxflow.graph.encoder_decoder import SIDES, is_encoder_decoder, moving
from jaxflow.models.given_tokens import encoding_of, spelling_of
from jaxflow.models.in_hand import AttentionInHand, attention_in_hand
from jaxflow.models.in_hand_pairs import encoder_decoder_in_hand, refuse_starts, refuse_targets
from jaxflow.models.two_streams import first_target, with_targets


@dataclass(frozen=True, eq=False)
class HeadView:
    """The arguments of bertviz's `head_view` beside its attention and tokens, of one example, counted from 0 as there.

    Attributes:
        attention: instead of `attentions`.
        sentence_b_start: position of the second sentence's first token.
        layer: that the page begins with.
        heads: that the page begins with; of several their mean.
        include_layers: layers that the page draws arcs of at first, from the least to the largest; relevance goes
            through all layers, whatever is drawn.
        encoder_attention: of an encoder-decoder, of its encoder.
        decoder_attention: of its decoder, to itself.
        cross_attention: of its decoder, to its encoder.
        encoder_tokens: that the encoder read.
        decoder_tokens: that the decoder read.
        prettify_tokens: taken and passed over: the page shows texts as they were written.
        html_action: taken and passed over: what is returned shows itself in a notebook.
    """

    attention: Any = None
    sentence_b_start: int | None = None
    layer: int | None = None
    heads: Any = None
    include_layers: Sequence[int] | None = None
    encoder_attention: Any = None
    decoder_attention: Any = None
    cross_attention: Any = None
    encoder_tokens: Any = None
    decoder_tokens: Any = None
    prettify_tokens: bool = True
    html_action: str = "view"

    @classmethod
    def names(cls) -> set[str]:
        """Of all arguments."""
        return {each.name for each in fields(cls)}

    def model(
        self,
        attentions: Any,
        tokens: Any,
        target_tokens: Any = None,
        target_mask: ArrayLike | None = None,
        **options: Any,
    ) -> AttentionInHand:
        """The attention as a model of one sequence; arguments as of `explore_attention`.

        Raises:
            InputError: nothing was passed, too much, or too little.
        """
        given = self.attention if attentions is None else attentions
        targets = self.decoder_tokens if target_tokens is None else target_tokens
        sides = ("encoder_attention", "decoder_attention", "cross_attention")
        if given is None and any(getattr(self, side) is not None for side in sides):
            return self._sides(targets, target_mask, options)
        whole = is_encoder_decoder(given)
        sources = self.encoder_tokens if whole and tokens is None else tokens
        for argument, value in (("attentions", given), ("tokens", sources)):
            if value is None:
                way_out = "pass outputs.attentions, and tokenizer.convert_ids_to_tokens of the ids"
                raise InputError(argument, "be passed", "None", way_out)
        # What belongs to the two sides of an encoder-decoder alone.
        for argument in sides if whole else (*sides, "encoder_tokens", "decoder_tokens"):
            if getattr(self, argument) is not None:
                beside = "an encoder-decoder's whole output" if whole else "the attention of one sequence"
                raise InputError(argument, f"be left out beside {beside}", None, "pass one of the two")
        if whole:
            return _of_both(given, sources, targets, target_mask, options)
        refuse_targets(target_tokens, target_mask)
        made = attention_in_hand(given, sources, **options)
        return made if self.sentence_b_start is None else _with_second(made, self.sentence_b_start)

    def first(self, model: AttentionInHand) -> JsonObject:
        """What the page begins with, as its state has it: layers and heads counted from 1.

        Raises:
            InputError: there is no such layer or head.
        """
        if isinstance(self.heads, str):
            # Questions had heads once, and mixings have them.
            way_out = f"for how heads are put together pass `mixing=jaxflow.mixing.Attention(heads={self.heads!r})`"
            raise InputError("heads", "be the numbers of heads that the page begins with", shown(self.heads), way_out)
        layer = model.layers if self.layer is None else 1 + _within("layer", self.layer, model.layers)
        heads = [self.heads] if np.ndim(self.heads or 0) == 0 else list(self.heads)
        chosen = [1 + _within("heads", each, model.heads) for each in heads if each is not None]
        first: JsonObject = {} if self.layer is None else {"layer": layer}
        if len(chosen) == 1:
            first["head"] = chosen[0]
        elif chosen:
            first["heads"] = "_".join(f"{layer}.{head}" for head in chosen)
        if self.include_layers is not None:
            drawn = [1 + _within("include_layers", each, model.layers) for each in self.include_layers]
            first |= {"from": min(drawn), "to": max(drawn)}
        return first

    def _sides(self, targets: Any, target_mask: ArrayLike | None, options: Mapping[str, Any]) -> AttentionInHand:
        encoder, decoder, cross = self.encoder_attention, self.decoder_attention, self.cross_attention
        if cross is None and (encoder is None or decoder is None):
            # One side alone is a sequence of its own.
            if encoder is not None:
                return attention_in_hand(encoder, self.encoder_tokens, **options)
            return attention_in_hand(decoder, targets, **{**options, "causal": True})
        if encoder is None or decoder is None or cross is None:
            missing = ("encoder_attention", "decoder_attention", "cross_attention")
            lacking = next(name for name in missing if getattr(self, name) is None)
            raise InputError(lacking, "be passed with the other two, which it stands between", "None")
        for argument, tokens in (("encoder_tokens", self.encoder_tokens), ("decoder_tokens", targets)):
            if tokens is None:
                raise InputError(argument, "hold the tokens of that side", "None")
        outputs = dict(zip(SIDES, (encoder, decoder, cross), strict=True))
        return _of_both(outputs, self.encoder_tokens, targets, target_mask, options)


def _of_both(
    outputs: Any, sources: Any, targets: Any, target_mask: ArrayLike | None, options: Mapping[str, Any]
) -> AttentionInHand:
    """An encoder-decoder's attention as one sequence's; whether it is causal is known."""
    refuse_starts(options.get("answer_starts"))
    options = {name: value for name, value in options.items() if name not in ("causal", "answer_starts")}
    return as_one_sequence(encoder_decoder_in_hand(outputs, sources, targets, target_mask=target_mask, **options))


def as_one_sequence(model: AttentionInHand) -> AttentionInHand:
    """An encoder-decoder's attention in hand as one sequence's, for views that know of no other.

    A position that a layer does not move attends to itself there: its stream passes whole, as in the graph of an
    encoder-decoder, so rollout and flow are the same. The last target is the position that predicts.
    """
    below, attentions = model.encoder_layers, []
    for encoding, heads in zip(model.encodings, model.attentions, strict=True):
        targets = np.arange(len(encoding)) >= (first_target(model, encoding) or 0)
        moves = moving(targets, below, (model.layers - below) // 2)
        # layer token -> layer head query key
        own = ~moves[:, None, :, None] & np.eye(len(encoding), dtype=bool)
        attentions.append(np.where(own, np.float32(1), heads))
    layers = f"layers 1 to {below} are the encoder's, then self and cross attention in turn"
    return replace(model, layers_are=layers, attentions=tuple(attentions), encoder_layers=0, reads=-1, kept={})


def _with_second(model: AttentionInHand, start: Any) -> AttentionInHand:
    """Its one text as two, the second from a position on."""
    if len(model.encodings) != 1:
        raise InputError("sentence_b_start", "come with one example", f"{len(model.encodings)} examples")
    (encoding,) = model.encodings
    cut = _within("sentence_b_start", start, len(encoding))
    if not cut:
        raise InputError("sentence_b_start", "leave a token in front of it", "0")
    spelling = spelling_of([encoding.tokens])
    parts = [encoding_of(each, None, 0, spelling) for each in (encoding.tokens[:cut], encoding.tokens[cut:])]
    (text, first), (second_text, second) = parts
    return replace(model, texts=(text,), encodings=(with_targets(first, second, second_text),))


def _within(argument: str, value: object, size: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < size:
        raise InputError(argument, f"be numbers from 0 to {size - 1}, as bertviz counts them", shown(value))
    return int(value)
