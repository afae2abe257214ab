"""Small models with a vocabulary of whole words and no teacher, with and without the paper's strong dropout.

They learn sentences made from a grammar: of real text there is too little for so few steps.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from experiments.verb_number.__main__ import quick_corpus
from experiments.verb_number.corpus import Corpus
from experiments.verb_number.model import Architecture
from experiments.verb_number.train import Settings, train
from jaxflow.models import TextEncoder

# Dropout of the residual stream (embeddings included, where the paper has .2) and of attention.
DROPOUTS = {"no dropout": (0.0, 0.0), "the paper's dropout": (0.4, 0.6)}
# The paper's depth; narrower, as the grammar has few words.
SIZE = Architecture(heads=4, width=64, feed_forward=128)


def trained(
    name: str, size: Architecture, steps: int, seed: int, out: Path, report: Callable[[str], None]
) -> tuple[TextEncoder, Corpus]:
    """The model of that name in `DROPOUTS`, trained or taken up where it was stopped, and the corpus."""
    hidden, attention = DROPOUTS[name]
    size = replace(size, hidden_dropout=hidden, attention_dropout=attention)
    settings = Settings(steps=steps, tokens=768, warmup=100, teacher="none", parts=1, part=20_000, of=1, seed=seed)
    report(f"{name}: {steps} steps")
    corpus = quick_corpus()
    return train(corpus, size, settings, out / name.replace(" ", "-"), report).model, corpus
