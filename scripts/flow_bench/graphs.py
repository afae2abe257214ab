"""The graphs that solvers are measured on: real attention of the wanted lengths, and made-up ones."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import jaxflow as jf

SCRIPTS = Path(__file__).parents[1]


def real_text(model: Any, data: Path | None, lengths: list[int]) -> Iterator[Any]:
    """English prose cut to the wanted numbers of tokens, as encodings."""
    text = text_of(data)
    yield from (model.tokenize([text], max_length=length, truncate=True)[0] for length in lengths)


def real_reactions(model: Any, data: Path, lengths: list[int]) -> Iterator[Any]:
    """Of 996 chemical reactions those whose numbers of tokens come nearest the wanted ones, as encodings."""
    with gzip.open(data / "reactions" / "rxnmapper_example_rxns.csv.gz", "rt", encoding="utf-8") as file:
        texts = [row["rxn"] for row in csv.DictReader(file)]
    encodings = model.tokenize(texts, truncate=True)
    for length in lengths:
        yield min(encodings, key=lambda encoding: abs(len(encoding) - length))


def graph_of(model: Any, encoding: Any) -> jf.AttentionGraph:
    attention = model(model.pad([encoding])).attention
    assert attention is not None
    return jf.attention_graph(attention[0])


def class_graphs(folders: list[Path], data: Path | None, lengths: list[int]) -> Iterator[tuple[str, np.ndarray]]:
    """Class-specific capacities of the shipped classifier and of others, at the lengths that each can read."""
    text = text_of(data)
    for name in ["verb-number", *map(str, folders)]:
        model = jf.load_model(name)
        # The same text over and over, where it is shorter than the longest length.
        words = (text.split() * (1 + 2 * max(lengths) // len(text.split())))[: 2 * max(lengths)]
        most = len(model.tokenize([" ".join(words)], truncate=True)[0])
        for length in sorted({min(length, most) for length in lengths}):
            graph = jf.build_graph(
                model, [" ".join(words)], mixing="attention-gradient", max_length=length, truncate=True
            )
            yield f"{Path(name).name}-{length}", np.asarray(graph.capacity, np.float64)[0]


def text_of(data: Path | None) -> str:
    """Wikipedia paragraphs, or the demo's sentences where no folder of data is named."""
    if data is None:
        return (SCRIPTS / "demo_sentences.txt").read_text(encoding="utf-8").replace("\n", " ")
    with gzip.open(data / "pairs" / "squad2_dev.json.gz", "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    return " ".join(paragraph["context"] for paragraph in articles[3]["paragraphs"][:8])


def made_up(quick: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Random graphs of the kinds that behave differently."""
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
    yield "window", mixed(np.where(apart <= 8, scores, -np.inf))
    yield "local sink", mixed(np.where(np.arange(tokens) == 0, 6 + scores, scores - apart))
    yield "causal", mixed(np.where(np.tri(tokens, dtype=bool), 2 * scores, -np.inf))
    yield "strong sink", mixed(scores + 6 * (np.arange(tokens) == 5))
    yield "tied", rng.choice([0.0, 0.125, 0.25, 0.5], size=scores.shape)
    if quick:
        return
    yield "diffuse-12", mixed(rng.normal(size=(12, 90, 90)))
