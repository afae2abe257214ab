"""The pairs of models, and what is measured of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments._pieces import Report, pieces_of
from experiments._record import provenance, write_record
from experiments.attention_change.bias import bias_record, women
from experiments.attention_change.claims import claims
from experiments.attention_change.classes import predicted_record, signed_record
from experiments.attention_change.debugging import debugging_record
from experiments.attention_change.heads import heads_record
from experiments.attention_change.injection import injection_record, read_head
from experiments.attention_change.layers import arcs_of, deep_less_shallow, found_arcs, layers_record, syntax_record
from experiments.attention_change.marks import lift_table, marks_record, of_spans
from experiments.attention_change.prompts import read_prompts
from experiments.attention_change.reactions import read_reactions, superclasses
from experiments.attention_change.sentiment import read_sentences
from experiments.attention_change.statistics import rank_correlation
from experiments.attention_change.texts import Marked, treebank, word_counts
from experiments.attention_change.words import words_record
from experiments.pronouns.data import read_winogender
from jaxflow.compare import Comparison, Sentence, compare_models
from jaxflow.models import TextEncoder

METHODS = ("raw", "rollout", "flow")


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    reactions: int = 150
    sentences: int = 250
    prompts: int = 80
    treebank: int = 240
    pronouns: int = 720
    heads: int = 80
    resamples: int = 999


QUICK = Sizes(reactions=8, sentences=12, prompts=12, treebank=40, pronouns=36, heads=8, resamples=99)


@dataclass(frozen=True)
class Pair:
    """Two models and what the second was trained for.

    Attributes:
        name: of the pair, and of its record.
        models: names of the two models' folders.
        marked: what the marks mean, for people.
        group: class of texts whose marks count; "" for all. The others' are recorded beside them.
        reads: which position the task's head reads: "first", or "mean" for all of them.
        english: whether a treebank says something of it.
    """

    name: str
    models: tuple[str, str]
    marked: str
    reads: str
    english: bool
    group: str = ""


PAIRS = {
    pair.name: pair
    for pair in (
        Pair("reactions", ("rxnfp-pretrained", "rxnfp-10k"), "reacting atoms", "first", english=False),
        Pair("injection", ("minilm", "cloneguard"), "words of the attack", "mean", english=True, group="injection"),
        Pair("sentiment", ("minilm", "sst2"), "words with sentiment", "first", english=True),
    )
}


def study(
    pair: Pair,
    encoders: tuple[TextEncoder, TextEncoder],
    data: Path,
    out: Path,
    sizes: Sizes,
    report: Report,
    head: Any,
) -> dict[str, Any]:
    """Measure a pair and write `out/PAIR.json`."""
    sentences = treebank(data) if pair.english else []
    counts = word_counts(sentences)
    texts = read_texts(pair, data, sizes, counts)
    report(f"{pair.name}: {len(texts)} texts")
    comparison = compare_models(
        *encoders,
        [text.text for text in texts],
        methods=METHODS,
        queries=0 if pair.reads == "first" else None,
        flow="exact",
        keep_heads=sizes.heads,
        batch_size=8,
    )
    report("compared")
    layers = len(comparison.summary.layers)
    rows = [(method, str(layer + 1)) for method in METHODS for layer in range(layers)]
    before, after = (_values(texts, comparison, side, pair.reads) for side in ("a", "b"))
    record: dict[str, Any] = {
        **provenance(pair=pair.name, a=encoders[0].name, b=encoders[1].name, reads=pair.reads, flow="exact", seed=0),
        "sizes": vars(sizes),
        "marked": pair.marked,
        "texts": len(texts),
        **_marks(pair, texts, before, after, rows, sizes.resamples),
        "layers": layers_record(comparison),
        "words": _words(pair, texts, before, after, rows),
        "arcs": comparison.summary.arcs,
    }
    report("marks, layers, words")
    record["heads"] = heads_record(encoders, texts, comparison, pair.reads, pair.group)
    report("heads")
    if pair.english:
        record["syntax"] = _syntax(encoders, sentences, sizes, out, report, record["heads"])
        report("syntax")
    for name, measure in _more(pair, encoders, texts, comparison, after, rows, data, sizes, head).items():
        record[name] = measure()
        report(name)
    record["claims"] = claims(record)
    write_record(out / f"{pair.name}.json", record)
    return record


def _marks(
    pair: Pair,
    texts: Sequence[Marked],
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
    rows: Sequence[tuple[str, str]],
    resamples: int,
) -> dict[str, Any]:
    """What marked words get of relevance: in the pair's group of texts, and in the others."""
    chosen = [place for place, text in enumerate(texts) if text.group.startswith(pair.group)]
    others = sorted(set(range(len(texts))) - set(chosen))

    def marks(places: Sequence[int]) -> dict[str, Any]:
        here, first, second = [texts[i] for i in places], [before[i] for i in places], [after[i] for i in places]
        return marks_record(here, first, second, rows, resamples)

    # The rows of the first method alone, one a layer.
    layers = len(rows) // len(METHODS)
    one, two = (lift_table([texts[i] for i in chosen], [side[i][:layers] for i in chosen]) for side in (before, after))
    known = ~np.isnan(one[:, 0])
    return {
        "marks": marks(chosen),
        "marks_of_others": marks(others) if pair.group else None,
        "marks_deep_less_shallow": deep_less_shallow(one[known], two[known]),
    }


def _words(
    pair: Pair,
    texts: Sequence[Marked],
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
    rows: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """Words that gained and lost at the last layer, by every method."""
    top = [place for place, (_, layer) in enumerate(rows) if layer == rows[-1][1]]
    # Small letters say that an atom is aromatic.
    as_word = str.lower if pair.english else str
    one, two = ([values[top] for values in side] for side in (before, after))
    return words_record(texts, one, two, [rows[place] for place in top], as_word)


def read_texts(pair: Pair, data: Path, sizes: Sizes, counts: Any) -> list[Marked]:
    """The pair's texts."""
    if pair.name == "reactions":
        return read_reactions(data / "reactions", sizes.reactions)
    if pair.name == "sentiment":
        return read_sentences(data / "sst", counts)[: sizes.sentences]
    prompts = read_prompts(counts)
    return prompts[: sizes.prompts // 2] + prompts[-(sizes.prompts - sizes.prompts // 2) :]


def _values(texts: Sequence[Marked], comparison: Comparison, side: str, reads: str) -> list[np.ndarray]:
    """Of each text the relevance of its candidates to what the head reads, `method layer` by candidate."""
    found = []
    for text, compared in zip(texts, comparison, strict=True):
        relevance = getattr(compared, side).relevance
        stacked = np.concatenate([np.asarray(relevance[method], np.float64) for method in METHODS])
        values = stacked[:, 0] if reads == "first" else stacked.mean(axis=1)
        found.append(of_spans(values, compared.units, text.spans))
    return found


def _syntax(
    encoders: tuple[TextEncoder, TextEncoder],
    sentences: Sequence[Sentence],
    sizes: Sizes,
    out: Path,
    report: Report,
    heads: dict[str, Any],
) -> dict[str, Any]:
    # Of like length, so that few programs are compiled.
    chosen = [sentence for sentence in sentences if 8 <= len(sentence.words) <= 22][: sizes.treebank]
    names, counts, baseline = arcs_of(chosen)
    texts = [sentence.text for sentence in chosen]
    one, two = (found_arcs(each, chosen, names, pieces_of(each, texts, out, report)) for each in encoders)
    record = syntax_record(one, two, names, counts, baseline, sizes.resamples)
    record["and_change_of_heads"] = rank_correlation(record["heads_before"], heads["jensen_shannon"])
    if "importance" in heads:
        record["and_importance_of_heads"] = rank_correlation(record["heads_after"], heads["importance"]["mean"])
    return record


def _more(
    pair: Pair,
    encoders: tuple[TextEncoder, TextEncoder],
    texts: Sequence[Marked],
    comparison: Comparison,
    after: Sequence[np.ndarray],
    rows: Sequence[tuple[str, str]],
    data: Path,
    sizes: Sizes,
    head: Path | None,
) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is measured of some pairs alone."""
    if pair.name == "injection":
        if head is None:
            return {}
        return {"head": lambda: injection_record(encoders[1], read_head(head), texts, after, rows)}
    found: dict[str, Callable[[], dict[str, Any]]] = {"class": lambda: predicted_record(encoders[1], texts)}
    if pair.name == "reactions":
        found["predictions"] = lambda: _superclass(texts, comparison, data)
    else:
        predicted = np.array([text.b.prediction for text in comparison])
        right = predicted == np.array([text.group for text in texts])
        people = read_winogender(data / "coref")[: sizes.pronouns]
        found["predictions"] = lambda: {"accuracy": right.mean()}
        found["classes"] = lambda: signed_record(encoders[1], texts)
        found["debugging"] = lambda: debugging_record(encoders[1], texts, comparison.texts)
        found["bias"] = lambda: bias_record(encoders, people, women(data / "coref"), "positive")
    return found


def _superclass(texts: Sequence[Marked], comparison: Comparison, data: Path) -> dict[str, Any]:
    names = superclasses(data / "reactions")
    predicted = [names.get(int(str(text.b.prediction).removeprefix("LABEL_")), "") for text in comparison]
    right = [found == text.group for found, text in zip(predicted, texts, strict=True)]
    return {"superclass_accuracy": float(np.mean(right))}
