"""`attribute_attention`: as `attribute`, for attention that was computed elsewhere."""

from typing import Any, Unpack

from jaxflow._checks import InputError
from jaxflow._typing import ArrayLike, Attentions, Pairs, Tokens
from jaxflow.attribution.question import Asked, GivenQuestion
from jaxflow.attribution.result import Attribution
from jaxflow.attribution.run import attribute
from jaxflow.models.in_hand import GivenPredictions, attention_in_hand
from jaxflow.models.in_hand_pairs import encoder_decoder_in_hand, is_encoder_decoder


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
    causal: bool = False,
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

    Args:
        attentions: probabilities after the softmax: PyTorch's, TensorFlow's, JAX's or NumPy's array
            `batch layer head query key` (or without the batch), or one `batch head query key` a layer, as models of
            transformers return them. Of an encoder-decoder its output, or a mapping with `encoder_attentions`,
            `decoder_attentions` and `cross_attentions`.
        tokens: strings, a list an example, with padding's or without; one list for a single example.
        question: what is asked about each example, as `attribute` takes it.
        mask: true (or 1) on real tokens, `batch token`; padding may stand on either side. None where all are real, or
            where padding is named `[PAD]` or `<pad>`, or can be told from the number of tokens.
        target_tokens: of an encoder-decoder the tokens that its decoder read, the start token included.
        target_mask: true on real targets; None as for `mask`.
        texts: the text of each example (of its sources); None puts it together from the tokens.
        predictions: of each example a label, or probabilities by label; shown beside the result.
        gradients: derivatives of an explained number in the attention, laid out as `attentions` (of an
            encoder-decoder a mapping with the three), for mixings that need gradients.
        causal: whether it is a decoder's; then attention that looks ahead is warned of.
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
        model = encoder_decoder_in_hand(attentions, tokens, target_tokens, target_mask=target_mask, **common)
    else:
        for argument, given in (("target_tokens", target_tokens), ("target_mask", target_mask)):
            if given is not None:
                way_out = "pass its output, or a mapping with its three attentions"
                raise InputError(
                    argument, "come with an encoder-decoder's attention", "attention of one sequence", way_out
                )
        model = attention_in_hand(attentions, tokens, causal=causal, **common)
    return attribute(model, model.texts, question, **changes)
