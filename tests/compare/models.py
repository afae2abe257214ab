"""Tiny models in pairs: the same with other weights, with its heads in another order, with another tokenizer."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import transformers
from flax import nnx

from jaxflow.models import new_encoder
from tests.tiny_text_model import tokenizer

LAYERS, HEADS, LIMIT = 3, 4, 32
LABELS = {0: "bad", 1: "good"}
# Texts of 9 to 12 tokens: one length to pad to, so one program for all.
TEXTS = [
    "the key to the cabinets is on",
    "is it un-lost?",
    "unbelievable tables on the table",
    "the keys to the table is",
    "to the table is on the keys",
    "don't, the cabinets",
]


@cache
def first_words():
    return tokenizer("the", "key", "to", "cabinets", "is", "on", "table", "un", "##believ", "##able", "##s")


@cache
def second_words():
    return tokenizer("the", "keys", "to", "cab", "##inets", "is", "table", "unbeliev", "##able", "##s", "don", "lost")


def model(seed=0, layers=LAYERS, heads=HEADS, words=None, head="sequence_classification"):
    words = first_words() if words is None else words
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=24,
        max_position_embeddings=LIMIT,
        initializer_range=0.4,
        num_labels=len(LABELS),
        id2label=LABELS,
        label2id={label: index for index, label in LABELS.items()},
    )
    return new_encoder(config, words, head=head, seed=seed)


def attention_of(encoder, text, pair=None):
    """Tokens and attention of one text alone; padded, so that one program serves for all, and cut."""
    encoding = encoder.tokenize([text], None if pair is None else [pair])[0]
    tokens = len(encoding)
    return encoding, np.asarray(encoder(encoder.pad([encoding], 24)).attention[0])[..., :tokens, :tokens]


def tuned(encoder, seed=1, size=0.1):
    """The same model after a small step in a random direction."""
    rng = np.random.default_rng(seed)

    def step(leaf):
        return leaf + jnp.asarray(rng.normal(0, size, leaf.shape), leaf.dtype)

    return dataclasses.replace(encoder, module=jax.tree.map(step, encoder.module))


def reordered(encoder, orders):
    """The same function with each layer's heads in another order: head h of the result is head `orders[layer][h]`."""
    graph, state = nnx.split(encoder.module)
    flat = []
    for path, value in nnx.to_flat_state(state):
        array = np.array(value.get_value())
        if path[:2] == ("layers", "qkv"):
            # (layer, [width,] 3, head, head_width)
            for layer, order in enumerate(orders):
                array[layer] = array[layer][..., order, :]
        if path[:3] == ("layers", "output", "kernel"):
            for layer, order in enumerate(orders):
                array[layer] = array[layer][order]
        flat.append((path, value.replace(jnp.asarray(array))))
    return dataclasses.replace(encoder, module=nnx.merge(graph, nnx.from_flat_state(flat)))


def sharpened(encoder, layer, head, by=4.0):
    """The same model, one head of which (counted from 0) attends more sharply."""
    graph, state = nnx.split(encoder.module)
    flat = []
    for path, value in nnx.to_flat_state(state):
        array = np.array(value.get_value())
        if path[:2] == ("layers", "qkv"):
            # (layer, [width,] 3, head, head_width): the queries of that head.
            array[layer, ..., 0, head, :] *= by
        flat.append((path, value.replace(jnp.asarray(array))))
    return dataclasses.replace(encoder, module=nnx.merge(graph, nnx.from_flat_state(flat)))
