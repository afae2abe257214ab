"""How often flow is saturated, by model, length, layer, mixing and own stream; how certain joint flow is of its shares.

    python -m experiments.saturation --data DIR --models verb-number minilm RUN/model --out DIR
    python -m experiments.saturation --quick

Texts are passages of Wikipedia (GAP), or reactions for a model whose name has rxnfp in it, cut to so many tokens.
Each model has the paper's mixing at every length, and all its mixings and own streams at one length. A model's cells
are kept in a file of its own: a run that was stopped goes on there.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import jaxflow as jf
from experiments._methods import QUICK_MIXINGS, mixings_of
from experiments._quick import checked, folder_of
from experiments._record import provenance, write_record
from experiments._say import ended, say
from experiments.attention_change.reactions import read_reactions
from experiments.saturation.measure import joint_certainty, saturation
from experiments.saturation.picture import draw
from experiments.verb_number import made
from experiments.verb_number.readers import gap
from jaxflow import InputError
from jaxflow.evaluation import mean_interval

RESULTS = Path(__file__).parent / "results"
# Tokens of a text, and how many texts of each length.
LENGTHS = {16: 32, 32: 32, 64: 16, 128: 8}
# The length that all mixings are compared at.
COMPARED = 32
# Own shares of the paper's mixing, beside its 0.5.
SHARES = (0.0, 0.25, 0.75, 0.9)
# Layers of deep models that are looked at, beside the last.
LOOKED_AT = (2, 3, 4, 5, 6, 8, 12, 20)
QUERIES, JOINT_TEXTS, RESAMPLES = 4, 16, 1999


def mixings(model: Any) -> dict[str, Any]:
    """What capacities are made of: the paper's by own share, and all others that the model gives."""
    shares = {f"attention, own {share}": jf.mixing.Attention(residual=share) for share in SHARES}
    return {"attention": jf.mixing.Attention(), **shares} | mixings_of(model)


def graphs(model: Any, texts: Sequence[str], tokens: int, count: int, mixing: Any) -> list[np.ndarray]:
    """Capacities of the first texts that have so many tokens, cut to exactly that."""
    found: list[np.ndarray] = []
    for start in range(0, len(texts), count):
        graph = jf.build_graph(model, list(texts[start : start + count]), mixing, max_length=tokens, truncate=True)
        whole = np.asarray(graph.mask).sum(-1) == tokens
        found += list(np.asarray(graph.capacity, np.float64)[whole][:, :, :tokens, :tokens])
        if len(found) >= count:
            break
    return found[:count]


def cells(capacities: Sequence[np.ndarray], last_query: bool, joint: int) -> dict[str, Any]:
    """Means over texts, by layer, with intervals of the shares; joint flow's for the last layer."""
    if not capacities:
        return {"texts": 0}
    depth, tokens = capacities[0].shape[0], capacities[0].shape[-1]
    layers = sorted({layer for layer in (*LOOKED_AT, depth) if layer <= depth})
    first = tokens - 1 if last_query else 0
    report: dict[str, Any] = {"texts": len(capacities), "layers": {}}
    for layer in layers:
        # The last layer of a class's graph has few rows with arcs: only queries that have any.
        each = []
        for capacity in capacities:
            spread = np.unique(np.linspace(0, tokens - 1, QUERIES).round().astype(int)).tolist()
            order = [first, *(q for q in spread if q != first)]
            leaving = (capacity[layer - 1] * (1 - np.eye(tokens))).sum(-1)
            asked = [q for q in order if leaving[q] > 0]
            if asked:
                each.append(saturation(capacity, layer, asked))
        if each:
            report["layers"][layer] = _means(each)
    certain = [joint_certainty(capacity, depth, first) for capacity in capacities[:joint]]
    if certain:
        report["joint"] = {"texts": len(certain), **_means(certain)}
    return report


def _means(each: Sequence[dict[str, float]]) -> dict[str, Any]:
    report = {}
    for name in each[0]:
        values = np.array([found[name] for found in each])
        values = values[np.isfinite(values)]
        if len(values) > 1:
            interval = mean_interval(values, resamples=RESAMPLES)
            report[name] = [interval.mean, interval.low, interval.high]
        else:
            report[name] = [float(values.mean()) if len(values) else None, None, None]
    return report


def measured(model: Any, texts: Sequence[str], path: Path, lengths: dict[int, int], compared: int, names: Any) -> Any:
    """All cells of one model; those that its file has are not made again."""
    record = json.loads(path.read_text()) if path.is_file() else {**provenance(), "model": "", "cells": {}}
    record["model"] = Path(model.name).name
    chosen = mixings(model)
    wanted = [("attention", tokens, count) for tokens, count in lengths.items()]
    wanted += [(name, compared, lengths[compared]) for name in chosen if names is None or name in names]
    for name, tokens, count in dict.fromkeys(wanted):
        key = f"{name}, {tokens} tokens"
        if key in record["cells"]:
            continue
        begun = time.process_time()
        capacities = graphs(model, texts, tokens, count, chosen[name])
        found = cells(capacities, bool(model.causal), JOINT_TEXTS if tokens <= compared else 0)
        record["cells"][key] = {**found, "processor seconds": time.process_time() - begun}
        write_record(path, record)
        last = list(found.get("layers", {}).values())[-1:]
        share = f"{last[0]['saturated'][0]:.2f} saturated" if last else "no texts"
        say(f"{record['model']}, {key}: {share}, {record['cells'][key]['processor seconds']:.0f} s")
    return record


def run(options: argparse.Namespace) -> None:
    """Measure every model that is named, and draw."""
    out = folder_of(options, RESULTS)
    if options.quick:
        texts = [" ".join(each.words) for each in made.Grammar(made.SMALL, 0).beginnings(200) if len(each.words) >= 8]
        model = jf.load_model("verb-number")
        record = measured(model, texts, out / "verb-number.json", {10: 3}, 10, QUICK_MIXINGS)
        draw({"verb-number": record}, 10, out / "saturation.png")
        return
    if options.data is None:
        raise InputError("data", "name the folder of the public data sets", "nothing", "or pass `quick=True`")
    passages = passages_of(options.data)
    reactions = [each.text for each in read_reactions(options.data / "reactions", 200)]
    for name in options.models:
        model = jf.load_model(name)
        short = name if name in ("verb-number", "minilm") else "-".join(Path(name).parts[-2:]).replace("-model", "")
        texts = reactions if "rxnfp" in name else passages
        lengths = {n: count for n, count in LENGTHS.items() if n <= options.longest}
        only = options.mixings or None
        _ = measured(model, texts, out / f"{short}.json", lengths, COMPARED, only)
    found = {path.stem: json.loads(path.read_text()) for path in sorted(out.glob("*.json"))}
    draw(found, COMPARED, out / "saturation.png")


def passages_of(data: Path) -> list[str]:
    """Passages of Wikipedia, whole ones, in an order drawn by a fixed seed."""
    texts: dict[str, list[str]] = {}
    for sentence in gap(data):
        texts.setdefault(sentence.document, []).append(" ".join(sentence.words))
    whole = [" ".join(parts) for parts in texts.values()]
    return [whole[place] for place in np.random.default_rng(0).permutation(len(whole))]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.saturation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("--data", type=Path, help="folder of the public data sets")
    _ = parser.add_argument("--models", nargs="+", default=["verb-number", "minilm"], help="names or folders")
    _ = parser.add_argument("--mixings", nargs="+", help="only these, of all that are compared at one length")
    _ = parser.add_argument("--longest", type=int, default=max(LENGTHS), help="tokens of the longest texts")
    _ = parser.add_argument("--quick", action="store_true", help="two mixings, a few texts made here")
    _ = parser.add_argument("--out", type=Path, help="where records go (default: with the experiment)")
    options = parser.parse_args(arguments)
    return ended(lambda: run(checked(options, parser, "models", "mixings", "longest")))


if __name__ == "__main__":
    sys.exit(main())
