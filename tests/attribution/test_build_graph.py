"""Graphs of texts by any mixing, and pages of what `attribute` gives."""

import jax
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from tests.extending.mixing import ValueNorms
from tests.tiny_text_model import model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = ["the key is on the table", "keys", "it is on the table on the table"]


@pytest.fixture(scope="module")
def model():
    return jf.load_model(model_folder())


@pytest.mark.parametrize("mixing", ["attention", jf.mixing.Attention(heads="max", residual=0.2), ValueNorms()])
def test_the_graph_is_what_attribution_went_through(model, mixing):
    graph = jf.build_graph(model, TEXTS, mixing)
    result = jf.attribute(model, TEXTS, mixing=mixing, methods=("raw", "rollout"), queries=None)
    lengths = [len(each.tokens) for each in result]
    assert graph.weights.shape == (3, model.layers, max(lengths), max(lengths))
    np.testing.assert_array_equal(graph.mask.sum(-1), lengths)
    raw, rollout = jf.raw_attention(graph), jf.attention_rollout(graph)
    for row, (length, example) in enumerate(zip(lengths, result, strict=True)):
        np.testing.assert_allclose(raw[row, :, :length, :length], example.relevance["raw"], atol=1e-6)
        scale = example.relevance["rollout"].max()
        np.testing.assert_allclose(rollout[row, :, :length, :length], example.relevance["rollout"], atol=1e-6 * scale)
        assert not np.asarray(graph.capacity)[row, :, length:].any()
    # It goes on in JAX.
    assert np.isfinite(
        jax.grad(lambda arcs: jf.attention_rollout(arcs)[..., 0, 0].sum(), allow_int=True)(graph).own
    ).all()


def test_a_mixing_of_gradients_is_of_the_class_that_is_named(model):
    first, second = (jf.build_graph(model, TEXTS, "attention-gradient", target) for target in (0, 1))
    assert np.abs(np.asarray(first.weights) - np.asarray(second.weights)).max() > 1e-3
    with pytest.raises(InputError, match="target"):
        jf.build_graph(model, TEXTS, "attention-gradient", "no such class")


def test_what_attribute_gives_is_written_as_a_page(model, tmp_path):
    result = jf.attribute(model, TEXTS, mixing=jf.mixing.Attention(residual=0.25))
    page = jf.write_page(result, tmp_path / "report.html").read_text()
    assert "residual 0.25" in page
    assert all(text in page for text in TEXTS)
    part = jf.write_page(result[:1], tmp_path / "part.html").read_text()
    assert TEXTS[2] not in part
    with pytest.raises(
        InputError,
        match="`result` must be what attribute, run_sweep, open_sweep, explore or compare_models gives, got li",
    ):
        jf.write_page([1], tmp_path / "list.html")
    with pytest.raises(InputError, match=r"got Example; pass a part of the result, as in `result\[:1\]`"):
        jf.write_page(result[0], tmp_path / "list.html")
    assert not (tmp_path / "list.html").exists()
