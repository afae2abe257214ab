"""A causal model that knows nothing of jaxflow but its protocol: one file, as a user would write it."""

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.models import (
    Encoding,
    HeadConfig,
    LayerOutput,
    ModelDefaults,
    array_fingerprint,
    pad,
    text_fingerprint,
)

HEAD = HeadConfig("sequence_classification", outputs=2, labels=("no", "yes"))
WIDTH, HEADS, DEPTH, LIMIT = 8, 2, 2, 24


@partial(
    jax.tree_util.register_dataclass, data_fields=["words", "query_key_value", "output", "classes"], meta_fields=[]
)
@dataclass(frozen=True)
class CausalModule:
    """Layers without norms or feed-forward parts: attention over what came before, added to the stream."""

    words: jax.Array  # word width
    query_key_value: jax.Array  # layer width 3 head head_width
    output: jax.Array  # layer head head_width width
    classes: jax.Array  # width label

    @property
    def depth(self):
        return self.output.shape[0]

    @property
    def heads(self):
        return self.output.shape[1]

    def run(self, batch, visit, carry, options):
        hidden = self.words[batch.input_ids]
        tokens = batch.input_ids.shape[-1]
        before = jnp.tril(jnp.ones((tokens, tokens), bool))
        allowed = before & batch.mask[:, None, None, :]
        for layer in range(self.depth):
            query, key, value = jnp.einsum("btw,wchd->cbhtd", hidden, self.query_key_value[layer])
            scores = jnp.einsum("bhqd,bhkd->bhqk", query, key)
            attention = jax.nn.softmax(jnp.where(allowed, scores, -1e9), axis=-1)
            if options.attention_shift is not None:
                attention = attention + options.attention_shift[:, layer]
            inputs, parts = hidden, (hidden, self.output[layer], attention, value)
            hidden = behind_attention(*parts)
            layer_output = LayerOutput(
                index=jnp.asarray(layer, jnp.int32),
                hidden=hidden,
                attention=attention,
                inputs=inputs,
                values=value,
                output=self.output[layer],
                attended=hidden,
                rerun=jax.tree_util.Partial(rerun, parts),
            )
            carry = visit(carry, layer_output)
        return hidden, carry

    def logits(self, hidden, batch):
        last = jnp.sum(batch.mask, axis=-1, dtype=jnp.int32) - 1
        return jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0] @ self.classes


def behind_attention(hidden, output, attention, value):
    return hidden + jnp.einsum("bhqd,hdw->bqw", jnp.einsum("bhqk,bhkd->bhqd", attention, value), output)


def rerun(parts, attention=None, values=None):
    """The layer once more, with other attention or values."""
    hidden, output, own_attention, own_values = parts
    attention = own_attention if attention is None else attention
    return behind_attention(hidden, output, attention, own_values if values is None else values)


@dataclass(frozen=True, eq=False)
class CausalModel(ModelDefaults):
    """Words cut at blanks, a causal module, two classes that are read at the last word."""

    name: str
    module: CausalModule
    words: tuple[str, ...]
    max_length: int = LIMIT
    head: HeadConfig = HEAD
    kept: dict[object, object] = field(default_factory=dict)

    causal = True
    reads_at = -1
    gives = frozenset({"attention", "values", "rerun", "gradients"})

    def tokenize(self, texts, pairs=None, *, max_length=None, truncate=False):
        limit = min(self.max_length, max_length or self.max_length)
        encodings = []
        for text in texts:
            words = text.split()[: limit if truncate else None]
            assert pairs is None
            assert len(words) <= limit
            ends = np.cumsum([len(word) + 1 for word in words]) - 1
            ids = tuple(self.words.index(word) if word in self.words else 0 for word in words)
            encodings.append(
                Encoding(
                    input_ids=ids,
                    segments=(0,) * len(ids),
                    tokens=tuple(words),
                    offsets=tuple((int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True)),
                    source=(0,) * len(ids),
                    special=(False,) * len(ids),
                )
            )
        return encodings

    def pad(self, encodings, length=None):
        return pad(encodings, 0, length)

    def fingerprint(self):
        return {"weights": array_fingerprint(self.module), "tokenizer": text_fingerprint(" ".join(self.words))}


def causal_model(name="causal", seed=0):
    draw = np.random.default_rng(seed).normal
    words = ("?", "the", "key", "to", "cabinets", "is", "on", "table", "keys", "are")
    shapes = (
        (len(words), WIDTH),
        (DEPTH, WIDTH, 3, HEADS, WIDTH // HEADS),
        (DEPTH, HEADS, WIDTH // HEADS, WIDTH),
        (WIDTH, 2),
    )
    return CausalModel(name, CausalModule(*(jnp.asarray(draw(0, 0.7, shape), jnp.float32) for shape in shapes)), words)


def numpy_attention(model, ids):
    """Attention of one text, `layer head query key`, in float64 without JAX."""
    module = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), model.module)
    hidden, layers = module.words[np.asarray(ids)], []
    for layer in range(DEPTH):
        query, key, value = np.einsum("tw,wchd->chtd", hidden, module.query_key_value[layer])
        scores = np.einsum("hqd,hkd->hqk", query, key)
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        hidden = hidden + np.einsum("hqk,hkd,hdw->qw", weights, value, module.output[layer])
        layers.append(weights)
    return np.stack(layers), hidden[-1] @ module.classes
