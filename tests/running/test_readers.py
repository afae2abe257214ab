"""Readers written outside the package ride along one forward pass, several at once, whatever the batches are."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow.running import EngineOptions, GradientReader, Reader, layer_room, put_layer, run_readers
from jaxflow.running._executables import Executables
from jaxflow.running.readers import KeptHeads, Logits
from tests.tiny_text_model import model_folder

TEXTS = ["the key to the cabinets", "is", "unbelievable tables on the table", "keys"]


@dataclass(frozen=True)
class LargestWeight:
    """The largest weight that any head gives in each layer."""

    needs_logits: bool = False

    def start(self, inputs):
        return layer_room(inputs, inputs.depth)

    def step(self, inputs, carry, layer):
        return put_layer(carry, layer.masked.max((-3, -2, -1)), layer.index)

    def finish(self, inputs, carry, outputs):
        return carry


@dataclass(frozen=True)
class WeightedGradient:
    """The total derivative of a class's logit in every head's attention; its array is the class of each text."""

    needs_logits: bool = True

    def start(self, inputs):
        return None

    def step(self, inputs, carry, layer):
        return None

    def explained(self, inputs, logits):
        return jnp.take_along_axis(logits, inputs.examples[:, None], axis=-1)[:, 0]

    def finish(self, inputs, carry, outputs):
        return outputs.gradient, outputs.explained


@pytest.fixture(scope="module")
def encoder():
    return jf.load_model(str(model_folder()))


def test_readers_of_ones_own_see_what_the_model_gives(encoder, monkeypatch):
    passes, run = [], Executables.run
    monkeypatch.setattr(Executables, "run", lambda *given: passes.append(given[1].batch.mask.shape) or run(*given))
    encodings = encoder.tokenize(TEXTS)
    told = []
    results = run_readers(encoder, encodings, [LargestWeight(), KeptHeads(), Logits()], progress=told.append)
    assert sum(told) == len(TEXTS)
    assert sum(rows for rows, _ in passes) < 3 * len(TEXTS) + 4  # all readers in one pass
    for encoding, (largest, heads, logits) in zip(encodings, results, strict=True):
        alone = encoder(encoder.pad([encoding]))
        tokens = len(encoding)
        np.testing.assert_allclose(heads[:, :, :tokens, :tokens], alone.attention[0], atol=2e-6)
        assert not heads[:, :, tokens:].any()
        assert not heads[:, :, :, tokens:].any()
        np.testing.assert_allclose(largest, np.asarray(alone.attention[0]).max((-3, -2, -1)), atol=2e-6)
        np.testing.assert_allclose(logits, alone.logits[0], atol=1e-5)


def test_a_gradient_reader_gives_the_total_derivative_in_attention(encoder):
    assert isinstance(LargestWeight(), Reader)
    assert not isinstance(LargestWeight(), GradientReader)
    assert isinstance(WeightedGradient(), GradientReader)
    encodings, classes = encoder.tokenize(TEXTS), np.array([0, 2, 1, 1], np.int32)

    def arrays(texts, rows, length):
        return (np.resize(classes[texts], rows), None)

    options = EngineOptions(batch_size=2)
    readers = [WeightedGradient(), LargestWeight()]
    results = run_readers(encoder, encodings, readers, arrays=arrays, options=options)
    step, place = 1e-2, (1, 0, 0, 1)
    for encoding, label, ((gradient, value), _) in zip(encodings, classes, results, strict=True):
        batch = encoder.pad([encoding])
        shape = encoder(batch).attention.shape
        # A central difference at one weight of a head.
        shift = np.zeros(shape, np.float32)
        shift[(0, *place)] = step
        above, below = (encoder(batch, attention_shift=jnp.asarray(sign * shift)).logits[0, label] for sign in (1, -1))
        np.testing.assert_allclose(gradient[place], (above - below) / (2 * step), atol=2e-3)
        np.testing.assert_allclose(value, encoder(batch).logits[0, label], atol=1e-5)
