"""A relevance method from outside the package with a program of its own: the model runs once more for each token."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

from jaxflow.running import Target, logits_of, same_rows


@dataclass(frozen=True)
class Left:
    """What is left of the explained number, times a factor, when one token alone is replaced by another."""

    instead: int
    factor: float = 1.0
    name: str = "left"
    needs: frozenset[str] = frozenset()
    explains: bool = True

    def program(self, model, layers, target):
        """The program for these layers and the explained number."""
        return LeftProgram(self.instead, self.factor, layers, target)


@dataclass(frozen=True)
class LeftProgram:
    """One pass over the text as it stands, and one for each position."""

    instead: int
    factor: float
    layers: tuple[int, ...]
    target: Target

    def __call__(self, module, inputs):
        """The same row at every layer and query."""
        batch, (queries, given) = inputs.batch, inputs.examples
        target, classes = self.target.settle(logits_of(module, batch), given)

        def replaced(token):
            changed = replace(batch, input_ids=batch.input_ids.at[:, token].set(self.instead))
            return target.value(logits_of(module, changed), classes)

        # token row
        left = jax.lax.map(replaced, jnp.arange(batch.mask.shape[-1]))
        return same_rows(self.factor * left.T, queries, self.layers, batch.mask)


# With the id of [MASK] in the tests' vocabulary, as a name on the command line.
LEFT = Left(4)
