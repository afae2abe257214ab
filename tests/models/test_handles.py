"""What attribution takes hold of: attention and embeddings handed in, their gradients, training, checkpointing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from jaxflow.models import load_model

KIND = "BertForSequenceClassification"


@pytest.fixture
def model(tiny):
    return tiny.bert(KIND)


def test_gradient_in_the_attention_equals_torch(model, batch, as_torch):
    theirs = model.torch(**as_torch(batch), output_attentions=True)
    expected = torch.autograd.grad(theirs.logits[:, 2].sum(), theirs.attentions)
    module = model.ours.module

    def score(shift):
        return module(batch, attention_shift=shift).logits[:, 2].sum()

    ours = jax.jit(jax.grad(score))(jnp.zeros_like(model.ours(batch).attention))
    np.testing.assert_allclose(ours, torch.stack(expected, 1).numpy(), atol=1e-5, rtol=1e-5)


def test_gradient_in_the_embeddings_equals_torch(model, batch, as_torch):
    inputs = as_torch(batch)
    words = model.torch.bert.embeddings.word_embeddings(inputs.pop("input_ids")).detach().requires_grad_()
    theirs = model.torch(inputs_embeds=words, **inputs).logits[:, 2].sum()
    (expected,) = torch.autograd.grad(theirs, words)
    module = model.ours.module

    def score(embeddings):
        return module(batch, embeddings=embeddings).logits[:, 2].sum()

    value, ours = jax.jit(jax.value_and_grad(score))(module.embed(batch.input_ids))
    np.testing.assert_allclose(value, theirs.item(), atol=1e-5)
    np.testing.assert_allclose(ours, expected.numpy(), atol=1e-5, rtol=1e-5)


def test_attention_handed_in_is_used_and_its_gradient_equals_torch(model, batch, as_torch):
    rng = np.random.default_rng(3)
    given = rng.dirichlet(np.ones(9), size=(3, 3, 2, 9)).astype(np.float32)
    layers = [torch.tensor(given[:, layer], requires_grad=True) for layer in range(3)]
    rows = iter(layers)

    def use_given(module, query, key, value, mask, **_):
        attention = next(rows)
        return torch.matmul(attention, value).transpose(1, 2).contiguous(), attention

    ALL_ATTENTION_FUNCTIONS.register("given", use_given)
    model.torch.config._attn_implementation = "given"
    try:
        theirs = model.torch(**as_torch(batch)).logits
    finally:
        model.torch.config._attn_implementation = "eager"
    expected = torch.stack(torch.autograd.grad(theirs[:, 1].sum(), layers), 1).numpy()

    output = model.ours(batch, attention=jnp.asarray(given))
    np.testing.assert_array_equal(output.attention, given)
    np.testing.assert_allclose(output.logits, theirs.detach().numpy(), atol=1e-4, rtol=0)
    score = jax.jit(jax.grad(lambda given: model.ours.module(batch, attention=given).logits[:, 1].sum()))
    ours = score(jnp.asarray(given))
    np.testing.assert_allclose(ours, expected, atol=1e-5, rtol=1e-5)


def test_handing_in_what_it_computed_changes_nothing(model, batch):
    plain = model.ours(batch)
    embeddings = model.ours.module.embed(batch.input_ids)
    same = model.ours(batch, attention=plain.attention, embeddings=embeddings)
    shifted = model.ours(batch, attention_shift=jnp.zeros_like(plain.attention))
    np.testing.assert_allclose(same.logits, plain.logits, atol=1e-5)
    np.testing.assert_allclose(shifted.logits, plain.logits, atol=1e-5)


def test_layers_can_be_visited_within_the_scan(model, batch):
    """A rollout carried through the layers equals the one made of all their attention."""
    module = model.ours.module

    def visit(joint, layer):
        joint = layer.attention.mean(axis=-3) @ joint
        return joint, joint

    start = jnp.broadcast_to(jnp.eye(9), (3, 9, 9))
    _, _, last, every = jax.jit(lambda module, batch: module.visit_layers(batch, visit, start))(module, batch)
    fused = np.asarray(jax.jit(lambda module: module(batch))(module).attention).mean(axis=2)
    expected = [fused[:, 0], fused[:, 1] @ fused[:, 0], fused[:, 2] @ fused[:, 1] @ fused[:, 0]]
    np.testing.assert_allclose(np.moveaxis(every, 0, 1), np.stack(expected, 1), atol=1e-5)
    np.testing.assert_array_equal(last, every[-1])


def test_dropout_comes_with_a_key_and_keeps_the_mean(tiny, batch):
    model = tiny.bert(KIND, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)
    plain = model.ours(batch)
    one, again, other = (model.ours(batch, key=jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.logits, again.logits)
    assert float(abs(one.logits - other.logits).max()) > 1e-3
    assert float(abs(one.logits - plain.logits).max()) > 1e-3
    # The first layer's attention depends on dropped embeddings, but its rows are what the softmax gave.
    np.testing.assert_allclose(one.attention.sum(-1), 1, atol=1e-5)


def test_dropout_zeroes_the_rate_and_scales_the_rest():
    from jaxflow.models.encoder.parts import dropout

    x = jnp.ones(20_000)
    dropped = dropout(x, 0.25, jax.random.key(0))
    assert set(np.unique(dropped)) == {0, np.float32(1 / 0.75)}
    assert abs(float(dropped.mean()) - 1) < 0.02
    assert dropout(x, 0.25, None) is x


@pytest.mark.slow
def test_training_lowers_the_loss_and_checkpointing_gives_the_same_gradient(model, batch):
    targets = jnp.array([0, 1, 2])

    def loss(module, checkpoint):
        output = module(batch, checkpoint=checkpoint, return_attention=False, return_hidden_states=False)
        return -jnp.take_along_axis(jax.nn.log_softmax(output.logits), targets[:, None], -1).mean()

    step = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    before, stored = step(model.ours.module, False)
    same, recomputed = step(model.ours.module, True)
    np.testing.assert_allclose(before, same, rtol=1e-6)
    for one, two in zip(jax.tree.leaves(stored), jax.tree.leaves(recomputed), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    moved = jax.tree.map(lambda x, g: x - 0.02 * g, model.ours.module, stored)
    assert float(step(moved, False)[0]) < float(before)


def test_gradients_in_the_weights_equal_torch(model, batch, as_torch):
    theirs = model.torch(**as_torch(batch)).logits[:, 0].sum()
    expected = torch.autograd.grad(theirs, [model.torch.bert.encoder.layer[1].intermediate.dense.weight])[0]
    ours = jax.jit(jax.grad(lambda module: module(batch).logits[:, 0].sum()))(model.ours.module)
    np.testing.assert_allclose(ours.layers.up.kernel[...][1], expected.numpy().T, atol=1e-5, rtol=1e-4)


def test_placed_on_a_device_or_over_several(model, batch):
    devices = jax.devices()
    there = load_model(model.folder, device=devices[-1])
    assert {leaf.device for leaf in jax.tree.leaves(there.module)} == {devices[-1]}
    mesh = jax.make_mesh((len(devices),), ("example",), axis_types=(jax.sharding.AxisType.Auto,))
    everywhere = load_model(model.folder, device=jax.sharding.NamedSharding(mesh, jax.P()))
    spread = jax.sharding.NamedSharding(mesh, jax.P("example"))
    four = jax.device_put(jax.tree.map(lambda x: jnp.concatenate([x, x[:1]]), batch), spread)
    output = everywhere(four)
    assert len(output.attention.sharding.device_set) == len(devices)
    np.testing.assert_allclose(output.logits[:3], model.ours(batch).logits, atol=1e-5)
