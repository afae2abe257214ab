"""Training that can be stopped at any time: steps that depend on the seed and their number, checkpoints by Orbax."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx

from jaxflow.models import Encoder, TokenBatch

# Module, batch, targets and dropout's key -> loss.
Loss = Callable[[Encoder, TokenBatch, Any, Any], Any]
# The batch of a step and its targets.
Batches = Callable[[int], tuple[TokenBatch, Any]]


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train.

    Attributes:
        steps: in all.
        rate: the highest learning rate.
        warmup: steps that it rises over, a tenth of all at most; it then falls linearly to 0.
        decay: weight decay, of maps and tables alone.
        clip: largest norm of a gradient.
        seed: of dropout.
    """

    steps: int
    rate: float = 1e-4
    warmup: int = 50
    decay: float = 0.01
    clip: float = 1.0
    seed: int = 0


@cache
def optimiser_of(recipe: Recipe) -> optax.GradientTransformation:
    """AdamW behind a clip, under the schedule; one object for each recipe, so that its steps are compiled once."""
    warmup = min(recipe.warmup, max(1, recipe.steps // 10))
    schedule = optax.join_schedules(
        [optax.linear_schedule(0, recipe.rate, warmup), optax.linear_schedule(recipe.rate, 0, recipe.steps - warmup)],
        [warmup],
    )
    return optax.chain(
        optax.clip_by_global_norm(recipe.clip), optax.adamw(schedule, weight_decay=recipe.decay, mask=_decays)
    )


def classification_loss(module: Encoder, batch: TokenBatch, classes: Any, key: Any) -> Any:
    """Cross-entropy of a classifier's logits, mean over the batch."""
    logits = module(batch, key=key, return_attention=False, return_hidden_states=False).logits
    assert logits is not None
    return optax.softmax_cross_entropy_with_integer_labels(logits, classes).mean()


def fit(
    module: Encoder,
    loss: Loss,
    batches: Batches,
    recipe: Recipe,
    folder: Path,
    *,
    every: float = 120.0,
    report: Callable[[str], None] = print,
    evaluate: Callable[[Encoder], str] | None = None,
) -> Encoder:
    """Train a module, from where an earlier run into the same folder got to.

    A run that was stopped and went on gives the same weights as one that was not: a step depends on the state, the
    seed and its own number alone.

    Args:
        module: with the weights to start from.
        loss: what to make small.
        batches: the batch of a step; called once a step.
        recipe: how long and how fast.
        folder: of the checkpoints; the last one alone is kept.
        every: seconds between checkpoints. One is also written at the end and at an interruption.
        report: called with a line for people about every 20 seconds.
        evaluate: says in a line how good a module is; called at each checkpoint.

    Returns:
        The trained module.

    Raises:
        KeyboardInterrupt: it was interrupted; the checkpoint is written.
    """
    graph, parameters = nnx.split(module)
    # Steps write in place, and the module may share its weights with others.
    parameters = jax.tree.map(jnp.copy, parameters)
    optimiser = optimiser_of(recipe)
    state = (parameters, jax.jit(optimiser.init)(parameters))
    options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
    with ocp.CheckpointManager(folder.resolve(), options=options) as manager:
        done = manager.latest_step() or 0
        if done:
            state = _restored(manager, done, state)
            report(f"going on from step {done} of {recipe.steps}")
        saved = done
        clocks = _Clocks(time.monotonic(), time.monotonic())
        try:
            for step in range(done, recipe.steps):
                batch, targets = batches(step)
                key = jax.random.fold_in(jax.random.key(recipe.seed), step)
                state, value = _step(state, batch, jnp.asarray(targets), key, graph, optimiser=optimiser, loss=loss)
                done = step + 1
                clocks.count(value, batch)
                if time.monotonic() - clocks.reported > 20:
                    report(clocks.line(done, recipe.steps))
                if time.monotonic() - clocks.saved > every and done < recipe.steps:
                    saved = _save(manager, done, state)
                    clocks.saved = time.monotonic()
                    if evaluate is not None:
                        report(f"step {done}: {evaluate(nnx.merge(graph, state[0]))}")
        finally:
            # Also where it was interrupted. A donated state is whole again once its step has returned.
            if done > saved and not any(leaf.is_deleted() for leaf in jax.tree.leaves(state)):
                _ = _save(manager, done, state)
    return nnx.merge(graph, state[0])


class _Clocks:
    """What progress lines tell."""

    def __init__(self, reported: float, saved: float):
        self.reported, self.saved = reported, saved
        self.losses: list[Any] = []
        self.tokens = 0

    def count(self, value: Any, batch: TokenBatch) -> None:
        self.losses.append(value)
        self.tokens += batch.mask.size

    def line(self, done: int, steps: int) -> str:
        loss, seconds = float(np.mean(jax.device_get(self.losses))), time.monotonic() - self.reported
        pace = self.tokens / seconds
        left = (steps - done) * seconds / len(self.losses)
        self.reported, self.losses, self.tokens = time.monotonic(), [], 0
        return f"step {done} of {steps}: loss {loss:.4f}, {pace:,.0f} tokens a second, {left / 60:.0f} minutes left"


@partial(jax.jit, static_argnames=("optimiser", "loss"), donate_argnames="state")
def _step(state: Any, batch: TokenBatch, targets: Any, key: Any, graph: Any, *, optimiser: Any, loss: Loss) -> Any:
    parameters, moments = state

    def value_of(parameters: Any) -> Any:
        return loss(nnx.merge(graph, parameters), batch, targets, key)

    value, gradient = jax.value_and_grad(value_of)(parameters)
    # optax mixes its step count with floating point, which the strict rule forbids.
    with jax.numpy_dtype_promotion("standard"):
        updates, moments = optimiser.update(gradient, moments, parameters)
    return (optax.apply_updates(parameters, updates), moments), value


def _decays(parameters: Any) -> Any:
    """Maps and tables decay; biases and the norms' scales do not."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: not any(getattr(part, "key", None) in ("bias", "scale") for part in path), parameters
    )


def _save(manager: ocp.CheckpointManager, step: int, state: Any) -> int:
    # By number rather than by path: optax's states have no names that stay the same from version to version.
    leaves = {f"{index:05d}": leaf for index, leaf in enumerate(jax.tree.leaves(state))}
    _ = manager.save(step, args=ocp.args.StandardSave(leaves))
    manager.wait_until_finished()
    return step


def _restored(manager: ocp.CheckpointManager, step: int, state: Any) -> Any:
    leaves, shape = jax.tree.flatten(state)
    like = {f"{index:05d}": jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for index, leaf in enumerate(leaves)}
    found = manager.restore(step, args=ocp.args.StandardRestore(like))
    return jax.tree.unflatten(shape, [found[name] for name in sorted(found)])
