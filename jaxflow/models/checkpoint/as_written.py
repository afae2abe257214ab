"""Configurations and tokenizers as their files have them: a start then does without transformers, which takes a second.

Only where the files leave transformers nothing to decide: a configuration of BERT's kind that names every value and no
other, and a tokenizer that is its tokenizer.json alone. Whatever else is asked of one, transformers answers.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from jaxflow.models.checkpoint.json_file import read_json

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
# A tokenizer's configuration is some lines; one with a template for chats takes kilobytes.
MOST_BYTES = 1 << 20
# Families whose class in transformers has these values, as they are written, and no other.
MODEL_TYPES = frozenset({"bert", "roberta", "roberta-prelayernorm", "xlm-roberta", "camembert"})
NAMED = frozenset(
    {
        *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
        *("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "max_position_embeddings"),
        *("type_vocab_size", "initializer_range", "layer_norm_eps", "pad_token_id", "is_decoder"),
        *("add_cross_attention", "tie_word_embeddings", "architectures", "model_type"),
    }
)
LABELS = frozenset({"id2label", "label2id", "problem_type"})
# Values that say nothing of what is computed, with the types that transformers takes.
ASIDE: Mapping[str, tuple[type, ...]] = {
    "bos_token_id": (int, type(None)),
    "eos_token_id": (int, type(None)),
    "dtype": (str,),
    "transformers_version": (str,),
    "use_cache": (bool,),
}
# Values that our families ask for and that these configurations do not have.
ABSENT = frozenset({"position_embedding_type", "classifier_pooling"})
DTYPES = frozenset({"float32", "bfloat16", "float16"})
PROBLEMS = frozenset({"single_label_classification", "multi_label_classification", "regression"})
# What a tokenizer's configuration may hold beside its special tokens.
TOKENIZER_VALUES = frozenset({"backend", "tokenizer_class", "model_max_length", "truncation_side", "padding_side"})
SPECIAL_TOKENS = frozenset(f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
# Files that change what a tokenizer does; transformers patches the largest vocabularies.
OTHER_FILES = ("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json")
MOST_TOKENS = 100_000


class _AsWritten:
    """What transformers would make of a folder, by its files alone until more is asked.

    Copies and pickles are transformers' own.
    """

    def __init__(self, values: Mapping[str, Any], folder: Path, whole: Callable[[], Any]) -> None:
        """Values by name; `whole` has transformers read the same files."""
        self.__dict__.update(values, name_or_path=str(folder))
        self._read_whole = whole

    def __getattr__(self, name: str) -> Any:
        # Python asks for what every object may have; transformers need not be imported to say no.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._whole, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _same, (self._whole,)

    @cached_property
    def _whole(self) -> Any:
        whole = self._read_whole()
        whole.name_or_path = self.name_or_path
        return whole


def _same(value: Any) -> Any:
    return value


class WrittenConfig(_AsWritten):
    """A configuration of BERT's kind."""

    def __getattr__(self, name: str) -> Any:
        if name in ABSENT:
            raise AttributeError(name)
        return super().__getattr__(name)


class WrittenTokenizer(_AsWritten):
    """A fast tokenizer; `backend_tokenizer` is that of the package `tokenizers`."""

    is_fast = True

    def __call__(self, *texts: Any, **options: Any) -> Any:
        """As transformers' tokenizer."""
        return self._whole(*texts, **options)

    def get_vocab(self) -> dict[str, int]:
        """The number of each token."""
        return self.backend_tokenizer.get_vocab(with_added_tokens=True)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a text gets, or a pair of texts."""
        return self.backend_tokenizer.num_special_tokens_to_add(pair)

    def encodings(self, texts: str | list[str], pairs: str | list[str] | None) -> list[Any]:
        """The package's own encodings of texts, or of pairs, with special tokens, whole and without padding."""
        backend = self.backend_tokenizer
        # What was set for another call is not meant for this one.
        backend.no_padding()
        backend.no_truncation()
        if isinstance(texts, str):
            return [backend.encode(texts, pairs)]
        return backend.encode_batch(texts if pairs is None else list(zip(texts, pairs, strict=True)))


def written_config(raw: Mapping[str, Any], folder: Path, whole: Callable[[Path], Any]) -> WrittenConfig | None:
    """The configuration of a checked config.json; None where transformers must read it.

    Args:
        raw: the file's values.
        folder: that the file lies in.
        whole: has transformers read a folder.
    """
    known = NAMED | LABELS | ASIDE.keys()
    if raw["model_type"] not in MODEL_TYPES or not NAMED <= raw.keys() <= known:
        return None
    if not all(isinstance(raw[name], kinds) for name, kinds in ASIDE.items() if name in raw):
        return None
    if raw.get("dtype", "float32") not in DTYPES or raw.get("problem_type") not in {*PROBLEMS, None}:
        return None
    labels = raw.get("id2label") or {}
    # With one label or none transformers has rules of its own.
    if len(labels) < 2 or not all(isinstance(label, str) for label in labels.values()):
        return None
    values = {name: value for name, value in raw.items() if name in NAMED}
    values |= {"problem_type": raw.get("problem_type"), "num_labels": len(labels)}
    values["id2label"] = {int(number): label for number, label in labels.items()}
    return WrittenConfig(values, folder, lambda: _through_files({"config.json": dict(raw)}, whole))


def written_tokenizer(config: Any, folder: Path, whole: Callable[[Path], Any]) -> WrittenTokenizer | None:
    """The folder's tokenizer; None where transformers must read it.

    Args:
        config: the model's configuration.
        folder: that the tokenizer lies in.
        whole: has transformers read a folder.
    """
    if not isinstance(config, WrittenConfig) or any((folder / name).exists() for name in OTHER_FILES):
        return None
    try:
        # It comes with transformers.
        from tokenizers import Tokenizer

        values = read_json(folder / TOKENIZER_CONFIG, MOST_BYTES)
        backend = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception:  # The package raises plain `Exception`; it is transformers that tells what is wrong.
        return None
    if not _is_alone(values, backend):
        return None
    made = {name: values[name] for name in values.keys() & SPECIAL_TOKENS}
    made |= {f"{name}_id": backend.token_to_id(token) for name, token in made.items()}
    made |= {"model_max_length": values["model_max_length"], "backend_tokenizer": backend}

    def files() -> dict[str, Any]:
        return {"config.json": {"model_type": config.model_type}, TOKENIZER_CONFIG: values, TOKENIZER: backend.to_str()}

    return WrittenTokenizer(made, folder, lambda: _through_files(files(), whole))


def _is_alone(values: Any, backend: Any) -> bool:
    """Whether a tokenizer's configuration adds nothing to its tokenizer.json."""
    if not isinstance(values, dict) or values.get("tokenizer_class") != "TokenizersBackend":
        return False
    if not values.keys() <= TOKENIZER_VALUES | SPECIAL_TOKENS or not isinstance(values.get("model_max_length"), int):
        return False
    # Others would be added to the vocabulary, or made special.
    special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    named = [values[name] for name in values.keys() & SPECIAL_TOKENS]
    if not all(isinstance(token, str) and token in special for token in named):
        return False
    is_plain = backend.padding is None and backend.truncation is None and backend.post_processor is not None
    return is_plain and backend.get_vocab_size() < MOST_TOKENS


def _through_files(files: Mapping[str, Any], whole: Callable[[Path], Any]) -> Any:
    """What transformers makes of files as they were read, whatever has become of their folder since."""
    with tempfile.TemporaryDirectory() as folder:
        for name, value in files.items():
            text = value if isinstance(value, str) else json.dumps(value)
            _ = (Path(folder) / name).write_text(text, encoding="utf-8")
        return whole(Path(folder))
