"""A new head on a pretrained encoder, all weights trained; a folder that transformers loads, and a record."""

import dataclasses
import json
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from experiments._record import nameless, plain, provenance, write_record
from experiments._say import say
from experiments.finetune.batches import Epochs
from experiments.finetune.fit import Fitted, Recipe, fit
from experiments.finetune.task import Sizes, Task
from jaxflow import InputError, load_model
from jaxflow._checks import shown
from jaxflow.models import Encoder, TextEncoder, save_encoder, with_head

# Held-out examples that progress lines are about, and points of the recorded loss.
WATCHED, POINTS = 96, 60
CHECKPOINT_SECONDS = 240.0


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: passes over the data.
        rate: highest learning rate.
        seed: of head, order, dropout and what the task chooses.
        tokens: of a batch.
        dropout: whether it is on.
        limit: examples to train on; None is all.
        held: examples to judge by; None is all.
    """

    epochs: float = 1.0
    rate: float = 1e-4
    seed: int = 0
    tokens: int = 1536
    dropout: bool = False
    limit: int | None = None
    held: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "rate", "tokens", "limit", "held"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(name, "be more than 0", shown(value))


def train(task: Task, data: Path, out: Path, model: str, settings: Settings) -> tuple[TextEncoder, dict[str, Any]]:
    """Fine-tune into `out/model`, with checkpoints in `out/checkpoints` and the record in `out/training.json`.

    A run that was stopped goes on where it was; what an earlier run finished is loaded.

    Args:
        task: what to train on.
        data: folder of the task's files.
        out: where it goes.
        model: a built-in name, folder or hub name of an encoder.
        settings: how to train.

    Raises:
        InputError: the data are missing or broken, the model has no such head, or `out` holds another run.
    """
    _same_run(out, {"task": task.name, "model": nameless(model), **dataclasses.asdict(settings)})
    record = out / "training.json"
    if record.is_file() and (out / "model" / "config.json").is_file():
        say(f"{out / 'model'} was trained before")
        return load_model(out / "model"), json.loads(record.read_text(encoding="utf-8"))
    encoder = with_head(load_model(model), task.head, labels=task.labels, seed=settings.seed)
    prepared = task.prepare(encoder, data, Sizes(settings.limit, settings.held, settings.seed))
    batches = Epochs(encoder, prepared.encodings, prepared.targets, tokens=settings.tokens, seed=settings.seed)
    steps = max(2, round(settings.epochs * batches.steps))
    recipe = Recipe(steps, rate=settings.rate, seed=settings.seed, dropout=settings.dropout)
    say(f"{len(prepared.encodings)} examples, {steps} steps of about {settings.tokens} tokens")

    def judge(module: Encoder) -> str:
        found = prepared.judge(dataclasses.replace(encoder, module=module), WATCHED)
        return ", ".join(f"{name} {found[name]:.3f}" for name in task.shown) + " on a few that were held out"

    fitted = fit(
        encoder.module,
        task.loss,
        batches,
        recipe,
        out / "checkpoints",
        every=CHECKPOINT_SECONDS,
        report=say,
        judge=judge,
    )
    encoder = dataclasses.replace(encoder, module=fitted.module)
    began = time.monotonic()
    measures = prepared.judge(encoder, None)
    made = {
        **provenance(task=task.name, model=model, **dataclasses.asdict(settings)),
        "data": dict(prepared.facts),
        "measures": measures,
        **course(fitted, batches.tokens(steps)),
        "judging_seconds": time.monotonic() - began,
    }
    if not (out / "model").is_dir():
        _ = save_encoder(encoder, out / "model")
    write_record(record, made)
    shown = ", ".join(f"{name} {measures[name]:.4f}" for name in task.shown)
    say(f"held out: {shown}; the model is in {out / 'model'}")
    return encoder, plain(made)


def course(fitted: Fitted, tokens: int) -> dict[str, Any]:
    """How the training went: `losses` has the last step of a stretch and the mean loss of its steps."""
    steps = len(fitted.losses)
    ends = np.unique(np.linspace(0, steps, min(POINTS, steps) + 1).astype(int))
    stretches = pairwise(ends)
    return {
        "steps": steps,
        "tokens": tokens,
        "seconds": fitted.seconds,
        "processor_seconds": fitted.processor_seconds,
        "tokens_a_second": tokens / fitted.seconds,
        "losses": [(int(end), float(fitted.losses[start:end].mean())) for start, end in stretches],
    }


def _same_run(out: Path, settings: dict[str, Any]) -> None:
    """Write down what a folder's run is; refuse one that holds another."""
    path = out / "settings.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            return write_record(path, settings)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        got = f"{shown(str(out))} ({error})"
        raise InputError("out", "be a folder that can be used", got, "name another") from error
    other = [name for name, value in plain(settings).items() if found.get(name) != value]
    if other:
        got = f"{shown(str(out))}, with another {other[0]} ({found.get(other[0])}, not {settings[other[0]]})"
        raise InputError("out", "hold this run or none", got, "name another folder, or finish that run")
    return None
