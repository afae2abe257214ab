"""MPNet: BERT without segments, with a learnt bias of attention scores by distance."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.family import Family, Head
from jaxflow.models.config import EncoderConfig
from jaxflow.models.encoder.parts import Table
from jaxflow.models.families import bert, roberta

BUCKETS, FARTHEST = 32, 128
_LAYER = "mpnet.encoder.layer.{}"
_ATTENTION = f"{_LAYER}.attention.attn"
_RATE = ("hidden_dropout_prob",)


@dataclass(frozen=True)
class DistanceBias:
    """One number for each head and bucket of distances, the same in all layers, added to the scores."""

    terms: int = 1

    def shared(self, config: EncoderConfig, rngs: nnx.Rngs) -> Table:
        """The table of biases, `bucket head`."""
        return Table(BUCKETS, config.heads, rngs)

    def of_layer(self, config: EncoderConfig, rngs: nnx.Rngs) -> None:
        """None: all layers share one table."""

    def prepare(self, shared: Any, length: int) -> Float[Array, "head query key"]:
        """The biases of all pairs of positions."""
        # query key head -> head query key, as scores lie.
        return jnp.moveaxis(shared(jnp.asarray(buckets(length))), -1, 0)

    def scores(
        self, layer: Any, prepared: Float[Array, "head query key"], query: Array, key: Array
    ) -> Float[Array, "..."]:
        """The biases, whatever the query and the key."""
        return prepared


def buckets(length: int) -> np.ndarray:
    """Bucket of the distance from each query to each key: exact when near, on a logarithmic scale farther off.

    T5's rule: half of the buckets for keys on either side, half of these for distances one by one.
    """
    # Positive where the key stands behind the query.
    distance = np.arange(length)[None, :] - np.arange(length)[:, None]
    half, exact = BUCKETS // 2, BUCKETS // 4
    size = np.abs(distance)
    # In float32 as the reference: at a bucket's edge the last digit decides.
    ratio = np.log(np.maximum(size, 1).astype(np.float32) / np.float32(exact)) / math.log(FARTHEST / exact)
    far = np.minimum(exact + (ratio.astype(np.float32) * np.float32(half - exact)).astype(np.int32), half - 1)
    return (np.where(distance > 0, half, 0) + np.where(size < exact, size, far)).astype(np.int32)


def _read(config: HubConfig) -> EncoderConfig:
    # The padding token's number is fixed at 1, whatever the configuration says.
    return dataclasses.replace(
        bert.read(config),
        pad_id=1,
        # Positions count from one past the padding token's number, as RoBERTa's.
        position_offset=2,
        max_length=config.max_position_embeddings - 2,
        relative=DistanceBias(),
    )


MPNET = Family(
    title="MPNet",
    model_type="mpnet",
    prefix="mpnet",
    read=_read,
    keys={
        **bert.encoder_keys("mpnet"),
        "relative": "mpnet.encoder.relative_attention_bias",
        "layers.qkv": (f"{_ATTENTION}.q", f"{_ATTENTION}.k", f"{_ATTENTION}.v"),
        "layers.output": f"{_ATTENTION}.o",
        "layers.attention_norm": f"{_LAYER}.attention.LayerNorm",
    },
    heads={
        "bare": Head("MPNetModel", {"pooler.dense": "mpnet.pooler.dense"}),
        "masked_lm": Head("MPNetForMaskedLM", roberta.MASKED_LM, activation="gelu"),
        "sequence_classification": Head(
            "MPNetForSequenceClassification", roberta.CLASSIFIER, dropout=_RATE, first_dropout=_RATE
        ),
        "token_classification": Head("MPNetForTokenClassification", {"head.out": "classifier"}, dropout=_RATE),
        "multiple_choice": Head(
            "MPNetForMultipleChoice", {"head.dense": "mpnet.pooler.dense", "head.out": "classifier"}, dropout=_RATE
        ),
        "question_answering": Head("MPNetForQuestionAnswering", {"head.out": "qa_outputs"}, dropout=()),
    },
    aliases={"lm_head.bias": "lm_head.decoder.bias"},
    leftovers=(r"embeddings\.position_ids", r"pooler\.dense\..*", r"lm_head\..*"),
    note="a bias by distance is added to the scores before the softmax, so it is in the attention",
)
