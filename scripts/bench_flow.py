"""Measure the flow solvers against other people's, in one run, on real attention and on made-up graphs.

    .venv/bin/python scripts/bench_flow.py [--data DIR] [--quick]

Each round times every solver once, one after the other, on the same graph, cut down to the layers below the source;
figures are medians over rounds. Compilation and the building of a peer's graph are outside its time, all that jaxflow
does for a pair is inside. Peers that are not installed are left out by name. Writes scripts/results/flow.json.
"""

import argparse
import gzip
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import jaxflow as jf
from jaxflow.flow import exact

HERE = Path(__file__).parent
Solve = Callable[[int, int], float]
# networkx's edmonds_karp is what the paper's authors used; it takes seconds a pair.
SLOW = ("networkx edmonds_karp", "networkx preflow_push")


def ortools(mixing: np.ndarray) -> Solve:
    """OR-Tools' SimpleMaxFlow, capacities times 2^40."""
    max_flow = importlib.import_module("ortools.graph.python.max_flow")
    solver = max_flow.SimpleMaxFlow()
    tail, head, capacity = arcs(mixing)
    _ = solver.add_arcs_with_capacity(tail, head, np.floor(capacity * 2.0**40).astype(np.int64))
    top = len(mixing) * mixing.shape[1]

    def solve(source: int, sink: int) -> float:
        _ = solver.solve(top + source, sink)
        return solver.optimal_flow() * 2.0**-40

    return solve


def scipy(mixing: np.ndarray) -> Solve:
    """SciPy's maximum_flow (Dinic), capacities times 2^28."""
    sparse = importlib.import_module("scipy.sparse")
    csgraph = importlib.import_module("scipy.sparse.csgraph")
    tail, head, capacity = arcs(mixing)
    nodes = (len(mixing) + 1) * mixing.shape[1]
    matrix = sparse.csr_matrix((np.floor(capacity * 2.0**28).astype(np.int32), (tail, head)), shape=(nodes, nodes))
    top = len(mixing) * mixing.shape[1]
    return lambda source, sink: csgraph.maximum_flow(matrix, top + source, sink).flow_value * 2.0**-28


def igraph(mixing: np.ndarray) -> Solve:
    """Igraph's push-relabel, on floats."""
    library = importlib.import_module("igraph")
    tail, head, capacity = arcs(mixing)
    graph = library.Graph(
        n=(len(mixing) + 1) * mixing.shape[1], edges=np.stack([tail, head], 1).tolist(), directed=True
    )
    values, top = capacity.tolist(), len(mixing) * mixing.shape[1]
    return lambda source, sink: graph.maxflow_value(top + source, sink, capacity=values)


def networkx(algorithm: str) -> Callable[[np.ndarray], Solve]:
    """One of networkx's algorithms, on floats."""

    def build(mixing: np.ndarray) -> Solve:
        library = importlib.import_module("networkx")
        tail, head, capacity = arcs(mixing)
        graph = library.DiGraph()
        graph.add_nodes_from(range((len(mixing) + 1) * mixing.shape[1]))
        graph.add_weighted_edges_from(zip(tail.tolist(), head.tolist(), capacity.tolist(), strict=True), "capacity")
        top, how = len(mixing) * mixing.shape[1], getattr(library.algorithms.flow, algorithm)
        return lambda source, sink: library.maximum_flow_value(graph, top + source, sink, flow_func=how)

    return build


PEERS = {
    "ortools": ortools,
    "scipy": scipy,
    "igraph": igraph,
    "networkx preflow_push": networkx("preflow_push"),
    "networkx edmonds_karp": networkx("edmonds_karp"),
}


def arcs(mixing: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tail, head and capacity of every arc; position i after layer l is node l * token + i."""
    below, i, j = np.nonzero(mixing)
    return (below + 1) * mixing.shape[1] + i, below * mixing.shape[1] + j, mixing[below, i, j]


def installed() -> dict[str, Callable[[np.ndarray], Solve]]:
    found = {}
    for name, build in PEERS.items():
        package = name.split()[0]
        if importlib.util.find_spec(package) is None:
            print(f"{package} is not installed: left out (pip install {package})")
        else:
            found[name] = build
    return found


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def ours(mixing: np.ndarray, layer: int, sinks: np.ndarray, threads: int = 1) -> tuple[float, exact.ExactFlow]:
    """Seconds for all sources to the given sinks, nothing left out."""
    tokens = mixing.shape[-1]
    wanted = np.zeros((1, 1, tokens, tokens), bool)
    wanted[..., sinks] = True
    queries = np.arange(tokens)[None]
    return timed(lambda: exact.max_flow(mixing[None, :layer], queries, (layer,), wanted=wanted, threads=threads))


def bench_layer(name: str, mixing: np.ndarray, layer: int, peers: dict, options: argparse.Namespace) -> dict[str, Any]:
    """One source layer of one graph: microseconds a pair of every solver."""
    tokens, rng = mixing.shape[-1], np.random.default_rng(layer)
    sinks = np.sort(rng.choice(tokens, min(tokens, options.sinks), replace=False))
    last = layer == len(mixing)
    chosen = {
        peer: build(mixing[:layer])
        for peer, build in peers.items()
        if peer not in SLOW or (last and tokens <= 100 and not options.quick)
    }
    mine, theirs, error = [], {peer: [] for peer in chosen}, 0.0
    _, found = ours(mixing, layer, sinks)
    for round_number in range(options.rounds):
        seconds, found = ours(mixing, layer, sinks)
        mine.append(seconds / (tokens * len(sinks)))
        for peer, solve in chosen.items():
            if peer in SLOW and round_number:
                continue
            pairs = [(int(rng.integers(tokens)), int(rng.choice(sinks))) for _ in range(1 if peer in SLOW else 8)]
            spent, values = timed(lambda solve=solve, pairs=pairs: [solve(*pair) for pair in pairs])
            theirs[peer].append(spent / len(pairs))
            if peer in ("ortools", "igraph"):
                exactly = [found.value[0, 0, u, v] for u, v in pairs]
                error = max(error, float(np.abs(np.subtract(values, exactly)).max()))
    times = {peer: statistics.median(spent) * 1e6 for peer, spent in theirs.items()}
    own, fastest = statistics.median(mine) * 1e6, min(times, key=times.__getitem__)
    settled = sum(found.stages.values())
    return {
        "graph": name, "tokens": tokens, "layer": layer, "layers": len(mixing), "pairs": tokens * len(sinks),
        "microseconds": own, "peers": times, "fastest_peer": fastest, "ratio": times[fastest] / own,
        "settled": {stage: count / settled for stage, count in found.stages.items()},
        "gap": float(np.nanmax(found.upper - found.lower)), "difference_from_peers": error,
    }  # fmt: skip


def real_attention(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """The graphs of real text at the wanted lengths, by the built-in model."""
    try:
        encoder = jf.load_encoder("minilm")
    except jf.InputError as error:
        print(f"no real attention: {error}")
        return
    text = text_of(options.data)
    for length in options.lengths:
        encodings = encoder.tokenize([text], max_length=length, truncate=True)
        batch = encoder.pad(encodings)
        attention = encoder(batch).attention
        assert attention is not None
        graph = jf.attention_graph(attention[0])
        yield f"minilm-{graph.num_tokens}", graph


def text_of(data: Path | None) -> str:
    """Wikipedia paragraphs, or the demo's sentences where no folder of data is named."""
    if data is None:
        return (HERE / "demo_sentences.txt").read_text(encoding="utf-8").replace("\n", " ")
    with gzip.open(data / "pairs" / "squad2_dev.json.gz", "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    return " ".join(paragraph["context"] for paragraph in articles[3]["paragraphs"][:8])


def made_up(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
    """Random graphs of the kinds that behave differently, and attention that the caller brought."""
    rng = np.random.default_rng(0)
    tokens, layers = 64, 6

    def mixed(scores: np.ndarray) -> np.ndarray:
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        return 0.5 * np.eye(scores.shape[-1]) + 0.5 * weights / weights.sum(-1, keepdims=True)

    scores = rng.normal(size=(layers, tokens, tokens))
    apart = np.abs(np.arange(tokens)[:, None] - np.arange(tokens))
    yield "diffuse", mixed(scores)
    yield "peaked", mixed(8 * scores)
    yield "local", mixed(scores - apart)
    yield "causal", mixed(np.where(np.tri(tokens, dtype=bool), 2 * scores, -np.inf))
    yield "strong sink", mixed(scores + 6 * (np.arange(tokens) == 5))
    yield "tied", rng.choice([0.0, 0.125, 0.25, 0.5], size=scores.shape)
    yield "diffuse-12", mixed(rng.normal(size=(12, 90, 90)))
    if options.attention:
        with np.load(options.attention) as file:
            yield from ((name, file[name]) for name in file.files)


def bench_methods(name: str, graph: Any, rounds: int) -> list[dict[str, Any]]:
    """The public methods on all pairs of all layers from 3: microseconds a pair, and how many they certify."""
    layers, rows = tuple(range(3, graph.num_layers + 1)), []
    for method in ("bounds", "exact", "auto"):

        def run(method: str = method) -> tuple[np.ndarray, np.ndarray]:
            found = jf.attention_flow(graph, layers=layers, method=method)
            return np.asarray(found.value), np.asarray(found.certified)

        _ = run()
        spent = [timed(run) for _ in range(rounds)]
        value, certified = spent[-1][1]
        rows.append({
            "graph": name, "method": method, "certified": float(certified.mean()),
            "microseconds": statistics.median(seconds for seconds, _ in spent) * 1e6 / value.size,
        })  # fmt: skip
    return rows


def bench_proportion(name: str, mixing: np.ndarray, rounds: int) -> dict[str, Any]:
    """What all layers' rows of the first position cost, and what a second thread brings."""
    tokens, layers = mixing.shape[-1], tuple(range(1, len(mixing) + 1))
    first = [
        timed(lambda: exact.max_flow(mixing[None], np.zeros((1, 1), int), layers))[0] for _ in range(2 * rounds + 1)
    ]
    sinks = np.arange(min(tokens, 60_000 // tokens))
    pairs = [(ours(mixing, len(mixing), sinks, 1)[0], ours(mixing, len(mixing), sinks, 2)[0]) for _ in range(rounds)]
    return {
        "graph": name, "first_rows_milliseconds": statistics.median(first) * 1e3,
        "two_threads": statistics.median(one / two for one, two in pairs),
    }  # fmt: skip


def growth(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Exponents of time a pair: in tokens, at real attention's last layer, and in depth, layers 3 up of one graph."""

    def fit(x: list[float], y: list[float]) -> float:
        return float(np.polyfit(np.log(x), np.log(y), 1)[0])

    real = [row for row in rows if row["graph"].startswith("minilm") and row["layer"] == row["layers"]]
    found = {}
    if len(real) > 1:
        found["tokens"] = fit([row["tokens"] for row in real], [row["microseconds"] for row in real])
    for graph in {row["graph"] for row in rows if row["layers"] > 6}:
        deep = [row for row in rows if row["graph"] == graph]
        found[f"depth of {graph}"] = fit([row["layer"] for row in deep], [row["microseconds"] for row in deep])
    return found


def own_memory(tokens: int) -> float:
    """Megabytes that the exact solver allocates at its peak, result included: last of six layers, one thread."""
    mixing = np.full((6, tokens, tokens), 1 / tokens)
    tracemalloc.start()
    _ = ours(mixing, 6, np.arange(0, tokens, 16))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def environment() -> dict[str, Any]:
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=HERE)  # noqa: S607
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    versions = {}
    for package in ("numpy", "numba", "jax", "ortools", "scipy", "igraph", "networkx"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "commit": git.stdout.strip(), "time": time.strftime("%Y-%m-%d %H:%M:%S"), "python": platform.python_version(),
        "device": f"{cpu[0].split(':')[1].strip() if cpu else platform.processor()}, {os.cpu_count()} cores",
        "load": os.getloadavg(), "versions": versions,
    }  # fmt: skip


def show(row: dict[str, Any]) -> None:
    peers = "  ".join(f"{name} {value:,.0f}" for name, value in row["peers"].items())
    settled = " ".join(f"{stage} {share:.0%}" for stage, share in row["settled"].items() if share)
    print(
        f"{row['graph']:>14} layer {row['layer']:>2}  {row['microseconds']:8.1f} us  x{row['ratio']:<6.1f} "
        f"of {row['fastest_peer']}   {peers}   {settled}   gap {row['gap']:.0e}", flush=True,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("--data", type=Path, help="folder with pairs/squad2_dev.json.gz; else the demo's sentences")
    _ = parser.add_argument(
        "--attention", type=Path, help=".npz of further mixing matrices, (layer, token, token) each"
    )
    _ = parser.add_argument("--lengths", type=int, nargs="+", default=[20, 64, 90, 256, 512])
    _ = parser.add_argument("--rounds", type=int, default=5)
    _ = parser.add_argument("--sinks", type=int, default=16, help="sinks a graph, each from all sources")
    _ = parser.add_argument("--quick", action="store_true", help="leave out networkx, and graphs over 100 tokens")
    _ = parser.add_argument("--out", type=Path, default=HERE / "results" / "flow.json")
    options = parser.parse_args()
    if options.quick:
        options.lengths = [length for length in options.lengths if length <= 100]
    peers, report = installed(), {"environment": environment(), "layers": [], "methods": [], "proportion": []}
    report["first_call_seconds"] = ours(np.full((3, 4, 4), 0.25), 3, np.arange(4))[0]
    graphs = [(name, np.asarray(graph.mixing, np.float64), graph) for name, graph in real_attention(options)]
    graphs += [(name, mixing, None) for name, mixing in made_up(options)]
    for name, mixing, graph in graphs:
        step = 1 if len(mixing) <= 6 else 3
        for layer in range(3, len(mixing) + 1, step):
            report["layers"].append(bench_layer(name, mixing, layer, peers, options))
            show(report["layers"][-1])
        ratios = [row["ratio"] for row in report["layers"] if row["graph"] == name]
        print(f"{name:>14} geometric mean over layers: x{statistics.geometric_mean(ratios):.1f}", flush=True)
        if graph is not None and mixing.shape[-1] <= 100:
            report["methods"] += bench_methods(name, graph, options.rounds)
            report["proportion"].append(bench_proportion(name, mixing, options.rounds))
            for row in [*report["methods"][-3:], report["proportion"][-1]]:
                print("               ", row, flush=True)
    report["growth"] = growth(report["layers"])
    report["exact_megabytes"] = {tokens: own_memory(tokens) for tokens in (256, 512)}
    print("growth:", report["growth"], "peak memory, MB:", report["exact_megabytes"])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    _ = options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("written:", options.out)


if __name__ == "__main__":
    main()
