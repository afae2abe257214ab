"""Students that learn real sentences from labels and probabilities: no teacher's states shape their first layer.

The shipped model learnt a teacher's hidden states at every word, the paper's from labels and an LSTM.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

import jaxflow as jf
from experiments.finetune.fit import Recipe, fit
from experiments.verb_number.batches import as_batch, bucketed
from experiments.verb_number.beginnings import Beginning
from experiments.verb_number.corpus import Corpus
from experiments.verb_number.model import Architecture, make_model
from experiments.verb_number.student import LABEL, Lessons, Student
from experiments.verb_number.train import Settings, drawn_parts, learnt, lessons_of
from jaxflow.models import TextEncoder, TokenBatch

# The LSTM's highest learning rate.
LSTM_RATE = 3e-3
# Beginnings that the LSTM judges at once.
BATCH = 128
Logits = Float[Array, "text label"]
Teacher = Callable[[TokenBatch], Logits]
Report = Callable[[str], None]
# Who gives the probabilities that a student learns beside the labels.
STUDENTS = {"an LSTM's probabilities": "lstm", "the shipped model's probabilities": "verb-number"}


class LSTM(nnx.Module):
    """Two layers of an LSTM over a beginning; its last state tells the verb's number."""

    def __init__(self, words: int, width: int, seed: int):
        rngs = nnx.Rngs(seed)
        self.embeddings = nnx.Embed(words, width, rngs=rngs)
        self.layers = nnx.List([nnx.RNN(nnx.OptimizedLSTMCell(width, width, rngs=rngs), rngs=False) for _ in range(2)])
        self.classifier = nnx.Linear(width, 2, rngs=rngs)

    def __call__(self, batch: TokenBatch) -> Logits:
        """Logits of both numbers."""
        lengths = batch.mask.sum(-1)
        # What an RNN gives depends on whether its carry is asked for, which types cannot follow.
        states: Any = self.embeddings(batch.input_ids)
        begin = jnp.zeros((len(lengths), states.shape[-1]))
        for layer in self.layers:
            states = layer(states, initial_carry=(begin, begin), seq_lengths=lengths)
        return self.classifier(states[jnp.arange(len(lengths)), lengths - 1])


def lstm_loss(module: LSTM, batch: TokenBatch, wanted: Any, key: Any) -> Array:
    """Cross-entropy with the label; the LSTM has no dropout but of words."""
    return optax.softmax_cross_entropy_with_integer_labels(module(batch), wanted[0]).mean()


def probability_loss(module: Student, batch: TokenBatch, wanted: Any, key: Any) -> Array:
    """Cross-entropy with label and teacher, weighed as in `distillation_loss`, without hidden states."""
    logits = module.encoder(batch, key=key, return_attention=False, return_hidden_states=False).logits
    assert logits is not None
    numbers, taught = wanted
    label = optax.softmax_cross_entropy_with_integer_labels(logits, numbers).mean()
    return LABEL * label + (1 - LABEL) * optax.softmax_cross_entropy(logits, jax.nn.softmax(taught)).mean()


def student(
    name: str, corpus: Corpus, size: Architecture, settings: Settings, out: Path, report: Report
) -> tuple[TextEncoder, Teacher]:
    """The student of that name in `STUDENTS` and its teacher, trained or taken up where they were stopped."""
    # All read the shipped model's words, so that it can teach and they differ in what they learn from alone.
    shipped = jf.load_model("verb-number")
    known = shipped.tokenizer.get_vocab()
    model = make_model(sorted(known, key=known.__getitem__), size, None, settings.seed)
    chosen = [corpus.splits["train"][row] for row in np.concatenate(drawn_parts(corpus, settings))]
    lessons = lessons_of(model, chosen, [], settings)
    if STUDENTS[name] == "lstm":
        teacher = lstm_of(lessons, len(known), 2 * size.width, settings, out / "lstm", report)
    else:
        module = shipped.module
        teacher = jax.jit(lambda batch: module(batch, return_attention=False, return_hidden_states=False).logits)

    def batches(step: int) -> tuple[TokenBatch, tuple[Any, Any]]:
        # The teacher sees the words that the student sees.
        batch, (numbers,) = lessons(step)
        return batch, (numbers, teacher(batch))

    report(f"{name}: {settings.steps} steps, {settings.steps / lessons.steps:.1f} times {len(chosen)} beginnings")
    folder = out / name.replace(" ", "-").replace("'", "")
    return learnt(model, probability_loss, batches, settings, folder, report)[0], teacher


def lstm_of(lessons: Lessons, words: int, width: int, settings: Settings, folder: Path, report: Report) -> Teacher:
    """An LSTM that learnt the labels of these lessons."""
    report(f"the LSTM: {settings.teacher_steps} steps")
    recipe = Recipe(settings.teacher_steps, rate=LSTM_RATE, warmup=settings.warmup, seed=settings.seed)
    lstm = LSTM(words, width, settings.seed)
    lstm = fit(lstm, lstm_loss, lessons, recipe, folder, every=300, report=report).module
    graph, weights = nnx.split(lstm)
    # Weights as an argument: the scan of `nnx.RNN` takes none from outside of a trace.
    return partial(jax.jit(lambda weights, batch: nnx.merge(graph, weights)(batch)), weights)


def right(teacher: Teacher, model: TextEncoder, found: list[Beginning]) -> float:
    """The share of these beginnings that a teacher is right on; it reads this model's tokens."""
    hits = 0
    for bucket in bucketed(found, model.tokenizer):
        for start in range(0, len(bucket.ids), BATCH):
            ids, numbers = (values[start : start + BATCH] for values in (bucket.ids, bucket.numbers))
            hits += int((np.asarray(teacher(as_batch(ids))).argmax(1) == numbers).sum())
    return hits / len(found)
