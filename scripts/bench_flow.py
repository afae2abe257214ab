#!/usr/bin/env python3
"""Measure the flow solvers against other people's, in one run, on real attention and on made-up graphs.

    scripts/bench_flow.py [--data DIR] [--quick]
    scripts/bench_flow.py --reactions FOLDER --data DIR --out scripts/results/flow_reactions.json
    scripts/bench_flow.py --classes FOLDER [--data DIR] --out scripts/results/flow_classes.json
    scripts/bench_flow.py --long 256 1024 4096 --out scripts/results/flow_long.json

The first takes English prose through minilm (6 layers). The second takes chemical reactions through a 12-layer BERT,
which `scripts/convert_checkpoint.py --package rxnfp-pretrained FOLDER` makes. The third takes prose through the shipped
classifier and others (`--package nlptest FOLDER` makes one), by capacities of attention times the class's gradient,
against the peers alone. The fourth takes one position's rows at all of 12 layers of local attention, with a strong
first token, causal, and in sliding windows: seconds of one core.

Each round times every solver once, one after the other, on the same graph, cut down to the layers below the source;
figures of solvers are of the processor's time, the best of the rounds, which other programs disturb least.
Compilation and the building of a peer's graph are outside its time, all that jaxflow does for a pair is inside. Peers
that are not installed are left out by name. Then, for the same graphs: how close the bounds and the relaxation come,
what each stage of `auto` settles, all layers at once beside layer by layer, growth with length and depth, memory, and
the cost of the first position's rows beside a forward pass, in the processor's time. What is measured is written as it
comes, graph by graph. `--quick` takes less than a minute and leaves out networkx, the relaxation and graphs over 64
tokens.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from flow_bench import graphs, long_rows, stages
from flow_bench import peers as peers_of
from flow_bench.peers import timed
from provenance import provenance

import jaxflow as jf
from jaxflow.flow import exact
from jaxflow.flow.solution import STAGES

HERE = Path(__file__).parent
# Pairs that a peer solves in a round.
PAIRS = 24


def ours(mixing: np.ndarray, layer: int, sinks: np.ndarray, threads: int = 1) -> tuple[float, exact.ExactFlow]:
    """Seconds for all sources to the given sinks, nothing left out."""
    tokens = mixing.shape[-1]
    wanted = np.zeros((1, 1, tokens, tokens), bool)
    wanted[..., sinks] = True
    queries = np.arange(tokens)[None]
    # Several threads are to take less time, not less of the processor.
    clock = time.process_time if threads == 1 else time.perf_counter
    return timed(lambda: exact.max_flow(mixing[None, :layer], queries, (layer,), wanted=wanted, threads=threads), clock)


def bench_layer(name: str, mixing: np.ndarray, layer: int, peers: dict, options: argparse.Namespace) -> dict[str, Any]:
    """One source layer of one graph: microseconds a pair of every solver."""
    tokens, rng = mixing.shape[-1], np.random.default_rng(layer)
    sinks = np.sort(rng.choice(tokens, min(tokens, options.sinks), replace=False))
    last = layer == len(mixing)
    chosen = {
        peer: build(mixing[:layer])
        for peer, build in peers.items()
        if peer not in peers_of.SLOW or (last and tokens <= 100 and not (options.quick or options.fast_peers))
    }
    mine, theirs, error = [], {peer: [] for peer in chosen}, 0.0
    # The same pairs in every round, so that the best of them is no easier set.
    pairs = [(int(rng.integers(tokens)), int(rng.choice(sinks))) for _ in range(PAIRS)]
    _, found = ours(mixing, layer, sinks)
    for round_number in range(options.rounds):
        seconds, found = ours(mixing, layer, sinks)
        mine.append(seconds / (tokens * len(sinks)))
        for peer, solve in chosen.items():
            if peer in peers_of.SLOW and round_number:
                continue
            some = pairs[:1] if peer in peers_of.SLOW else pairs
            spent, values = timed(lambda solve=solve, some=some: [solve(*pair) for pair in some])
            theirs[peer].append(spent / len(some))
            if peer in ("ortools", "igraph"):
                exactly = [found.value[0, 0, u, v] for u, v in some]
                error = max(error, float(np.abs(np.subtract(values, exactly)).max()))
    times = {peer: min(spent) * 1e6 for peer, spent in theirs.items()}
    own, fastest = min(mine) * 1e6, min(times, key=times.__getitem__)
    settled = sum(found.stages.values())
    return {
        "graph": name, "tokens": tokens, "layer": layer, "layers": len(mixing), "pairs": tokens * len(sinks),
        "microseconds": own, "peers": times, "fastest_peer": fastest, "ratio": times[fastest] / own,
        "settled": {stage: count / settled for stage, count in found.stages.items()},
        "gap": float(np.nanmax(found.upper - found.lower)), "difference_from_peers": error,
    }  # fmt: skip


def bench_threads(name: str, mixing: np.ndarray, rounds: int) -> dict[str, Any]:
    """How many times faster two threads are than one."""
    tokens = mixing.shape[-1]
    sinks = np.arange(min(tokens, 60_000 // tokens))
    # On one core, the time is the processor's.
    pairs = [(ours(mixing, len(mixing), sinks, 1)[0], ours(mixing, len(mixing), sinks, 2)[0]) for _ in range(rounds)]
    return {
        "graph": name, "two_threads": statistics.median(one / two for one, two in pairs),
    }  # fmt: skip


def bench_together(name: str, mixing: np.ndarray, options: argparse.Namespace) -> dict[str, Any]:
    """All sources to some sinks at every layer, asked for at once and layer by layer: microseconds a pair, layers 3 up.

    At once, the flows of one layer prove some of the next.
    """
    depth, tokens = len(mixing), mixing.shape[-1]
    sinks = np.sort(np.random.default_rng(0).choice(tokens, min(tokens, options.sinks), replace=False))
    wanted = np.zeros((1, depth, tokens, tokens), bool)
    wanted[..., sinks] = True
    problem = mixing[None], np.arange(tokens)[None], tuple(range(1, depth + 1))
    apart, together, proven = [], [], 0
    for _ in range(min(options.rounds, 3)):
        apart.append(sum(ours(mixing, layer, sinks)[0] for layer in range(3, depth + 1)))
        seconds, found = timed(lambda: exact.max_flow(*problem, wanted=wanted, threads=1), time.process_time)
        together.append(seconds)
        proven = found.stages["layer_below"]
    pairs = (depth - 2) * tokens * len(sinks)
    return {
        "graph": name, "tokens": tokens, "layers": depth, "pairs": pairs,
        "apart": min(apart) / pairs * 1e6, "together": min(together) / pairs * 1e6,
        "times_as_fast": min(apart) / min(together), "proven": proven / pairs,
    }  # fmt: skip


def growth(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Exponents of time a pair: in tokens, at real attention's last layer, and in depth, layers 3 up of one graph."""

    def fit(x: list[float], y: list[float]) -> float:
        return float(np.polyfit(np.log(x), np.log(y), 1)[0])

    real = [row for row in rows if row["real"] and row["layer"] == row["layers"]]
    found = {}
    if len({row["tokens"] for row in real}) > 1:
        found["tokens"] = fit([row["tokens"] for row in real], [row["microseconds"] for row in real])
    for graph in dict.fromkeys(row["graph"] for row in rows if row["layers"] > 6):
        deep = [row for row in rows if row["graph"] == graph]
        found[f"depth of {graph}"] = fit([row["layer"] for row in deep], [row["microseconds"] for row in deep])
    return found


def show(row: dict[str, Any]) -> None:
    peers = "  ".join(f"{name} {value:,.0f}" for name, value in row["peers"].items())
    settled = " ".join(f"{stage} {share:.0%}" for stage, share in row["settled"].items() if share)
    print(
        f"{row['graph']:>14} layer {row['layer']:>2}  {row['microseconds']:8.1f} us  x{row['ratio']:<6.1f} "
        f"of {row['fastest_peer']}   {peers}   {settled}   gap {row['gap']:.0e}", flush=True,
    )  # fmt: skip


def show_methods(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(
            f"{row['graph']:>14} layer {row['layer']:>2}  {row['microseconds']:8.1f} us  {row['method']:<8} "
            f"upper exact {row['upper_exact']:4.0%} (excess {row['upper_excess']:.1e})  lower exact "
            f"{row['lower_exact']:4.0%} (short {row['lower_shortfall']:.1e})  certified {row['certified']:4.0%}  "
            f"within 1e-3 {row['within_a_thousandth']:4.0%}", flush=True,
        )  # fmt: skip


def show_stages(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        shares = "  ".join(f"{stage} {row[stage]:.1%}" for stage in STAGES if row[stage])
        print(f"{row['graph']:>14} auto at tol {row['tol']:g}: {shares}", flush=True)


def measure_layers(
    report: dict[str, Any], name: str, mixing: np.ndarray, real: bool, peers: dict, options: argparse.Namespace
) -> None:
    """Every layer of one graph against the peers, every third of a deep one; then all layers together."""
    rows = report["layers"]
    for layer in range(3, len(mixing) + 1, 1 if len(mixing) <= 6 else 3):
        rows.append(bench_layer(name, mixing, layer, peers, options) | {"real": real})
        show(rows[-1])
    own = [row["ratio"] for row in rows if row["graph"] == name]
    print(f"{name:>14} geometric mean over layers: x{statistics.geometric_mean(own):.1f}")
    report["together"].append(bench_together(name, mixing, options) | {"real": real})
    print("               ", report["together"][-1], flush=True)


def measure_real(report: dict[str, Any], model: Any, name: str, encoding: Any, options: argparse.Namespace) -> None:
    """What only graphs of a model have: methods by layer, stages, threads, and the forward pass beside them."""
    graph = graphs.graph_of(model, encoding)
    tokens = graph.num_tokens
    rows = stages.bench_bounds(name, graph, options.rounds) if tokens <= options.longest_bounds else []
    if not options.quick and tokens <= options.longest_relaxed:
        rows += stages.bench_relaxed(name, graph, options.rounds)
    show_methods(rows)
    report["methods"] += rows
    if tokens <= min(100, options.longest_relaxed) and not options.quick:
        report["stages"] += stages.bench_stages(name, graph, (1e-6, 1e-3))
        show_stages(report["stages"][-2:])
        report["threads"].append(bench_threads(name, np.asarray(graph.capacity, np.float64), options.rounds))
    report["first_rows"].append(stages.bench_first_rows(name, model, encoding, quick=options.quick))
    print("               ", report["first_rows"][-1], flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("--data", type=Path, help="folder with pairs/squad2_dev.json.gz; else the demo's sentences")
    _ = parser.add_argument("--reactions", type=Path, help="a converted model of reactions; needs --data")
    _ = parser.add_argument("--classes", type=Path, nargs="*", help="class-specific graphs, of these classifiers too")
    _ = parser.add_argument("--lengths", type=int, nargs="+", default=[20, 64, 90, 128, 256, 512])
    _ = parser.add_argument("--long", type=int, nargs="+", help="only rows of long made-up texts, of these lengths")
    _ = parser.add_argument("--longest-bounds", type=int, default=256, help="most tokens for bounds")
    _ = parser.add_argument("--longest-relaxed", type=int, default=256, help="most tokens for the relaxation")
    _ = parser.add_argument("--rounds", type=int, default=5)
    _ = parser.add_argument("--sinks", type=int, default=16, help="sinks a graph, each from all sources")
    _ = parser.add_argument("--fast-peers", action="store_true", help="leave out networkx")
    _ = parser.add_argument("--quick", action="store_true", help="a minute's worth")
    _ = parser.add_argument("--out", type=Path, default=HERE / "results" / "flow.json")
    options = parser.parse_args()
    if options.reactions is not None and options.data is None:
        parser.error("--reactions needs --data, the folder that holds reactions/rxnmapper_example_rxns.csv.gz")
    if options.quick:
        options.lengths = [length for length in options.lengths if length <= 64]
        options.rounds = min(options.rounds, 3)
    return options


def main() -> None:
    began, options = time.perf_counter(), arguments()
    peers = peers_of.installed()
    report: dict[str, Any] = {
        "environment": provenance("numpy", "numba", "jax", "ortools", "scipy", "igraph", "networkx")
    }
    report |= {part: [] for part in ("layers", "together", "methods", "stages", "threads", "first_rows")}
    report["first_call_seconds"] = ours(np.full((3, 4, 4), 0.25), 3, np.arange(4))[0]
    lengths: list[int] = options.long or []
    if lengths:
        report["long"] = []
        for row in long_rows.bench_long(lengths):
            report["long"].append(row)
            print(
                f"{row['family']:>14} {row['tokens']:>5} tokens  {row['seconds']:.2f} s", row.get("ratio"), flush=True
            )
            write(report, began, options.out)
        return
    if options.classes is not None:
        for name, mixing in graphs.class_graphs(options.classes, options.data, options.lengths):
            measure_layers(report, name, mixing, False, peers, options)
            write(report, began, options.out)
        return
    try:
        model = jf.load_model("minilm" if options.reactions is None else str(options.reactions))
    except jf.InputError as error:
        print(f"no real attention: {error}")
        model = None
    if model is not None:
        choose = graphs.real_text if options.reactions is None else graphs.real_reactions
        for encoding in choose(model, options.data, options.lengths):
            name = f"{'minilm' if options.reactions is None else 'reaction'}-{len(encoding)}"
            mixing = np.asarray(graphs.graph_of(model, encoding).capacity, np.float64)
            measure_layers(report, name, mixing, True, peers, options)
            measure_real(report, model, name, encoding, options)
            write(report, began, options.out)
    if options.reactions is None:
        for name, mixing in graphs.made_up(options.quick):
            measure_layers(report, name, mixing, False, peers, options)
            write(report, began, options.out)
    report["growth"] = growth(report["layers"])
    report["exact_megabytes"] = {tokens: stages.exact_megabytes(tokens) for tokens in (256, 512)}
    sizes = [(6, 64)] if options.quick else [(6, 64), (6, 256), (12, 256)]
    report["bounds_megabytes"] = {
        f"{depth} layers, {tokens} tokens": stages.bounds_megabytes(depth, tokens, tokens) for depth, tokens in sizes
    }
    for part in ("growth", "exact_megabytes", "bounds_megabytes"):
        print(f"{part}:", report[part])
    write(report, began, options.out)


def write(report: dict[str, Any], began: float, out: Path) -> None:
    report["seconds"] = time.perf_counter() - began
    out.parent.mkdir(parents=True, exist_ok=True)
    _ = out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("written:", out)


if __name__ == "__main__":
    main()
