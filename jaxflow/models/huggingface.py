"""What is taken from Hugging Face's libraries: configurations, tokenizers and the hub, without their noise."""

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, missing_extra
from jaxflow.models.family import Family

WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.tiktoken")
# What to do about the hub's refusals, by the name of its client's error.
WAYS_OUT = {
    "GatedRepoError": "accept the model's terms on its page and log in with `hf auth login`",
    "RepositoryNotFoundError": "check the name, or log in with `hf auth login` if the model is private",
    "RevisionNotFoundError": "check the revision",
}
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "spiece.model", "sentencepiece.bpe.model")


@contextmanager
def quiet_transformers() -> Iterator[Any]:
    """The transformers package, with its advice, its logs and its warnings kept from the user while it works."""
    _ = os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    try:
        import transformers
    except ImportError as error:
        raise missing_extra("transformers", "text", "loading a model") from error
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield transformers
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def hub_folder(name: str, revision: str | None, local_files_only: bool) -> Path:
    """The folder of a hub model's files, fetched where the hub's cache doesn't have them.

    Raises:
        InputError: it is not on the hub, or the hub cannot be reached.
    """
    with quiet_transformers():
        import huggingface_hub

        try:
            return Path(
                huggingface_hub.snapshot_download(
                    name,
                    revision=revision,
                    allow_patterns=list(WANTED),
                    ignore_patterns=["*/*"],
                    local_files_only=local_files_only,
                )
            )
        except Exception as error:  # The hub's client raises a dozen kinds; the user needs one answer.
            raise InputError(_why_not_on_hub(name, revision, local_files_only, error)) from error


def _why_not_on_hub(name: str, revision: str | None, local_files_only: bool, error: Exception) -> str:
    at = f" at revision {revision!r}" if revision else ""
    offline = local_files_only or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if offline:
        return (
            f"the model {name!r}{at} is neither a built-in name, nor a folder, nor in the hub's cache, and the hub is "
            "off (HF_HUB_OFFLINE or, in Python, local_files_only); check the name, or load it once while online"
        )
    way_out = WAYS_OUT.get(type(error).__name__, "check the name and the connection")
    return (
        f"the model {name!r}{at} is neither a built-in name nor a folder, and the hub did not give it "
        f"({type(error).__name__}: {reason}); {way_out}"
    )


def read_config(folder: Path, families: dict[str, Family]) -> Any:
    """The folder's configuration, as transformers reads it.

    Raises:
        InputError: there is none, it is malformed, or its model type is not supported.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} has no config.json, so it is not a model's folder; check the path")
    supported = ", ".join(map(repr, families))
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); fetch it again") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("model_type"), str):
        raise InputError(f"{path} has no `model_type`; add it, one of {supported}")
    if raw["model_type"] not in families:
        raise InputError(f"{path} is for model_type {raw['model_type']!r}, which is not supported; use {supported}")
    try:
        with quiet_transformers() as transformers:
            return transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read as a {raw['model_type']} configuration: {reason}") from error


def read_tokenizer(folder: Path, vocabulary: int) -> Any:
    """The folder's fast tokenizer.

    Raises:
        InputError: there is none, it cannot be read, or it has tokens beyond the vocabulary.
    """
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise InputError(
            f"{folder} has no tokenizer (looked for {', '.join(TOKENIZER_FILES)}); add its files or, in "
            "Python, pass tokenizer=False to work from token ids"
        )
    try:
        with quiet_transformers() as transformers:
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the tokenizer in {folder} cannot be read: {reason}") from error
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer in {folder} gives no character offsets; add its tokenizer.json")
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= vocabulary:
        raise InputError(
            f"the tokenizer in {folder} has token ids up to {highest}, but the model knows {vocabulary} tokens; "
            "use the tokenizer that belongs to these weights"
        )
    return tokenizer
