"""Models saved in Hugging Face's layout, as transformers would."""

import os
import shutil
import tempfile
from copy import deepcopy
from pathlib import Path

from jaxflow._checks import InputError, missing_extra, shown
from jaxflow._paths import local_path
from jaxflow._typing import Given
from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.huggingface import quiet_transformers
from jaxflow.models.checkpoint.restore import export_weights
from jaxflow.models.encoder.texts import TextEncoder
from jaxflow.models.families import FAMILIES

PROBLEMS = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}


def save_encoder(encoder: TextEncoder, folder: Given[str | os.PathLike[str]]) -> Path:
    """Write config.json, model.safetensors and the files of tokenizer or image processor, which transformers loads.

    The folder appears whole or not at all.

    Raises:
        InputError: the folder exists and is not empty, or is no path on this host, or cannot be written.
    """
    target = local_path("folder", folder)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise InputError("folder", "be new or empty", shown(str(target)), "name another")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, on the same file system, so that it can be renamed into place.
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    except OSError as error:
        got = f"{shown(str(target))} ({error.strerror})"
        raise InputError("folder", "be a folder that can be written", got, "name another") from error
    try:
        # A folder within it, since temporary folders can be read by their owner alone.
        whole = scratch / "whole"
        whole.mkdir()
        _write(encoder, whole)
        if target.is_dir():
            target.rmdir()
        _ = whole.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _write(encoder: TextEncoder, folder: Path) -> None:
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise missing_extra("safetensors", "text", "saving a model") from error
    family = FAMILIES[encoder.config.family]
    tensors = export_weights(encoder.module, family)
    if encoder.config.head.name == "bare":
        # Bare checkpoints have no prefix, as transformers writes them.
        tensors = {family.canonical(name): tensor for name, tensor in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with quiet_transformers():
        _config(encoder, str(tensors[next(iter(tensors))].dtype)).save_pretrained(folder)
        if encoder.reader is not None:
            encoder.reader.save_pretrained(folder)


def _config(encoder: TextEncoder, dtype: str) -> HubConfig:
    head = encoder.config.head
    config = deepcopy(encoder.source)
    known = FAMILIES[encoder.config.family].heads[head.name]
    config.architectures = [known.distilled if head.distilled else known.architecture]
    config.dtype = dtype
    if head.name in ("sequence_classification", "token_classification"):
        labels = head.labels or tuple(f"LABEL_{i}" for i in range(head.outputs))
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}
    if head.name == "sequence_classification":
        config.problem_type = PROBLEMS[head.problem]
    if head.name == "masked_lm":
        config.tie_word_embeddings = head.tied
        if encoder.config.family == "deberta-v2":
            # Of its two heads with one formula, the one whose names our table writes.
            config.legacy = True
    return config
