"""What the methods of jaxflow settle, how closely, at what cost of time and memory."""

import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxflow as jf
from jaxflow.flow import auto, exact
from jaxflow.flow.device.bounds import Bounds
from jaxflow.flow.device.relaxed import Relaxed
from jaxflow.flow.device.solvers import on_device
from jaxflow.flow.solution import FlowSolution
from jaxflow.flow.worker import Worker
from jaxflow.running import Forward, Inputs
from jaxflow.running.readers import KeptGraph

# How near the exact value a bound must come to count as exact: absolutely, and in relation to it.
TOL, RELATIVE = 1e-6, 1e-3
# Calls of which the best counts: of 4, the same rows took up to 2.4 times as long from run to run.
FIRST_ROWS = 40


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - begin, result


def median_seconds(call: Callable[[], Any], rounds: int) -> float:
    """Median time of a call, after one that compiles."""
    _ = timed(call)
    return statistics.median(timed(call)[0] for _ in range(rounds))


def exactly(graph: jf.AttentionGraph, layer: int, queries: np.ndarray) -> np.ndarray:
    mixing = np.asarray(graph.capacity, np.float64)[None, :layer]
    return exact.max_flow(mixing, queries[None], (layer,)).value[0, 0]


def closeness(lower: np.ndarray, upper: np.ndarray, value: np.ndarray) -> dict[str, float]:
    """How close bounds come to exact values, and whether they are bounds at all (largest amount they are not)."""
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    tall = np.where(value > 0, value, 1.0)
    return {
        "upper_exact": float(np.mean(upper - value <= TOL)),
        "lower_exact": float(np.mean(value - lower <= TOL)),
        "upper_excess": float(np.mean((upper - value) / tall)),
        "lower_shortfall": float(np.mean((value - lower) / tall)),
        "certified": float(np.mean(upper - lower <= TOL)),
        "within_a_thousandth": float(np.mean(upper - lower <= RELATIVE * value + TOL)),
        "violation": float(max(0.0, (lower - value).max(), (value - upper).max())),
    }


def bench_bounds(name: str, graph: jf.AttentionGraph, rounds: int) -> list[dict[str, Any]]:
    """The bounds of some rows of every layer from 3: how close by layer, and microseconds a pair for all of them."""
    tokens, layers = graph.num_tokens, tuple(range(3, graph.num_layers + 1))
    count = min(tokens, 4096 // tokens)
    queries = np.sort(np.random.default_rng(0).choice(tokens, count, replace=False))

    def bound() -> FlowSolution:
        return jf.attention_flow(graph, queries=queries, layers=layers, method="bounds")

    seconds = median_seconds(bound, rounds)
    found, rows = bound(), []
    for place, layer in enumerate(layers):
        near = closeness(found.lower[place], found.upper[place], exactly(graph, layer, queries))
        each = {"graph": name, "method": "bounds", "tokens": tokens, "layer": layer, "pairs": count * tokens}
        rows.append(each | {"microseconds": seconds * 1e6 / found.value.size} | near)
    return rows


@partial(jax.jit, static_argnames="solver")
def relaxed_pairs(mixing: jax.Array, pairs: Any, solver: Relaxed) -> Any:
    return solver.of_pairs(mixing, pairs)


def bench_relaxed(name: str, graph: jf.AttentionGraph, rounds: int) -> list[dict[str, Any]]:
    """The relaxation alone of randomly chosen pairs of every layer from 3: how close, and microseconds a pair."""
    tokens, rows, rng = graph.num_tokens, [], np.random.default_rng(1)
    count = 64 if tokens <= 100 else 8
    for layer in range(3, graph.num_layers + 1):
        sources, sinks = rng.integers(tokens, size=count), rng.integers(tokens, size=count)
        pairs = tuple(jnp.asarray(x, jnp.int32) for x in (np.zeros(count), np.full(count, layer), sources, sinks))

        def relax(pairs: Any = pairs) -> Any:
            return relaxed_pairs(graph.capacity[None], pairs, Relaxed())

        seconds = median_seconds(relax, rounds if tokens <= 100 else 1)
        lower, upper = relax()
        value = exactly(graph, layer, sources)[np.arange(count), sinks]
        each = {"graph": name, "method": "relaxed", "tokens": tokens, "layer": layer, "pairs": count}
        rows.append(each | {"microseconds": seconds * 1e6 / count} | closeness(lower, upper, value))
    return rows


def bench_stages(name: str, graph: jf.AttentionGraph, tols: tuple[float, ...]) -> list[dict[str, Any]]:
    """Share of pairs that each stage of `auto` settles, as with an accelerator, though everything runs here."""
    layers, rows = tuple(range(1, graph.num_layers + 1)), []
    queries = jnp.asarray(np.linspace(0, graph.num_tokens - 1, 4).astype(np.int32))
    for tol in tols:
        with Worker() as worker:
            found = auto.begin(graph, queries, layers, tol, worker)()
        assert found.stages is not None
        total = sum(found.stages.values())
        shares = {stage: count / total for stage, count in found.stages.items()}
        rows.append({"graph": name, "tol": tol, "pairs": total, "certified": float(found.certified.mean()), **shares})
    return rows


def bench_first_rows(name: str, model: Any, encoding: Any, *, quick: bool) -> dict[str, Any]:
    """What the first position's rows of all layers cost beside the forward pass that they belong to.

    In the processor's time, all threads together, which other programs disturb least; the best of the rounds.
    """
    rounds = 4 if quick else FIRST_ROWS
    inputs = Inputs(batch=model.pad([encoding]), examples=(None,), shared=None)
    encode = jax.jit(Forward((KeptGraph(),)))

    def forward() -> Any:
        return encode(model.module, inputs)[0]

    graph = forward()
    ways: dict[str, Callable[[], Any]] = {
        "forward": forward,
        "rollout": lambda: jf.attention_rollout(graph),
        "exact": lambda: jf.attention_flow(graph, queries=0, method="exact").value,
    }
    # On an accelerator; on a processor solving is quicker, and these take longer than all else above some 100 tokens.
    if graph.num_tokens <= 100:
        ways["bounds"] = lambda: jf.attention_flow(graph, queries=0, method="bounds")
    spent = {way: processor_seconds(call, rounds) * 1e3 for way, call in ways.items()}
    exact_share = spent["exact"] / spent["forward"]
    return {
        "graph": name,
        "tokens": graph.num_tokens,
        "processor_milliseconds": spent,
        "exact_over_forward": exact_share,
    }


def processor_seconds(call: Callable[[], Any], rounds: int) -> float:
    """The least time of the processor that a call takes, after one that compiles."""
    _ = timed(call)
    spent = []
    for _ in range(rounds):
        begin = time.process_time()
        _ = jax.block_until_ready(call())
        spent.append(time.process_time() - begin)
    return min(spent)


def bounds_megabytes(layers: int, tokens: int, queries: int) -> float:
    """Working memory of the bounds by the compiler's count, one example in float32."""
    graph = jax.eval_shape(jf.attention_graph, jnp.zeros((layers, 1, tokens, tokens), jnp.float32))
    rows = jax.ShapeDtypeStruct((queries,), jnp.int32)
    lowered = on_device.lower(graph, rows, tuple(range(1, layers + 1)), 1e-6, Bounds())
    memory = lowered.compile().memory_analysis()
    assert memory is not None
    return (memory.temp_size_in_bytes + memory.output_size_in_bytes) / 2**20


def exact_megabytes(tokens: int) -> float:
    """What the exact solver allocates at its peak, result included: last of six layers, one thread."""
    mixing = np.full((1, 6, tokens, tokens), 1 / tokens)
    wanted = np.zeros((1, 1, tokens, tokens), bool)
    wanted[..., ::16] = True
    tracemalloc.start()
    _ = exact.max_flow(mixing, np.arange(tokens)[None], (6,), wanted=wanted, threads=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20
