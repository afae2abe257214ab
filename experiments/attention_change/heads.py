"""Do heads specialise: roles, heads that look at marked words, importance."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.attention_change.classes import ALONE
from experiments.attention_change.marks import lift, of_spans
from experiments.attention_change.statistics import cells, family, gini, paired, rank_correlation
from experiments.attention_change.texts import Marked
from jaxflow.compare import ComparedText, Comparison, head_importance, head_roles, role_changes
from jaxflow.heads.names import head_number
from jaxflow.models import TextEncoder

# A head that gives marked words half as much again as others.
SELECTIVE = 1.5
MOST = 8


def heads_record(
    encoders: tuple[TextEncoder, TextEncoder], texts: Sequence[Marked], comparison: Comparison, reads: str, group: str
) -> dict[str, Any]:
    """Before and after: named roles, heads that favour marked words, and what importance has to do with change.

    Layers and heads are counted from 1. A head is selective where it gives marked words `SELECTIVE` times the mean.
    """
    plain = [text.text for text in texts]
    table = role_changes(head_roles(encoders[0], plain), head_roles(encoders[1], plain))
    kept = [(text, compared) for text, compared in zip(texts, comparison, strict=True)]
    kept = [each for each in kept if each[1].a.heads is not None and each[0].group.startswith(group)]
    shape = comparison.summary.head.jensen_shannon.mean.shape
    before, after = (np.stack([_lifts(text, pair, side, reads) for text, pair in kept]) for side in ("a", "b"))
    marked = [family(cells(side, against=1.0)) for side in (before, after)]
    change = family(paired(before, after))
    distance = comparison.summary.head.jensen_shannon.mean
    gained = np.array([cell.mean for cell in change])
    order = np.argsort(-gained)[:MOST]
    record: dict[str, Any] = {
        "count": int(np.prod(shape)),
        "roles_before": Counter(row["before"] or "none" for row in table),
        "roles_after": Counter(row["after"] or "none" for row in table),
        "roles_changed": sum(row["before"] != row["after"] for row in table),
        "texts_for_marks": len(kept),
        "selective_before": _selective(marked[0]),
        "selective_after": _selective(marked[1]),
        "gaining": sum(cell.mean > 0 and cell.p < 0.05 for cell in change),
        "losing": sum(cell.mean < 0 and cell.p < 0.05 for cell in change),
        "gained_most": [
            {
                **head_number(*divmod(int(place), shape[1])),
                "before": marked[0][place].mean,
                "after": marked[1][place].mean,
                "change": change[place].record(),
            }
            for place in order
        ],
        "lift_before": np.array([cell.mean for cell in marked[0]]).reshape(shape),
        "lift_after": np.array([cell.mean for cell in marked[1]]).reshape(shape),
        "jensen_shannon": distance,
        "change_and_gain": rank_correlation(distance, gained),
    }
    if encoders[1].config.head.name == "sequence_classification":
        importance = head_importance(encoders[1], plain, batch_tokens=ALONE).mean
        record["importance"] = {
            "mean": importance,
            "gini": gini(importance),
            "share_of_the_first_tenth": _first_tenth(importance),
            "by_layer": importance.sum(axis=1) / importance.sum(),
            "and_change": rank_correlation(importance, distance),
            "and_lift_after": rank_correlation(importance, record["lift_after"]),
        }
    return record


def _lifts(text: Marked, compared: ComparedText, side: str, reads: str) -> Float[np.ndarray, " head"]:
    """Lift of marked words in the attention of every head, from the position that the task's head reads."""
    heads = getattr(compared, side).heads
    rows = heads[:, :, 0] if reads == "first" else heads.mean(axis=2)
    values = of_spans(rows.reshape(-1, rows.shape[-1]), compared.units, text.spans)
    return lift(values, np.array(text.labels))


def _selective(found: Sequence[Any]) -> int:
    return sum(cell.mean >= SELECTIVE and cell.p < 0.05 for cell in found)


def _first_tenth(values: np.ndarray) -> float:
    ordered = np.sort(values, axis=None)[::-1]
    return float(ordered[: max(1, len(ordered) // 10)].sum() / ordered.sum())
