"""Where flows are saturated, and results as frames and folders."""

import sys

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Flow
from jaxflow.mixing import Attention
from jaxflow.summary.summary import summarize
from tests.tiny_text_model import model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = ["the key to the cabinets is on the table", "is", "unbelievable tables on the table"]


@pytest.fixture(scope="module")
def model():
    return jf.load_model(model_folder())


@pytest.fixture(scope="module")
def result(model):
    methods = ("rollout", "flow", Flow(name="flow of max", mixing=Attention("max", 0.1)))
    return jf.attribute(model, TEXTS, methods=methods, queries=[0, 2], layers=[3, 1])


def test_a_flow_is_saturated_where_it_fills_a_trivial_cut(model, result):
    for name, mixing in (("flow", Attention()), ("flow of max", Attention("max", 0.1))):
        graph = jf.build_graph(model, TEXTS, mixing)
        for index, example in enumerate(result):
            tokens = len(example.tokens)
            capacity = np.float64(graph.capacity[index])[:, :tokens, :tokens]
            # All that leaves the query after the layer, and all that enters the token in the first one.
            leaves = capacity[[2, 0]].sum(-1)[:, [0, 2]]
            trivial = np.minimum(leaves[:, :, None], capacity[0].sum(0))
            expected = example.relevance[name] >= trivial - 1e-6
            np.testing.assert_array_equal(example.saturation[name], expected)
            assert expected[0].any()
        assert not all(example.saturation[name].all() for example in result)


def test_of_several_flows_any_may_be_saturated(model, result):
    for example in result:
        np.testing.assert_array_equal(example.saturated, example.saturation["flow"] | example.saturation["flow of max"])
    shares = result.saturated_share
    assert list(shares) == ["flow", "flow of max"]
    assert shares["flow"] == np.concatenate([each.saturation["flow"].ravel() for each in result]).mean()
    (plain,) = jf.attribute(model, TEXTS[:1], methods=("raw", "rollout"))
    assert plain.saturated is None


def test_a_frame_has_a_row_for_each_value(result):
    frame = result.to_pandas()
    assert len(frame) == sum(each.relevance["flow"].size for each in result)
    assert list(frame.columns[:8]) == [
        *("example", "layer", "query", "query_token", "position", "token", "source", "prediction")
    ]
    assert list(frame.columns[8:]) == [
        *("rollout", "flow", "flow of max", "certified", "flow:saturated", "flow of max:saturated")
    ]
    for (number, layer, query, position), rows in frame.groupby(["example", "layer", "query", "position"]):
        (row,) = rows.to_dict("records")
        example = result[number]
        place = (example.layers.index(layer), list(example.queries).index(query), position)
        assert row["flow"] == example.relevance["flow"][place]
        assert row["rollout"] == example.relevance["rollout"][place]
        assert row["flow of max:saturated"] == example.saturation["flow of max"][place]
        assert (row["token"], row["query_token"]) == (example.tokens[position], example.tokens[query])
        assert (row["source"], row["prediction"]) == (example.source[position], example.prediction)
    # What a user of pandas does with it.
    top = frame[(frame.layer == 3) & (frame["query"] == 0)].groupby("example")["rollout"].idxmax()
    assert [frame.token[place] for place in top] == [
        each.tokens[int(each.relevance["rollout"][0, 0].argmax())] for each in result
    ]
    assert result[:0].to_pandas().empty


def test_a_frame_says_what_to_install(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="`pandas` must be installed for a data frame of pandas"):
        result.to_pandas()


def test_results_are_kept_in_a_folder_that_opens_as_a_sweep(model, result, tmp_path):
    folder = result.save(tmp_path / "new" / "results")
    opened = jf.open_sweep(folder)
    assert opened.complete
    assert jf.Question.from_json(opened.manifest["question"]) == result.question
    assert (opened.manifest["model"], len(opened), opened.skipped) == (model.name, len(TEXTS), [])
    for found, example in zip(opened, result, strict=True):
        assert (found.text, found.tokens, found.prediction) == (example.text, example.tokens, example.prediction)
        for name in example.relevance:
            np.testing.assert_array_equal(found.relevance[name], example.relevance[name])
        np.testing.assert_array_equal(found.certified, example.certified)
        np.testing.assert_array_equal(found.saturated, example.saturated)
    assert summarize(opened).examples == len(TEXTS)
    assert "flow of max" in jf.write_page(opened, tmp_path / "page.html").read_text()
    # The texts' rows are numbered from 1, as those of a sweep.
    assert [row["id"] for row in opened.rows()] == [1, 2, 3]


def test_a_folder_that_holds_something_is_left_alone(result, tmp_path):
    kept = result.save(tmp_path / "results")
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"`folder` must be new, or empty, got .*, which is not empty; name another"):
        result.save(kept)
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == before
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "in"):
        with pytest.raises(InputError, match="`folder` must be one that can be written"):
            result.save(folder)
    with pytest.raises(InputError, match="`result` must hold at least one example"):
        result[:0].save(tmp_path / "none")
    assert not (tmp_path / "none").exists()
