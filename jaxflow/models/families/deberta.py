"""DeBERTa-v2 and v3: attention scores that sum content-content, content-position and position-content products.

The three products are summed before one softmax, so each head's attention is one row-stochastic matrix, and it holds
what positions contribute: there is no attention to content alone that rows could be normalised over.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree

from jaxflow._checks import InputError, shown
from jaxflow._untyped import HubConfig
from jaxflow.models.checkpoint.family import ANOTHER, Family, Head, Key
from jaxflow.models.config import UNLIMITED, EncoderConfig
from jaxflow.models.encoder.parts import Linear, Norm, Table, root
from jaxflow.models.families import bert

_ATTENTION = "deberta.encoder.layer.{}.attention.self"
_POOLED: dict[str, Key] = {"head.dense": "pooler.dense", "head.out": "classifier"}
# Behind the pooler's activation, and before its dense map.
_POOLED_RATES = (("cls_dropout", "hidden_dropout_prob"), ("pooler_dropout",))


class DistanceTable(nnx.Module):
    """Embeddings of signed, bucketed distances, `bucket width`, with a norm where the model has one."""

    def __init__(self, config: EncoderConfig, rows: int, normalised: bool, rngs: nnx.Rngs):
        self.rows = Table(rows, config.width, rngs)
        self.norm = Norm(config.width, config.epsilon) if normalised else None

    def __call__(self) -> Float[Array, "bucket width"]:
        """The embeddings, in float32."""
        rows = self.rows.table[...].astype(jnp.float32)
        return rows if self.norm is None else self.norm(rows)


class PositionProjections(nnx.Module):
    """One layer's projections of the distance embeddings to keys and queries."""

    def __init__(self, config: EncoderConfig, key: bool, query: bool, rngs: nnx.Rngs):
        shape = ((config.width,), (config.heads, config.head_width))
        self.key = Linear(*shape, rngs) if key else None
        self.query = Linear(*shape, rngs) if query else None


@dataclass(frozen=True)
class Disentangled:
    """Content-to-position and position-to-content scores (He et al. 2021, equation 4).

    Attributes:
        span: distances beyond it share a bucket.
        buckets: number of buckets on either side, 0 for one a distance.
        farthest: distance at which the logarithmic buckets end.
        to_position: whether content attends to positions.
        from_position: whether positions attend to content.
        own: whether distances have projections of their own; else they share the content's.
        normalised: whether their embeddings are normalised.
    """

    span: int
    buckets: int
    farthest: int
    to_position: bool
    from_position: bool
    own: bool
    normalised: bool

    @property
    def terms(self) -> int:
        """Number of products that a score sums."""
        return 1 + self.to_position + self.from_position

    def shared(self, config: EncoderConfig, rngs: nnx.Rngs) -> DistanceTable:
        """The embeddings of distances."""
        return DistanceTable(config, 2 * self.span, self.normalised, rngs)

    def of_layer(self, config: EncoderConfig, rngs: nnx.Rngs) -> PositionProjections | None:
        """Projections of their own, if they have them."""
        if not self.own:
            return None
        return PositionProjections(config, self.to_position, self.from_position, rngs)

    def prepare(self, shared: Any, length: int) -> tuple[Float[Array, "bucket width"], np.ndarray]:
        """The embeddings, and the bucket of the distance from each query to each key."""
        distance = self.bucketed(np.arange(length)[:, None] - np.arange(length)[None, :])
        return shared(), distance

    def bucketed(self, distance: np.ndarray) -> np.ndarray:
        """Signed buckets of signed distances: one by one when near, on a logarithmic scale farther off."""
        if self.buckets <= 0 or self.farthest <= 0:
            return distance
        middle = self.buckets // 2
        near = np.abs(distance) < middle
        size = np.where(near, middle - 1, np.abs(distance)).astype(np.float32)
        # In float32 as the reference: at a bucket's edge the last digit decides.
        scale = np.log(np.float32((self.farthest - 1) / middle))
        # From `middle` at the near end to `buckets` less 1 at `farthest`.
        far = np.ceil(np.log(size / np.float32(middle)) / scale * np.float32(middle - 1)) + middle
        return np.where(size <= middle, distance, far * np.sign(distance)).astype(np.int64)

    def scores(
        self,
        layer: Any,
        prepared: PyTree,
        query: Float[Array, "*batch token head width"],
        key: Float[Array, "*batch token head width"],
    ) -> Float[Array, "..."]:
        """The two products with positions, `*batch head query key`, scaled like the product of contents."""
        embeddings, distance = prepared
        query_rows, key_rows = self._projected(layer, embeddings)
        scale = root(query.shape[-1], self.terms)
        last = 2 * self.span - 1
        # Products with each distinct distance, then one picked for each pair: far fewer than one for each pair.
        total = jnp.zeros(())
        if self.to_position:
            products = jnp.einsum("...qhd,rhd->...hqr", query * scale, key_rows, precision="highest")
            total = total + _picked(products, np.clip(distance + self.span, 0, last))
        if self.from_position:
            # The key's content asks for the query's place, so the picked products lie key by query.
            products = jnp.einsum("...khd,rhd->...hkr", key * scale, query_rows, precision="highest")
            picked = _picked(products, np.clip(self.span - distance, 0, last))
            total = total + jnp.swapaxes(picked, -1, -2)
        return total

    def _projected(self, layer: Any, embeddings: Float[Array, "bucket width"]) -> tuple[Any, Any]:
        if self.own:
            own = layer.relative
            query = own.query(embeddings) if own.query is not None else None
            return query, own.key(embeddings) if own.key is not None else None
        # bucket query/key/value head head_width, by the content's own maps.
        both = layer.qkv(embeddings)
        return both[:, 0], both[:, 1]


def _picked(products: Float[Array, "*batch head token bucket"], rows: np.ndarray) -> Float[Array, "..."]:
    """From each position's products with all distances, the one at each other position's distance."""
    index = rows.reshape((1,) * (products.ndim - 2) + rows.shape)
    return jnp.take_along_axis(products, jnp.asarray(index), axis=-1)


def _read(config: HubConfig) -> EncoderConfig:
    if config.pooler_hidden_act != "gelu":
        got = shown(config.pooler_hidden_act)
        raise InputError("pooler_hidden_act", "be 'gelu'", got, ANOTHER, place="config.json")
    width = getattr(config, "embedding_size", config.hidden_size)
    size = getattr(config, "conv_kernel_size", 0)
    convolution = (size, getattr(config, "conv_groups", 1), getattr(config, "conv_act", "tanh"))
    # Heads of another width would need maps of other shapes.
    if getattr(config, "attention_head_size", None) not in (None, config.hidden_size // config.num_attention_heads):
        got = shown(config.attention_head_size)
        raise InputError("attention_head_size", "be the width over the heads", got, ANOTHER, place="config.json")
    return dataclasses.replace(
        bert.read(config),
        positions=config.max_position_embeddings if config.position_biased_input else 0,
        # Distances beyond the farthest share a bucket, so without a table of positions no text is too long.
        max_length=config.max_position_embeddings if config.position_biased_input else UNLIMITED,
        embedding_width=width,
        projection="none" if width == config.hidden_size else "before",
        projection_bias=False,
        masks_padding=True,
        relative=_relative(config),
        convolution=convolution if size > 0 else None,
    )


def _relative(config: HubConfig) -> Disentangled | None:
    kinds = config.pos_att_type or []
    if not config.relative_attention:
        if kinds:
            raise InputError("pos_att_type", "go with relative attention", shown(kinds), ANOTHER, place="config.json")
        return None
    farthest = config.max_relative_positions
    # Below 1 stands for the length of the longest text, as in the reference.
    farthest = config.max_position_embeddings if farthest < 1 else farthest
    buckets = getattr(config, "position_buckets", -1)
    return Disentangled(
        span=buckets if buckets > 0 else farthest,
        buckets=max(buckets, 0),
        farthest=farthest,
        to_position="c2p" in kinds,
        from_position="p2c" in kinds,
        own=not getattr(config, "share_att_key", False),
        normalised="layer_norm" in getattr(config, "norm_rel_ebd", "none").lower(),
    )


DEBERTA = Family(
    title="DeBERTa-v2, v3",
    model_type="deberta-v2",
    prefix="deberta",
    read=_read,
    keys={
        **bert.encoder_keys("deberta"),
        "embeddings.projection": "deberta.embeddings.embed_proj",
        "layers.qkv": (f"{_ATTENTION}.query_proj", f"{_ATTENTION}.key_proj", f"{_ATTENTION}.value_proj"),
        "layers.relative.key": f"{_ATTENTION}.pos_key_proj",
        "layers.relative.query": f"{_ATTENTION}.pos_query_proj",
        "relative.rows": "deberta.encoder.rel_embeddings",
        "relative.norm": "deberta.encoder.LayerNorm",
        "convolution.kernel": "deberta.encoder.conv.conv.weight",
        "convolution.bias": "deberta.encoder.conv.conv.bias",
        "convolution.norm": "deberta.encoder.conv.LayerNorm",
    },
    heads={
        "bare": Head("DebertaV2Model"),
        "masked_lm": Head("DebertaV2ForMaskedLM", bert.MASKED_LM, activation=None),
        "sequence_classification": Head("DebertaV2ForSequenceClassification", _POOLED, "gelu", *_POOLED_RATES),
        "token_classification": Head(
            "DebertaV2ForTokenClassification", {"head.out": "classifier"}, dropout=("hidden_dropout_prob",)
        ),
        "multiple_choice": Head("DebertaV2ForMultipleChoice", _POOLED, "gelu", *_POOLED_RATES),
        "question_answering": Head("DebertaV2ForQuestionAnswering", {"head.out": "qa_outputs"}, dropout=()),
    },
    aliases={
        "cls.predictions.bias": "cls.predictions.decoder.bias",
        # The head of v3's own checkpoints, the same formula under other names.
        "lm_predictions.lm_head.bias": "cls.predictions.decoder.bias",
        "lm_predictions.lm_head.dense.weight": "cls.predictions.transform.dense.weight",
        "lm_predictions.lm_head.dense.bias": "cls.predictions.transform.dense.bias",
        "lm_predictions.lm_head.LayerNorm.weight": "cls.predictions.transform.LayerNorm.weight",
        "lm_predictions.lm_head.LayerNorm.bias": "cls.predictions.transform.LayerNorm.bias",
    },
    leftovers=(
        r"embeddings\.position_(ids|embeddings\.weight)",
        r"(mask|lm)_predictions\..*",
        r"cls\..*",
        r"pooler\..*",
    ),
    note="content and position scores are summed before the softmax, so attention holds both",
)
