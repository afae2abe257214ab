"""Attention's relevance times its gradient (Chefer, Gur & Wolf 2021a), the relevance by deep Taylor decomposition."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxflow._checks import InputError
from jaxflow.mixing._gradients import GradientMixing, Heads
from jaxflow.models import LayerOutput, Model, Rules

# Denominators are kept off 0 by this, as in the authors' code.
TINY = 1e-9

Entries = Float[Array, "..."]


@dataclass(frozen=True)
class CheferRelevance(GradientMixing):
    """`mean over heads of relu(gradient * relevance)` (Chefer, Gur & Wolf 2021a, "beyond attention visualization").

    The relevance of an attention weight is what reaches it of the explained number by layer-wise relevance propagation
    (`CheferRules`); the gradient is the number's own. Weights fall off towards the input, as relevance is shared out
    among ever more of them. Cost: two forward and two backward passes, and the rules' own: about nine
    forward passes in all. The rules divide by sums that may be near 0, so single precision is coarse: on real models
    weights were off by up to 4 % of a layer's largest (by 6 % in torch's own single precision). Of one class at a time:
    what starts at two with opposite signs sums to 0, which the rules cannot share out, so differences are refused.

    `own` is as `AttentionGradient`'s. `"identity"` is the paper's `I + weights`, and rollout the paper's own.

    Attributes:
        own: own stream of each position: wide, identity, none, or a share from 0 to 1. In Python a number or a word.
    """

    @property
    def name(self) -> str:
        """Its name in `MIXINGS`."""
        return "chefer-relevance"

    @property
    def needs(self) -> frozenset[str]:
        """Attention, its gradient, and rules for its relevance."""
        return frozenset({"attention", "gradients", "relevance"})

    def check(self, model: Model) -> None:
        """Refuse models that have parts without a rule."""
        config = getattr(model, "config", None)
        relative = getattr(config, "relative", None)
        has = {
            "a gated feed-forward part": getattr(config, "gated", False),
            "scales of its blocks' outputs": getattr(config, "layer_scale", False),
            "positions or a convolution among its products": getattr(config, "convolution", None) is not None
            or (relative is not None and relative.terms > 1),
        }
        if any(has.values()):
            part = next(part for part, there in has.items() if there)
            got = f"{self.name!r} with {model.name}, which has {part}"
            way_out = "pass `mixing='attention-gradient'`"
            raise InputError("mixing", "have a rule for each part of the model", got, way_out)

    def terms(self, layer: LayerOutput) -> Heads:
        """The gradient times the relevance."""
        assert layer.gradient is not None
        assert layer.relevance is not None
        return layer.gradient * layer.relevance


@dataclass(frozen=True)
class CheferRules(Rules):
    """The rules of Chefer et al. (2021a): what is passed back is relevance itself, not its gradient.

    Functions of single entries, norms and the softmax pass it on as it is. It goes to the summands of a linear map
    that have the output's sign (the alpha-beta rule with alpha 1), to the terms of a product of two states by their
    share, half to each factor, and to a block's input and output by the sizes of what each would get in the whole text.
    Biases get none. Padding must not be packed away, as texts are summed over.
    """

    def linear(self, apply: Callable[[Array, Array], Array], x: Array, kernel: Array) -> Array:
        """Relevance by the summands that have the same sign as x's entry and the kernel's."""

        def forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
            return apply(x, kernel), (x, kernel)

        def back(given: tuple[Array, Array], relevance: Array) -> tuple[Array, Array]:
            x, kernel = given
            # Entries and weights above 0, and those below.
            (above, raising), (below, lowering) = ((cut(x, 0), cut(kernel, 0)) for cut in (jnp.maximum, jnp.minimum))
            share = _divided(relevance, apply(above, raising) + apply(below, lowering))
            # What each entry gave to an output, over all of the output, times the output's relevance.
            passed = [
                entries * jax.vjp(apply, entries, weights)[1](share)[0]
                for entries, weights in ((above, raising), (below, lowering))
            ]
            return passed[0] + passed[1], jnp.zeros_like(kernel)

        return _with_rule(apply, forward, back)(x, kernel)

    def activation(self, function: Callable[[Entries], Entries], x: Entries) -> Entries:
        """Relevance as it is."""
        return _unchanged(function, x)

    def norm(self, function: Callable[[Entries], Entries], x: Entries) -> Entries:
        """Relevance as it is."""
        return _unchanged(function, x)

    def softmax(self, function: Callable[[Entries], Entries], scores: Entries) -> Entries:
        """Relevance as it is."""
        return _unchanged(function, scores)

    def product(self, multiply: Callable[[Array, Array], Array], first: Array, second: Array) -> Array:
        """Relevance by each term's share in the product, half of it to either factor."""

        def back(given: tuple[Array, Array, Array], relevance: Array) -> tuple[Array, Array]:
            first, second, value = given
            _, pull = jax.vjp(multiply, first, second)
            slopes = pull(_divided(relevance, value))
            return first * slopes[0] / 2, second * slopes[1] / 2

        def forward(first: Array, second: Array) -> tuple[Array, tuple[Array, Array, Array]]:
            value = multiply(first, second)
            return value, (first, second, value)

        return _with_rule(multiply, forward, back)(first, second)

    def add(self, first: Entries, second: Entries) -> Entries:
        """Relevance by each summand's share, then scaled so that no text's relevance is lost or made."""
        return _added(first, second)


def _with_rule(
    function: Callable[..., Array],
    forward: Callable[..., tuple[Array, PyTree]],
    back: Callable[[PyTree, Array], tuple[Array, ...]],
) -> Callable[..., Array]:
    """A function that passes back what `back` says, given what `forward` keeps beside the value."""
    ruled = jax.custom_vjp(function)
    _ = ruled.defvjp(forward, back)
    return ruled


def _added_back(given: tuple[Array, Array], relevance: Array) -> tuple[Array, Array]:
    share = _divided(relevance, given[0] + given[1])
    parts = [each * share for each in given]
    # Of each text, over its tokens and entries.
    sums = [_of_text(part) for part in parts]
    sizes, whole = [jnp.abs(each) for each in sums], _of_text(relevance)
    scales = [
        _divided(_divided(size, sizes[0] + sizes[1]) * whole, total) for size, total in zip(sizes, sums, strict=True)
    ]
    return parts[0] * scales[0], parts[1] * scales[1]


_added = _with_rule(jnp.add, lambda first, second: (first + second, (first, second)), _added_back)


def _of_text(x: Float[Array, "*batch token width"]) -> Float[Array, "*batch 1 1"]:
    return x.sum(axis=(-1, -2), keepdims=True)


def _unchanged(function: Callable[[Entries], Entries], x: Entries) -> Entries:
    """A function whose derivative is 1."""
    value = jax.lax.stop_gradient(function(x))
    return value + (x - jax.lax.stop_gradient(x))


def _divided(numerator: Array, denominator: Array) -> Array:
    """The quotient with `TINY` added to the denominator; 0 where that is 0."""
    moved = denominator + TINY
    moved = jnp.where(moved == 0, TINY, moved)
    return jnp.where(denominator == 0, 0, numerator / moved)
