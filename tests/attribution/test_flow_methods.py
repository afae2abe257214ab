"""Joint flow and widest paths as methods: in results, resumed sweeps, summaries and pages, with own mixings."""

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import JointFlow, WidestPath
from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import explorer_data
from jaxflow.summary.summary import summarize
from tests.tiny_text_model import LAYERS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = ["the key to the cabinets", "is", "unbelievable tables on the table"]
METHODS = ("joint-flow", "widest-path", "flow", JointFlow("least-squares", name="even"))


@pytest.fixture(scope="module")
def model():
    return jf.load_model(str(model_folder()))


def test_relevance_is_that_of_the_graph(model):
    result = jf.attribute(model, TEXTS, methods=METHODS, queries=[0, 2], layers=[LAYERS, 1])
    graph = jf.build_graph(model, TEXTS)
    joint, even = (jf.joint_flow(graph, [0, 2], [LAYERS, 1], split) for split in ("analytic", "least-squares"))
    widest = np.asarray(jf.widest_path(graph, [0, 2], [LAYERS, 1]))
    for row, example in enumerate(result):
        cut = (row, ..., slice(len(example.tokens)))
        np.testing.assert_allclose(example.relevance["joint-flow"], joint.share[cut], rtol=0, atol=2e-6)
        np.testing.assert_allclose(example.relevance["even"], even.share[cut], rtol=0, atol=2e-6)
        np.testing.assert_allclose(example.relevance["widest-path"], widest[cut], rtol=1e-5)
        assert example.relevance["joint-flow"].dtype == np.float64
        assert example.certified is not None
        assert example.certified.all()
        assert (example.relevance["widest-path"] <= example.relevance["flow"] * (1 + 1e-5)).all()


def test_sweeps_resume_and_summaries_and_pages_show_them(model, tmp_path):
    question = jf.Question(METHODS, queries=0)
    results = jf.run_sweep(model, TEXTS, tmp_path / "out", question)
    assert jf.Question.from_json(results.manifest["question"]) == question
    next((tmp_path / "out").rglob("*.parquet")).unlink()
    again = jf.run_sweep(model, TEXTS, tmp_path / "out", question)
    fresh = jf.attribute(model, TEXTS, question)
    for kept, example in zip(again, fresh, strict=True):
        assert kept.certified.all()
        for name in ("joint-flow", "widest-path", "even"):
            np.testing.assert_allclose(kept.relevance[name], example.relevance[name], rtol=0, atol=2e-6)
    measures = summarize(again).measures
    assert "certified" in measures["joint-flow"]
    assert "certified" not in measures["widest-path"]
    exploration = explore(model, TEXTS[:1], question)
    assert set(METHODS[:3]) | {"even"} <= set(explorer_data(exploration)["methods"])


def test_names_carry_a_mixing(model):
    result = jf.attribute(model, TEXTS[:1], methods=("joint-flow@attention", WidestPath(mixing="attention")))
    assert set(result[0].relevance) == {"joint-flow@attention", "widest-path@attention"}


def test_bad_values_are_named():
    with pytest.raises(InputError, match="`split` must be one of"):
        _ = JointFlow("uneven")
    for tol in (-1e-9, float("nan"), "1e-9", True, None):
        with pytest.raises(InputError, match="`tol` must be a number, 0 or more, got"):
            _ = JointFlow(tol=tol)
