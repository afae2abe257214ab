"""Fine-tuning on SST-2: a new head on a pretrained encoder, all weights trained."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments._record import provenance, write_record
from experiments._say import say
from experiments.sst2.batches import BUCKETS, Epochs
from experiments.sst2.data import DEV, LABELS, TRAIN, Labelled, read_labelled
from experiments.sst2.fit import Recipe, classification_loss, fit
from jaxflow import load_encoder
from jaxflow.models import Encoder, TextEncoder, TokenBatch, save_encoder, with_head

TOKENS = 1536


def train(
    data: Path, out: Path, model: str, *, epochs: float, rate: float, seed: int, limit: int | None
) -> TextEncoder:
    """Fine-tune into `out/model`, with checkpoints in `out/checkpoints`; what an earlier run finished is loaded.

    Args:
        data: folder of SST's files.
        out: where it goes.
        model: a built-in name, folder or hub name of an encoder.
        epochs: passes over the phrases.
        rate: highest learning rate.
        seed: of head, order and dropout.
        limit: phrases to train on; None is all.
    """
    if (out / "model" / "config.json").is_file():
        return load_encoder(out / "model")
    encoder = with_head(load_encoder(model), "sequence_classification", labels=LABELS, seed=seed)
    phrases, dev = read_labelled(data / TRAIN), read_labelled(data / DEV)
    limit = len(phrases) if limit is None else limit
    encodings = encoder.tokenize(phrases.texts[:limit], max_length=BUCKETS[-1], truncate=True)
    batches = Epochs(encoder, encodings, phrases.classes[:limit], tokens=TOKENS, seed=seed)
    recipe = Recipe(max(2, round(epochs * batches.steps)), rate=rate, seed=seed)
    say(f"{len(encodings)} phrases, {recipe.steps} steps of about {TOKENS} tokens")
    began, processor = time.monotonic(), time.process_time()

    module = fit(encoder.module, _loss, batches, recipe, out / "checkpoints", every=240, report=say)
    encoder = dataclasses.replace(encoder, module=module)
    record = {
        **provenance(model=model, epochs=epochs, rate=rate, seed=seed, phrases=limit, tokens_a_batch=TOKENS),
        "steps": recipe.steps,
        "dev_accuracy": accuracy(encoder, dev),
        "dev_sentences": len(dev),
        # Of the run that finished; what ran before an interruption is not in it.
        "seconds": time.monotonic() - began,
        "processor_seconds": time.process_time() - processor,
    }
    _ = save_encoder(encoder, out / "model")
    write_record(out / "training.json", record)
    say(f"dev accuracy {record['dev_accuracy']:.4f}; the model is in {out / 'model'}")
    return encoder


def accuracy(encoder: TextEncoder, examples: Labelled, size: int = 64) -> float:
    """Share of the texts whose likeliest class is the right one."""
    return float((logits_of(encoder, examples.texts, size).argmax(-1) == np.asarray(examples.classes)).mean())


def logits_of(encoder: TextEncoder, texts: tuple[str, ...], size: int = 64) -> np.ndarray:
    """Logits of texts, batches by length."""
    encodings = encoder.tokenize(texts, truncate=True)
    order = np.argsort([len(encoding) for encoding in encodings], kind="stable")
    found: dict[int, Any] = {}
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        longest = len(encodings[rows[-1]])
        length = next((bucket for bucket in BUCKETS if bucket >= longest), longest)
        # The last batch is filled up, so that there are few shapes.
        filled = np.resize(rows, size)
        batch = encoder.pad([encodings[row] for row in filled], min(length, encoder.max_length))
        logits = np.asarray(_logits(encoder.module, batch))
        found |= dict(zip(rows.tolist(), logits[: len(rows)], strict=True))
    return np.stack([found[row] for row in range(len(encodings))])


def _loss(module: Encoder, batch: TokenBatch, classes: Any, key: Any) -> Any:
    # Without dropout: in one pass there is little to overfit to, and it costs a tenth of a step.
    del key
    return classification_loss(module, batch, classes, None)


@jax.jit
def _logits(module: Encoder, batch: TokenBatch) -> Any:
    return module(batch, return_attention=False, return_hidden_states=False).logits
