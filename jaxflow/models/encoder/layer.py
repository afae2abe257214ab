"""One layer of an encoder: self-attention, then the feed-forward part, each added to its input under a norm."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key, PyTree

from jaxflow.models.batch import LayerNorms, NormOutput
from jaxflow.models.config import EncoderConfig
from jaxflow.models.encoder.parts import ACTIVATIONS, Linear, Norm, around_block, dropout, norm_of, root, split
from jaxflow.models.encoder.positions import Reach, turned
from jaxflow.models.packing import Packing
from jaxflow.models.rules import Ruled

Heads = Float[Array, "*batch token head head_width"]
# Of keys and values, which several queries may share.
FewHeads = Float[Array, "*batch key few head_width"]
# The same of all tokens, where new ones run alone.
KeptHeads = Float[Array, "*batch place few head_width"]
Probabilities = Float[Array, "*batch head token token"]
# Of some positions to others.
Weights = Float[Array, "*batch head query key"]
Values = Float[Array, "*batch head token head_width"]
Rows = Float[Array, "*rows width"]
Keys = Sequence[Key[Array, ""] | None]


class Layer(Ruled):
    """A Transformer layer: each block's norm stands behind the sum or, with `pre_norm`, before the block."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        width, heads = (config.width,), (config.heads, config.head_width)
        few, inner = (config.key_heads, config.head_width), (config.feed_forward,)
        has = {part: part in config.biases for part in ("qkv", "output", "feed_forward")}
        shared = config.key_heads < config.heads
        # One map for queries, keys and values, or two where several queries share a key.
        self.qkv = None if shared else Linear(width, (3, *heads), rngs, bias=has["qkv"])
        self.query = Linear(width, heads, rngs, bias=has["qkv"]) if shared else None
        self.key_value = Linear(width, (2, *few), rngs, bias=has["qkv"]) if shared else None
        self.query_norm = norm_of(config, config.head_width) if config.query_key_norm else None
        self.key_norm = norm_of(config, config.head_width) if config.query_key_norm else None
        self.relative = config.relative.of_layer(config, rngs) if config.relative else None
        self.output = Linear(heads, width, rngs, bias=has["output"])
        self.attention_norm = norm_of(config, config.width)
        # A gated part has two maps up: what is activated, and what it is multiplied with.
        self.up = Linear(width, (2, *inner) if config.gated else inner, rngs, bias=has["feed_forward"])
        self.down = Linear(inner, width, rngs, bias=has["feed_forward"])
        self.output_norm = norm_of(config, config.width)
        ones = jnp.ones(config.width)
        # Of the attention block and of the feed-forward block.
        self.attention_scale = nnx.Param(ones) if config.layer_scale else None
        self.output_scale = nnx.Param(ones) if config.layer_scale else None
        self.config = config

    def projection(self) -> Float[Array, "head head_width width"]:
        """The map from each head's averaged values to the states; float32."""
        kernel = self.output.kernel[...].astype(jnp.float32)
        return _scaled(self.attention_scale, kernel)

    def __call__(
        self,
        hidden: Float[Array, "*rows width"],
        mask: Bool[Array, "*batch token"],
        distances: PyTree = None,
        reach: Reach | None = None,
        bare: Bool[Array, ""] | None = None,
        *,
        packing: Packing | None = None,
        attention: Probabilities | None = None,
        shift: Probabilities | None = None,
        key: Key[Array, ""] | None = None,
    ) -> tuple[Rows, Probabilities, Values, Rows, LayerNorms]:
        """Run the layer.

        Args:
            hidden: the layer's input, `*batch token width`, or its rows where it is packed.
            mask: true on real tokens.
            distances: from `RelativePosition.prepare`.
            reach: where positions may look, and their angles; None where all see all.
            bare: whether this layer's attention reads its input without a norm; None where no layer's does.
            packing: of the rows, if they are packed.
            attention: probabilities in the place of the softmax's.
            shift: added to the probabilities.
            key: turns dropout on.

        Returns:
            Output (packed where the input was), attention as it was used (before dropout), values, the states after
            the attention block, and what the norms did (both packed likewise); float32.
        """
        before, _ = around_block(self.config.pre_norm)
        # *batch token head head_width each.
        normed = before(self.attention_norm, hidden)
        if bare is not None:
            # One program serves all layers, so the first is told apart by its number.
            normed = jnp.where(bare, hidden, normed)
        query, keys_, values = self._heads(normed, packing)
        if attention is None:
            # *batch head query key.
            attention = self._attention(query, keys_, mask, distances, reach)
        if shift is not None:
            attention = attention + shift
        above, attended, norms = self.behind_attention(hidden, attention, values, packing, split(key, 3))
        # For watchers every head has values of its own; the compiler drops them where nobody looks.
        values = jnp.repeat(values, self.config.heads // values.shape[-2], axis=-2)
        return above, attention, jnp.swapaxes(values, -3, -2), attended, norms

    def continued(
        self,
        hidden: Float[Array, "*batch token width"],
        keep: Callable[[FewHeads, FewHeads], tuple[KeptHeads, KeptHeads]],
        allowed: Bool[Array, "*batch 1 query key"],
        turn: Float[Array, "2 token half"] | None,
    ) -> Float[Array, "*batch token width"]:
        """Run a decoder's layer over new tokens alone, which look back at kept ones.

        Args:
            hidden: the new tokens' states.
            keep: takes the new tokens' keys and values, and gives those of all tokens.
            allowed: where the new tokens may look.
            turn: angles of the new tokens.
        """
        before, _ = around_block(self.config.pre_norm)
        query, key, value = self._heads(before(self.attention_norm, hidden), None)
        query, key = self._placed(query, key, turn)
        keys, values = keep(key, value)
        return self.behind_attention(hidden, self._probabilities(query, keys, allowed), values)[0]

    def behind_attention(
        self,
        hidden: Rows,
        attention: Weights,
        values: FewHeads,
        packing: Packing | None = None,
        keys: Keys = (None, None, None),
    ) -> tuple[Rows, Rows, LayerNorms]:
        """The layer's output from its input, its attention and its values, with the rest of what `__call__` gives.

        `keys` turn dropout on: of attention, and of each block's output.
        """
        config = self.config
        before, after = around_block(config.pre_norm)
        used = dropout(attention, config.attention_dropout, keys[0])
        mixed = self.rules.product(_mixed, used, values)
        mixed = jnp.swapaxes(mixed, -3, -2)
        if packing is not None:
            # The rest of the layer treats tokens one by one, so it runs on the packed rows.
            mixed = packing.pack(mixed, 2)
        attention_block = _scaled(self.attention_scale, self._projected(mixed))
        attended_sum = self.rules.add(hidden, dropout(attention_block, config.hidden_dropout, keys[1]))
        attended = after(self.attention_norm, attended_sum)
        inner = self._inner(before(self.output_norm, attended))
        inner_block = _scaled(self.output_scale, self.down(inner))
        above_sum = self.rules.add(attended, dropout(inner_block, config.hidden_dropout, keys[2]))
        # Norms before the blocks read the blocks' inputs, those behind the sums read the sums.
        read = (hidden, attended) if config.pre_norm else (attended_sum, above_sum)
        first, second = (
            _norm_output(*each) for each in zip((self.attention_norm, self.output_norm), read, strict=True)
        )
        return after(self.output_norm, above_sum), attended, LayerNorms(first, second, config.pre_norm)

    def _inner(self, hidden: Rows) -> Float[Array, "*rows inner"]:
        """The inside of the feed-forward part."""
        function, up = ACTIVATIONS[self.config.activation], self.up(hidden)
        if not self.config.gated:
            return self.rules.activation(function, up)
        return self.rules.product(jnp.multiply, self.rules.activation(function, up[..., 0, :]), up[..., 1, :])

    def _heads(self, hidden: Float[Array, "*rows width"], packing: Packing | None) -> tuple[Heads, FewHeads, FewHeads]:
        # Attention needs every token in its place: padded again, zeros on padding.
        spread = packing.spread if packing is not None else (lambda rows: rows)
        if self.qkv is None:
            assert self.query is not None
            assert self.key_value is not None
            held = jax.lax.stop_gradient(hidden) if self.rules.holds_attention else hidden
            key, value = spread(self.key_value.affine(held, 0)), spread(self.key_value.affine(hidden, 1))
            return spread(self.query.affine(held)), key, value
        if not self.rules.holds_attention:
            both = spread(self.qkv.affine(hidden))
            return both[..., 0, :, :], both[..., 1, :, :], both[..., 2, :, :]
        # Nothing is passed through queries and keys, so only the values' third of the map is derived.
        held = spread(self.qkv.affine(jax.lax.stop_gradient(hidden)))
        return held[..., 0, :, :], held[..., 1, :, :], spread(self.qkv.affine(hidden, 2))

    def _projected(self, mixed: Float[Array, "*rows head head_width"]) -> Float[Array, "*rows width"]:
        """The attention block's output."""
        values = self.qkv if self.qkv is not None else self.key_value
        assert values is not None
        if values.bias is None:
            return self.output(mixed)
        # A row of attention sums to 1, so the values' bias reaches the output whole; both biases are one constant.
        bias = values.bias[...][-1].astype(jnp.float32)
        constant = self.output.affine(jnp.repeat(bias, self.config.heads // bias.shape[0], axis=0))
        return self.rules.share(self.output.affine(mixed), constant, lambda: self.output.products(mixed, constant))

    def _attention(
        self, query: Heads, key: FewHeads, mask: Bool[Array, "*batch token"], distances: PyTree, reach: Reach | None
    ) -> Probabilities:
        relative = self.config.relative
        query, key = self._placed(query, key, None if reach is None else reach.turn)
        added = relative.scores(self, distances, query, key) if relative else None
        allowed = mask[..., None, None, :]
        if reach is not None:
            allowed = allowed & reach.allowed(self.config.causal)
        if self.config.masks_padding:
            # Padding's own rows may look nowhere.
            allowed = allowed & mask[..., None, :, None]
        return self._probabilities(query, key, allowed, added)

    def _placed(self, query: Heads, key: FewHeads, turn: Float[Array, "2 token half"] | None) -> tuple[Heads, FewHeads]:
        """Queries and keys normalised and turned, where the family does."""
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        return (query, key) if turn is None else (turned(query, turn), turned(key, turn))

    def _probabilities(
        self, query: Heads, key: FewHeads, allowed: Bool[Array, "..."], added: Float[Array, "..."] | None = None
    ) -> Weights:
        # The query is scaled, not the scores: it is mostly the smaller array.
        scale = root(self.config.head_width, self.config.relative.terms if self.config.relative else 1)
        scores = self.rules.product(lambda query, key: _scores(query * scale, key), query, key)
        scores = scores if added is None else scores + added
        # The least finite number, not -inf: a row that may look nowhere becomes even instead of NaN.
        scores = jnp.where(allowed, scores, jnp.finfo(scores.dtype).min)
        return self.rules.softmax(partial(jax.nn.softmax, axis=-1), scores)


# Keys and values are not repeated where several queries share one: those queries stand below each other, in one axis r
# of rows. An axis for each took a third longer on a processor.
def _scores(query: Heads, key: FewHeads) -> Weights:
    """Scores of all heads, from queries and from keys of as many heads or fewer."""
    tokens, heads, width = query.shape[-3:]
    if key.shape[-2] == heads:
        return jnp.einsum("...qhd,...khd->...hqk", query, key, precision="highest")
    rows = jnp.swapaxes(query, -3, -2).reshape(*query.shape[:-3], key.shape[-2], -1, width)
    scores = jnp.einsum("...hrd,...khd->...hrk", rows, key, precision="highest")
    return scores.reshape(*query.shape[:-3], heads, tokens, key.shape[-3])


def _mixed(attention: Weights, values: FewHeads) -> Float[Array, "*batch head query head_width"]:
    """Values of as many heads or fewer, averaged by all heads' attention."""
    rows = attention
    if values.shape[-2] != attention.shape[-3]:
        rows = attention.reshape(*attention.shape[:-3], values.shape[-2], -1, attention.shape[-1])
    # Heads in front, as the product gives them: turning them around within it doubles its time on a processor.
    mixed = jnp.einsum("...hrk,...khd->...hrd", rows, values, precision="highest")
    return mixed.reshape(*attention.shape[:-1], values.shape[-1])


def _scaled(scale: nnx.Param[Array] | None, x: Float[Array, "*axes width"]) -> Float[Array, "*axes width"]:
    return x if scale is None else x * scale[...].astype(jnp.float32)


def _norm_output(norm: Norm, state: Rows) -> NormOutput:
    scale = norm.scales()
    bias = jnp.zeros_like(scale) if norm.bias is None else norm.bias[...].astype(jnp.float32)
    return NormOutput(scale, bias, norm.deviation(state), not norm.rms)
