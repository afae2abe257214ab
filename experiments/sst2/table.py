"""Table 3: rank agreement of attention with gradients and blank-out, under the authors' protocol and the right one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments._pieces import pieces_of
from experiments._record import provenance, write_record
from experiments._words import spans_of
from experiments.finetune.classification import accuracy
from experiments.finetune.sst2 import DEV, read_labelled
from experiments.sst2.data import judged_texts
from experiments.sst2.human import human_record
from experiments.sst2.measure import METHODS, Relevances, Scores, inputs_of, relevances, scaled, scores
from jaxflow.evaluation import Spearman, TokenInputs, mean_interval, rank_agreement
from jaxflow.models import TextEncoder

LAYERS = (1, 3, 5, 6)
# Of the authors' table, mean and standard deviation by layer: DistilBERT, 100 sentences, |sum of the gradient|.
PAPER = {
    "raw": {1: (0.12, 0.21), 3: (0.09, 0.21), 5: (0.08, 0.20), 6: (0.09, 0.21)},
    "rollout": {1: (0.11, 0.19), 3: (0.12, 0.21), 5: (0.13, 0.21), 6: (0.13, 0.20)},
    "flow": {1: (0.11, 0.19), 3: (0.11, 0.21), 5: (0.12, 0.22), 6: (0.14, 0.21)},
}
PAPER_SAMPLES = 100
RESAMPLES = 4999


def table(
    data: Path,
    out: Path,
    encoder: TextEncoder,
    *,
    limit: int | None,
    report: Callable[[str], None],
    resamples: int = RESAMPLES,
    blank_out: bool = True,
) -> dict[str, Any]:
    """Measure on GLUE's dev sentences and write `out/table3.json`.

    Args:
        data: folder of SST's files.
        out: where the record goes, and the pieces of an interrupted run.
        encoder: a classifier of two classes, the second one positive.
        limit: sentences; None is all.
        report: called with a line for people.
        resamples: of the intervals.
        blank_out: whether to measure it too.
    """
    dev = read_labelled(data / DEV).first(limit)
    layers = tuple(layer for layer in LAYERS if layer <= encoder.layers)
    inputs, pieces = inputs_of(encoder, dev.texts), pieces_of(encoder, dev.texts, out, report)
    found, measured = relevances(encoder, dev.texts, layers, pieces), scores(encoder, inputs, pieces, blank_out)
    few = np.arange(min(PAPER_SAMPLES, len(dev)))
    every = np.arange(len(dev))
    words = inputs.positions("words")
    record = {
        **provenance(model=encoder.name, sentences=len(dev), layers=layers, resamples=resamples, flow="exact", seed=0),
        "accuracy": accuracy(encoder, dev),
        "tokens_a_sentence": inputs.lengths.mean(),
        "certified": found.certified.mean(),
        "flow_is_first_layer_shifted": _shifted_first_layer(found, inputs, layers),
        "unresolved": _unresolved(measured, inputs),
        "authors_100": _protocol("authors", found.highest, measured, inputs.mask, few, layers, resamples),
        "authors_all": _protocol("authors", found.highest, measured, inputs.mask, every, layers, resamples),
        "right_tokens": _protocol("right", found.first, measured, inputs.mask, every, layers, resamples),
        "right_words": _protocol("right", found.first, measured, words, every, layers, resamples),
        "scores_among_themselves": _among_themselves(measured, inputs),
    }
    report("rank agreement done")
    trees = judged_texts(dev.texts, data)
    if trees:
        encodings = encoder.tokenize(list(dev.texts))
        spans = {place: spans_of(dev.texts[place]) for place in trees}
        record["human"] = human_record(trees, encodings, spans, found, measured, layers, resamples)
        report("agreement with people's labels done")
    write_record(out / "table3.json", record)
    return record


def _protocol(
    target: str,
    relevance: np.ndarray,
    measured: Scores,
    mask: np.ndarray,
    examples: np.ndarray,
    layers: tuple[int, ...],
    resamples: int,
) -> dict[str, Any]:
    """By measure, method and layer: mean and standard deviation, a 95 % interval of the mean, ties."""
    measure = Spearman(protocol="paper") if target == "authors" else Spearman(tol=1e-9)
    rows: dict[str, Any] = {"sentences": len(examples)}
    for (of, name), values in measured.values.items():
        if of != target:
            continue
        found = rank_agreement(
            scaled(relevance[examples]),
            scaled(values[examples, None, None].astype(np.float64)),
            mask[examples, None, None],
            measure,
        )
        interval = mean_interval(found.value, resamples=resamples)
        numbers = {
            "mean": found.mean(),
            "std": found.std(),
            "low": interval.low,
            "high": interval.high,
            "undefined": found.undefined(),
            "tied_pairs": found.tied_pairs[0].mean(axis=0),
            "tied_pairs_of_scores": np.broadcast_to(found.tied_pairs[1], found.value.shape).mean(axis=0),
        }
        rows[name] = by_method_and_layer(numbers, layers)
    return rows


def by_method_and_layer(numbers: dict[str, np.ndarray], layers: tuple[int, ...]) -> dict[str, Any]:
    """Arrays `method layer` by name, as method -> layer -> name -> number."""
    return {
        method: {
            str(layer): {name: array[row, column] for name, array in numbers.items()}
            for column, layer in enumerate(layers)
        }
        for row, method in enumerate(METHODS)
    }


def _shifted_first_layer(found: Relevances, inputs: TokenInputs, layers: tuple[int, ...]) -> dict[str, float]:
    """Share of sentences whose flows to [CLS] are half the first layer's raw attention and one number for all tokens.

    With a residual of one half the edge from token `j` to [CLS] at layer 1 has the capacity `raw[j] / 2`. Where all
    other ways to [CLS] are narrower at their ends than what each token can send, they are full whichever token sends,
    and the tokens' flows differ by that edge alone.
    """
    others = inputs.mask & (np.arange(inputs.mask.shape[1]) > 0)
    first = found.first[:, METHODS.index("raw"), layers.index(1)] / 2
    shares = {}
    for column, layer in enumerate(layers):
        rest = found.first[:, METHODS.index("flow"), column] - first
        spread = np.where(others, rest, -np.inf).max(axis=-1) - np.where(others, rest, np.inf).min(axis=-1)
        shares[str(layer)] = float((spread < 1e-6).mean())
    return shares


def _unresolved(measured: Scores, inputs: TokenInputs) -> dict[str, float]:
    """Share of the tokens whose score is no more than rounding."""
    return {
        f"{target}, {name}": float(flags[inputs.mask].mean()) for (target, name), flags in measured.unresolved.items()
    }


def _among_themselves(measured: Scores, inputs: TokenInputs) -> dict[str, Any]:
    """How well the references of one target agree with each other: what agreement with them can mean."""
    names = [name for target, name in measured.values if target == "right"]
    rows = {}
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            one, two = (scaled(measured.values["right", name].astype(np.float64)) for name in (first, second))
            found = rank_agreement(one, two, inputs.mask, Spearman(tol=1e-9))
            rows[f"{first} / {second}"] = {"mean": found.mean(), "std": found.std()}
    return rows


def markdown(record: dict[str, Any]) -> str:
    """The record's tables, for people."""
    lines = []
    for protocol in ("authors_100", "authors_all", "right_tokens", "right_words"):
        for name, methods in record[protocol].items():
            if name == "sentences":
                continue
            layers = list(methods["raw"])
            lines += [f"\n{protocol}, {name} ({record[protocol]['sentences']} sentences)\n"]
            lines += ["| | " + " | ".join(f"L{layer}" for layer in layers) + " |", "|---" * (len(layers) + 1) + "|"]
            for method, cells in methods.items():
                row = [f"{cells[k]['mean']:.2f}±{cells[k]['std']:.2f}" for k in layers]
                if protocol.startswith("authors") and name == "gradient":
                    paper = [PAPER[method].get(int(k), (np.nan, np.nan)) for k in layers]
                    row = [f"{ours} ({m:.2f}±{s:.2f})" for ours, (m, s) in zip(row, paper, strict=True)]
                lines.append(f"| {method} | " + " | ".join(row) + " |")
    return "\n".join(lines)
