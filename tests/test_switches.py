"""The library under JAX's debugging switches: the same numbers."""

from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow.evaluation import gradient_scores, occlusion_scores
from tests.compare.models import model
from tests.problems import softmax_attention
from tests.tiny_text_model import model_folder

MASK = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]], bool)
ATTENTION = softmax_attention(2, (2, 3, 2, 5, 5), mask=MASK).astype(np.float32)
TEXTS = ["the key to the cabinets", "keys on the"]


@contextmanager
def what_must_not_come():
    """The switches that raise, all at once: under each other set of switches all programs are compiled anew."""
    with jax.numpy_rank_promotion("raise"), jax.debug_nans(True), jax.debug_infs(True):
        yield


SWITCHES = {"rank promotion, nans and infs": what_must_not_come, "no jit": jax.disable_jit}


def graphs():
    ways = ("mean", "max", "min", [1.0, 2.0])
    masked = [jf.attention_graph(ATTENTION, MASK, heads=heads).capacity for heads in ways]
    return [*masked, *(jf.attention_graph(hold(ATTENTION[1:])).capacity for hold in (np.asarray, jnp.asarray))]


def rollouts():
    graph = jf.attention_graph(jnp.asarray(ATTENTION), MASK, residual=[0.1, 0.9], normalize=True)
    slope = jax.grad(lambda a: jf.attention_rollout(jf.attention_graph(a, MASK))[0, -1, 0, 1])(jnp.asarray(ATTENTION))
    return [jf.attention_rollout(graph), jf.head_rollout(graph, ATTENTION, 2), jf.raw_attention(graph), slope]


def flow(method):
    def run():
        found = jf.attention_flow(jf.attention_graph(ATTENTION, MASK), queries=[0], layers=[3], method=method)
        return [found.value, found.lower, found.upper]

    return run


def slope(method):
    def value(attention):
        return jf.attention_flow(jf.attention_graph(attention), queries=0, layers=[3], method=method).value.sum()

    return lambda: [jax.grad(value)(jnp.asarray(ATTENTION[1:]))]


def attributed():
    result = jf.attribute(jf.load_model(model_folder()), TEXTS)
    return [rows for name in ("raw", "rollout", "flow") for rows in result.relevance[name]]


def compared():
    found = jf.compare_models(model(0), model(1), TEXTS)
    return [found.summary.head.jensen_shannon.mean, *(each.change["flow"] for each in found)]


def evaluated():
    encoder = jf.load_model(model_folder())
    return [*occlusion_scores(encoder, TEXTS).values, *gradient_scores(encoder, TEXTS).values]


PARTS = {
    "graphs": graphs,
    "rollouts": rollouts,
    "bounds": flow("bounds"),
    "relaxed": flow("relaxed"),
    "smooth": flow("smooth"),
    "exact": flow("exact"),
    "slope of bounds": slope("bounds"),
    "slope of smooth": slope("smooth"),
    "attribute": attributed,
    "compare": compared,
    "evaluation": evaluated,
}
QUICK = ("graphs", "exact")
# Step by step these go through thousands of small programs, each compiled on its own.
LONG_WITHOUT_JIT = ("slope of bounds", "slope of smooth")


@pytest.mark.parametrize(
    "part", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PARTS]
)
def test_the_same_numbers_under_every_switch(part):
    expected = PARTS[part]()
    for name, switch in SWITCHES.items():
        if name == "no jit" and part in LONG_WITHOUT_JIT:
            continue
        with switch():
            found = PARTS[part]()
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-6, err_msg=name)
