"""AttnLRP (Achtibat et al. 2024): relevance of input tokens, passed back by rules that make it sum to the logit."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
from jaxtyping import Array, Float

from jaxflow.models import ForwardOptions, Module, TokenBatch
from jaxflow.models.packing import Packing
from jaxflow.models.rules import Proportional


@dataclass(frozen=True)
class AttnLrp(Proportional):
    """The rules of AttnLRP, by which the gradient times the state is the relevance of the state.

    A norm divides by a given number, an activation passes `f(x) / x` (the paper's identity rule), and each factor of
    a product of two states gets half (the uniform rule). The softmax keeps its own derivative: times the scores it is
    the paper's rule `x (R - s sum(R))`. Biases take their share with them.
    """

    def product(self, multiply: Callable[[Array, Array], Array], first: Array, second: Array) -> Array:
        """The product with half of its derivative."""
        half = 0.5 * multiply(first, second)
        return half + jax.lax.stop_gradient(half)


def relevance(
    module: Module,
    batch: TokenBatch,
    number: Callable[[Array], Float[Array, " row"]],
    packing: Packing | None = None,
) -> Float[Array, "row token"]:
    """The relevance of each token's word embedding for a number of each text; signed.

    Args:
        module: of a model that gives "relevance" and "embeddings".
        batch: padded tokens.
        number: the explained number of each row, out of the head's numbers.
        packing: of the batch.

    Returns:
        Gradient times embedding by the rules of `AttnLrp`. Positions, segments and biases keep shares of their own,
        which are not in it. Cost: a forward and a backward pass.
    """
    module = module.under(AttnLrp())
    words = module.embed(batch.input_ids)

    def explained(words: Array) -> Float[Array, " row"]:
        options = ForwardOptions(embeddings=words, packing=packing)
        # No layer is watched: only the head's numbers are derived.
        last, _ = module.run(batch, lambda carry, layer: carry, None, options)
        return number(module.logits(last, batch))

    # Rows don't touch each other, so the gradient of their sum holds each row's own.
    gradient = jax.grad(lambda words: explained(words).sum())(words)
    return (words * gradient).sum(axis=-1)
