"""Several devices give what one device gives, whatever lies where."""

import jax
import numpy as np
import pytest
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.devices import as_mesh, default_mesh, example_devices, local_mesh
from jaxflow.models.create import new_encoder
from jaxflow.models.encoder.sharding import shardings, spread
from tests.tiny_text_model import model_folder

TEXTS = ["the key to the cabinets", "is", "unbelievable tables on the table", "the keys", "to the table is on", "keys"]


@pytest.fixture(scope="module")
def encoder():
    return jf.load_model(str(model_folder()))


@pytest.fixture(scope="module")
def alone(encoder):
    return jf.attribute(encoder, TEXTS, queries=None)


def assert_near(found, expected, atol=1e-6):
    for one, other in zip(found, expected, strict=True):
        for name, values in one.relevance.items():
            np.testing.assert_allclose(values, other.relevance[name], atol=atol)
        assert one.prediction == other.prediction
        np.testing.assert_allclose(list(one.scores.values()), list(other.scores.values()), atol=1e-5)


def meshes():
    explicit = jax.make_mesh((2,), ("rows",), axis_types=(jax.sharding.AxisType.Explicit,))
    return {
        "all": local_mesh(),
        "three": local_mesh(devices=jax.local_devices()[1:]),
        "a user's own": explicit,
        "encoder in two parts": local_mesh(model=2),
        "encoder over all": local_mesh(model=4),
    }


@pytest.mark.parametrize("kind", meshes())
def test_a_mesh_gives_what_one_device_gives(encoder, alone, kind):
    mesh = meshes()[kind]
    found = jf.attribute(encoder, TEXTS, queries=None, mesh=mesh)
    assert_near(found, alone)
    again = jf.attribute(encoder, TEXTS, queries=None, mesh=mesh)
    for one, other in zip(found, again, strict=True):
        for name, values in one.relevance.items():
            np.testing.assert_array_equal(values, other.relevance[name])


def test_each_device_has_its_share_of_a_batch(encoder, monkeypatch):
    from jaxflow.running._executables import Executables

    seen, run = [], Executables.run

    def noted(executables, inputs, program):
        outputs = run(executables, inputs, program)
        _, streamed, graph, _ = outputs
        seen.append((inputs.batch.input_ids, inputs.examples[1], streamed["rollout"], graph.weights))
        return outputs

    monkeypatch.setattr(Executables, "run", noted)
    jf.attribute(encoder, TEXTS, methods=("rollout", "flow"), flow="bounds", mesh=local_mesh(), batch_size=6)
    for arrays in seen:
        rows = arrays[0].shape[0]
        assert rows % 4 == 0
        for array in arrays:
            assert {shard.data.shape[0] for shard in array.addressable_shards} == {rows // 4}


@pytest.mark.slow
def test_an_encoder_that_is_spread_already_says_where_to_run(encoder, alone):
    from dataclasses import replace

    whole = jax.NamedSharding(local_mesh(devices=jax.local_devices()[:2]), jax.P())
    for where in (whole, jax.local_devices()[2]):
        moved = replace(encoder, module=jax.device_put(encoder.module, where))
        assert_near(jf.attribute(moved, TEXTS, queries=None), alone)


def test_parts_of_an_encoder_lie_apart_and_are_put_there_once():
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
    module = new_encoder(transformers.BertConfig(**sizes, vocab_size=30, max_position_embeddings=8)).module
    mesh = local_mesh(model=4)
    kept = {}
    whole = spread(module, mesh, kept)
    assert spread(module, mesh, kept) is whole
    parts = jax.tree.unflatten(whole.shape, whole.parameters)
    for linear, axis in ((parts.layers.qkv, 3), (parts.layers.output, 1), (parts.layers.up, 2), (parts.layers.down, 1)):
        kernel = linear.kernel[...]
        quarter = tuple(size // (4 if place == axis else 1) for place, size in enumerate(kernel.shape))
        assert {shard.data.shape for shard in kernel.addressable_shards} == {quarter}
    assert parts.embeddings.words.table[...].sharding.is_fully_replicated
    odd = local_mesh(model=3, devices=jax.local_devices()[:3])
    heads = next(s for s, leaf in zip(shardings(module, odd), jax.tree.leaves(module), strict=True) if leaf.ndim == 5)
    assert heads.is_fully_replicated
    kernel = module.layers.up.kernel
    kernel[...] = kernel[...] * 2
    changed = zip(whole.parameters, spread(module, mesh, kept).parameters, strict=True)
    assert any(one is not other for one, other in changed)


def test_meshes_are_made_and_checked():
    mesh = local_mesh()
    assert mesh.size == example_devices(mesh) == len(jax.local_devices()) == 4
    assert example_devices(local_mesh(model=2)) == 2
    assert as_mesh(mesh) == mesh
    assert default_mesh() is None
    for model in (0, 3, True):
        with pytest.raises(InputError, match="`model` must divide the 4 devices"):
            local_mesh(model=model)
    with pytest.raises(InputError, match=r"`mesh` must be a jax\.sharding\.Mesh or None, got int"):
        as_mesh(4)
