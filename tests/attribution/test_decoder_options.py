"""Decoders: the first token left out, relevance beside that of even attention, against NumPy and OR-Tools."""

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Corrected, Flow, Question, Raw, Rollout
from jaxflow.mixing import Attention, mixing_json
from tests.attribution.test_attention_in_hand import by_hand, problem
from tests.flow.oracles import all_pairs

pytestmark = pytest.mark.usefixtures("few_sizes")


def capacities(weights, residual=0.5):
    return residual * np.eye(weights.shape[-1]) + (1 - residual) * weights


def functionals(weights):
    """Raw attention, rollout and flow of one example's rows that sum to 1, `layer query token`."""
    capacity = capacities(weights)
    rollout = [capacity[0]]
    for layer in capacity[1:]:
        rollout.append(layer @ rollout[-1])
    flow = np.stack([all_pairs(capacity, layer) for layer in range(1, len(capacity) + 1)])
    return {"raw": weights, "rollout": np.stack(rollout), "flow": flow}


@pytest.mark.parametrize("side", ["right", "left"])
def test_causal_graphs_are_numpys_and_or_tools(side):
    attention, mask, tokens = problem(side, causal=True)
    result = jf.attribute_attention(attention, tokens, mask=mask, queries=None, causal=True)
    for example, heads, real in zip(result, attention, mask, strict=True):
        for name, expected in by_hand(heads, real).items():
            np.testing.assert_allclose(example.relevance[name], expected, atol=3e-6, err_msg=name)
        # Nothing comes from what follows.
        assert not np.triu(example.relevance["flow"][-1], 1).any()


@pytest.mark.parametrize("heads", ["mean", "max"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_first_token_is_left_out_and_rows_are_renormalised(side, heads):
    attention, mask, tokens = problem(side, causal=True)
    mixing = Attention(heads=heads, sinks="left-out")
    result = jf.attribute_attention(attention, tokens, mask=mask, mixing=mixing, queries=None)
    for example, every, real in zip(result, attention, mask, strict=True):
        fused = getattr(every[:, :, real][..., real].astype(np.float64), heads)(axis=1)
        fused[:, 1:, 0] = 0
        total = fused.sum(-1, keepdims=True)
        # The second token attends to the first and to itself alone; a row of nothing is the position's own.
        weights = np.where(total > 0, fused / np.where(total > 0, total, 1), np.eye(fused.shape[-1]))
        for name, expected in functionals(weights).items():
            np.testing.assert_allclose(example.relevance[name], expected, atol=3e-6, err_msg=name)
        assert not example.relevance["rollout"][:, 1:, 0].any()
        np.testing.assert_allclose(example.relevance["rollout"].sum(-1), 1, atol=1e-5)


def test_a_position_that_attends_to_the_first_token_alone_stays_with_itself():
    attention = np.zeros((1, 1, 3, 3), np.float32)
    attention[..., 0] = 1
    (example,) = jf.attribute_attention(
        attention, ["a", "b", "c"], mixing=Attention(sinks="left-out"), methods=("raw", "rollout"), queries=None
    )
    np.testing.assert_array_equal(example.relevance["rollout"][0], np.eye(3))


def test_the_option_is_named_where_it_is_used():
    assert "sinks" not in mixing_json(Attention())
    question = Question(mixing=Attention(sinks="left-out"))
    assert question.as_json()["mixing"]["sinks"] == "left-out"
    assert Question.from_json(question.as_json()) == question
    with pytest.raises(InputError, match="`sinks` must be one of 'kept', 'left-out', got 'gone'"):
        Attention(sinks="gone")


def even(tokens):
    return np.tril(np.ones((tokens, tokens))) / np.arange(1, tokens + 1)[:, None]


def test_relevance_beside_that_of_even_attention():
    attention, mask, tokens = problem(causal=True)
    methods = [Corrected(each) for each in (Raw(), Rollout(), Flow("exact"))]
    result = jf.attribute_attention(attention, tokens, mask=mask, methods=methods, queries=None, causal=True)
    named = jf.attribute_attention(
        attention, tokens, mask=mask, methods=("rollout-corrected", "flow-corrected"), queries=None, causal=True
    )
    assert Question.from_json(named.question.as_json()) == named.question
    for example, other, heads, real in zip(result, named, attention, mask, strict=True):
        found = by_hand(heads, real)
        size = int(real.sum())
        beside = functionals(np.stack([even(size)] * len(heads)))
        for name, expected in found.items():
            ratio = np.divide(expected, beside[name], out=np.zeros_like(expected), where=beside[name] > 0)
            np.testing.assert_allclose(example.relevance[f"{name}-corrected"], ratio, rtol=2e-4, atol=3e-5)
        assert example.certified.all()
        for name, values in other.relevance.items():
            np.testing.assert_allclose(values, example.relevance[name], rtol=1e-4, atol=1e-5)


def test_even_attention_is_worth_1_everywhere():
    attention = np.stack([np.stack([even(6)] * 2)] * 3).astype(np.float32)
    (example,) = jf.attribute_attention(
        attention, list("abcdef"), methods=("raw-corrected", "rollout-corrected", "flow-corrected"), queries=None
    )
    for values in example.relevance.values():
        np.testing.assert_allclose(values, np.broadcast_to(np.tril(np.ones((6, 6))), (3, 6, 6)), atol=1e-5)


def test_a_method_without_a_graph_is_not_corrected():
    with pytest.raises(InputError, match="`method` must take a graph"):
        Corrected("rollout")
    with pytest.raises(InputError, match="`method` must take a graph"):
        Corrected(Rollout)
