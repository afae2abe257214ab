"""Measure the relaxation on real attention: how near its bounds come to each other, by work, and that they bracket.

    .venv/bin/python scripts/bench_relaxed.py [--data DIR] [--texts N]

Texts of different lengths go through the built-in model; from each graph a position and some input tokens are drawn,
the flow between them is bounded at every layer from 3 up, in both precisions, and solved exactly on the same weights.
Without a folder of data the demo's sentences serve, joined to different lengths. Writes
scripts/results/relaxed.json.
"""

import argparse
import csv
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from bench_flow import HERE, timed
from provenance import provenance

import jaxflow as jf
from jaxflow.flow import exact
from jaxflow.flow.device.bounds import flow_bounds
from jaxflow.flow.device.relaxed import bounds_of_pairs, rounds_within

# Graphs are padded to the next of these, so that few programs are compiled.
LENGTHS = (32, 64, 96, 128, 176)
WITHIN = 1e-3
# And a gap of which counts as certified, as by default.
CERTIFIED = 1e-6
# What the exact solver's own bounds may be off by, in double precision.
ROUNDING = 1e-13
Rows = dict[int, dict[str, np.ndarray]]


def texts_of(data: Path | None, count: int) -> list[str]:
    """Sentences of the English Web Treebank and passages of GAP, half and half; else the demo's sentences, joined."""
    rng = np.random.default_rng(0)
    if data is None:
        lines = (HERE / "demo_sentences.txt").read_text(encoding="utf-8").splitlines()
        return [" ".join(rng.permutation(lines)[: 1 + i % 10]) for i in range(count)]
    with gzip.open(data / "ud" / "EWT" / "dev.conllu.gz", "rt", encoding="utf-8") as file:
        sentences = [line.removeprefix("# text = ").strip() for line in file if line.startswith("# text = ")]
    with (data / "coref" / "gap-validation.tsv").open(encoding="utf-8") as file:
        passages = [row["Text"] for row in csv.DictReader(file, delimiter="\t")]
    # Every length alike, not every sentence: most of them are short.
    lengths = np.array([len(sentence.split()) for sentence in sentences])
    wanted = rng.integers(2, 60, size=count - count // 2)
    chosen = [
        sentences[rng.choice(np.flatnonzero(abs(lengths - want) == abs(lengths - want).min()))] for want in wanted
    ]
    return chosen + [passages[i] for i in rng.choice(len(passages), count // 2, replace=False)]


def graphs_of(texts: list[str]) -> Iterator[tuple[int, np.ndarray]]:
    """Tokens and mixing of each text, padded to one of `LENGTHS`, shortest first."""
    model = jf.load_model("minilm")
    encodings = model.tokenize(texts, max_length=LENGTHS[-1], truncate=True)
    batches = [model.pad([encoding]) for encoding in encodings]
    batches = sorted(zip((int(batch.mask.sum()) for batch in batches), encodings, strict=True), key=lambda x: x[0])
    for tokens, encoding in batches:
        length = next(length for length in LENGTHS if length >= tokens)
        batch = model.pad([encoding], length)
        attention = model(batch).attention
        assert attention is not None
        yield tokens, np.asarray(jf.attention_graph(attention, batch.mask).capacity[0])


class Runs:
    """The bounds of a graph's pairs, compiled once for each length and precision, with the seconds that took."""

    def __init__(self) -> None:
        self.compiled: dict[tuple[int, str], Any] = {}
        self.compile_seconds: list[dict[str, Any]] = []

    def __call__(self, mixing: np.ndarray, query: int, pairs: np.ndarray, passes: int) -> tuple[np.ndarray, ...]:
        """Bounds of pairs (layer, token) of one query, the better of `flow_bounds` and relaxation; and passes taken."""
        listed = np.stack([np.zeros(len(pairs)), pairs[:, 0], np.full(len(pairs), query), pairs[:, 1]]).astype(np.int32)
        arguments = jnp.asarray(mixing), jnp.asarray(listed), jnp.asarray(rounds_within(passes), jnp.int32)
        key = (mixing.shape[-1], str(mixing.dtype))
        if key not in self.compiled:
            seconds, self.compiled[key] = timed(jax.jit(bounds_of).lower(*arguments).compile)
            self.compile_seconds.append({"tokens": key[0], "precision": key[1], "seconds": seconds})
        return tuple(np.asarray(bound, np.float64) for bound in self.compiled[key](*arguments))


def bounds_of(mixing: jax.Array, listed: jax.Array, rounds: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What `Relaxed` returns, for some pairs of one query only, the work allowed being an argument; and work done."""
    found = flow_bounds(mixing, listed[2, :1], tuple(range(1, len(mixing) + 1)), 0.0)
    lower, upper, taken = bounds_of_pairs(mixing[None], tuple(listed), rounds)
    return (
        jnp.maximum(found.lower[listed[1] - 1, 0, listed[3]], lower),
        jnp.minimum(found.upper[listed[1] - 1, 0, listed[3]], upper),
        taken,
    )


def measure(bounds: tuple[np.ndarray, ...], solved: tuple[np.ndarray, ...], layers: np.ndarray, rows: Rows) -> None:
    """Add the relative gaps of one graph's pairs to the rows, by layer, and what lies on the wrong side."""
    (lower, upper, taken), (flow, cut) = bounds, solved
    values = {
        "gap": (upper - lower) / np.maximum(flow, 1e-300),
        "taken": taken,
        "certified": upper - lower <= CERTIFIED,
        "lower_above": lower > cut + ROUNDING,
        "upper_below": upper < flow - ROUNDING,
    }
    for layer in np.unique(layers):
        row = rows.setdefault(int(layer), {name: np.zeros(0, value.dtype) for name, value in values.items()})
        for name, value in values.items():
            row[name] = np.concatenate([row[name], value[layers == layer]])


def summary(rows: Rows) -> list[dict[str, Any]]:
    """Figures by layer, and of all layers together."""
    together = {name: np.concatenate([row[name] for row in rows.values()]) for name in next(iter(rows.values()))}
    return [
        {
            "layer": layer, "pairs": row["gap"].size, "within": float(np.mean(row["gap"] <= WITHIN)),
            "certified": float(row["certified"].mean()),
            "passes_mean": float(row["taken"].mean()), "passes_most": int(row["taken"].max()),
            "gap_mean": float(row["gap"].mean()), "gap_median": float(np.median(row["gap"])),
            "gap_99": float(np.quantile(row["gap"], 0.99)), "gap_worst": float(row["gap"].max()),
            "lower_above_exact": int(row["lower_above"].sum()), "upper_below_exact": int(row["upper_below"].sum()),
        }
        for layer, row in [*rows.items(), ("all", together)]
    ]  # fmt: skip


def bench(graphs: list[tuple[int, np.ndarray]], options: argparse.Namespace, precision: str, runs: Runs) -> Any:
    """All graphs in one precision: the curve over work, and passes a second."""
    rng, curve, work, seconds = np.random.default_rng(1), {passes: {} for passes in options.passes}, 0, 0.0
    for tokens, mixing in graphs:
        query, depth, mixing = int(rng.integers(tokens)), len(mixing), mixing.astype(precision)
        sinks = rng.integers(tokens, size=options.sinks)
        pairs = np.array([(layer, sink) for layer in range(3, depth + 1) for sink in sinks])
        solved = exact.max_flow(mixing.astype(np.float64)[None], np.array([[query]]), tuple(range(1, depth + 1)))
        at = 0, pairs[:, 0] - 1, 0, pairs[:, 1]
        proven = np.asarray(solved.lower)[at], np.asarray(solved.upper)[at]
        for passes, rows in curve.items():
            if (mixing.shape[-1], precision) not in runs.compiled:
                _ = runs(mixing, query, pairs, passes)
            spent, bounds = timed(lambda: runs(mixing, query, pairs, passes))  # noqa: B023
            measure(bounds, proven, pairs[:, 0], rows)
            work, seconds = work + float(bounds[2].sum()), seconds + spent
    return {
        "precision": precision, "pair_passes_a_second": work / seconds,
        "curve": [{"passes": passes, "layers": summary(rows)} for passes, rows in curve.items()],
    }  # fmt: skip


def show(report: dict[str, Any]) -> None:
    print(f"{report['precision']}: {report['pair_passes_a_second']:,.0f} passes of pairs a second")
    for point in report["curve"]:
        for row in point["layers"]:
            wrong = row["lower_above_exact"] + row["upper_below_exact"]
            print(
                f"  passes {point['passes']:>4}  layer {row['layer']!s:>3}  {row['pairs']:>7} pairs  "
                f"{row['passes_mean']:>4.0f} taken  "
                f"within 1e-3 {row['within']:.2%}, 1e-6 {row['certified']:.2%}  "
                f"median {row['gap_median']:.1e}  99 % {row['gap_99']:.1e}  "
                f"worst {row['gap_worst']:.1e}  violations {wrong}", flush=True,
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("--data", type=Path, help="folder with ud/EWT and coref/gap-validation.tsv")
    _ = parser.add_argument("--texts", type=int, default=200)
    _ = parser.add_argument("--sinks", type=int, default=8, help="tokens drawn from each text, and one position")
    _ = parser.add_argument("--passes", type=int, nargs="+", default=[40, 80, 150, 300], help="most work a pair")
    _ = parser.add_argument("--precisions", nargs="+", default=["float32", "float64"])
    _ = parser.add_argument("--out", type=Path, default=HERE / "results" / "relaxed.json")
    options = parser.parse_args()
    began, runs, report = time.perf_counter(), Runs(), {"environment": provenance("numpy", "numba", "jax"), "runs": []}
    graphs = list(graphs_of(texts_of(options.data, options.texts)))
    report["tokens"] = [tokens for tokens, _ in graphs]
    for precision in options.precisions:
        with jax.enable_x64(precision == "float64"):
            report["runs"].append(bench(graphs, options, precision, runs))
        show(report["runs"][-1])
        report["compile_seconds"], report["seconds"] = runs.compile_seconds, time.perf_counter() - began
        options.out.parent.mkdir(parents=True, exist_ok=True)
        _ = options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        print("written:", options.out)


if __name__ == "__main__":
    main()
