"""Do shallow and deep layers change differently, and are shallow ones syntactic?"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments._pieces import Pieces
from experiments.attention_change.statistics import cells, family, paired, resampled
from jaxflow.compare import PATTERNS, Comparison, Sentence, head_relations
from jaxflow.heads.relations import DIRECTIONS
from jaxflow.models import TextEncoder

RELATIONS = 12
# Sentences that are drawn together in a bootstrap.
BLOCK = 10


def halves(layers: int) -> tuple[slice, slice]:
    """The shallow layers and the deep ones; a middle one belongs to neither."""
    return slice(0, layers // 2), slice(layers - layers // 2, layers)


def layers_record(comparison: Comparison) -> dict[str, Any]:
    """Distance, similarity and change of entropy of each layer, and the deep half less the shallow one."""
    summary = comparison.summary
    distance = np.stack([text.jensen_shannon.mean(axis=-1) for text in comparison])
    before, after = (
        np.stack([getattr(text, side).patterns[..., PATTERNS.index("entropy")].mean(axis=-1) for text in comparison])
        for side in ("a", "b")
    )
    shallow, deep = halves(distance.shape[1])
    apart = distance[:, deep].mean(axis=1) - distance[:, shallow].mean(axis=1)
    own = np.einsum("lhh->lh", summary.head.cka)
    others = summary.head.cka.copy()
    np.einsum("lhh->lh", others)[:] = np.nan
    return {
        "jensen_shannon": [cell.record() for cell in cells(distance)],
        "differs_from_the_mean_layer_p": summary.layer.adjusted_p,
        "deep_less_shallow": cells(apart[:, None], against=0.0)[0].record(),
        "cka_of_namesakes": np.nanmean(own, axis=1),
        "cka_of_others": np.nanmean(others, axis=(1, 2)),
        "entropy_before": [cell.record() for cell in cells(before)],
        "entropy_change": [cell.record() for cell in family(paired(before, after))],
        "entropy_change_all": paired(before.mean(axis=1)[:, None], after.mean(axis=1)[:, None])[0].record(),
    }


def deep_less_shallow(
    values: Float[np.ndarray, "text layer"], other: Float[np.ndarray, "text layer"]
) -> dict[str, Any]:
    """Of numbers of each layer in each text, before and after: the deep half's less the shallow half's."""
    shallow, deep = halves(values.shape[1])
    before, after = (
        each[:, deep].mean(axis=1)[:, None] - each[:, shallow].mean(axis=1)[:, None] for each in (values, other)
    )
    return {
        "before": cells(before, against=0.0)[0].record(),
        "after": cells(after, against=0.0)[0].record(),
        "change": paired(before, after)[0].record(),
    }


def found_arcs(
    model: TextEncoder, sentences: Sequence[Sentence], names: Sequence[str], pieces: Pieces
) -> Float[np.ndarray, "block relation direction layer head"]:
    """How many arcs of each relation every head finds, by blocks of sentences."""
    shape = (len(names), len(DIRECTIONS), model.layers, model.heads)

    def count() -> dict[str, np.ndarray]:
        rows = []
        for start in range(0, len(sentences), BLOCK):
            found = head_relations(model, sentences[start : start + BLOCK])
            row = np.zeros(shape)
            for place, name in enumerate(names):
                if name in found.relations:
                    index = found.relations.index(name)
                    row[place] = found.share[index] * found.count[index]
            rows.append(row)
        return {"hits": np.stack(rows)}

    return pieces("relations", count)["hits"]


def arcs_of(sentences: Sequence[Sentence]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The most frequent relations, how often each occurs in each block, and what the best fixed distance finds."""
    offsets: dict[str, Counter[int]] = {}
    blocks: list[Counter[str]] = []
    for number, sentence in enumerate(sentences):
        if number % BLOCK == 0:
            blocks.append(Counter())
        for word, (head, name) in enumerate(zip(sentence.heads, sentence.relations, strict=True)):
            if head is not None and head >= 0 and name != "punct":
                offsets.setdefault(name, Counter())[head - word] += 1
                blocks[-1][name] += 1
    names = sorted(offsets, key=lambda name: (-offsets[name].total(), name))[:RELATIONS]
    counts = np.array([[block[name] for name in names] for block in blocks], float)
    best = [offsets[name].most_common(1)[0][1] / offsets[name].total() for name in names]
    return names, counts, np.array(best)


def syntax_record(
    before: np.ndarray, after: np.ndarray, names: Sequence[str], counts: np.ndarray, baseline: np.ndarray, draws: int
) -> dict[str, Any]:
    """Share of arcs that a layer's best head finds beyond the best fixed distance, mean over relations.

    The best head of a layer for a relation is chosen in the even blocks and measured in the odd ones, and the other way
    round, so that choosing does not count. Intervals draw blocks of sentences; tests swap the models in blocks.
    """
    shallow, deep = halves(before.shape[-2])
    # The counts travel with the hits, so that a draw has both.
    sides = [np.concatenate([_of_best(hits), counts[..., None]], axis=-1) for hits in (before, after)]

    def scores(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        by_layer = np.stack([_beyond(first, baseline), _beyond(second, baseline)])
        by_layer = np.concatenate([by_layer, by_layer[1:] - by_layer[:1]])
        apart = by_layer[:, deep].mean(axis=1) - by_layer[:, shallow].mean(axis=1)
        return np.concatenate([by_layer, apart[:, None], by_layer.mean(axis=1)[:, None]], axis=1)

    observed = scores(sides[0], sides[1])
    drawn, swapped = resampled(scores, sides[0], sides[1], draws)
    cells = [_ends(observed[row], drawn[:, row], swapped[:, row] if row == 2 else None) for row in range(3)]
    when = dict(zip(("before", "after", "change"), cells, strict=True))
    layers = before.shape[-2]
    total = counts.sum(axis=0)
    shares = [hits.sum(axis=0) / np.maximum(total, 1)[:, None, None, None] for hits in (before, after)]
    chosen = [side[..., :-1].sum(axis=0) / np.maximum(total, 1)[:, None] for side in sides]
    return {
        "sentences_in_a_block": BLOCK,
        "blocks": len(before),
        "relations": {
            name: {"count": total[place], "baseline": baseline[place], "before": one.max(), "after": two.max()}
            for place, (name, one, two) in enumerate(zip(names, *chosen, strict=True))
        },
        **{name: found[:layers] for name, found in when.items()},
        "deep_less_shallow": {name: found[layers] for name, found in when.items()},
        "change_all": when["change"][layers + 1],
        "heads_before": (shares[0] - baseline[:, None, None, None]).max(axis=(0, 1)),
        "heads_after": (shares[1] - baseline[:, None, None, None]).max(axis=(0, 1)),
    }


def _of_best(
    hits: Float[np.ndarray, "block relation direction layer head"],
) -> Float[np.ndarray, "block relation layer"]:
    """Arcs that the heads find which are best in the blocks of the other parity."""
    moved = np.moveaxis(hits, 3, 2).reshape(*hits.shape[:2], hits.shape[3], -1)
    found = np.empty(moved.shape[:-1])
    for parity in (0, 1):
        best = moved[1 - parity :: 2].sum(axis=0).argmax(axis=-1)
        found[parity::2] = np.take_along_axis(moved[parity::2], best[None, ..., None], axis=-1)[..., 0]
    return found


def _beyond(rows: Float[np.ndarray, "block relation column"], baseline: np.ndarray) -> Float[np.ndarray, " layer"]:
    total = rows.sum(axis=0)
    return (total[:, :-1] / np.maximum(total[:, -1:], 1) - baseline[:, None]).mean(axis=0)


def _ends(observed: np.ndarray, drawn: np.ndarray, null: np.ndarray | None = None) -> list[dict[str, float]]:
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    found = [{"mean": m, "low": a, "high": b} for m, a, b in zip(observed, low, high, strict=True)]
    if null is None:
        return found
    beyond = (np.abs(null) >= np.abs(observed) - 1e-12).sum(axis=0)
    p = (beyond + 1) / (len(null) + 1)
    return [{**cell, "p": each} for cell, each in zip(found, p, strict=True)]
