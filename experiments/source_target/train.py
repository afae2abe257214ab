"""Training of the small T5 on dates: AdamW on texts drawn once, each target predicted from the ones before."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Int

from experiments._say import say
from experiments.source_target.dates import LONGEST, TARGETS, Dated, drawn
from experiments.source_target.model import END, WIDTH, new_model
from jaxflow.models import TokenBatch
from jaxflow.models.encoder_decoder.model import PairModel
from jaxflow.models.encoder_decoder.module import PairModule
from jaxflow.models.forward import ForwardOptions
from jaxflow.models.two_streams import TARGET

STEPS, BATCH, RATE, DECAY = 2000, 64, 3e-3, 0.01
# Texts that are drawn and cut once; each step takes some of them.
POOL = 32_768
# Sources with their end, the decoder's first token, and the targets without theirs.
TOKENS = LONGEST + 1 + 1 + TARGETS
# What is no target to predict.
NONE = -1


def trained(seed: int, steps: int = STEPS, width: int = WIDTH, pool: int = POOL) -> PairModel:
    """A model of a seed, trained on texts of that seed."""
    model = new_model(seed, width)
    batch, labels = batch_of(model, drawn(pool, seed))
    graph, parameters = nnx.split(model.module)
    optimizer = _optimizer(steps)
    state = optimizer.init(parameters)
    rng = np.random.default_rng(seed)
    for begin in range(0, steps, 500):
        picks = jnp.asarray(rng.integers(0, pool, (min(500, steps - begin), BATCH)))
        # Optax mixes whole numbers and floats.
        with jax.numpy_dtype_promotion("standard"):
            parameters, state, loss = _steps(graph, optimizer, parameters, state, batch, labels, picks)
        say(f"seed {seed}, step {begin + len(picks)}: loss {float(loss):.4f}")
    nnx.update(model.module, parameters)
    return model


def right(model: PairModel, texts: Sequence[Dated]) -> Bool[np.ndarray, " text"]:
    """Whether the model writes each text's whole date, always the likeliest target.

    It does so just where each target is the likeliest one behind the right ones: the first wrong one ends that.
    """
    batch, labels = batch_of(model, texts)
    written = np.asarray(_likeliest(model.module, batch))
    return ((written == np.asarray(labels)) | (np.asarray(labels) == NONE)).all(-1)


@nnx.jit
def _likeliest(module: PairModule, batch: TokenBatch) -> Int[Array, "row token"]:
    """The likeliest target behind each position."""
    hidden, _ = module.run(batch, lambda carry, layer: carry, None, ForwardOptions())
    return jnp.argmax(module.scores(hidden), axis=-1)


def batch_of(model: PairModel, texts: Sequence[Dated]) -> tuple[Any, jax.Array]:
    """Texts of one padded length, and the target behind each position, `row token`; `NONE` where there is none."""
    encodings = model.tokenize([each.text for each in texts], [each.target for each in texts])
    batch = model.pad(encodings, TOKENS)
    targets = np.asarray(batch.mask & (batch.segments == TARGET))
    labels = np.full(targets.shape, NONE, np.int32)
    labels[:, :-1] = np.where(targets[:, 1:], np.asarray(batch.input_ids)[:, 1:], END)
    return batch, jnp.asarray(np.where(targets, labels, NONE))


# One object, so that the steps are compiled once for all seeds.
@cache
def _optimizer(steps: int) -> optax.GradientTransformation:
    rise = steps // 10
    ramps = [optax.linear_schedule(0, RATE, rise), optax.linear_schedule(RATE, 0, steps - rise)]
    schedule = optax.join_schedules(ramps, [rise])
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=DECAY))


@partial(jax.jit, static_argnums=(0, 1))
def _steps(graph: Any, optimizer: Any, parameters: Any, state: Any, batch: Any, labels: Any, picks: Any) -> Any:
    """Many steps in one program; the mean loss of all of them."""

    def loss_of(parameters: Any, rows: Any, answers: Any) -> Any:
        module = nnx.merge(graph, parameters)
        hidden, _ = module.run(rows, lambda carry, layer: carry, None, ForwardOptions())
        losses = optax.softmax_cross_entropy_with_integer_labels(module.scores(hidden), jnp.maximum(answers, 0))
        return jnp.where(answers == NONE, 0, losses).sum() / (answers != NONE).sum()

    def step(carry: Any, pick: Any) -> Any:
        parameters, state = carry
        loss, gradient = jax.value_and_grad(loss_of)(
            parameters, jax.tree.map(lambda leaf: leaf[pick], batch), labels[pick]
        )
        updates, state = optimizer.update(gradient, state, parameters)
        return (optax.apply_updates(parameters, updates), state), loss

    (parameters, state), losses = jax.lax.scan(step, (parameters, state), picks)
    return parameters, state, losses.mean()
