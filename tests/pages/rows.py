"""Rows as a store gives them, made up."""

import re

import numpy as np

from jaxflow.attribution import Question

# Methods, and the type in which results hold them.
RELEVANCE = {"raw": np.float32, "rollout": np.float32, "flow": np.float64}

HOSTILE = (
    "<script>alert('x')</script> & \"q\" </SCRIPT ><!-- <img src=x onerror=alert(1)> "
    "\u202eabc\u202c \u200f \x00 \x1b[31m "
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u2028 {{data}} {{script}} ]]> \\u003c"
)


def tokens_of(text, part):
    """Pieces of at most five letters, and signs; offsets, and which of the texts they are of."""
    for found in re.finditer(r"\w{1,5}|[^\w\s]", text):
        yield found[0].lower(), found.span(), part


def make_row(text, pair=None, number=1, label=None, layers=3, every_query=False, methods=tuple(RELEVANCE), upto=None):
    rng = np.random.default_rng(number)
    special = [("[SEP]", (-1, -1), -1)]
    found = [("[CLS]", (-1, -1), -1), *list(tokens_of(text, 0))[:upto], *special]
    if pair is not None:
        found += [*tokens_of(pair, 1), *special]
    tokens, offsets, source = zip(*found, strict=True)
    queries = np.arange(len(tokens)) if every_query else np.array([0])
    shape = (layers, len(queries), len(tokens))
    row = {
        "id": number,
        "text": text,
        "pair": pair,
        "tokens": list(tokens),
        "offsets": np.array(offsets, np.int32),
        "source": np.array(source, np.int32),
        "queries": queries,
        "layers": np.arange(1, layers + 1),
        "prediction": label,
        "probabilities": {label: 0.75, "</script>": 0.25} if label else None,
    }
    row |= {method: rng.random(shape).astype(RELEVANCE.get(method, np.float64)) for method in methods}
    if "flow" in methods:
        row["certified"] = rng.random(shape) < 0.5
        row["certified_share"] = float(row["certified"].mean())
    return row


def manifest(total, name="in.txt", model="tiny", methods=tuple(RELEVANCE)):
    return {
        "model": model,
        "input": {"name": name, "examples": total},
        "question": Question(methods).as_json(),
        "versions": {"jaxflow": "0.1.0"},
    }
