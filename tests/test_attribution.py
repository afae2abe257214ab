"""From texts to relevance: against the same steps by hand, one text at a time."""

import dataclasses
from dataclasses import dataclass

import jax
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Flow, Rollout, Scores
from tests.tiny_text_model import LAYERS, LIMIT, model_folder

TEXTS = ["the key to the cabinets", "is", "unbelievable tables on the table", "the keys", "to the table is on", "keys"]


@pytest.fixture(scope="module")
def encoder():
    return jf.load_encoder(str(model_folder()))


def by_hand(encoder, text, pair=None, heads="mean", residual=0.5):
    """Graph and logits of one text, without padding, all heads stored."""
    encodings = encoder.tokenize([text], None if pair is None else [pair])
    out = encoder(encoder.pad(encodings))
    return jf.attention_graph(np.asarray(out.attention[0]), heads=heads, residual=residual), out.logits[0]


@pytest.mark.parametrize("heads", ["mean", "max", np.array([[1.0, 0.0], [0.5, 2.0], [3.0, 1.0]])])
def test_a_batch_gives_what_each_text_gives_by_hand(encoder, heads):
    result = jf.attribute(encoder, TEXTS, queries=None, heads=heads, residual=0.3, batch_size=4, flow="exact")
    assert len(result) == len(TEXTS)
    for index, text in enumerate(TEXTS):
        graph, logits = by_hand(encoder, text, heads=heads, residual=0.3)
        example = result[index]
        assert example.text == text
        assert example.tokens == encoder.tokenize([text])[0].tokens
        shape = (LAYERS, len(example.tokens), len(example.tokens))
        expected = {
            "raw": jf.raw_attention(graph),
            "rollout": jf.attention_rollout(graph),
            "flow": jf.attention_flow(graph, method="exact").value,
        }
        for name, values in expected.items():
            assert result.relevance[name][index].shape == shape
            np.testing.assert_allclose(result.relevance[name][index], values, atol=2e-6)
        assert example.certified.all()
        scores = jax.nn.softmax(logits)
        assert example.prediction == encoder.labels[int(scores.argmax())] == result.prediction[index]
        np.testing.assert_allclose(list(example.scores.values()), scores, atol=1e-5)


def test_queries_and_layers_are_rows_of_the_whole(encoder):
    whole = jf.attribute(encoder, TEXTS, queries=None)
    first = jf.attribute(encoder, TEXTS)
    positions = np.array([[1, 0]] * len(TEXTS))
    some = jf.attribute(encoder, TEXTS, queries=positions, layers=[3, 1])
    for index in range(len(TEXTS)):
        for name in ("raw", "rollout", "flow"):
            everything = whole.relevance[name][index]
            np.testing.assert_allclose(first.relevance[name][index], everything[:, :1], atol=2e-6)
            np.testing.assert_allclose(some.relevance[name][index], everything[[2, 0]][:, [1, 0]], atol=2e-6)


def test_pairs_and_offsets(encoder):
    result = jf.attribute(encoder, ["the key"], ["is on the table"], methods="rollout")
    example = result[0]
    graph, _ = by_hand(encoder, "the key", "is on the table")
    np.testing.assert_allclose(example.relevance["rollout"][:, 0], jf.attention_rollout(graph)[:, 0], atol=1e-6)
    for token, (start, end), source in zip(example.tokens, example.offsets, example.source, strict=True):
        if source >= 0:
            assert (example.text, example.pair)[source][start:end] == token.removeprefix("##")
        else:
            assert (start, end) == (-1, -1)
    assert example.certified is None


def test_methods_are_values_and_one_can_be_added(encoder):
    @dataclass(frozen=True)
    class LastLayerOnly:
        name: str = "last"

        def __call__(self, graph, queries, layers):
            return Scores(Rollout()(graph, queries, layers).relevance[:, -1:])

    methods = (Flow(method="bounds"), Flow(method="exact", name="exact flow"), LastLayerOnly())
    result = jf.attribute(encoder, TEXTS, methods=methods)
    assert list(result[0].relevance) == ["flow", "exact flow", "last"]
    for bounds, exact in zip(result.relevance["flow"], result.relevance["exact flow"], strict=True):
        assert np.all(np.asarray(bounds, np.float64) >= exact - 1e-6)


def test_a_model_that_gives_no_numbers_is_named_and_nothing_certified(encoder):
    broken = jax.tree.map(lambda x: x * np.float32(np.nan), encoder.module)
    with pytest.raises(InputError, match="attention is not a number for text 0"):
        jf.attribute(dataclasses.replace(encoder, module=broken), TEXTS, batch_size=8)


def test_progress_counts_every_text(encoder):
    counts = []
    jf.attribute(encoder, TEXTS, methods="raw", batch_size=2, progress=counts.append)
    assert sum(counts) == len(TEXTS)
    assert max(counts) <= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": []}, "`texts` must hold at least one text"),
        ({"texts": ["fine", "  "]}, r"`texts\[1\]` is empty"),
        ({"texts": ["the " * LIMIT]}, r"`texts\[0\]` has 26 tokens, more than the 24.*truncate=True"),
        ({"texts": ["one"], "pairs": ["a", "b"]}, "`pairs` must have one text for each"),
        ({"texts": ["one", "two"], "pairs": "ab"}, "`pairs` must be a sequence of texts, got one string"),
        ({"texts": None}, "`texts` must be a sequence of texts, got NoneType"),
        ({"methods": None}, "`methods` must be one of"),
        ({"methods": ["raw", "magic"]}, "`methods` must be one of 'raw', 'rollout', 'flow', got 'magic'"),
        ({"methods": []}, "`methods` must name at least one"),
        ({"methods": ["raw", "raw"]}, "`methods` must have different names"),
        ({"layers": 4}, "`layers` must be from 1 to 3"),
        ({"layers": [0]}, "`layers` must be from 1 to 3"),
        ({"queries": 3}, "`queries` must be positions of tokens, got 3 for text 1 of 3"),
        ({"queries": -1}, "`queries` must be positions of tokens, got -1 for text 0"),
        ({"queries": "first"}, "`queries` must be None, an int"),
        ({"queries": [[0], [1]]}, r"integers of shape \(6, any\)"),
        ({"heads": "median"}, "`heads` must be one of"),
        ({"heads": [1.0, 2.0, 3.0]}, "`heads` as weights must have shape"),
        ({"residual": 2}, "`residual` must lie in"),
        ({"flow": "magic"}, "`flow` must be one of"),
        ({"tol": -1.0}, "`tol` must be a number"),
        ({"batch_size": 0}, "`batch_size` must be a whole number"),
    ],
)
def test_bad_requests_get_one_clear_line_before_anything_is_computed(encoder, arguments, message):
    done = []
    with pytest.raises(InputError, match=message):
        jf.attribute(encoder, **{"texts": TEXTS, "progress": done.append, **arguments})
    assert not done


def test_long_texts_are_cut_where_asked_for(encoder):
    result = jf.attribute(encoder, ["the " * 40], methods="raw", truncate=True)
    assert len(result.tokens[0]) == LIMIT
    shorter = jf.attribute(encoder, ["the " * 40], methods="raw", truncate=True, max_length=10)
    assert len(shorter.tokens[0]) == 10
