"""Tiny random models, saved by transformers as users' checkpoints are."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

# The parity models are made here, so torch and transformers are needed: a missing one is an error, not a skip.
import torch
import transformers

from jaxflow.models import TokenBatch, load_model

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
transformers.utils.logging.disable_progress_bar()

WORDS = [
    "the",
    "key",
    "to",
    "cabinets",
    "is",
    "are",
    "lost",
    "he",
    "said",
    "that",
    "she",
    "knows",
    "author",
    "laugh",
    "##ed",
    "##s",
    "on",
    "table",
    ".",
    ",",
    "!",
    "学",
]
LENGTHS = (7, 1, 4)
LENGTH = 9


@pytest.fixture(autouse=True)
def quiet_torch_models() -> Any:
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    return None


SPECIALS = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}


def make_tokenizer(pad: int = 0) -> Any:
    """A WordPiece tokenizer with BERT's template; `pad` is the padding token's place in the vocabulary."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    order = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    order.insert(pad, "[PAD]")
    vocabulary = {word: i for i, word in enumerate([*order, *WORDS])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIALS["unk_token"]))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIALS)


VOCABULARY = len(WORDS) + 5


@dataclass(frozen=True)
class Tiny:
    """A saved model, as transformers has it and as we load it."""

    folder: Path
    torch: Any
    ours: Any


# Sizes of tiny models of any family.
TINY = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 16,
    "initializer_range": 0.4,
}


def bert_config(**changes: Any) -> Any:
    return transformers.BertConfig(**{**TINY, "max_position_embeddings": 12, "num_labels": 3, **changes})


def save(folder: Path, model: Any, tokenizer: Any = None) -> Path:
    """A model with random biases and norms too, in a folder with its tokenizer."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.eval().save_pretrained(folder)
    (make_tokenizer() if tokenizer is None else tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The makers of tiny models."""
    made: dict[str, Tiny] = {}

    def bert(kind: str = "BertModel", **changes: Any) -> Tiny:
        name = f"{kind}-{sorted(changes.items())}"
        if name not in made:
            torch.manual_seed(1)
            model = getattr(transformers, kind)(bert_config(**changes))
            model.config._attn_implementation = "eager"
            folder = save(tmp_path_factory.mktemp("model"), model)
            made[name] = Tiny(folder, model, load_model(folder))
        return made[name]

    return SimpleNamespace(bert=bert, save=save, tokenizer=make_tokenizer, bert_config=bert_config)


@pytest.fixture
def batch() -> TokenBatch:
    """Three different sequences of odd lengths, padded on the right, with segments."""
    return make_batch("right")


def make_batch(side: str, pad_id: int = 0, segments: int = 2, length: int = LENGTH) -> TokenBatch:
    rng = np.random.default_rng(7)
    shape = (len(LENGTHS), length)
    mask = np.arange(length) < np.array(LENGTHS)[:, None]
    mask = mask if side == "right" else mask[:, ::-1].copy()
    ids = np.where(mask, rng.integers(5, VOCABULARY, shape), pad_id).astype(np.int32)
    kinds = np.where(mask, rng.integers(0, max(segments, 1), shape), 0).astype(np.int32)
    import jax.numpy as jnp

    return TokenBatch(jnp.asarray(ids), jnp.asarray(mask), jnp.asarray(kinds))


@pytest.fixture
def batches() -> Any:
    return make_batch


def torch_inputs(batch: TokenBatch, segments: bool = True) -> dict[str, Any]:
    """The same batch as transformers takes it."""
    inputs = {
        "input_ids": torch.tensor(np.asarray(batch.input_ids)).long(),
        "attention_mask": torch.tensor(np.asarray(batch.mask)).long(),
    }
    if segments:
        inputs["token_type_ids"] = torch.tensor(np.asarray(batch.segments)).long()
    return inputs


@pytest.fixture
def as_torch() -> Any:
    return torch_inputs


@pytest.fixture
def agree() -> Any:
    """Check that our output equals transformers' on real tokens: attention 1e-5, logits 1e-4.

    A share `rare` of the attention weights may be off by up to twice as much.
    """

    def check(ours: Any, theirs: Any, mask: Any, rare: float = 0.0) -> None:
        mask = np.asarray(mask)
        attention = torch.stack(theirs.attentions, 1).detach().numpy()
        hidden = torch.stack(theirs.hidden_states, 1).detach().numpy()
        assert attention.shape == ours.attention.shape
        assert hidden.shape == ours.hidden_states.shape
        # Padding's rows mean nothing; some models leave them uniform, others don't.
        rows = mask[:, None, None, :, None]
        own, other = np.where(rows, np.asarray(ours.attention), 0), np.where(rows, attention, 0)
        np.testing.assert_allclose(own, other, atol=1e-5 if rare == 0 else 2e-5, rtol=0)
        assert np.mean(np.abs(own - other) > 1e-5) <= rare
        states = mask[:, None, :, None]
        np.testing.assert_allclose(
            np.where(states, np.asarray(ours.hidden_states), 0), np.where(states, hidden, 0), atol=1e-4, rtol=0
        )

    return check
