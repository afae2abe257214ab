"""Training: AdamW, warm-up, constant rate, cosine to zero; checkpoints from which a killed run goes on exactly."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx
from jaxtyping import Array, Float

from experiments.verb_number.batches import Bucket, Sampler, as_batch
from experiments.verb_number.tokenizer import END, PADDING, START, UNKNOWN
from jaxflow.models import TextEncoder, TokenBatch

Step = Callable[[Any, Any, TokenBatch, Array, Array], tuple[Any, Any, Array]]


@dataclass(frozen=True)
class Settings:
    """How a model is trained.

    Attributes:
        steps: in all.
        tokens: of a batch, padding included.
        rate: the highest learning rate.
        warmup: steps to it.
        decay: share of the steps, the last ones, in which the rate falls to zero along a cosine.
        weight_decay: of matrices, not of biases and norms.
        misleading: how many times as often beginnings come up whose last noun has the other number.
        word_dropout: share of words that `<unk>` replaces; it also teaches the model what blanking a word out means.
        every: steps between evaluations, each with a checkpoint.
        patience: evaluations without a better validation accuracy after which training stops.
        seed: of weights, batches and dropout.
    """

    steps: int = 2400
    tokens: int = 1536
    rate: float = 1.5e-3
    warmup: int = 60
    decay: float = 0.4
    weight_decay: float = 0.05
    misleading: float = 3.0
    word_dropout: float = 0.05
    every: int = 200
    patience: int = 10
    seed: int = 0


def train(
    encoder: TextEncoder,
    sampler: Sampler,
    validation: Sequence[Bucket],
    settings: Settings,
    folder: Path,
    report: Callable[[str], None] = print,
    stop_after: int | None = None,
) -> tuple[Any, list[dict[str, float]]]:
    """Train, or go on from the folder's last checkpoint.

    Args:
        encoder: the model with its first weights; its module is not changed.
        sampler: the batch of each step.
        validation: what the best weights are chosen by.
        settings: how.
        folder: for checkpoints.
        report: called with a line at each evaluation.
        stop_after: return after this step, as if killed there (for tests).

    Returns:
        The parameters with the best validation accuracy, and the log: one row an evaluation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    graph, first = nnx.split(encoder.module)
    optimizer = _optimizer(settings)
    step = _compiled_step(graph, optimizer)
    params = nnx.to_pure_dict(first)
    state = {"params": params, "optimizer": optimizer.init(params), "best": params}
    options = ocp.CheckpointManagerOptions(max_to_keep=1)
    with ocp.CheckpointManager((folder / "checkpoints").absolute(), options=options) as manager:
        done: int = manager.latest_step() or 0
        log: list[dict[str, float]] = []
        if done:
            state = manager.restore(done, args=ocp.args.StandardRestore(jax.tree.map(_abstract, state)))
            log = json.loads((folder / f"log-{done}.json").read_text())
            report(f"goes on from step {done}")
        started = time.monotonic()
        losses: list[Array] = []
        for number in range(done, settings.steps):
            batch, labels = sampler(number)
            batch = _words_dropped(batch, settings, number)
            key = jax.random.fold_in(jax.random.key(settings.seed), number)
            state["params"], state["optimizer"], loss = step(
                state["params"], state["optimizer"], batch, jnp.asarray(labels), key
            )
            losses.append(loss)
            if (number + 1) % settings.every and number + 1 < settings.steps:
                continue
            accuracy = evaluate(graph, state["params"], validation)
            if accuracy >= max((row["validation"] for row in log), default=0.0):
                state["best"] = state["params"]
            log.append({"step": number + 1, "loss": float(np.mean([float(x) for x in losses])), "validation": accuracy})
            seconds = time.monotonic() - started
            report(
                f"step {number + 1:6d} of {settings.steps}  loss {log[-1]['loss']:.4f}  validation {accuracy:.4f}  "
                f"{seconds:.0f} s, {(number + 1 - done) * settings.tokens / seconds:.0f} tokens/s"
            )
            losses = []
            _ = (folder / f"log-{number + 1}.json").write_text(json.dumps(log))
            _ = manager.save(number + 1, args=ocp.args.StandardSave(state))
            if number + 1 == stop_after or _stalled(log, settings.patience):
                break
    return state["best"], log


def with_parameters(encoder: TextEncoder, params: Any) -> TextEncoder:
    """The model with trained parameters."""
    graph, state = nnx.split(encoder.module)
    nnx.replace_by_pure_dict(state, params)
    return replace(encoder, module=nnx.merge(graph, state))


def evaluate(graph: Any, params: Any, buckets: Sequence[Bucket]) -> float:
    """Accuracy over all buckets."""
    right = total = 0
    for bucket in buckets:
        logits = probabilities(graph, params, bucket.ids)
        right += int((logits.argmax(-1) == bucket.numbers).sum())
        total += len(bucket.numbers)
    return right / total


def probabilities(graph: Any, params: Any, ids: np.ndarray, size: int = 128) -> np.ndarray:
    """Probability of each class, in batches of one shape."""
    parts = []
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        filled = np.concatenate([part, np.repeat(part[:1], size - len(part), 0)])
        parts.append(np.asarray(_forward(graph, params, as_batch(filled)))[: len(part)])
    return np.concatenate(parts)


@jax.jit(static_argnums=0)
def _forward(graph: Any, params: Any, batch: TokenBatch) -> Float[Array, "text label"]:
    output = _module(graph, params)(batch, return_attention=False, return_hidden_states=False)
    return jax.nn.softmax(output.logits)


def _module(graph: Any, params: Any) -> Any:
    return nnx.merge(graph, nnx.State(_as_params(params)))


def _as_params(tree: Any) -> Any:
    return {name: _as_params(part) if isinstance(part, dict) else nnx.Param(part) for name, part in tree.items()}


def _optimizer(settings: Settings) -> optax.GradientTransformation:
    decay = max(1, round(settings.decay * settings.steps))

    def rate(step: Any) -> Any:
        step = jnp.asarray(step, jnp.float32)
        warm = jnp.minimum((step + 1) / settings.warmup, 1)
        fallen = jnp.clip((step - (settings.steps - decay)) / decay, 0, 1)
        return settings.rate * warm * 0.5 * (1 + jnp.cos(jnp.pi * fallen))

    matrices = lambda params: jax.tree.map_with_path(lambda path, x: path[-1].key in ("kernel",), params)  # noqa: E731
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(rate, b2=0.98, weight_decay=settings.weight_decay, mask=matrices),
    )


def _compiled_step(graph: Any, optimizer: optax.GradientTransformation) -> Step:
    def loss(params: Any, batch: TokenBatch, labels: Array, key: Array) -> Array:
        output = _module(graph, params)(batch, key=key, return_attention=False, return_hidden_states=False)
        return optax.softmax_cross_entropy_with_integer_labels(output.logits, labels).mean()

    @jax.jit
    def step(params: Any, state: Any, batch: TokenBatch, labels: Array, key: Array) -> tuple[Any, Any, Array]:
        value, gradient = jax.value_and_grad(loss)(params, batch, labels, key)
        # Optax raises floats to the power of whole step counts.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    return step


def _words_dropped(batch: TokenBatch, settings: Settings, step: int) -> TokenBatch:
    """Some words replaced by `<unk>`, never special tokens."""
    ids = np.asarray(batch.input_ids)
    rng = np.random.default_rng((settings.seed, step, 1))
    dropped = (rng.random(ids.shape) < settings.word_dropout) & ~np.isin(ids, (START, PADDING, END))
    return as_batch(np.where(dropped, np.int32(UNKNOWN), ids))


def _stalled(log: list[dict[str, float]], patience: int) -> bool:
    best = max(range(len(log)), key=lambda i: log[i]["validation"])
    return len(log) - 1 - best >= patience


def _abstract(x: Any) -> Any:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def settings_of(settings: Settings) -> dict[str, Any]:
    """The settings as they are written to results."""
    return asdict(settings)
