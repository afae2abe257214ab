"""What is measured of a trained model: accuracy, and whether flow and blank-out find the evidence."""

import dataclasses

import jax
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float

import jaxflow as jf
from experiments.flow_training.data import Sentences, texts
from jaxflow.evaluation import Target, occlusion_scores
from jaxflow.models import TextEncoder

MIXING = jf.mixing.AttentionGradient()
# What `faithfulness` gives of each sentence.
MEASURES = {
    "flow finds evidence": "class flow's top word is the evidence",
    "evidence rank": "1 / rank of the evidence by class flow (average precision)",
    "blank-out finds evidence": "blank-out's top word is the evidence",
    "same top word": "class flow and blank-out have the same top word",
    "comprehensiveness": "fall of the predicted probability without class flow's top word",
    "evidence matters": "fall of the predicted probability without the evidence",
}


@jax.jit
def _logits(module: nnx.Module, batch: jf.models.TokenBatch) -> jax.Array:
    return module(batch, return_attention=False, return_hidden_states=False).logits


def right(model: TextEncoder, sentences: Sentences) -> Bool[np.ndarray, " sentence"]:
    """Whether the model tells each sentence's number."""
    return np.asarray(_logits(model.module, sentences.batch).argmax(-1)) == sentences.labels


def faithfulness(model: TextEncoder, sentences: Sentences) -> dict[str, Float[np.ndarray, " sentence"]]:
    """`MEASURES` of each sentence, words alone ranked; flow is exact, at the last layer, for the predicted class."""
    lines = texts(sentences)
    result = jf.attribute(model, lines, methods="flow", mixing=MIXING, layers=model.layers)
    blanks = occlusion_scores(model, lines, target=Target("predicted"), positions="words")
    rows: list[list[float]] = []
    for row, (example, place) in enumerate(zip(result, sentences.evidence, strict=True)):
        words = sentences.words[row]
        flow = np.where(words, _padded(example.relevance["flow"][0, 0], len(words)), -np.inf)
        falls = np.where(words, _padded(blanks.signed[row], len(words)), -np.inf)
        # Ties count against the evidence, half of them above it.
        rank = 1 + (flow > flow[place]).sum() + ((flow == flow[place]).sum() - 1) / 2
        top = flow.argmax()
        found = (rank == 1, 1 / rank, falls.argmax() == place, falls.argmax() == top, falls[top], falls[place])
        rows.append([float(each) for each in found])
    return dict(zip(MEASURES, np.array(rows).T, strict=True))


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    values = np.asarray(values, np.float64)[:length]
    return np.pad(values, (0, length - len(values)))


def joined(first: Sentences, second: Sentences) -> Sentences:
    """Both, one behind the other."""
    fields = [field.name for field in dataclasses.fields(Sentences)]
    return Sentences(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in fields))


def some(sentences: Sentences, count: int) -> Sentences:
    """The first ones."""
    return Sentences(*(getattr(sentences, field.name)[:count] for field in dataclasses.fields(Sentences)))
