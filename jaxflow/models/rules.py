"""Rules of relevance: other derivatives for a model's parts. What a model computes stays the same.

Relevance is passed through a model as derivatives are: forward by `jax.jvp`, backward by `jax.vjp`. Rules say what is
passed at each kind of part, so that one forward pass serves the model and every kind of relevance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

# Any shape; the same for a function's argument and its value.
Entries = Float[Array, "..."]


@dataclass(frozen=True)
class Rules:
    """The derivatives of calculus; inherit from it and override the parts whose derivatives are other ones.

    A frozen, hashable value, as programs are compiled for it. Each function must give what the model computes.
    """

    @property
    def holds_attention(self) -> bool:
        """Whether nothing is passed through the attention's probabilities, so that queries and keys have no part."""
        return False

    def linear(self, apply: Callable[[Array, Array], Array], x: Array, kernel: Array) -> Array:
        """A linear map, before its bias: `apply(x, kernel)`."""
        return apply(x, kernel)

    def share(self, x: Array, constant: Array, products: Callable[[], Array]) -> Array:
        """Entries to which a constant vector was added, such as a bias.

        `products` computes the constant's product with each vector of x as it was before: a linear map of the states.
        """
        return x

    def activation(self, function: Callable[[Entries], Entries], x: Entries) -> Entries:
        """A function of each entry."""
        return function(x)

    def norm(self, function: Callable[[Entries], Entries], x: Entries) -> Entries:
        """A layer norm, which passes its deviation through `constant`."""
        return function(x)

    def constant(self, x: Entries) -> Entries:
        """A number that depends on the states, and may count as given."""
        return x

    def product(self, multiply: Callable[[Array, Array], Array], first: Array, second: Array) -> Array:
        """A product of two parts of the model: queries with keys, attention with values."""
        return multiply(first, second)

    def softmax(self, function: Callable[[Entries], Entries], scores: Entries) -> Entries:
        """The softmax over a row of scores."""
        return function(scores)

    def add(self, first: Entries, second: Entries) -> Entries:
        """A block's input and its output, added up."""
        return first + second


CALCULUS = Rules()


@dataclass(frozen=True)
class Proportional(Rules):
    """Every part of a sum passes in proportion: a norm divides by a given number, `f(x)` passes `f(x) / x`."""

    def activation(self, function: Callable[[Entries], Entries], x: Entries) -> Entries:
        """`f(x)`, with `f(x) / x` for a derivative; 0 where x is 0."""
        value = jax.lax.stop_gradient(function(x))
        given = jax.lax.stop_gradient(x)
        ratio = jnp.where(given == 0, jnp.zeros_like(value), value / jnp.where(given == 0, jnp.ones_like(given), given))
        # The last term is 0, and has the derivative.
        return value + ratio * (x - given)

    def constant(self, x: Entries) -> Entries:
        """The number, without a derivative."""
        return jax.lax.stop_gradient(x)


class Ruled(nnx.Module):
    """A part of a model whose derivatives follow rules."""

    rules: Rules = CALCULUS


ModuleT = TypeVar("ModuleT")


def under(module: ModuleT, rules: Rules) -> ModuleT:
    """The same module, of which all parts follow the rules; the arrays are shared."""
    # New module objects over the same arrays, so that the given ones keep their rules.
    new = jax.tree.map(lambda leaf: leaf, module)
    for _, part in nnx.iter_modules(new):
        if isinstance(part, Ruled):
            part.rules = rules
    return new
