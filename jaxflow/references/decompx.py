"""DecompX (Modarressi et al. 2023): every hidden state as a sum of parts, one for each input token.

Parts are derivatives by the rules of `Decomposed`, so that one forward pass serves every family of models. Where biases
are shared out by products, every part must be known at every bias: forward derivatives, one for each token. Shared out
evenly, they leave the parts of one number to a single backward pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxflow._checks import InputError, one_of
from jaxflow._typing import AtLayers
from jaxflow.models import FollowsRules, ForwardOptions, LayerOutput, Model, Module, Proportional, TokenBatch
from jaxflow.models.packing import Packing
from jaxflow.running import Inputs, Target, at_layers, layer_places, logits_of, pair_numbers, put_layer, same_rows

# The mapped axis of the input tokens that parts belong to.
SOURCES = "source"
GRADIENTS = frozenset({"gradients"})
# Who gets a bias: tokens by the product of their parts with it, or all tokens alike.
PRODUCT, EVEN = "product", "even"


class _OfParts:
    """What both methods need and hold."""

    needs = frozenset({"relevance"})

    def check(self, model: Model) -> None:
        """Refuse models with gates: the published method has no rule for a product of two sums of parts.

        Raises:
            InputError: the model's feed-forward parts are gated.
        """
        if getattr(getattr(model, "config", None), "gated", False):
            got = f"DecompX with {model.name}, whose feed-forward parts multiply two of them (they are gated)"
            way_out = "pass 'attn-lrp', which has a rule for such products"
            raise InputError("methods", "need no product of two states, which DecompX does not part", got, way_out)

    def pair_numbers(self, model: Model) -> int:
        """Every position of a layer holds its numbers once for each input token."""
        assert isinstance(model.module, FollowsRules)
        return model.module.held


@dataclass(frozen=True)
class DecompX(_OfParts):
    """Each input token's part of the explained class's logit, by DecompX; signed, and all parts sum to the logit.

    It belongs to the class, not to a layer or a position: every layer and query has the same row.

    Attributes:
        biases: how each bias is shared out among the tokens. "product" (the paper's rule): by the absolute product of
            a token's part with the bias; a bias whose product with every part is 0 belongs to no token and is missing
            in the sum. Cost: one to two forward passes for each token of the padded length. "even": all tokens get the
            same, so that biases change no ranking. Cost: a forward and a backward pass, about three forward passes at
            any length; by name "decompx-even".
        name: its column.

    Raises:
        InputError: `biases` is neither.
    """

    biases: str = PRODUCT
    name: str = "decompx"

    explains = True

    def __post_init__(self) -> None:
        one_of("biases", self.biases, (PRODUCT, EVEN))

    def pair_numbers(self, model: Model) -> int:
        """What is held for each pair of tokens: all parts of a position, or what a backward pass keeps."""
        return super().pair_numbers(model) if self.biases == PRODUCT else pair_numbers(GRADIENTS, model)

    def program(self, model: Model, layers: tuple[int, ...], target: Target | None) -> "LogitParts":
        """The program for these layers and this class."""
        assert target is not None
        return LogitParts(layers, target, self.biases)


@dataclass(frozen=True)
class DecompXNorms(_OfParts):
    """The size (L2 norm) of each input token's part of a position's state after a layer, by DecompX; for any head.

    Cost: as `DecompX`.
    """

    name: str = "decompx-norms"

    explains = False

    def program(self, model: Model, layers: tuple[int, ...], target: Target | None) -> "StateParts":
        """The program for these layers."""
        return StateParts(layers)


@dataclass(frozen=True)
class LogitParts:
    """Parts of the explained number; `biases` as in `DecompX`."""

    layers: tuple[int, ...]
    target: Target
    biases: str

    def __call__(self, module: Module, inputs: Inputs) -> AtLayers:
        """The same row at every layer and query."""
        batch, (queries, given) = inputs.batch, inputs.examples

        def number(module: Module, options: ForwardOptions) -> Float[Array, " row"]:
            return self.target.value(logits_of(module, batch, options), given)

        if self.biases == EVEN:
            scores = even_parts(module, batch, number, inputs.packing)
        else:
            # source row -> row source.
            scores = parts(module, batch, number, inputs.packing).T
        return same_rows(scores, queries, self.layers, batch.mask)


@dataclass(frozen=True)
class StateParts:
    """Sizes of the parts of states."""

    layers: tuple[int, ...]

    def __call__(self, module: Module, inputs: Inputs) -> AtLayers:
        """The sizes at the layers and queries."""
        batch, (queries, _) = inputs.batch, inputs.examples
        places = layer_places(self.layers, module.depth)
        rows, count = batch.mask.shape[0], (batch.mask if queries is None else queries).shape[-1]
        room = jnp.zeros((rows, int(places.max()) + 1, count), jnp.float32)

        def sizes(module: Module, options: ForwardOptions) -> Float[Array, "row place query"]:
            def visit(carry: Array, layer: LayerOutput) -> Array:
                chosen = layer.hidden
                if queries is not None:
                    chosen = jnp.take_along_axis(chosen, queries[..., None], axis=-2)
                return put_layer(carry, _size(chosen), jnp.asarray(places)[layer.index])

            return module.run(batch, visit, room, options)[1]

        # source row place query -> row place query source.
        found = jnp.moveaxis(parts(module, batch, sizes, inputs.packing), 0, -1)
        return at_layers(found, places[[layer - 1 for layer in self.layers]])


@jax.custom_jvp
def _size(state: Float[Array, "*axes width"]) -> Float[Array, "*axes"]:
    return jnp.linalg.norm(state, axis=-1)


@_size.defjvp
def _size_of_part(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # No derivative of the state's size: the size of the part itself.
    return _size(*primals), _size(*tangents)


@dataclass(frozen=True)
class Decomposed(Proportional):
    """The rules of DecompX: derivatives are parts of the state that they are taken at.

    Attention is given, a norm divides by its true deviation, an activation passes `f(z) / z`, and a bias is shared
    out among the parts. It holds for forward derivatives that are mapped over the axis `SOURCES`; even biases stay
    outside of the parts, and any derivative will do.
    """

    biases: str = PRODUCT

    @property
    def holds_attention(self) -> bool:
        """Attention's probabilities are given."""
        return True

    def product(self, multiply: Callable[[Array, Array], Array], first: Array, second: Array) -> Array:
        """The product with the first factor, attention, given."""
        return multiply(jax.lax.stop_gradient(first), second)

    def share(self, x: Array, constant: Array, products: Callable[[], Array]) -> Array:
        """Entries whose constant goes to each part by its absolute product with it (the paper's equation 5)."""
        return x if self.biases == EVEN else _shared(x, constant, products())


@jax.custom_jvp
def _shared(x: Array, constant: Array, products: Array) -> Array:
    return x


@_shared.defjvp
def _share(primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    (x, constant, _), (part, _, product) = primals, tangents
    # |constant . part| of every vector, over the sum of it over all parts.
    size = jnp.abs(product)
    total = jax.lax.psum(size, SOURCES)
    share = jnp.where(total > 0, size / jnp.where(total > 0, total, 1), 0)
    return x, part + jnp.expand_dims(share, range(-constant.ndim, 0)) * constant


T = TypeVar("T")


def parts(
    module: Module,
    batch: TokenBatch,
    read: Callable[[Module, ForwardOptions], T],
    packing: Packing | None = None,
) -> T:
    """The parts of whatever is read of one forward pass: arrays as `read` gives them, with a first axis `source`.

    Args:
        module: of a model that gives "relevance".
        batch: padded tokens.
        read: runs the module with the options, and gives arrays. Parts of a linear map of states sum to the map.
        packing: of the batch.

    Returns:
        Part k is what input token k contributed; all parts sum to the array. Cost: one to two forward
        passes for each token of the padded length, and memory for as many copies of one layer's states.
    """
    assert isinstance(module, FollowsRules)
    under = module.under(Decomposed())
    first = under.inputs(batch)

    def run(inputs: Array) -> T:
        return read(under, ForwardOptions(inputs=inputs, packing=packing))

    def part(source: Array) -> T:
        # At the start a position is its own token's: embedding, norm and all.
        own = jnp.arange(first.shape[-2])[:, None] == source
        return jax.jvp(run, (first,), (jnp.where(own, first, 0),))[1]

    return jax.vmap(part, axis_name=SOURCES)(jnp.arange(first.shape[-2]))


def even_parts(
    module: Module,
    batch: TokenBatch,
    number: Callable[[Module, ForwardOptions], Float[Array, " row"]],
    packing: Packing | None = None,
) -> Float[Array, "row token"]:
    """Each token's part of one number of each text, all biases shared out evenly among the text's tokens.

    Args:
        module: of a model that gives "relevance".
        batch: padded tokens.
        number: runs the module with the options, and gives a number for each text: a linear map of the last states.
        packing: of the batch.

    Returns:
        The parts, 0 on padding; a text's sum to its number. Cost: a forward and a backward pass.
    """
    assert isinstance(module, FollowsRules)
    under = module.under(Decomposed(EVEN))
    first = under.inputs(batch)

    def total(inputs: Array) -> tuple[Float[Array, ""], Float[Array, " row"]]:
        values = number(under, ForwardOptions(inputs=inputs, packing=packing))
        # Rows don't touch each other, so the gradient of their sum holds each row's own.
        return values.sum(), values

    (_, values), slopes = jax.value_and_grad(total, has_aux=True)(first)
    # By these rules a number is a linear map of the first states, and what the biases add to it.
    own = jnp.where(batch.mask, (slopes * first).sum(axis=-1), 0)
    rest = (values - own.sum(axis=-1)) / batch.mask.sum(axis=-1, dtype=own.dtype)
    return jnp.where(batch.mask, own + rest[:, None], 0)
