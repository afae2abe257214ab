"""From texts to relevance: against the same steps by hand, one text at a time."""

import dataclasses
import threading
from dataclasses import dataclass

import jax
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Flow, Rollout, Scores
from jaxflow.flow import exact, solve
from jaxflow.flow.device.relaxed import Relaxed
from jaxflow.running._pipeline import Pipeline
from tests.compare.models import model as masked_model
from tests.tiny_text_model import LAYERS, LIMIT, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = ["the key to the cabinets", "is", "unbelievable tables on the table", "the keys", "to the table is on", "keys"]


@pytest.fixture(scope="module")
def encoder():
    return jf.load_model(str(model_folder()))


def by_hand(encoder, text, pair=None, heads="mean", residual=0.5):
    """Graph and logits of one text, without padding, all heads stored."""
    encodings = encoder.tokenize([text], None if pair is None else [pair])
    out = encoder(encoder.pad(encodings))
    return jf.attention_graph(np.asarray(out.attention[0]), heads=heads, residual=residual), out.logits[0]


@pytest.mark.parametrize("heads", ["mean", "max", np.array([[1.0, 0.0], [0.5, 2.0], [3.0, 1.0]])])
def test_a_batch_gives_what_each_text_gives_by_hand(encoder, heads):
    mixing = jf.mixing.Attention(heads=heads, residual=0.3)
    result = jf.attribute(encoder, TEXTS, queries=None, mixing=mixing, batch_size=4, flow="exact")
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
    result = jf.attribute(encoder, ["the key"], pairs=["is on the table"], methods="rollout")
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
    # The one layer that it gives stands at each.
    rollout = jf.attribute(encoder, TEXTS, methods="rollout")
    for row, example in enumerate(result):
        expected = np.broadcast_to(rollout[row].relevance["rollout"][-1:], example.relevance["flow"].shape)
        np.testing.assert_array_equal(example.relevance["last"], expected)
    assert len(result.to_pandas()) == len(rollout.to_pandas())
    for bounds, exactly in zip(result.relevance["flow"], result.relevance["exact flow"], strict=True):
        assert np.all(np.asarray(bounds, np.float64) >= exactly - 1e-6)


@pytest.mark.slow
def test_flow_by_a_solvers_value(encoder):
    solver = Relaxed(passes=20)
    result = jf.attribute(encoder, TEXTS[:2], methods="flow", flow=solver)
    again = jf.attribute(encoder, TEXTS[:2], methods=[Flow(method=solver)])
    named = jf.attribute(encoder, TEXTS[:2], methods="flow", flow="relaxed")
    for one, other, longer in zip(*(r.relevance["flow"] for r in (result, again, named)), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.shape == longer.shape
    assert result.stages is None
    with pytest.raises(InputError, match="`method` must be one of"):
        Flow(method="magic")


def test_the_result_says_how_much_is_proven_and_by_which_stage(encoder, monkeypatch):
    monkeypatch.setattr(solve, "_is_on_accelerator", lambda graph: True)
    result = jf.attribute(encoder, TEXTS[3:], methods=["flow"], tol=0.5)
    flows = sum(values.size for values in result.relevance["flow"])
    assert result.certified_share == 1
    assert result.stages == {"bounds": flows, "relaxed": 0} | dict.fromkeys(exact.STAGES, 0)
    assert result[0].stages["bounds"] == result[0].relevance["flow"].size
    solved = jf.attribute(encoder, TEXTS[3:], methods=["flow"], flow="exact")
    assert sum(solved.stages.values()) == flows
    assert solved.stages["closed_form"] == flows * 2 / LAYERS
    for one, other in zip(result.relevance["flow"], solved.relevance["flow"], strict=True):
        np.testing.assert_allclose(one, other, atol=0.5)
    raw = jf.attribute(encoder, TEXTS[3:], methods="raw")
    assert raw.certified_share is None
    assert raw.stages is None


def test_one_batch_is_solved_while_the_next_is_begun(encoder, monkeypatch):
    order, solving = [], threading.Event()
    start, max_flow = Pipeline._start, exact.max_flow

    def started(pipeline, items):
        order.append(items)
        if len(order) == 3:
            # The first was handed to the CPU when the second had been started.
            assert solving.wait(60)
        return start(pipeline, items)

    def solved(*arguments, **options):
        solving.set()
        return max_flow(*arguments, **options)

    monkeypatch.setattr(Pipeline, "_start", started)
    monkeypatch.setattr(exact, "max_flow", solved)
    told = []
    result = jf.attribute(encoder, TEXTS, batch_size=1, methods="flow", progress=lambda n: told.append(len(order)))
    # When a batch is finished two more have been started, until there are no more.
    assert told == [3, 4, 5, 6, 6, 6]
    together = jf.attribute(encoder, TEXTS, methods="flow", flow="exact")
    for one, other in zip(result.relevance["flow"], together.relevance["flow"], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt])
def test_what_goes_wrong_on_either_side_comes_through_and_nothing_is_left_running(encoder, monkeypatch, error):
    def broken(*_, **__):
        raise error("as if")

    before = threading.active_count()
    with pytest.raises(error, match="as if"):
        jf.attribute(encoder, TEXTS, batch_size=1, methods="flow", progress=broken)
    assert threading.active_count() == before
    if error is ArithmeticError:  # no signal reaches a thread that solves
        monkeypatch.setattr(exact, "max_flow", broken)
        with pytest.raises(error, match="as if"):
            jf.attribute(encoder, TEXTS, batch_size=1, methods="flow")
        assert threading.active_count() == before


def test_a_model_that_gives_no_numbers_is_named_and_nothing_certified(encoder):
    broken = jax.tree.map(lambda x: x * np.float32(np.nan), encoder.module)
    with pytest.raises(InputError, match="the attention of text 2 must be finite"):
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
        ({"texts": ["fine", "  "]}, r"`texts\[1\]` must be a text that is not empty"),
        ({"texts": ["the " * LIMIT]}, r"`texts\[0\]` must have at most 24 tokens, got 26; .*truncate=True"),
        ({"texts": ["one"], "pairs": ["a", "b"]}, "`pairs` must have one text for each"),
        ({"texts": ["one", "two"], "pairs": "ab"}, "`pairs` must be a sequence of texts, got one string"),
        ({"texts": None}, "`texts` must be a sequence of texts, got NoneType"),
        ({"methods": None}, "`methods` must be one of"),
        ({"methods": ["raw", "magic"]}, "`methods` must be one of 'raw', 'rollout', 'flow', .*got 'magic'"),
        ({"methods": []}, "`methods` must name at least one"),
        ({"methods": ["raw", "raw"]}, "`methods` must have different names"),
        ({"layers": 4}, "`layers` must be from 1 to 3"),
        ({"layers": [0]}, "`layers` must be from 1 to 3"),
        ({"queries": 3}, "text 1: `queries` must be positions of tokens, from 0 to 2, got 3"),
        ({"queries": -1}, "`queries` must be positions of tokens, from 0 on, got -1"),
        ({"queries": "first"}, "`queries` must be None, integers, 'last', 'classifier' or 'answer', got 'first'"),
        ({"queries": [1, 1]}, "`queries` must be one or more different ints, got 1,1"),
        ({"layers": [2, 2]}, "`layers` must be one or more different ints, got 2,2"),
        ({"layers": [(1, 2)]}, "`layers` must be an int or a sequence of ints"),
        ({"target": "good", "methods": "flow"}, "`target` must be left out, got 'good' with the mixing 'attention'"),
        ({"queries": [[0], [1]]}, r"integers of shape \(6, any\)"),
        ({"mixing": "magic"}, "`mixing` must be one of 'attention'"),
        ({"mixing": jf.mixing.Attention(heads=[1.0, 2.0, 3.0])}, r"`heads` must have shape .* where they are weights"),
        ({"heads": "max"}, "`heads` must be left out: the question's fields are .*`mixing=.*Attention"),
        ({"residual": 0.3}, "`residual` must be left out"),
        ({"querys": 0}, "`querys` must be left out: the question's fields are `methods`, `mixing`, `target`"),
        ({"question": ["the key"]}, r"`question` must be a Question, got \['the key'\].*second texts as `pairs`"),
        ({"texts": {"text": TEXTS}}, "`texts` must be a sequence of texts, got dict"),
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


def test_a_masked_words_prediction_does_not_depend_on_other_texts_of_the_batch():
    encoder = masked_model(head="masked_lm")
    texts = ["the key is on", "the [MASK] is on"]
    together = jf.attribute(encoder, texts, methods="raw").prediction
    assert together[0] is None
    assert together[1] in encoder.tokenizer.get_vocab()
    alone = [jf.attribute(encoder, text, methods="raw").prediction[0] for text in texts]
    assert list(together) == alone
    compared = jf.compare_models(encoder, masked_model(seed=1, head="masked_lm"), texts, methods="raw")
    assert [text.a.prediction for text in compared] == alone
