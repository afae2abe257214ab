"""Agreement with people: each word's sentiment alone, as the trees have it at their leaves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments._words import HOW, Span, to_words, words_of_tokens
from experiments.sst2.data import Judged
from experiments.sst2.measure import METHODS, Relevances, Scores, scaled
from jaxflow.evaluation import Spearman, mean_interval, padded, rank_agreement
from jaxflow.models import Encoding

NEUTRAL = 2


def human_record(
    trees: Mapping[int, Judged],
    encodings: Sequence[Encoding],
    spans: Mapping[int, Sequence[Span]],
    found: Relevances,
    measured: Scores,
    layers: tuple[int, ...],
    resamples: int,
) -> dict[str, Any]:
    """How each method and measure ranks words that people called positive or negative.

    A word's salience is how far its label is from neutral, |label - 2|, 0 to 2. For methods and measures alike,
    numbers of sub-words are added up, or the largest taken. `agreement` is Spearman's of words with salience;
    `hits` how often the top word is one that people did not call neutral, `chance` how often a word is. Sentences
    whose words are all alike to people have no ranking and are left out.
    """
    places = [place for place in trees if len(trees[place].words) == len(spans[place])]
    salience, mask = padded([np.abs(np.array(trees[place].sentiments) - NEUTRAL).astype(float) for place in places])
    some = np.asarray((salience > 0).any(axis=-1))
    chance = np.where(some, (salience > 0).sum(axis=-1) / mask.sum(axis=-1), np.nan)
    record: dict[str, Any] = {
        "sentences": len(places),
        "with_ranking": int(some.sum()),
        "chance": _with_interval(chance, resamples),
    }
    words = {place: words_of_tokens(encodings[place], spans[place]) for place in places}

    def judged(of: Callable[[int], np.ndarray], how: str) -> tuple[dict[str, Any], dict[str, Any]]:
        rows = [to_words(of(place), words[place], len(spans[place]), how) for place in places]
        values, _ = padded(rows)
        values = values.reshape(len(places), -1, values.shape[-1])
        # A word whose signs the tokenizer does not know has no token, and takes no part.
        known = mask & ~np.isnan(values[:, 0])
        values = np.where(known[:, None], values, 0)
        agreement = rank_agreement(scaled(values), salience[:, None], known[:, None], Spearman(tol=1e-9)).value
        hits = _top_salience(values, salience, known)
        hits = np.where(some[:, None], hits > 0, np.nan)
        return _with_interval(agreement, resamples), _with_interval(hits, resamples)

    for how in HOW:
        rows: dict[str, Any] = {}
        agreement, hits = judged(lambda place: found.first[place, ..., : len(encodings[place])], how)
        for name, cells in (("agreement", agreement), ("hits", hits)):
            shaped = {key: np.reshape(value, (len(METHODS), len(layers))) for key, value in cells.items()}
            for row, method in enumerate(METHODS):
                for column, layer in enumerate(layers):
                    cell = rows.setdefault(method, {}).setdefault(str(layer), {})
                    cell[name] = {key: value[row, column] for key, value in shaped.items()}
        for (target, name), values in measured.values.items():
            if target == "right":
                agreement, hits = judged(lambda place, v=values: v[place, : len(encodings[place])], how)
                rows[name] = {
                    "agreement": {key: value[0] for key, value in agreement.items()},
                    "hits": {key: value[0] for key, value in hits.items()},
                }
        record[how] = rows
    return record


def _top_salience(values: np.ndarray, salience: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Salience of each row's first largest word, `example row`."""
    top = np.where(mask[:, None], values, -np.inf).argmax(axis=-1)
    return np.take_along_axis(salience, top, axis=-1)


def _with_interval(values: np.ndarray, resamples: int) -> dict[str, Any]:
    interval = mean_interval(values, resamples=resamples)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "count": interval.count}
