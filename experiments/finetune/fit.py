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

from jaxflow.models import TokenBatch

# Module, batch, targets and dropout's key -> loss.
Loss = Callable[[Any, TokenBatch, Any, Any], Any]
# The batch of a step and its targets: an array, or a tree of them.
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
        dropout: whether the model's dropout is on; a tenth of a step's time.
    """

    steps: int
    rate: float = 1e-4
    warmup: int = 50
    decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    dropout: bool = True


@dataclass(frozen=True)
class Fitted:
    """A trained module and how it came about, what ran before interruptions included.

    Attributes:
        module: with the trained weights.
        losses: of each step, before it.
        seconds: from the first step to the last, progress and checkpoints included.
        processor_seconds: of all threads.
    """

    module: Any
    losses: np.ndarray
    seconds: float
    processor_seconds: float


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


def fit(
    module: nnx.Module,
    loss: Loss,
    batches: Batches,
    recipe: Recipe,
    folder: Path,
    *,
    every: float = 120.0,
    report: Callable[[str], None] = print,
    judge: Callable[[Any], str] | None = None,
) -> Fitted:
    """Train a module, from where an earlier run into the same folder got to.

    A run that was stopped and went on gives the same weights as one that was not: a step depends on the state, the
    seed and its own number alone.

    Args:
        module: the weights to start from; it stays as it is.
        loss: what to make small.
        batches: the batch of a step; called once a step.
        recipe: number of steps, rates, seed.
        folder: where checkpoints go; the last one alone is kept.
        every: seconds between checkpoints. One is also written at the end and at an interruption.
        report: called with a line for people about every 20 seconds.
        judge: says in a line how good a module is; called at each checkpoint but the last.

    Raises:
        KeyboardInterrupt: it was interrupted; the checkpoint is written.
    """
    graph, parameters = nnx.split(module)
    # Steps write in place, and the module may share its weights with others.
    parameters = jax.tree.map(jnp.copy, parameters)
    optimiser = optimiser_of(recipe)
    state, progress = (parameters, jax.jit(optimiser.init)(parameters)), _Progress(recipe.steps)
    with _checkpoints(folder) as manager:
        done = saved = manager.latest_step() or 0
        if done:
            state, past = _restored(manager, done, (state, progress.past()))
            progress.go_on(done, past)
            report(f"going on from step {done} of {recipe.steps}")
        try:
            for step in range(done, recipe.steps):
                batch, targets = batches(step)
                key = jax.random.fold_in(jax.random.key(recipe.seed), step) if recipe.dropout else None
                targets = jax.tree.map(jnp.asarray, targets)
                state, value = _step(state, batch, targets, key, graph, optimiser=optimiser, loss=loss)
                done = step + 1
                progress.count(step, value, batch.mask.size)
                if progress.silent() > 20 or done == recipe.steps:
                    report(progress.line(done))
                if progress.unsaved() > every and done < recipe.steps:
                    saved = _save(manager, done, (state, progress.past()))
                    progress.saved = time.monotonic()
                    if judge is not None:
                        report(f"step {done}: {judge(nnx.merge(graph, state[0]))}")
        finally:
            # Also where it was interrupted. A donated state is whole again once its step has returned.
            if done > saved and not any(leaf.is_deleted() for leaf in jax.tree.leaves(state)):
                _ = _save(manager, done, (state, progress.past()))
    past = progress.past()
    return Fitted(nnx.merge(graph, state[0]), past["losses"], *map(float, past["seconds"]))


def _checkpoints(folder: Path) -> ocp.CheckpointManager:
    """The folder's last checkpoint, and room for the next."""
    options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
    return ocp.CheckpointManager(folder.resolve(), options=options)


class _Progress:
    """Each step's loss and the time taken, kept with the checkpoints, and lines that tell of them."""

    def __init__(self, steps: int):
        self.losses = np.full(steps, np.nan, np.float32)
        self.waiting: dict[int, Any] = {}
        # The first step that no line told of, and the tokens since.
        self.told = self.tokens = 0
        # Seconds of earlier runs by the clock and of the processor, and when this one began.
        self.earlier = np.zeros(2, np.float32)
        self.began = _clocks()
        self.saved = self.reported = time.monotonic()

    def count(self, step: int, value: Any, tokens: int) -> None:
        # Read later: waiting for it here would keep the next batch from being made meanwhile.
        self.waiting[step] = value
        self.tokens += tokens

    def silent(self) -> float:
        return time.monotonic() - self.reported

    def unsaved(self) -> float:
        return time.monotonic() - self.saved

    def line(self, done: int) -> str:
        """What happened since the last line."""
        self._read()
        seconds = self.silent()
        loss, pace = self.losses[self.told : done].mean(), self.tokens / seconds
        left = (len(self.losses) - done) * seconds / (done - self.told)
        self.reported, self.told, self.tokens = time.monotonic(), done, 0
        return (
            f"step {done} of {len(self.losses)}: loss {loss:.4f}, {pace:,.0f} tokens a second, "
            f"{left / 60:.0f} minutes left"
        )

    def past(self) -> dict[str, np.ndarray]:
        """What a later run must know."""
        self._read()
        return {"losses": self.losses, "seconds": self.earlier + (_clocks() - self.began).astype(np.float32)}

    def go_on(self, done: int, past: dict[str, Any]) -> None:
        """Take up what an earlier run's `past` was after so many steps."""
        self.told, self.losses, self.earlier = done, np.array(past["losses"]), np.array(past["seconds"])

    def _read(self) -> None:
        for step, value in jax.device_get(self.waiting).items():
            self.losses[step] = value
        self.waiting.clear()


def _clocks() -> np.ndarray:
    return np.array([time.monotonic(), time.process_time()])


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
