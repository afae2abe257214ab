"""AttnLRP (Achtibat et al. 2024): relevance of input tokens, passed back by rules that make it sum to the logit."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
from jaxtyping import Array, Float

from jaxflow._typing import AtLayers
from jaxflow.models import FollowsRules, ForwardOptions, Model, Module, Proportional, TokenBatch
from jaxflow.models.packing import Packing
from jaxflow.running import Inputs, Target, logits_of, pair_numbers, same_rows


@dataclass(frozen=True)
class AttnLrp:
    """Relevance of each token's word embedding for the explained class's logit, by AttnLRP; signed.

    It belongs to the class, not to a layer or a position: every layer and query has the same row. Positions, segments
    and biases take relevance too, which no token is given. Cost: a forward and a backward pass, about three
    forward passes.
    """

    name: str = "attn-lrp"

    needs = frozenset({"embeddings", "relevance"})
    explains = True

    def pair_numbers(self, model: Model) -> int:
        """What the backward pass keeps for each pair of tokens."""
        return pair_numbers(frozenset({"gradients"}), model)

    def program(self, model: Model, layers: tuple[int, ...], target: Target | None) -> "AttnLrpProgram":
        """The program for these layers and this class."""
        assert target is not None
        return AttnLrpProgram(layers, target)


@dataclass(frozen=True)
class AttnLrpProgram:
    """One forward and one backward pass."""

    layers: tuple[int, ...]
    target: Target

    def __call__(self, module: Module, inputs: Inputs) -> AtLayers:
        """The same row at every layer and query."""
        batch, (queries, given) = inputs.batch, inputs.examples
        assert isinstance(module, FollowsRules)
        scores = embedding_relevance(module, batch, lambda logits: self.target.value(logits, given), inputs.packing)
        return same_rows(scores, queries, self.layers, batch.mask)


@dataclass(frozen=True)
class AttnLrpRules(Proportional):
    """The rules of AttnLRP, by which the gradient times the state is the relevance of the state.

    A norm divides by a given number, an activation passes `f(x) / x` (the paper's identity rule), and each factor of
    a product of two states gets half (the uniform rule). The softmax keeps its own derivative: times the scores it is
    the paper's rule `x (R - s sum(R))`. Biases take their share with them.
    """

    def product(self, multiply: Callable[[Array, Array], Array], first: Array, second: Array) -> Array:
        """The product with half of its derivative."""
        half = 0.5 * multiply(first, second)
        return half + jax.lax.stop_gradient(half)


def embedding_relevance(
    module: FollowsRules,
    batch: TokenBatch,
    number: Callable[[Array], Float[Array, " row"]],
    packing: Packing | None = None,
) -> Float[Array, "row token"]:
    """The relevance of each token's word embedding for a number of each text, by AttnLRP; signed.

    Args:
        module: of a model that gives "relevance".
        batch: padded tokens.
        number: the explained number of each row, out of the head's numbers.
        packing: of the batch.

    Returns:
        Gradient times embedding by `AttnLrpRules`.
    """
    module = module.under(AttnLrpRules())
    words = module.embed(batch.input_ids)

    def explained(words: Array) -> Float[Array, " row"]:
        options = ForwardOptions(embeddings=words, packing=packing)
        return number(logits_of(module, batch, options))

    # Rows don't touch each other, so the gradient of their sum holds each row's own.
    gradient = jax.grad(lambda words: explained(words).sum())(words)
    return (words * gradient).sum(axis=-1)
