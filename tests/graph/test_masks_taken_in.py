"""Masks beside attention: the wrong way round, in another order, forgotten, or leaving nothing."""

import itertools
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from tests.problems import softmax_attention


def padded(lengths, tokens=7, *, side="right", causal=False, rows="as any", seed=4, masked=-np.inf):
    """Attention of a model that masks padding's keys, as a real one: `rows` says what padding's own rows hold."""
    mask = np.arange(tokens) < np.array(lengths)[:, None]
    mask = mask if side == "right" else mask[:, ::-1]
    allowed = np.broadcast_to(mask[:, None, None, None, :], (len(lengths), 1, 1, tokens, tokens)).copy()
    if causal:
        allowed &= np.tri(tokens, dtype=bool)
    scores = np.random.default_rng(seed).normal(size=(len(lengths), 3, 2, tokens, tokens))
    # A finite value, as models take it, leaves rows of nothing even.
    scores = np.where(allowed, scores, -1e9 if masked == -np.inf else masked)
    attention = np.exp(scores - scores.max(-1, keepdims=True))
    attention /= attention.sum(-1, keepdims=True)
    if rows == "even":
        attention = np.where(mask[:, None, None, :, None], attention, 1 / tokens)
    return attention.astype(np.float32), mask


MODELS = {
    "right": {},
    "left": {"side": "left"},
    "even rows": {"rows": "even"},
    "causal, right": {"causal": True},
    "causal, left": {"causal": True, "side": "left"},
    "-10000": {"masked": -10000.0},
}


@pytest.mark.parametrize("hold", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("model", MODELS)
def test_a_mask_the_wrong_way_round_is_refused(model, hold):
    attention, mask = padded([5, 4, 2], **MODELS[model])
    attention = hold(attention)
    graph = jf.attention_graph(attention, mask)
    np.testing.assert_allclose(jf.raw_attention(graph).sum(-1), np.broadcast_to(mask[:, None], (3, 3, 7)), atol=1e-6)
    for wrong in (~mask, (~mask).astype(np.int64)):
        with pytest.raises(InputError, match=r"`mask` must call real .*% of example \d, layer 1.*~key_padding_mask"):
            jf.attention_graph(attention, wrong)
    with pytest.raises(InputError, match="on padding"):
        jf.attention_graph(attention[1], ~mask[1])


def test_a_batch_with_a_text_of_full_length_says_that_its_mask_is_the_wrong_way_round():
    attention, mask = padded([7, 4])
    with pytest.raises(InputError, match=r"`mask` must leave .* got none in example 0; .*~key_padding_mask"):
        jf.attention_graph(attention, ~mask)
    # A mask that is added to scores has 0 on real tokens.
    for added in (np.where(mask, 0, -1e9), np.where(mask, 0, -np.inf)):
        with pytest.raises(InputError, match=r"`mask` must hold 1 .*, got -(1000000000.0|inf); .*on real tokens"):
            jf.attention_graph(attention, added)


def test_a_mask_in_another_order_than_the_batch_is_refused():
    attention, mask = padded([7, 4, 3])
    with pytest.raises(InputError, match="example 0, layer 1, head 1, query 0 on padding"):
        jf.attention_graph(attention, mask[::-1])


def test_a_mask_that_leaves_nothing_is_refused_for_rows_of_any_sum_too():
    attention, mask = padded([5, 4])
    for hold in (np.asarray, jnp.asarray):
        with pytest.raises(InputError, match=r"everything on padding in example 0"):
            jf.attention_graph(hold(attention * 3), ~mask, normalize=True)
    # Tokens may be left out on purpose.
    fewer = mask & (np.arange(7) != 1)
    with pytest.raises(InputError, match="normalize=True"):
        jf.attention_graph(attention, fewer)
    kept = jf.attention_graph(attention, fewer, normalize=True)
    np.testing.assert_allclose(jf.raw_attention(kept).sum(-1), np.broadcast_to(fewer[:, None], (2, 3, 7)), atol=1e-6)


@pytest.mark.parametrize("hold", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("model", MODELS)
def test_a_forgotten_mask_is_warned_of_once(model, hold):
    attention, mask = padded([7, 4, 5], **MODELS[model])
    span = "tokens 4 to 6 look" if mask[1, 0] else "tokens 0 to 2 look"
    with pytest.warns(UserWarning, match=f"`mask` was not passed, and in example 1, {span} like padding") as caught:
        jf.attention_graph(hold(attention))
    assert len(caught) == 1
    assert caught[0].filename.endswith((".py", ">"))
    with pytest.warns(UserWarning, match=r"not passed, and tokens? \d"):
        jf.attention_graph(hold(attention[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jf.attention_graph(hold(attention), mask)
        jf.attention_graph(hold(attention[0]))
        jf.attention_graph(hold(attention), np.ones((3, 7)))


def test_attention_without_padding_is_not_warned_of():
    tokens = 6
    identity = np.eye(tokens)
    block = np.kron(np.eye(2), np.full((3, 3), 1 / 3))
    examples = {
        "causal": softmax_attention(5, (2, 2, tokens, tokens), causal=True),
        "even": np.full((2, 2, tokens, tokens), 1 / tokens),
        "even and causal": np.tri(tokens) / np.tri(tokens).sum(-1, keepdims=True) * np.ones((2, 2, 1, 1)),
        "each its own": np.broadcast_to(identity, (2, 2, tokens, tokens)),
        "all to the first": np.broadcast_to(identity[0], (2, 2, tokens, tokens)),
        "packed": np.broadcast_to(block, (2, 2, tokens, tokens)),
        "the one before": np.broadcast_to(np.roll(identity, -1, 1), (2, 2, tokens, tokens)),
        "very sharp": softmax_attention(6, (2, 2, tokens, tokens), sharpness=60.0),
    }
    for attention, dtype in itertools.product(examples.values(), (np.float32, np.float16)):
        for hold in (np.asarray, jnp.asarray):
            jf.attention_graph(hold(np.ascontiguousarray(attention, dtype)))
