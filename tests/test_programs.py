"""Few programs serve arrays of many shapes, and those used least recently are dropped."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow import _programs
from jaxflow._programs import Programs, bucket, bucket_of, few
from jaxflow.graph import graph as graph_module
from jaxflow.graph import values as _values
from tests.problems import masks, softmax_attention

ROOT = Path(__file__).parents[1]


def test_sizes_grow_by_a_quarter_at_most():
    for size in range(1, 3000):
        assert bucket(size) >= size
        assert bucket(bucket(size)) == bucket(size)
        assert bucket(size) < size + 8 or bucket(size) <= 1.25 * size
        assert size <= few(size) <= max(1.5 * size, 1)
        assert few(few(size)) == few(size)
    assert len({bucket(size) for size in range(1, 513)}) == 20
    assert [few(size) for size in (0, 1, 2, 3, 4, 5, 6, 7, 9, 13)] == [1, 1, 2, 3, 4, 6, 6, 8, 12, 16]


def test_the_programs_used_least_recently_are_dropped():
    traced = []

    def scaled(values, factor):
        traced.append(values.shape)
        return values * factor

    program = Programs(scaled, static=("factor",), most=2)

    def call(size, factor=2.0):
        np.testing.assert_array_equal(program(np.ones(size, np.float32), factor), np.full(size, factor))
        return len(traced)

    assert [call(1), call(2), call(1), call(2)] == [1, 2, 2, 2]
    assert [call(3), call(2), call(1)] == [3, 3, 4]
    # The same shape with another static argument is another program.
    assert [call(1, factor=3.0), call(1, factor=3.0)] == [5, 5]
    assert jax.jit(lambda x: program(x, factor=4.0))(jnp.ones(3))[0] == 4
    assert len(program._kept) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="counts pieces of memory as Linux lists them")
def test_dropped_programs_give_their_memory_back():
    def heavy(values):
        for power in range(2, 30):
            values = jnp.sort(values, axis=-1) + jnp.cumsum(values) ** power
        return values

    def pieces():
        gc.collect()
        return Path("/proc/self/maps").read_bytes().count(b"\n")

    program = Programs(heavy, most=1)
    _ = program(np.ones(10, np.float32))
    first = pieces()
    for size in range(11, 15):
        _ = program(np.ones(size, np.float32))
    assert pieces() < first + 60


@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3), (1, 1, 2)])
def test_what_is_filled_up_is_cut_back(batch):
    array = np.random.default_rng(0).random((*batch, 4, 9, 9)).astype(np.float32)
    room = bucket_of(jnp.asarray(array), batch, token=9)
    assert room is not None
    filled = room.fill(array, "layer token token")
    assert filled.shape == (few(int(np.prod(batch))), 4, 16, 16)
    assert float(filled.sum()) == pytest.approx(float(array.sum()), rel=1e-5)
    np.testing.assert_array_equal(room.cut(filled, "layer token token"), array)


def test_nothing_is_filled_up_where_nothing_is_gained():
    assert bucket_of(jnp.zeros((6, 2, 16, 16)), (6,), token=16) is None
    shape = jax.ShapeDtypeStruct((5, 2, 9, 9), jnp.float32)
    assert bucket_of(shape, (5,), token=9) is None
    mesh = jax.make_mesh((4,), ("example",))
    spread = jax.device_put(jnp.zeros((4, 2, 9, 9)), jax.NamedSharding(mesh, jax.P("example")))
    assert bucket_of(spread, (4,), token=9) is None


@pytest.mark.parametrize("to_array", [np.asarray, jnp.asarray])
def test_small_arrays_are_checked_without_a_program(to_array, monkeypatch):
    for module, name in ((_values, "_is_sound"), (_values, "_reach"), (_values, "_forgotten_on_device")):
        monkeypatch.setattr(module, name, None)
    monkeypatch.setattr(graph_module, "_is_sound", None)
    weights = to_array(softmax_attention(3, (2, 3, 2, 7, 7)))
    _ = jf.attention_rollout(jf.attention_graph(weights))
    monkeypatch.setattr(_programs, "NUMBERS_AT_HAND", 100)
    if isinstance(weights, jax.Array):
        with pytest.raises(TypeError, match="'NoneType' object is not callable"):
            jf.attention_graph(weights)


@pytest.mark.parametrize("seed", range(6))
def test_padding_looks_the_same_to_numpy_and_to_a_program(seed):
    mask = masks(seed, 4, 6)[:, :: 1 if seed % 2 else -1]
    weights = softmax_attention(seed, (4, 2, 3, 6, 6), mask=mask).astype(np.float32)
    ours = _values._forgotten(*_values._reach_on_host(weights))
    theirs = _values._forgotten_on_device(*_values._reach(jnp.asarray(weights)))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert ours[0].any() == (not mask.all())


def test_results_stay_on_the_device_that_holds_the_graph():
    graph = jf.attention_graph(softmax_attention(1, (3, 2, 9, 9)))
    other = jax.devices()[2]
    there = jax.device_put(graph, other)
    for array in (there.capacity, jf.attention_rollout(there), jf.attention_flow(there, 0, 2, "bounds").upper):
        assert array.devices() == {other}
    np.testing.assert_array_equal(there.capacity, graph.capacity)


def test_filling_up_changes_no_values():
    """Inside a transformation nothing is filled up."""
    mask = masks(2, 5, 9)
    attention = softmax_attention(2, (5, 3, 2, 9, 9), mask=mask).astype(np.float32)

    def all_of(attention, mask, cut):
        graph = jf.attention_graph(attention, mask, heads=jnp.asarray([0.25, 0.75]), residual=0.3)
        return (
            graph.weights,
            graph.capacity,
            jf.attention_rollout(graph, start=1),
            jf.head_rollout(graph, attention, 3),
            jf.cut_capacity(graph, cut),
            jf.attention_flow(graph, queries=[1, 4], method="bounds").upper,
        )

    cut = np.random.default_rng(0).random((5, 2, 3, 4, 9)) < 0.5
    for ours, plain in zip(all_of(attention, mask, cut), jax.jit(all_of)(attention, mask, cut), strict=True):
        assert ours.shape == plain.shape
        np.testing.assert_allclose(ours, plain, atol=1e-6)


@pytest.mark.slow
@pytest.mark.optimised
@pytest.mark.skipif(sys.platform != "linux", reason="counts pieces of memory as Linux lists them")
@pytest.mark.parametrize(
    ("way", "shapes"),
    [
        ("rollout", 500),
        ("cuts", 500),
        ("exact", 500),
        ("auto", 500),
        ("bounds", 500),
        ("relaxed", 250),
        ("smooth", 250),
    ],
)
def test_hundreds_of_shapes_take_bounded_memory(way, shapes):
    done = subprocess.run(
        [sys.executable, "-m", "tests.flow.many_shapes", way, str(shapes)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    early, late = (list(map(int, line.split())) for line in done.stdout.splitlines())
    assert late[0] == shapes
    # Four programs, and small change; one a shape would be 100,000 pieces of memory and more, and gigabytes.
    assert late[1] < 6_000
    assert late[1] - early[1] < 200
    assert late[2] - early[2] < 100
