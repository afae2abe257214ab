"""Relevance by chance: what any method must beat."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from jaxflow._checks import InputError, shown
from jaxflow._typing import AtLayers
from jaxflow.models import Model, Module
from jaxflow.models.images import ImageBatch
from jaxflow.running import Inputs, Program, Target, same_rows


@dataclass(frozen=True)
class Random:
    """A number from 0 to 1 for each token, by chance, the same row at each layer and query.

    It depends on the seed, the text's tokens (or the image's pixels) and the token's place alone: the same in every
    batch, sweep and machine.

    Attributes:
        seed: another one gives other numbers.
        name: its column.
    """

    seed: int = 0
    name: str = "random"

    needs = frozenset()
    explains = False

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise InputError("seed", "be a whole number from 0 to 2^32 - 1", shown(self.seed))

    def program(self, model: Model, layers: tuple[int, ...], target: Target | None) -> Program:
        """Nothing is run but the generator."""
        return RandomProgram(self.seed, layers)


@dataclass(frozen=True)
class RandomProgram:
    """The program of `Random`."""

    seed: int
    layers: tuple[int, ...]

    # So that it goes beside models that JAX does not run, too.
    runs_model = False

    def __call__(self, module: Module, inputs: Inputs) -> AtLayers:
        """Numbers of each text's own generator."""
        batch, (queries, _) = inputs.batch, inputs.examples
        keys = jax.vmap(self._key)(batch.input_ids, batch.mask)
        if isinstance(batch, ImageBatch):
            # The tokens of all images are alike.
            keys = jax.vmap(jax.random.fold_in)(keys, _of_pixels(batch.pixels))
        # One by one, so that a token's number does not depend on the padded length.
        places = jnp.arange(batch.mask.shape[-1])
        numbers = jax.vmap(
            lambda key: jax.vmap(lambda place: jax.random.uniform(jax.random.fold_in(key, place)))(places)
        )
        return same_rows(numbers(keys), queries, self.layers, batch.mask)

    def _key(self, ids: Int[Array, " token"], mask: Bool[Array, " token"]) -> Key[Array, ""]:
        """The generator of one text: its real tokens folded into the seed, one after the other."""

        def fold(key: Key[Array, ""], token: tuple[Array, Array]) -> tuple[Key[Array, ""], None]:
            number, real = token
            folded = jax.random.key_data(jax.random.fold_in(key, number))
            return jax.random.wrap_key_data(jnp.where(real, folded, jax.random.key_data(key)), impl=IMPL), None

        return jax.lax.scan(fold, jax.random.key(self.seed, impl=IMPL), (ids, mask))[0]


def _of_pixels(pixels: Float[Array, "row channel height width"]) -> UInt32[Array, " row"]:
    """A number of each image, by the bits of its pixels and their places."""
    bits = jax.lax.bitcast_convert_type(pixels.astype(jnp.float32), jnp.uint32).reshape(len(pixels), -1)
    # Whole numbers, whose sums do not depend on their order; odd factors lose nothing of a pixel's bits.
    factors = jnp.arange(bits.shape[-1], dtype=jnp.uint32) * jnp.uint32(2) + jnp.uint32(1)
    mixed = (bits ^ (bits >> 15)) * factors
    return jnp.sum(mixed ^ (mixed >> 16), axis=-1, dtype=jnp.uint32)


# Named, so that a setting of JAX's does not change the numbers.
IMPL = "threefry2x32"
