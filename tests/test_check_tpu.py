"""The script that compiles for TPUs: what it counts, and what it found. Compiling needs libtpu, counting does not."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxflow.flow.device.bounds import flow_bounds
from jaxflow.flow.device.minsum_kernel import tiled_min_sum

ROOT = Path(__file__).parents[1]


def loaded(name):
    """A script of the project as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return loaded("check_tpu")


@pytest.fixture(scope="module")
def figures():
    return loaded("program_figures")


@pytest.fixture(scope="module")
def programs():
    found = json.loads((ROOT / "scripts" / "results" / "tpu.json").read_text())
    assert {"libtpu", "jax"} <= set(found["about"]["versions"])
    return found["programs"]


def test_operations_of_loops_are_counted_as_often_as_they_run(figures):
    def power(x):
        return jax.lax.scan(lambda product, _: (product @ x + 1.0, None), x, length=5)[0]

    matrix, other = figures.operations(jax.make_jaxpr(power)(jnp.ones((4, 4))).jaxpr)
    # Five products of 4 x 4 x 4 with a multiplication and an addition each; five sums of 16.
    assert matrix == 5 * 2 * 4**3
    assert other == 5 * 16


def test_loops_of_unknown_length_are_named(figures):
    def halved(count, x):
        return jax.lax.fori_loop(0, count, lambda _, y: jax.lax.fori_loop(0, 3, lambda _, z: z / 2, y), x)

    jaxpr = jax.make_jaxpr(halved)(4, jnp.ones(8)).jaxpr
    assert figures.open_loops(jaxpr) == 1
    # One turn of the outer loop, three of the inner one, and what counts them.
    assert 3 * 8 <= figures.operations(jaxpr)[1] < 4 * 8
    assert figures.open_loops(jax.make_jaxpr(lambda x: halved(4, x))(jnp.ones(8)).jaxpr) == 0


def test_a_rows_bounds_do_not_pay_for_all_rows(figures):
    layers, tokens = 4, 64

    def operations(queries):
        def bounds(capacity, queries):
            return flow_bounds(capacity, queries, tuple(range(1, layers + 1)), 1e-6)

        arguments = jnp.ones((layers, tokens, tokens)), jnp.arange(queries, dtype=jnp.int32)
        return figures.operations(jax.make_jaxpr(bounds)(*arguments).jaxpr)

    # What all rows share, layer products of token^3, is the smaller part of a row's own work.
    (matrix, other), (all_matrix, all_other) = operations(1), operations(tokens)
    assert all_matrix > 0.9 * tokens * matrix
    assert all_other > 0.5 * tokens * other


def test_operations_of_every_device_are_counted(figures):
    mesh = jax.sharding.Mesh(jax.devices()[:4], ("example",))
    apart = jax.shard_map(lambda x: x @ x.T, mesh=mesh, in_specs=jax.P("example"), out_specs=jax.P("example"))
    matrix, _ = figures.operations(jax.make_jaxpr(apart)(jnp.ones((8, 3))).jaxpr)
    # Each of four devices multiplies 2 x 3 by 3 x 2.
    assert matrix == 4 * 2 * 2 * 3 * 2


def test_kernels_count_at_every_place_of_their_grid(figures):
    left = right = jnp.ones((3, 250, 250))
    _, other = figures.operations(jax.make_jaxpr(lambda x, y: tiled_min_sum(x, y, "tpu"))(left, right).jaxpr)
    # At least a minimum and a sum for each row, column and term of the filled arrays, and not three of each.
    assert 2 * 3 * 256**3 < other < 3 * 3 * 256**3


def test_gathers_count_in_loops_alone(figures):
    def outside(table, index):
        return table[index]

    def inside(table, index):
        return jax.lax.fori_loop(0, 3, lambda _, i: table[i], index)

    table, index = jnp.arange(64, dtype=jnp.int32)[::-1], jnp.arange(8, dtype=jnp.int32)
    texts = [jax.jit(each).lower(table, index).compile().as_text() for each in (outside, inside)]
    assert figures.in_loops(texts[0], "gather") == 0
    assert figures.in_loops(texts[1], "gather") >= 1
    assert figures.in_loops(texts[1], "scatter") == 0


def test_collectives_are_found(figures):
    mesh = jax.sharding.Mesh(jax.devices()[:2], ("example",))
    rows = jax.ShapeDtypeStruct((4, 3), jnp.float32, sharding=jax.NamedSharding(mesh, jax.P("example")))
    alone = jax.jit(lambda x: 2 * x).lower(rows).compile().as_text()
    across = jax.jit(lambda x: x / x.sum()).lower(rows).compile().as_text()
    assert figures.COLLECTIVE.findall(alone) == []
    assert set(figures.COLLECTIVE.findall(across)) == {"all-reduce"}


# Of a family of each kind: the program, and how many examples its results have.
MAKE = """
import sys
sys.path.insert(0, "scripts")
import check_tpu, jax
made = dict(check_tpu.families(2))
for family in ("bert", "qwen3", "vit", "dinov2_with_registers"):
    job = made[f"forward of {family}"]()
    results = jax.eval_shape(job.function, job.whole, *job.rows)
    print(family, {leaf.shape[0] for leaf in jax.tree.leaves(results)})
"""


@pytest.mark.slow
def test_a_family_of_every_kind_makes_a_program():
    # In a process of its own: shapes alone are no arrays, which the tests' checks of types would say.
    done = subprocess.run([sys.executable, "-c", MAKE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "bert {2}\nqwen3 {2}\nvit {2}\ndinov2_with_registers {2}\n", done.stderr


def test_results_are_of_programs_that_the_script_makes(script, programs):
    for row in programs:
        assert row["topology"] in script.TOPOLOGIES
        assert row["program"] in {name for part in script.PARTS.values() for name, _ in part(row["examples"])}
        assert row["examples"] == script.EXAMPLES * row["chips"]
    at = {(row["topology"], row["program"]) for row in programs}
    every_reading = {name for name, _ in script.graphs(script.EXAMPLES)}
    assert {(topology, name) for topology in script.TOPOLOGIES for name in every_reading} <= at


def test_no_example_needs_another(programs):
    for row in programs:
        assert row["collectives"] == [], row


def test_widest_paths_are_found_without_reading_by_index(programs):
    gathers = [row["gathers_in_loops"] for row in programs if row["program"] == "widest path"]
    assert gathers == [0] * 4


def test_every_program_fits_and_none_is_in_double_precision(programs):
    for row in programs:
        assert "error" not in row, row
        assert row["share_of_memory"] < 1, row
        assert row["float64"] == 0, row
        assert row["examples_a_second_at_most"] > 0, row
