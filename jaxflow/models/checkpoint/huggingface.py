"""Hugging Face's libraries, without their noise: configurations, tokenizers and the hub."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from jaxflow._checks import InputError, missing_extra, shown, shown_text
from jaxflow._untyped import HubConfig, JsonValue, Processor, Tokenizer
from jaxflow._without import does_without, hidden
from jaxflow.models.checkpoint.as_written import written_config, written_tokenizer
from jaxflow.models.checkpoint.config_file import WAY_OUT
from jaxflow.models.images import processed
from jaxflow.models.tokens import OWN_TOKENIZER

WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.tiktoken")
# Ways out of the hub's refusals, by the name of its client's error.
WAYS_OUT = {
    "GatedRepoError": "accept the model's terms on its page and log in with `hf auth login`",
    "RepositoryNotFoundError": "check the name, or log in with `hf auth login` if the model is private",
    "RevisionNotFoundError": "check the revision",
}
# A tokenizer may have so many tokens, and one in a hundred, beyond the model's: blank lines of vocab.txt, added tokens.
FEW_TOKENS = 100
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "spiece.model", "sentencepiece.bpe.model")

PROCESSOR_FILE = "preprocessor_config.json"


@contextmanager
def quiet_transformers() -> Iterator[ModuleType]:
    """The transformers package, its advice, logs and warnings silenced within the block."""
    with hidden("torch"), _quiet_transformers() as transformers:
        yield transformers


@contextmanager
def _quiet_transformers() -> Iterator[ModuleType]:
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
            # Logged errors as well: those that matter are raised.
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield transformers
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def hub_folder(name: str, revision: str | None, local_files_only: bool) -> Path:
    """The folder of a hub model's files, fetched where the hub's cache doesn't have them.

    Raises:
        InputError: the model is not on the hub, or the hub cannot be reached.
    """
    with quiet_transformers():
        import huggingface_hub

        try:
            return Path(
                huggingface_hub.snapshot_download(
                    name,
                    revision=revision,
                    allow_patterns=list(WANTED),
                    # Folders hold other formats of the same weights (ONNX, say).
                    ignore_patterns=["*/*"],
                    local_files_only=local_files_only,
                )
            )
        except Exception as error:  # The hub's client raises a dozen kinds; the user needs one answer.
            raise _not_on_hub(name, revision, local_files_only, error) from error


def _not_on_hub(name: str, revision: str | None, local_files_only: bool, error: Exception) -> InputError:
    got = shown(name) + (f" at revision {shown(revision)}" if revision else "")
    # The values that the hub's client reads as true.
    offline = local_files_only or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if offline:
        got = f"{got}, while the hub is off (HF_HUB_OFFLINE or, in Python, local_files_only)"
        expected = "be a built-in name, a folder, or a model in the hub's cache"
        return InputError("name_or_path", expected, got, "check the name, or load it once while online")
    way_out = WAYS_OUT.get(type(error).__name__, "check the name and the connection")
    got = f"{got}, which the hub did not give ({type(error).__name__}: {shown_text(reason)})"
    return InputError("name_or_path", "be a built-in name, a folder, or a model of the hub", got, way_out)


def read_config(folder: Path, raw: Mapping[str, JsonValue]) -> HubConfig:
    """The folder's configuration, as transformers reads it; `raw` are its file's values.

    A process that does without transformers reads it off the file, where that leaves transformers nothing to decide.
    Elsewhere users may hand it on, so it is transformers' own.

    Raises:
        InputError: transformers refuses it.
    """
    written = None
    if does_without("transformers"):
        written = written_config(raw, folder, partial(_whole_config, model_type=raw["model_type"]))
    return _whole_config(folder, raw["model_type"]) if written is None else written


def _whole_config(folder: Path, model_type: str) -> Any:
    try:
        with quiet_transformers() as transformers:
            return transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        path = folder / "config.json"
        expected, way_out = f"be a configuration of {model_type}", WAY_OUT
        raise InputError(
            None, expected, f"one that transformers does not take ({_reason(error)})", way_out, place=str(path)
        ) from error


def read_tokenizer(folder: Path, config: HubConfig, source: HubConfig) -> Tokenizer:
    """The folder's fast tokenizer, for a model of this configuration, read from `source`.

    It may have a few more tokens than the model: a text that uses one is refused when it is tokenised.

    Raises:
        InputError: there is no tokenizer, it cannot be read, or it is not the model's.
    """
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        expected = f"hold a tokenizer ({', '.join(TOKENIZER_FILES)})"
        way_out = "add its files or, in Python, pass `tokenizer=False` to work from token ids"
        raise InputError(None, expected, "none", way_out, place=str(folder))
    place = f"the tokenizer in {folder}"
    tokenizer = written_tokenizer(source, folder, _whole_tokenizer)
    if tokenizer is None:
        try:
            tokenizer = _whole_tokenizer(folder)
        except Exception as error:
            raise InputError(
                None, "be readable", f"an error ({_reason(error)})", "add its tokenizer.json", place=place
            ) from error
    if not tokenizer.is_fast:
        raise InputError(None, "give character offsets", None, "add its tokenizer.json", place=place)
    # By the highest id, not the size: ids may have gaps.
    highest, known = max(tokenizer.get_vocab().values(), default=-1), config.vocabulary
    if highest >= known + FEW_TOKENS + known // 100:
        expected = f"have the model's {known} tokens"
        raise InputError(None, expected, f"ids up to {highest}", OWN_TOKENIZER, place=place)
    return tokenizer


def _whole_tokenizer(folder: Path) -> Tokenizer:
    with quiet_transformers() as transformers:
        return transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)


def read_processor(folder: Path, size: tuple[int, int] | None) -> tuple[Processor, tuple[int, int]]:
    """The folder's image processor, which brings images to the model's size, and this size; None allows any.

    Raises:
        InputError: there is none, it cannot be read, or it gives images of another size.
    """
    if not (folder / PROCESSOR_FILE).is_file():
        way_out = "add it or, in Python, pass `tokenizer=False` to work from pixels"
        raise InputError(None, f"hold an image processor ({PROCESSOR_FILE})", "none", way_out, place=str(folder))
    place = str(folder / PROCESSOR_FILE)
    try:
        with quiet_transformers() as transformers:
            processor = transformers.AutoImageProcessor.from_pretrained(str(folder), local_files_only=True)
            shape = processed(processor, np.zeros((64, 64, 3), np.uint8)).shape
    except Exception as error:
        expected, got = "be an image processor that can be read", f"an error ({_reason(error)})"
        raise InputError(None, expected, got, "fetch it again", place=place) from error
    if size is not None and shape != (3, *size):
        expected = f"bring images to the checkpoint's {size[0]} x {size[1]}"
        got = " x ".join(map(str, shape[1:]))
        raise InputError("size", expected, got, "set it to the image_size of config.json", place=place)
    return processor, shape[1:]


def token_limit(tokenizer: Tokenizer, limit: int, place: str) -> int:
    """Most tokens of a text: the lesser of the model's and the tokenizer's limit.

    Raises:
        InputError: the tokenizer's limit is not a whole number above 0.
    """
    length = tokenizer.model_max_length
    if isinstance(length, bool) or not isinstance(length, int | float) or not length >= 1:
        expected = "be a whole number, 1 or more"
        raise InputError("model_max_length", expected, shown(length), "correct tokenizer_config.json", place=place)
    # transformers says 1e30 where no limit is set.
    return int(min(limit, length))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
