"""`attribute_attention`: as `attribute`, for attention that was computed elsewhere."""

import warnings
from collections.abc import Mapping
from typing import Any, Unpack

from jaxflow._checks import InputError
from jaxflow._typing import ArrayLike, Attentions, Given, Pairs, Tokens
from jaxflow.attribution.defaults import default_question
from jaxflow.attribution.question import ANSWER, Asked, GivenQuestion, Question, as_question
from jaxflow.attribution.result import Attribution
from jaxflow.attribution.run import attribute
from jaxflow.graph.encoder_decoder import is_encoder_decoder
from jaxflow.models.in_hand import AttentionInHand, GivenPredictions, Starts, attention_in_hand, looks_like_a_decoder
from jaxflow.models.in_hand_pairs import encoder_decoder_in_hand, refuse_starts, refuse_targets

# The beginning of warnings of attention that was not said to be a decoder's.
DECODERS = "attention looks like a decoder's, as no position attends to a later one"


def attribute_attention(
    attentions: Attentions,
    tokens: Tokens,
    question: GivenQuestion = None,
    *,
    mask: ArrayLike | None = None,
    target_tokens: Tokens | None = None,
    target_mask: ArrayLike | None = None,
    texts: Pairs = None,
    predictions: GivenPredictions = None,
    gradients: Attentions | None = None,
    causal: Given[bool | None] = None,
    answer_starts: Given[Starts] = None,
    name: str = "attention in hand",
    **changes: Unpack[Asked],
) -> Attribution:
    """Say how much each input token contributed, by attention in hand, from any framework.

        outputs = model(**inputs, output_attentions=True)  # loaded with attn_implementation="eager"
        tokens = [tokenizer.convert_ids_to_tokens(ids) for ids in inputs["input_ids"]]
        result = jf.attribute_attention(outputs.attentions, tokens, mask=inputs["attention_mask"])

    Of an encoder-decoder the whole output goes in, with the tokens of both sides:

        result = jf.attribute_attention(outputs, source_tokens, target_tokens=target_tokens)

    Its layers are those of `encoder_decoder_graph`, and its positions the sources, then the targets.

    Of a decoder's prompt and answer each token of the answer is explained where `answer_starts` says where it begins:

        result = jf.attribute_attention(jf.stack_generated(outputs), tokens, answer_starts=prompt_ids.shape[1])

    Args:
        attentions: probabilities after the softmax: PyTorch's, TensorFlow's, JAX's or NumPy's array
            `batch layer head query key` (or without the batch), or one `batch head query key` a layer, as models of
            transformers return them. Of an encoder-decoder its output, or a mapping with `encoder_attentions`,
            `decoder_attentions` and `cross_attentions`.
        tokens: strings, a list an example, with padding's or without; one list for a single example.
        question: what is asked about each example, as `attribute` takes it.
        mask: true (or 1) on real tokens, `batch token`; padding may stand on either side. Of text that a model
            generated: the prompts' mask, then 1 on tokens that it wrote, 0 behind the end of an answer that ended
            early. None where all are real, or where padding is named `[PAD]` or `<pad>`, or can be told from the number
            of tokens.
        target_tokens: of an encoder-decoder the tokens that its decoder read, the start token included.
        target_mask: true on real targets; None as for `mask`.
        texts: the text of each example (of its sources, of its prompt); None puts it together from the tokens.
        predictions: of each example a label, or probabilities by label; shown beside the result.
        gradients: derivatives of an explained number in the attention, laid out as `attentions` (of an
            encoder-decoder a mapping with the three), for mixings that need gradients.
        causal: whether it is a decoder's; then attention that looks ahead is warned of, and where no question is passed
            the last position is explained. None is taken for False, with a warning where it looks like a decoder's.
        answer_starts: of a decoder the position at which the answer begins, one for all examples or one for each,
            counted as `attentions` has them, padding included. Then `causal` is True, and where no question and no
            `queries` are passed, `queries="answer"` asks about the positions that predicted the answer's tokens.
        name: of the model, on pages.
        changes: fields of the question by name, such as `queries=None`.

    Returns:
        One example a text, in their order, as from `attribute`: it is written as a page, saved, and turned into tables
        in the same ways. Cost: that of the methods alone, as no model is run.

    Raises:
        InputError: attention was not computed, is no attention, or doesn't fit its tokens or its mask; the question
            needs more of a model than attention.
    """
    common: dict[str, Any] = {
        "mask": mask,
        "texts": texts,
        "predictions": predictions,
        "gradients": gradients,
        "name": name,
    }
    if is_encoder_decoder(attentions):
        refuse_starts(answer_starts)
        model = encoder_decoder_in_hand(attentions, tokens, target_tokens, target_mask=target_mask, **common)
    else:
        refuse_targets(target_tokens, target_mask)
        model = attention_in_hand(attentions, tokens, causal=causal, answer_starts=answer_starts, **common)
    if model.has_answers and question is None:
        _ = changes.setdefault("queries", ANSWER)
    asked = asked_of(model, question, changes, default_question(model))
    if causal is None and asked.queries == (0,) and looks_like_a_decoder(model):
        message = (
            f"{DECODERS}, and position 0 alone is explained, which sees itself alone; pass `causal=True`, which "
            "explains the last one unless `queries` says another, or `causal=False` if position 0 is meant"
        )
        warnings.warn(message, stacklevel=2)
    return attribute(model, model.texts, question, **changes)


def asked_of(
    model: AttentionInHand, question: GivenQuestion, changes: Mapping[str, Any], default: Question
) -> Question:
    """What is asked of attention in hand.

    Raises:
        InputError: it needs gradients that were not passed.
    """
    known = {name: value for name, value in changes.items() if name in Asked.__annotations__}
    asked = as_question(question, known, default)
    for mixing in asked.mixings if model.gradients is None else ():
        if "gradients" in mixing.needs and mixing.needs <= {"attention", "gradients"}:
            expected = f"be passed for the mixing {mixing.name!r}, which needs them"
            way_out = "pass the derivatives of a number in the attention, laid out alike, or `mixing='attention'`"
            raise InputError("gradients", expected, "None", way_out)
    return asked
