import jax
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.models.recording import room_for
from tests.models.model_from_outside import causal_model
from tests.models.recorded_from_outside import RecordedModel

TEXTS = ["the key to the cabinets is on the table", "the keys", "the key is"]


def test_a_recorded_model_gives_what_the_same_model_in_jax_gives(tmp_path):
    native = causal_model()
    recorded = RecordedModel(native)
    question = jf.Question(queries="last")
    expected = jf.attribute(native, TEXTS, question)
    result = jf.attribute(recorded, TEXTS, question)
    for ours, theirs in zip(result, expected, strict=True):
        for name, values in theirs.relevance.items():
            np.testing.assert_allclose(ours.relevance[name], values, atol=1e-6)
        assert ours.certified.all()
        assert ours.prediction == theirs.prediction
    folder = jf.run_sweep(recorded, TEXTS, tmp_path / "results", question)
    np.testing.assert_array_equal(next(iter(folder)).relevance["flow"], result[0].relevance["flow"])
    assert "rollout" in jf.write_page(jf.explore(recorded, TEXTS), tmp_path / "page.html").read_text()


def test_what_takes_gradients_or_several_passes_is_refused_in_one_line():
    recorded = RecordedModel(causal_model())
    with pytest.raises(InputError, match="'attention-gradient', which needs gradients; pass one that it can"):
        jf.attribute(recorded, TEXTS, mixing="attention-gradient")
    with pytest.raises(InputError, match="`methods` must need only what the model gives"):
        jf.attribute(recorded, TEXTS, methods="gradient-input")


@pytest.mark.parametrize("shape", [(1, 2, 3, 7, 7), (3, 1, 1, 300, 300), (2, 5), (0, 2, 1, 1, 1)])
def test_a_room_holds_zeros_that_jax_takes_without_a_copy(shape):
    room = room_for(*shape)
    assert room.shape == shape
    assert room.dtype == np.float32
    assert not room.any()
    if room.size:
        assert jax.device_put(room).unsafe_buffer_pointer() == room.ctypes.data
