"""A model written outside the package goes through all of it, by the protocol alone."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.devices import local_mesh
from jaxflow.models import EncoderOutput, HeadConfig, Model, as_model
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


def test_several_devices_give_what_one_gives(model):
    alone, spread = (jf.attribute(model, TEXTS, mesh=mesh) for mesh in (None, local_mesh(model=2)))
    for one, other in zip(alone, spread, strict=True):
        for name, values in one.relevance.items():
            np.testing.assert_allclose(values, other.relevance[name], atol=1e-6)


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
