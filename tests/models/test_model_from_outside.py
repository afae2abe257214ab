"""A model written outside the package goes through all of it, by the protocol alone."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.devices import local_mesh
from jaxflow.evaluation import faithfulness, gradient_scores, occlusion_scores
from jaxflow.heads.class_attention import class_attention
from jaxflow.models import EncoderOutput, HeadConfig, Model, as_model
from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import write_explorer
from jaxflow.pages.page import write_report
from jaxflow.pages.summary_page import write_summary_page
from jaxflow.summary.summary import summarize
from jaxflow.sweep import runner, shards
from tests.models.model_from_outside import CausalModel, causal_model, numpy_attention

TEXTS = ["the key to the cabinets is on the table", "keys are", "the keys to the table are on the cabinets", "is"]


@pytest.fixture(scope="module")
def model():
    return causal_model()


def numpy_relevance(attention):
    """Raw attention and rollout of head means, half of each position its own."""
    raw = attention.mean(1)
    rolled, below = [], np.eye(raw.shape[-1])
    for layer in raw:
        below = (layer + np.eye(len(layer))) / 2 @ below
        rolled.append(below)
    return {"raw": raw, "rollout": np.stack(rolled)}


def assert_right(model, result, texts):
    for text, example in zip(texts, result, strict=True):
        (encoding,) = model.tokenize([text])
        attention, logits = numpy_attention(model, encoding.input_ids)
        assert example.tokens == tuple(text.split())
        for name, values in numpy_relevance(attention).items():
            np.testing.assert_allclose(example.relevance[name], values, atol=2e-6)
        assert example.certified.all()
        assert example.prediction == ("no", "yes")[int(logits.argmax())]
        chances = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        np.testing.assert_allclose([example.scores["no"], example.scores["yes"]], chances, atol=1e-5)


def test_relevance_is_what_numpy_makes_of_its_attention(model):
    result = jf.attribute(model, TEXTS, queries=None)
    assert_right(model, result, TEXTS)
    # The first word hears of itself alone, whatever the layer and the method.
    for example in result:
        for values in example.relevance.values():
            assert not values[:, 0, 1:].any()


@pytest.mark.slow
def test_several_devices_give_what_one_gives(model):
    alone, spread = (jf.attribute(model, TEXTS, mesh=mesh) for mesh in (None, local_mesh(model=2)))
    for one, other in zip(alone, spread, strict=True):
        for name in jf.Question().methods:
            np.testing.assert_allclose(one.relevance[name], other.relevance[name], atol=1e-6)
        # Flow of the class has its capacities' size, and gradients round once more on their way back.
        ours, theirs = (each.relevance["flow@attention-gradient"] for each in (one, other))
        np.testing.assert_allclose(ours, theirs, atol=4e-6 * np.abs(theirs).max())


def test_what_is_no_model_is_told_in_one_line(model):
    assert isinstance(model, Model)
    assert as_model("model", model) is model
    with pytest.raises(InputError, match="`model` must be a model, got 'minilm'; load it"):
        as_model("model", "minilm")
    with pytest.raises(
        InputError, match=r"`other` must be a model.*, got EncoderOutput without causal, fingerprint, giv"
    ):
        as_model("other", EncoderOutput(None, None, None, None))
    with pytest.raises(
        InputError, match=r"got CausalModel without module\.depth, module\.heads, module\.logits, module\.r"
    ):
        as_model("model", replace(model, module=jnp.ones(2)))
    with pytest.raises(
        InputError, match="`model` must have a `module` whose leaves are JAX arrays, got leaves of ndarray"
    ):
        as_model("model", replace(model, module=jax.tree.map(np.asarray, model.module)))

    class Mute(CausalModel):
        gives = frozenset({"values", "feelings"})

    with pytest.raises(InputError, match=r"`model` must give 'attention'.*, got gives = \['feelings', 'values'\]"):
        as_model("model", Mute(model.name, model.module, model.words))
    assert model.head == HeadConfig("sequence_classification", outputs=2, labels=("no", "yes"))


@pytest.fixture
def stopped_sweep(model, tmp_path, monkeypatch):
    """A sweep that was interrupted after its first shard."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)
    monkeypatch.setattr(runner, "BEHIND", 0)

    def interrupt(tally):
        if tally.examples >= 3:
            raise KeyboardInterrupt

    with pytest.raises(runner.Stopped, match=r"[24] of 8 examples are kept"):
        jf.run_sweep(model, TEXTS * 2, tmp_path / "results", queries="classifier", progress=interrupt)
    return tmp_path / "results"


def test_a_stopped_sweep_goes_on_and_comes_to_a_summary_and_a_page(model, stopped_sweep, tmp_path):
    texts = TEXTS * 2
    with pytest.raises(InputError, match="differs in"):
        jf.run_sweep(causal_model(seed=1), texts, stopped_sweep, queries="classifier")
    results = jf.run_sweep(model, texts, stopped_sweep, queries="classifier")
    assert results.manifest["fingerprint"] == model.fingerprint()
    for index, text in enumerate(texts):
        (encoding,) = model.tokenize([text])
        expected = numpy_relevance(numpy_attention(model, encoding.input_ids)[0])
        assert results[index].text == text
        for name, values in expected.items():
            # The head reads the last word.
            np.testing.assert_allclose(results[index].relevance[name][:, 0], values[:, -1], atol=2e-6)
        assert results[index].certified.all()
    summary = summarize(results)
    write_summary_page(summary, results, tmp_path / "summary.html")
    write_report(results, tmp_path / "page.html")
    assert "cabinets" in (tmp_path / "page.html").read_text()
    assert "causal" in (tmp_path / "summary.html").read_text()


@pytest.mark.slow
def test_two_of_them_are_compared_and_explored(model, tmp_path):
    other = causal_model("tuned", seed=1)
    same = jf.compare_models(model, causal_model(), TEXTS)
    assert all(not text.jensen_shannon.any() for text in same)
    compared = jf.compare_models(model, other, TEXTS)
    attention, _ = numpy_attention(model, model.tokenize(TEXTS)[0].input_ids)
    np.testing.assert_allclose(compared[0].a.attention, attention.mean(1), atol=2e-6)
    assert all(text.jensen_shannon.min() >= 0 and text.jensen_shannon.any() for text in list(compared)[:3])
    explored = explore(model, TEXTS, other=other, labels=["yes"] * len(TEXTS), roles=True, importance=True)
    assert explored.sides[0].measures["importance"].shape == (2, 2)
    assert explored.sides[0].measures["importance"].any()
    write_explorer(explored, tmp_path / "explorer.html")
    assert "cabinets" in (tmp_path / "explorer.html").read_text()


def test_it_is_evaluated_as_far_as_it_gives(model):
    occluded = occlusion_scores(model, TEXTS[:1], blank=0)
    (encoding,) = model.tokenize(TEXTS[:1])
    _, whole = numpy_attention(model, encoding.input_ids)
    label = int(whole.argmax())
    for place in (0, len(encoding) - 1):
        ids = list(encoding.input_ids)
        ids[place] = 0
        _, logits = numpy_attention(model, ids)
        fall = scipy.special.softmax(whole)[label] - scipy.special.softmax(logits)[label]
        np.testing.assert_allclose(occluded.signed[0, place], fall, atol=1e-5)
    with pytest.raises(InputError, match="leave out the last token"):
        faithfulness(model, TEXTS[:1], occluded.values, removal="drop", positions="tokens")
    with pytest.raises(InputError, match="`model` must give 'embeddings' for gradient_scores, got causal, which gives"):
        gradient_scores(model, TEXTS[:1])

    class WithoutGradients(CausalModel):
        gives = frozenset({"attention"})

    with pytest.raises(InputError, match="`model` must give 'gradients'"):
        class_attention(WithoutGradients("plain", model.module, model.words), TEXTS[:1])
