"""Attention in hand that was passed in a wrong way: each mistake is named, with a way out that works."""

import warnings

import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from tests.problems import softmax_attention

TOKENS = ["a", "b", "c", "d"]
EAGER = 'load the model with attn_implementation="eager" and call it with output_attentions=True'
EVEN = np.full((1, 2, 2, 4, 4), 0.25, np.float32)
SOURCES, TARGETS = ["the", "key", "</s>"], ["<pad>", "clé"]


def decoder_attention():
    return softmax_attention(3, (1, 2, 2, 4, 4), 1.0, np.ones((1, 4), bool), True).astype(np.float32)


def refused(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def at(attentions, tokens=TOKENS, **options):
    return jf.attribute_attention(attentions, tokens, **{"methods": "raw", **options})


@pytest.fixture(scope="module")
def pair_model():
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 1}
    config = transformers.T5Config(**sizes, num_heads=2, decoder_start_token_id=0)
    return transformers.T5ForConditionalGeneration(config).eval()


def outputs_of(model, *, eager):
    model.set_attn_implementation("eager" if eager else "sdpa")
    with torch.no_grad():
        ids = {"input_ids": torch.tensor([[5, 6, 1]]), "decoder_input_ids": torch.tensor([[0, 9]])}
        return model(**ids, output_attentions=eager)


def test_answers_of_attention_in_hand_have_to_begin_somewhere(pair_model):
    attention = decoder_attention()
    for options in ({}, {"pairs": ["c d"]}, {"causal": False}):
        refused(
            lambda options=options: at(attention, **{"causal": True, **options}, queries="answer"),
            "`queries` must be positions, got 'answer', and attention in hand does not say .*; say where by `answer_st",
        )
    assert at(attention, causal=True, queries=[2, 3])[0].queries.tolist() == [2, 3]
    refused(
        lambda: at(attention, causal=True, pairs=["c d"]), "`pairs` must be left out .*where it begins as `answer_star"
    )
    for starts in (0, -1, len(TOKENS), True, 1.0, "2", [1, 2], [[1]], [[1], [2, 3]], torch.ones(1, device="meta")):
        refused(lambda starts=starts: at(attention, answer_starts=starts), "`answer_starts")
    refused(
        lambda: at(attention, answer_starts=2, causal=False),
        "`causal` must be True, or left out, beside `answer_st",
    )
    slopes = {"gradients": attention, "mixing": "attention-gradient"}
    refused(
        lambda: at(attention, answer_starts=2, **slopes),
        "`queries` must be positions, got 'answer' with a mixing of g",
    )
    # A way out is one that can be taken: attention in hand has no `normalize`.
    refused(lambda: at(attention * 0.9, answer_starts=2), "rows that sum to 1.* divide each row by its sum")
    for method in ("occlusion", "decompx"):
        refused(
            lambda method=method: at(attention, answer_starts=2, methods=method), f"the method '{method}'|which needs"
        )
    assert at(attention, answer_starts=2, **slopes, queries=[3])[0].queries.tolist() == [3]
    # The explorer explains every position; it shows the answer behind the prompt.
    (example,) = jf.explore_attention(attention, TOKENS, answer_starts=2, methods="raw").sides[0].examples
    assert (example.text, example.pair) == ("a b", "c d")
    refused(lambda: jf.explore_attention(attention, TOKENS, answer_starts=2, causal=False), "`causal` must be True")
    outputs, targets = outputs_of(pair_model, eager=True), {"target_tokens": TARGETS, "answer_starts": 1}
    refused(lambda: jf.explore_attention(outputs, SOURCES, **targets), "`answer_starts` must be left out of an encoder")
    refused(
        lambda: jf.attribute_attention(outputs, SOURCES, **targets),
        "`answer_starts` must be left out of an encoder-d",
    )


def test_attention_that_looks_like_a_decoders_is_noticed():
    attention = decoder_attention()
    with pytest.warns(UserWarning, match="looks like a decoder's, .* and position 0 alone is explained.*`causal=True`"):
        (example,) = at(attention)
    assert example.queries.tolist() == [0]
    with pytest.warns(UserWarning, match="looks like a decoder's, .* the page begins with position 0.*`causal=True`"):
        _ = jf.explore_attention(attention, TOKENS, methods="raw")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert at(attention, causal=True)[0].queries.tolist() == [3]
        assert at(attention, causal=False)[0].queries.tolist() == [0]
        # Other positions than 0 say something.
        _ = at(attention, queries=[1, 3])
        # An encoder's; and what mixes nothing, or has a single token.
        for encoder in (EVEN, np.broadcast_to(np.eye(4, dtype=np.float32), EVEN.shape)):
            _ = at(encoder)
        _ = at(np.ones((1, 2, 2, 1, 1), np.float32), ["a"])
        assert jf.explore_attention(attention, TOKENS, methods="raw", causal=True).settings["last"]


def test_the_explorer_takes_an_encoder_decoders_output(pair_model):
    outputs = outputs_of(pair_model, eager=True)
    expected = jf.attribute_attention(outputs, SOURCES, target_tokens=TARGETS, methods="rollout", queries=None)[0]
    for tokens, options in (
        (SOURCES, {"target_tokens": TARGETS}),
        (SOURCES, {"decoder_tokens": TARGETS}),
        (None, {"encoder_tokens": SOURCES, "decoder_tokens": TARGETS}),
        (SOURCES, {"target_tokens": TARGETS, "target_mask": [[1, 1]], "mask": [[1, 1, 1]]}),
    ):
        (side,) = jf.explore_attention(outputs, tokens, methods="rollout", **options).sides
        assert side.examples[0].tokens == (*SOURCES, *TARGETS)
        np.testing.assert_allclose(side.examples[0].relevance["rollout"], expected.relevance["rollout"], atol=1e-6)
    refused(
        lambda: jf.explore_attention(outputs, SOURCES), "`target_tokens` must hold the tokens that the decoder read"
    )
    refused(lambda: jf.explore_attention(EVEN, TOKENS, target_tokens=TARGETS), "`target_tokens` must come with an enc")
    refused(lambda: jf.explore_attention(EVEN, TOKENS, decoder_tokens=TARGETS), "`decoder_tokens` must be left out")


def test_attention_that_was_not_computed_says_how_it_is(pair_model):
    nothing = (None, None)
    for given in ((), None, ((), ()), (nothing, nothing), (None, (EVEN[:, 0],))):
        refused(lambda given=given: jf.stack_generated(given), f"`attentions` must hold .* every step, .*; {EAGER}")
    outputs = outputs_of(pair_model, eager=False)
    sides = {f"{side}_attentions": nothing for side in ("encoder", "decoder", "cross")}
    for given in (outputs, sides):
        for call in (jf.attribute_attention, jf.explore_attention):
            refused(
                lambda given=given, call=call: call(given, SOURCES, target_tokens=TARGETS),
                f"`encoder_attentions` must hold the attention of every layer, .*; {EAGER}",
            )
    ids = torch.tensor([[5, 6, 1]])
    written = pair_model.generate(ids, max_new_tokens=2, return_dict_in_generate=True)
    refused(lambda: jf.stack_generated(written), f"`encoder_attentions` must hold .*; {EAGER}")


def test_gradients_are_named_where_they_are_what_is_wrong(pair_model):
    asked = {"mixing": "attention-gradient"}
    for given in ((None, None), (), (EVEN[:, 0], None)):
        refused(lambda given=given: at(EVEN, gradients=given, **asked), "`gradients` must hold the der.*autograd.grad")
    refused(lambda: at(EVEN, **asked), "`gradients` must be passed for the mixing 'attention-gradient'")
    refused(lambda: at(EVEN, methods="flow@attention-gradient"), "`gradients` must be passed for the mixing")
    refused(lambda: jf.explore_attention(EVEN, TOKENS, **asked), "`gradients` must be passed for the mixing")
    outputs = outputs_of(pair_model, eager=True)
    for given, message in (
        (EVEN, "hold encoder_attentions, decod"),
        ({"encoder_attentions": ()}, "hold the derivatives"),
    ):
        options = {"target_tokens": TARGETS, "gradients": given, **asked}
        refused(lambda options=options: at(outputs, SOURCES, **options), f"`gradients` must {message}")


@pytest.mark.parametrize(
    ("attention", "message"),
    [
        (EVEN * np.nan, "be finite, got nan at example 0, layer 1"),
        (np.log(EVEN), "be not negative, got -1.38629.* at example 0, layer 1"),
        (EVEN.astype(int), "have rows that sum to 1, got 0 at example 0, layer 1"),
        (2 * EVEN, "have rows that sum to 1, got 2 at example 0, layer 1"),
        (EVEN[..., :3, :], "have as many queries as keys, got 3 queries and 4 keys"),
    ],
)
def test_what_is_no_attention_is_said_whatever_the_number_of_tokens(attention, message):
    for tokens in (TOKENS, TOKENS[:3]):
        refused(lambda tokens=tokens: at(attention, tokens), f"`attentions` must {message}")
    # Attention itself needs a mask to tell which positions are real.
    refused(lambda: at(EVEN, TOKENS[:3]), r"`tokens\[0\]` must have a token for each of 4 .*attention_mask as `mask`")
