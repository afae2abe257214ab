"""The paper's encoder as a standard model: 6 pre-norm layers of 8 heads, width 128, and a classifier on `<s>`."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.verb_number.beginnings import LABELS, LONGEST
from experiments.verb_number.tokenizer import END, PADDING, START, make_tokenizer
from jaxflow.models import TextEncoder, new_encoder
from jaxflow.models.encoder.embeddings import Embeddings

MAX_LENGTH = LONGEST + 14


@dataclass(frozen=True)
class Architecture:
    """Sizes, and dropout in training.

    The paper's rates are 0.4 on the residual stream, 0.2 on embeddings and 0.6 on attention, for 60 epochs. Training
    here sees few beginnings twice, so by default only words are dropped (`Settings.word_dropout`).
    """

    layers: int = 6
    heads: int = 8
    width: int = 128
    feed_forward: int = 512
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0


def make_model(known: list[str], size: Architecture, vectors: np.ndarray | None, seed: int) -> TextEncoder:
    """A model with random weights; word embeddings start from `vectors`, scaled to the initial size."""
    from transformers import RobertaPreLayerNormConfig

    config: Any = RobertaPreLayerNormConfig(
        vocab_size=len(known),
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=size.feed_forward,
        hidden_act="gelu",
        hidden_dropout_prob=size.hidden_dropout,
        attention_probs_dropout_prob=size.attention_dropout,
        max_position_embeddings=MAX_LENGTH + PADDING + 1,
        type_vocab_size=1,
        initializer_range=0.05,
        layer_norm_eps=1e-5,
        pad_token_id=PADDING,
        bos_token_id=START,
        eos_token_id=END,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    tokenizer = make_tokenizer(known, MAX_LENGTH)
    model = new_encoder(config, tokenizer, head="sequence_classification", seed=seed)
    if vectors is not None:
        embeddings = model.module.embeddings
        assert isinstance(embeddings, Embeddings)
        embeddings.words.table[...] = jnp.asarray(0.1 * vectors)
    return model
