"""The encoder: embeddings, layers under one scan, head. Families differ by configuration, not by code."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jaxflow._switches import broadcasting
from jaxflow.models.batch import EncoderOutput, LayerNorms, LayerOutput, NormOutput, TokenBatch
from jaxflow.models.config import EncoderConfig
from jaxflow.models.encoder.continuing import KeptTokens, begin, follow
from jaxflow.models.encoder.convolution import Convolution
from jaxflow.models.encoder.embeddings import Embeddings, PatchEmbeddings
from jaxflow.models.encoder.heads import Pooler, last_tokens, make_head, mean_token
from jaxflow.models.encoder.layer import Layer, Probabilities, Values
from jaxflow.models.encoder.parts import Norm, norm_of, split
from jaxflow.models.encoder.positions import Places, places, settings_of
from jaxflow.models.forward import ForwardOptions, forward_options
from jaxflow.models.images import ImageBatch
from jaxflow.models.model import CarryT, Visit
from jaxflow.models.packing import Packing
from jaxflow.models.rules import Rules, under

# Called once a layer, first to last: (carry, layer) -> (carry, arrays to keep of this layer).
VisitAndKeep: TypeAlias = Callable[[PyTree, LayerOutput], tuple[PyTree, PyTree]]


class Encoder(nnx.Module):
    """An encoder of texts or images, or a decoder, with an optional head.

    Layers are stored stacked (leading axis `layer`) and run by one `jax.lax.scan`, so compile time does not grow with
    depth; a list of layers, which `jaxflow.models.encoder.on_cpu` makes of them, is run one by one. A module is a
    pytree: hand it to a jitted function as an argument rather than closing over it.
    """

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        self.config = config
        self.embeddings = PatchEmbeddings(config, rngs) if config.patches else Embeddings(config, rngs)
        self.relative = config.relative.shared(config, rngs) if config.relative else None
        self.layers = _stacked_layers(config, rngs)
        self.convolution = Convolution(config, rngs) if config.convolution else None
        self.final_norm = norm_of(config, config.width) if config.pre_norm else None
        self.head = make_head(config, rngs)
        self.pooler = Pooler(config, rngs) if config.head.pooled else None

    @broadcasting
    def __call__(self, batch: TokenBatch, options: ForwardOptions | None = None, **changes: Any) -> EncoderOutput:
        """Run the encoder.

        Args:
            batch: padded token sequences.
            options: of the run.
            changes: fields of the options by name, such as `return_attention=False`.

        Returns:
            The parts asked for, in float32. Cost: layer * (token * width^2 + token^2 * width).
        """
        options = forward_options(options, changes)

        def keep(carry: None, layer: LayerOutput) -> tuple[None, PyTree]:
            kept = (
                layer.hidden if options.return_hidden_states else None,
                layer.attention if options.return_attention else None,
                layer.values if options.return_values else None,
            )
            return carry, kept

        # Dropout in the layers and in the head draws from keys of its own.
        layer_key, head_key = split(options.key, 2)
        first, last, _, (hidden, kept_attention, values) = self.visit_layers(
            batch, keep, None, forward_options(options, {"key": layer_key})
        )
        if hidden is not None:
            # The embeddings count as the first state: *batch state token width.
            hidden = jnp.concatenate([first[..., None, :, :], _behind_batch(hidden, 3)], axis=-3)
        logits = self.logits(last, batch, head_key) if self.head else None
        return EncoderOutput(
            hidden_states=hidden,
            attention=None if kept_attention is None else _behind_batch(kept_attention, 4),
            values=None if values is None else _behind_batch(values, 4),
            logits=logits,
            pooled=self.pooler(last) if self.pooler else None,
        )

    @broadcasting
    def visit_layers(
        self,
        batch: TokenBatch,
        visit: VisitAndKeep,
        carry: PyTree,
        options: ForwardOptions | None = None,
    ) -> tuple[Float[Array, "*batch token width"], Float[Array, "*batch token width"], PyTree, PyTree]:
        """Run the layers and hand each one's output to `visit` as it comes, within the scan over layers.

        With a carry (a rollout, say) the attention of all layers need not be in memory at once.

        Args:
            batch: padded token sequences.
            visit: (carry, layer's output) -> (carry, arrays to keep of it).
            carry: the carry before the first layer.
            options: of the run; `return_...` have no effect here.

        Returns:
            The embeddings as the first layer gets them, the last layer's output, the last carry, and the kept arrays,
            stacked on a new leading axis `layer`.
        """
        options = ForwardOptions() if options is None else options
        embedding_key, layers_key = split(options.key, 2)
        first = options.inputs
        if first is None:
            first = self._first(batch, options.embeddings, embedding_key)
        relative = self.config.relative
        length = batch.input_ids.shape[-1]
        distances = relative.prepare(self.relative, length) if relative else None
        shared_places = places(self.config, length)
        # The convolution reads neighbours, so it needs the tokens where they stand.
        packing = None if self.convolution is not None else options.packing

        def step(state: tuple[Array, PyTree], slices: tuple[PyTree, ...]) -> tuple[tuple[Array, PyTree], PyTree]:
            below, carry = state
            above, output = self._one_layer(below, batch.mask, distances, shared_places, packing, slices)
            carry, kept = visit(carry, output)
            return (above, carry), kept

        # A scan keeps the compiler from undoing the recomputation, so no barrier is needed (`prevent_cse`).
        step = jax.checkpoint(step, prevent_cse=False) if options.checkpoint else step
        # Packed rows from here to the last layer; attention alone spreads them out.
        start = (first if packing is None else packing.pack(first, 1), carry)
        slices = self._slices(options, layers_key)
        if isinstance(self.layers, nnx.List):
            layers = [self.layers[row] for row in self.config.rows]
            (last, carry), kept = _in_turn(step, start, layers, slices)
        else:
            # Layers that several steps share are looked up in each step; others are the scan's own slices.
            shared = self.config.rows != tuple(range(self.depth))
            (last, carry), kept = jax.lax.scan(step, start, (None if shared else self.layers, *slices))
        return first, last if packing is None else packing.spread(last), carry, kept

    def _slices(self, options: ForwardOptions, key: Key[Array, ""] | None) -> tuple[PyTree, ...]:
        """Inputs of each layer beside its parameters: number, settings, replaced attention, shift, key."""
        return (
            jnp.arange(self.depth, dtype=jnp.int32),
            settings_of(self.config),
            # Each layer's slice in front: layer *batch head query key.
            None if options.attention is None else jnp.moveaxis(options.attention, -4, 0),
            None if options.attention_shift is None else jnp.moveaxis(options.attention_shift, -4, 0),
            None if key is None else jax.random.split(key, self.depth),
        )

    def _one_layer(
        self,
        below: Float[Array, "*rows width"],
        mask: Bool[Array, "*batch token"],
        distances: PyTree,
        shared_places: Places | None,
        packing: Packing | None,
        slices: tuple[PyTree, ...],
    ) -> tuple[Float[Array, "*rows width"], LayerOutput]:
        """The hidden states after one layer, packed like those before it, and the layer's output for watchers."""
        layer, index, settings, given, shift, key = slices
        if layer is None:
            # Only this layer's parameters are taken from the stack: row of the stored layer that runs here.
            row = jnp.asarray(self.config.rows)[index]
            layer = jax.tree.map(lambda stacked: stacked[row], self.layers)
        above, attention, values, attended, norms = layer(
            below,
            mask,
            distances,
            None if shared_places is None else shared_places.reach(settings),
            None if self.config.first_norm else index == 0,
            packing=packing,
            attention=given,
            shift=shift,
            key=key,
        )
        rerun = jax.tree_util.Partial(_rerun, layer, below, packing, attention, values)
        if self.convolution is not None:
            above = _convolved(self.convolution, index, below, above, mask)
            # The first layer's output is no longer what its norms and its attention make of its input.
            norms = rerun = None
        # The scan runs one program for all layers, so first and last are told apart by their index.
        if self.final_norm is not None:
            above = _finished(self.final_norm, index == self.depth - 1, above)
        hidden, inputs, attended = (_spread(packing, rows) for rows in (above, below, attended))
        # The compiler drops the parts that no watcher reads.
        return above, LayerOutput(
            index=index,
            hidden=hidden,
            attention=attention,
            inputs=inputs,
            values=values,
            output=layer.projection(),
            attended=attended,
            norms=_spread_norms(packing, norms),
            rerun=rerun,
        )

    @property
    def depth(self) -> int:
        """How many layers a text goes through."""
        return self.config.layers

    @property
    def heads(self) -> int:
        """How many attention heads each layer has."""
        return self.config.heads

    def run(
        self, batch: TokenBatch, visit: Visit[CarryT], carry: CarryT, options: ForwardOptions
    ) -> tuple[Float[Array, "*batch token width"], CarryT]:
        """Run the layers as `visit_layers` does, keeping nothing of them but the carry."""
        _, last, carry, _ = self.visit_layers(batch, lambda carry, layer: (visit(carry, layer), None), carry, options)
        return last, carry

    def logits(
        self,
        hidden: Float[Array, "*batch token width"],
        batch: TokenBatch | None = None,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "..."]:
        """The head's numbers, see `EncoderOutput.logits`; `key` turns dropout on."""
        assert self.head is not None
        if self.config.causal or self.config.head.mean:
            assert batch is not None
            hidden = last_tokens(hidden, batch.mask) if self.config.causal else mean_token(hidden, batch.mask)
        # Patches have no vocabulary, and none of their heads reads one.
        words = self.embeddings.words.table[...] if isinstance(self.embeddings, Embeddings) else None
        return self.head(hidden, words, key)

    def begin(self, batch: TokenBatch, room: int) -> tuple[Float[Array, "row vocabulary"], KeptTokens]:
        """See `Continues`."""
        return begin(self, batch, room)

    def follow(
        self, ids: Int[Array, " row"], real: Bool[Array, " row"], kept: KeptTokens
    ) -> tuple[Float[Array, "row vocabulary"], KeptTokens]:
        """See `Continues`."""
        return follow(self, ids, real, kept)

    def embed(self, input_ids: Int[Array, "*batch token"]) -> Float[Array, "*batch token embedding"]:
        """Word embeddings, without positions or segments; `ForwardOptions.embeddings` replaces them."""
        assert isinstance(self.embeddings, Embeddings)
        return self.embeddings.words(input_ids)

    def inputs(self, batch: TokenBatch) -> Float[Array, "*batch token width"]:
        """The first layer's input; `ForwardOptions.inputs` replaces it."""
        return self._first(batch)

    def _first(
        self, batch: TokenBatch, words: Array | None = None, key: Key[Array, ""] | None = None
    ) -> Float[Array, "*batch token width"]:
        """The first layer's input, from the batch's own word embeddings or from others in their place."""
        if isinstance(self.embeddings, PatchEmbeddings):
            assert isinstance(batch, ImageBatch)
            return self.embeddings(batch, key)
        return self.embeddings(self.embed(batch.input_ids) if words is None else words, batch, key)

    @property
    def held(self) -> int:
        """Numbers of one position that are held at once."""
        # The states and their values, before and behind the block; the feed-forward part before and behind its
        # activation. A masked LM holds its vocabulary behind the layers.
        layer = 4 * self.config.width + (3 if self.config.gated else 2) * self.config.feed_forward
        return max(layer, self.config.vocabulary) if self.config.head.name == "masked_lm" else layer

    def under(self, rules: Rules) -> "Encoder":
        """The same encoder, whose derivatives follow other rules."""
        return under(self, rules)

    def output_projections(self) -> Float[Array, "layer head head_width width"]:
        """The maps from each head's averaged values to the residual stream; float32."""
        stacked = self.layers.output.kernel[...].astype(jnp.float32)
        if self.layers.attention_scale is not None:
            stacked = stacked * self.layers.attention_scale[...].astype(jnp.float32)[:, None, None]
        return stacked[jnp.asarray(self.config.rows)]


def _in_turn(step: Callable[..., Any], state: CarryT, layers: list[Layer], slices: PyTree) -> tuple[CarryT, PyTree]:
    """The result of a scan over the layers, for layers that stand apart."""
    # Traced once for all layers, which halves the time to trace a program of six; the compiler inlines it.
    step, kept = jax.jit(step), []
    for index, layer in enumerate(layers):
        state, keep = step(state, (layer, *jax.tree.map(lambda x: x[index], slices)))  # noqa: B023
        kept.append(keep)
    return state, jax.tree.map(lambda *rows: jnp.stack(rows), *kept)


def _convolved(
    convolution: Convolution,
    index: Int[Array, ""],
    below: Float[Array, "*batch token width"],
    above: Float[Array, "*batch token width"],
    mask: Bool[Array, "*batch token"],
) -> Float[Array, "*batch token width"]:
    """The first layer's output with the convolution of its input; the other layers' as it is."""
    return jax.lax.cond(index == 0, lambda: convolution(below, above, mask), lambda: above)


def _finished(norm: Norm, last: Bool[Array, ""], above: Float[Array, "*rows width"]) -> Float[Array, "*rows width"]:
    """The last layer's output behind the final norm; the other layers' as it is."""
    return jax.lax.cond(last, lambda: norm(above), lambda: above)


def _stacked_layers(config: EncoderConfig, rngs: nnx.Rngs) -> Layer:
    keys = jax.random.split(rngs.params(), config.stored_layers)
    # One layer's parameters for each key, stacked along a leading axis.
    return nnx.vmap(lambda key: Layer(config, nnx.Rngs(params=key)), in_axes=0, out_axes=0)(keys)


def _rerun(
    layer: Layer,
    below: Float[Array, "*rows width"],
    packing: Packing | None,
    own_attention: Probabilities,
    own_values: Values,
    attention: Probabilities | None = None,
    values: Values | None = None,
) -> Float[Array, "*batch token width"]:
    """`LayerOutput.rerun`: the layer's output, its attention or its values replaced."""
    attention = own_attention if attention is None else attention
    values = own_values if values is None else values
    above, _, _ = layer.behind_attention(below, attention, jnp.swapaxes(values, -3, -2), packing)
    return _spread(packing, above)


def _spread(packing: Packing | None, rows: Array) -> Array:
    """Rows in their places in the padded batch."""
    return rows if packing is None else packing.spread(rows)


def _spread_norms(packing: Packing | None, norms: LayerNorms | None) -> LayerNorms | None:
    """Norms with their deviations in their places in the padded batch."""
    if norms is None or packing is None:
        return norms

    def spread(norm: NormOutput) -> NormOutput:
        deviation = packing.spread(norm.deviation)
        # Padding divides by 1 rather than by 0, so that derivatives stay numbers.
        return dataclasses.replace(norm, deviation=jnp.where(deviation == 0, jnp.ones_like(deviation), deviation))

    return LayerNorms(spread(norms.attention), spread(norms.output), norms.pre_norm)


def _behind_batch(stacked: Array, rest: int) -> Array:
    """Move the scan's leading layer axis behind the batch axes, where `rest` axes remain behind it."""
    return jnp.moveaxis(stacked, 0, -rest)
