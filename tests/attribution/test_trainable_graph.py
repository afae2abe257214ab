"""Graphs inside a training step: equal to `build_graph`'s, with derivatives in the model's parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxflow as jf
from jaxflow import InputError
from tests.tiny_text_model import model_folder

TEXTS = ["the key is on the table", "keys", "it is on the table on the table"]


@pytest.fixture(scope="module")
def model():
    return jf.load_model(model_folder())


@pytest.fixture(scope="module")
def batch(model):
    return model.pad(model.tokenize(TEXTS), 12)


# Own streams of one size: wide ones grow by powers of two.
BY_CLASS = jf.mixing.AttentionGradient(own="identity")


def first_logit(logits):
    return logits[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize("mixing", ["attention", "attention-gradient", jf.mixing.Norms(own="wide")])
def test_it_is_the_graph_of_the_texts_in_jit(model, batch, mixing):
    needs = jf.mixing.as_mixing(mixing).needs
    target = 0 if "gradients" in needs else None
    expected = jf.build_graph(model, TEXTS, mixing, target)
    graph, logits = jax.jit(lambda module: jf.trainable_graph(module, batch, mixing, first_logit))(model.module)
    length = expected.num_tokens
    np.testing.assert_array_equal(graph.mask[:, :length], expected.mask)
    cut = graph.weights[..., :length, :length], graph.own[..., :length]
    for ours, theirs in zip(cut, (expected.weights, expected.own), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(jnp.max(theirs)))
    assert not np.asarray(graph.weights)[..., length:].any()
    np.testing.assert_allclose(logits, model.module(batch).logits, atol=1e-5)


# What a term of a loss may be made of: rows of tokens. Flow has derivatives by its bounds.
READERS = {
    "rollout": lambda graph: jf.attention_rollout(graph)[:, -1, 0],
    "widest": lambda graph: jf.widest_path(graph, 0, graph.num_layers)[:, 0, 0],
    "bounds": lambda graph: jf.attention_flow(graph, 0, graph.num_layers, method="bounds").value[:, 0, 0],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mixing", "reader"), [("attention", "rollout"), (BY_CLASS, "rollout"), (BY_CLASS, "widest"), (BY_CLASS, "bounds")]
)
def test_derivatives_in_the_parameters_are_those_of_finite_differences(model, batch, mixing, reader):
    graph, parameters = nnx.split(model.module)
    tokens = jnp.where(batch.mask, jnp.arange(batch.mask.shape[-1], dtype=jnp.float32), 0)

    @jax.jit
    @jax.value_and_grad
    def number(parameters):
        """The tokens' mean place, by relevance: of no scale, as class-specific weights are small."""
        arcs, _ = jf.trainable_graph(nnx.merge(graph, parameters), batch, mixing, first_logit)
        rows = READERS[reader](arcs)
        return ((rows * tokens).sum(-1) / rows.sum(-1)).mean()

    _, gradient = number(parameters)
    # Along the gradient itself, where the slope is its norm: in single precision slopes of others drown in rounding.
    norm = optax.tree.norm(gradient)

    def at(step):
        return float(number(jax.tree.map(lambda each, slope: each + step / norm * slope, parameters, gradient))[0])

    # Small enough for kinks, large enough for rounding: the number changes by about 0.004.
    step = 2e-3 / float(norm)
    assert (at(step) - at(-step)) / (2 * step) == pytest.approx(float(norm), rel=0.03)


@pytest.mark.slow
def test_a_term_of_the_loss_trains_the_model(model, batch):
    # Certified flow of the class, by the bounds' derivative: the evidence gets a larger share, exact flow says so too.
    graph, parameters = nnx.split(model.module)
    labels, places, rows = jnp.array([0, 1, 0]), jnp.array([2, 1, 3]), jnp.arange(3)
    optimiser = optax.adam(1e-2)

    def shares(flow):
        return flow[rows, places] / flow.sum(-1)

    def class_graph(parameters):
        explain = lambda logits: logits[rows, labels] - logits[rows, 1 - labels]  # noqa: E731
        return jf.trainable_graph(nnx.merge(graph, parameters), batch, "attention-gradient", explain)

    @jax.jit
    def step(parameters, state):
        def loss(parameters):
            arcs, logits = class_graph(parameters)
            flow = jf.attention_flow(arcs, 0, arcs.num_layers, method="bounds").value[:, 0, 0]
            task = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
            return task - jnp.log(shares(flow) + 1e-3).mean()

        value, gradient = jax.value_and_grad(loss)(parameters)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimiser.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, value

    def exact(parameters):
        arcs, _ = class_graph(parameters)
        flow = jf.attention_flow(arcs, 0, arcs.num_layers, method="exact")
        assert flow.certified.all()
        return shares(flow.value[:, 0, 0])

    trained, state, losses = parameters, optimiser.init(parameters), []
    for _ in range(30):
        trained, state, value = step(trained, state)
        losses.append(float(value))
    assert losses[-1] < losses[0] - 0.5
    assert (exact(trained) > exact(parameters)).all()


def test_what_does_not_fit_is_said_in_one_line(model, batch):
    with pytest.raises(InputError, match="explain"):
        _ = jf.trainable_graph(model.module, batch, "attention-gradient")
    with pytest.raises(InputError, match="pass `model"):
        _ = jf.trainable_graph(model, batch)
    with pytest.raises(InputError, match="mixing"):
        _ = jf.trainable_graph(model.module, batch, "no such mixing")
