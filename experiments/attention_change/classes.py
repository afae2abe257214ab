"""Relevance that depends on the class: heads weighted by what the class's score owes to them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

import jaxflow as jf
from experiments.attention_change.marks import lift, of_spans
from experiments.attention_change.statistics import cells, paired
from experiments.attention_change.texts import Marked
from jaxflow.compare import class_attention
from jaxflow.compare.units import token_units
from jaxflow.models import TextEncoder

WAYS = ("product", "rollout", "flow")
# One text at a time: then there is one program for all texts of about one length, whatever their number.
ALONE = 1


def class_values(model: TextEncoder, texts: Sequence[Marked], target: Any) -> list[np.ndarray]:
    """Relevance of candidates to [CLS] at the top, `way candidate`: Chefer et al.'s product, class rollout and flow."""
    encodings = model.tokenize([text.text for text in texts])
    own = target if isinstance(target, str) else tuple(map(int, target))
    weighted = class_attention(model, encodings, target=own, batch_tokens=ALONE)
    graph, layers = weighted.graph(), model.layers
    tops = [
        np.asarray(weighted.relevance())[:, -1, 0],
        np.asarray(jf.attention_rollout(graph))[:, -1, 0],
        np.asarray(jf.attention_flow(graph, queries=0, layers=layers, method="exact").value)[:, 0, 0],
    ]
    return [
        of_spans(np.stack([top[row, : len(encoding)] for top in tops]), token_units(encoding), text.spans)
        for row, (text, encoding) in enumerate(zip(texts, encodings, strict=True))
    ]


def predicted_record(model: TextEncoder, texts: Sequence[Marked]) -> dict[str, Any]:
    """Lift of marked words in the relevance of the class that is predicted."""
    values = class_values(model, texts, "predicted")
    lifts = np.stack([lift(v, np.array(t.labels)) for v, t in zip(values, texts, strict=True)])
    return {way: cell.record() for way, cell in zip(WAYS, cells(lifts, against=1.0), strict=True)}


def signed_record(model: TextEncoder, texts: Sequence[Marked]) -> dict[str, Any]:
    """Do words that people call positive gain more under the class positive, negative ones under negative?

    `matching_less_other` is the lift of words whose sign is the class's less that under the other class, in each text
    averaged over both signs that it has.
    """
    labels = model.labels or ()
    signs = {"negative": -1, "positive": 1}
    under = {name: class_values(model, texts, name) for name in labels if name in signs}
    lifts = {
        (name, kind): np.stack([lift(v, np.array(t.signs) == sign) for v, t in zip(values, texts, strict=True)])
        for name, values in under.items()
        for kind, sign in signs.items()
    }
    record: dict[str, Any] = {}
    for (name, kind), values in lifts.items():
        for way, cell in zip(WAYS, cells(values, against=1.0), strict=True):
            record.setdefault(way, {})[f"{kind} words under class {name}"] = cell.record()
    both = np.stack([lifts[kind, kind] - lifts[_other(kind), kind] for kind in signs])
    known = (~np.isnan(both)).sum(axis=0)
    apart = np.where(known > 0, np.nansum(both, axis=0) / np.maximum(known, 1), np.nan)
    for way, cell in zip(WAYS, paired(np.zeros_like(apart), apart), strict=True):
        record[way]["matching_less_other"] = cell.record()
    return record


def _other(kind: str) -> str:
    return "negative" if kind == "positive" else "positive"
