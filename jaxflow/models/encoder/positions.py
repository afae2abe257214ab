"""Where a position may look, and how rotary positions turn queries and keys."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._pytree import pytree
from jaxflow.models.config import EncoderConfig, Rotary


@pytree
class Reach:
    """What a layer's attention depends on beside its input.

    Attributes:
        ahead: how many positions each other one lies before it, `query key`; negative for those that come later.
        window: how many tokens a position sees, itself included, 0 for all; None where all layers see all.
        turn: cosine and sine of each position's angles; None without rotary positions.
    """

    ahead: Int[Array, "query key"]
    window: Int[Array, ""] | None = None
    turn: Float[Array, "2 token half"] | None = None

    def allowed(self, causal: bool) -> Bool[Array, "query key"]:
        """Where a position may look, padding aside."""
        allowed = self.ahead >= 0 if causal else jnp.ones_like(self.ahead, bool)
        if self.window is None:
            return allowed
        # On both sides of a position where it sees those behind it too.
        return allowed & ((jnp.abs(self.ahead) < self.window) | (self.window == 0))


@pytree
class Places:
    """What all layers share of their `Reach`.

    Attributes:
        ahead: as a `Reach` has it.
        turns: of each kind of rotary positions; None without them.
    """

    ahead: Int[Array, "query key"]
    turns: Float[Array, "kind 2 token half"] | None

    def reach(self, settings: tuple[Int[Array, ""] | None, Int[Array, ""] | None]) -> Reach:
        """A layer's, from its entries of `settings_of`."""
        window, kind = settings
        return Reach(self.ahead, window, None if self.turns is None else self.turns[kind])


def places(config: EncoderConfig, length: int) -> Places | None:
    """The places of texts of that length; None where every position sees all others alike."""
    if not (config.causal or config.windows or config.rotary):
        return None
    place = np.arange(length)
    turns = _turns(sorted(set(config.rotary)), length, config.head_width) if config.rotary else None
    return Places(jnp.asarray(place[:, None] - place[None, :], jnp.int32), turns)


def settings_of(config: EncoderConfig) -> tuple[Int[Array, " layer"] | None, Int[Array, " layer"] | None]:
    """The window of each layer, and the number of its kind of rotary positions."""
    windows = jnp.asarray(config.windows, jnp.int32) if config.windows else None
    kinds = sorted(set(config.rotary))
    return windows, jnp.asarray([kinds.index(each) for each in config.rotary], jnp.int32) if kinds else None


def _turns(kinds: Sequence[Rotary], length: int, width: int) -> Float[Array, "kind 2 token half"]:
    steps = np.stack([angles(kind, width) for kind in kinds])
    # The product is rounded as the reference's: at thousands of tokens an angle's last digits are in sight.
    turns = np.arange(length, dtype=np.float32)[:, None] * steps[:, None, :]
    return jnp.asarray(np.stack([np.cos(turns), np.sin(turns)], axis=1), jnp.float32)


def angles(kind: Rotary, width: int) -> Float[np.ndarray, " half"]:
    """The angle by which each pair of a head's entries turns from one token to the next; float32, as the reference."""
    step = np.float32(1) / (kind.base ** (np.arange(0, width, 2) / width)).astype(np.float32)
    if not kind.trained:
        return (step / np.float32(kind.factor)).astype(np.float32)
    # Llama 3: how often a pair turns in the first training's texts says how much of the factor it has.
    # Each step is rounded as the reference's, which divides by multiplying with an inverse: thousands of tokens
    # multiply the last digit.
    one = np.float32(1)
    times = one / (one / step * np.float32(2 * np.pi)) * np.float32(kind.trained)
    kept = np.clip((times - np.float32(kind.low)) / np.float32(kind.high - kind.low), np.float32(0), np.float32(1))
    return (1 - kept) * step / np.float32(kind.factor) + kept * step


def turned(
    heads: Float[Array, "*batch token head head_width"], turn: Float[Array, "2 token half"]
) -> Float[Array, "*batch token head head_width"]:
    """Queries or keys, each pair of entries (of the first half and the second) turned by its position's angle."""
    cosine, sine = turn[0][:, None, :], turn[1][:, None, :]
    first, second = jnp.split(heads, 2, axis=-1)
    return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
