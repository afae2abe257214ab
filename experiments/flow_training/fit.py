"""Training of a small model with a term, as one compiled program."""

import dataclasses
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from experiments.flow_training.data import VOCABULARY, Sentences
from experiments.flow_training.terms import TERMS, Term, term_loss
from experiments.verb_number.model import Architecture, make_model
from experiments.verb_number.tokenizer import PADDING, SPECIALS, UNKNOWN
from jaxflow.models import TextEncoder, TokenBatch

RATE, DECAY = 2e-3, 0.01
# Share of words that `<unk>` replaces, so that the model knows what a blank is.
BLANKS = 0.05


@dataclass(frozen=True)
class Size:
    """Of the model and its training."""

    layers: int = 3
    heads: int = 4
    width: int = 32
    sentences: int = 400
    steps: int = 300
    batch: int = 32


@dataclass(frozen=True)
class Arm:
    """A way to train: a term by name (None is the plain control), what it goes towards, and its strength."""

    term: str | None = None
    towards: str = "evidence"
    strength: float = 0.0

    @property
    def name(self) -> str:
        """The way without its strength."""
        return "control" if self.term is None else f"{self.term}, {self.towards}"


def new_model(size: Size, seed: int) -> TextEncoder:
    """A model with random weights."""
    shape = Architecture(size.layers, size.heads, size.width, 2 * size.width)
    return make_model(list(VOCABULARY), shape, None, seed)


class Trainer:
    """Trains models of one size; the program of each term is compiled once."""

    def __init__(self, size: Size):
        self.size = size
        self._programs: dict[str | None, Any] = {}

    def __call__(self, arm: Arm, sentences: Sentences, seed: int) -> tuple[TextEncoder, float]:
        """A trained model, and the processor's seconds that its steps took, compiling left out.

        Weights, batches and blanks depend on the seed alone, so arms of one seed differ by their terms only.
        """
        size = self.size
        model = new_model(size, seed)
        graph, parameters = nnx.split(model.module)
        order = np.random.default_rng(seed).integers(0, len(sentences), (size.steps, size.batch), dtype=np.int32)
        arguments = (
            parameters,
            tuple(jnp.asarray(each) for each in (sentences.ids, sentences.labels, sentences.places(arm.towards))),
            jnp.asarray(order),
            jnp.float32(arm.strength),
            jax.random.key(seed),
        )
        if arm.term not in self._programs:
            term = None if arm.term is None else TERMS[arm.term]
            program = jax.jit(partial(_train, term, size.steps, graph))
            self._programs[arm.term] = program.lower(*arguments).compile()
        begun = time.process_time()
        parameters = jax.block_until_ready(self._programs[arm.term](*arguments))
        seconds = time.process_time() - begun
        return dataclasses.replace(model, module=nnx.merge(graph, parameters)), seconds


def _train(
    term: Term | None,
    steps: int,
    graph: Any,
    parameters: Any,
    data: tuple[Array, Array, Array],
    order: Array,
    strength: Array,
    key: Array,
) -> Any:
    """All steps in one loop."""
    optimiser = optax.adamw(optax.cosine_decay_schedule(RATE, steps), weight_decay=DECAY)

    def step(state: tuple[Any, Any], at: tuple[Array, Array]) -> tuple[tuple[Any, Any], None]:
        parameters, moments = state
        ids, labels, places = (each[at[1]] for each in data)
        words = ids >= len(SPECIALS)
        blank = (jax.random.uniform(jax.random.fold_in(key, at[0]), ids.shape) < BLANKS) & words
        batch = TokenBatch(jnp.where(blank, UNKNOWN, ids), ids != PADDING, jnp.zeros_like(ids))

        def loss(parameters: Any) -> Array:
            return _loss(term, nnx.merge(graph, parameters), batch, words, labels, places, strength)

        gradient = jax.grad(loss)(parameters)
        # optax mixes its step count with floating point, which the strict rule forbids.
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = optimiser.update(gradient, moments, parameters)
        return (optax.apply_updates(parameters, updates), moments), None

    numbers = jnp.arange(steps, dtype=jnp.int32)
    (parameters, _), _ = jax.lax.scan(step, (parameters, optimiser.init(parameters)), (numbers, order))
    return parameters


def _loss(
    term: Term | None, module: Any, batch: TokenBatch, words: Array, labels: Array, places: Array, strength: Array
) -> Array:
    """Cross-entropy, and the term."""
    extra = jnp.zeros(())
    if term is None or term.rows is not None:
        logits = module(batch, return_attention=False, return_hidden_states=False).logits
        if term is not None:
            few = jax.tree.map(lambda each: each[: term.rows], (batch, words, labels, places))
            extra, _ = term_loss(term, module, *few)
    else:
        extra, logits = term_loss(term, module, batch, words, labels, places)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean() + strength * extra
