"""Patterns of a head over positions: attention to a neighbour, to itself, to special tokens, or everywhere."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxflow._switches import broadcasting, undefined_as_nan
from jaxflow.statistics.distances import entropy, mean_over_rows

# Of a text: shares of its words whose largest weight is on the word before, on themselves, on the word behind; mean
# weight on the leading special token and on the other special ones; mean entropy in bits.
PATTERNS = ("previous", "own", "next", "leading", "separators", "entropy")
OFFSETS = {"previous": -1, "own": 0, "next": 1}


@undefined_as_nan
@jax.jit
@broadcasting
def head_patterns(
    heads: Float[Array, "*batch head token token"],
    mask: Bool[Array, "*batch token"],
    role: Int[Array, "*batch token"],
) -> Float[Array, "*batch head pattern"]:
    """The patterns of each head in each text, in the order of `PATTERNS`.

    Positional patterns follow Voita et al. (2019): the share of a text's words whose largest weight is on a given
    neighbour. As there, these leave out rows and keys of special tokens: most heads rest on [SEP] where they have
    nothing to do. A word at the end of a text has no neighbour there and is not counted.

    Args:
        heads: attention of a layer's heads, 0 on padding.
        mask: real tokens.
        role: 0 for words, 1 for the leading special token, 2 for the other special ones.

    Returns:
        Patterns; NaN where a text has no such word.
    """
    words = mask & (role == 0)
    # -1 is below every weight, so the largest is that of a word.
    among = jnp.where(words[..., None, None, :], heads, jnp.full_like(heads, -1))
    largest = jnp.argmax(among, axis=-1)
    position = jnp.arange(heads.shape[-1])
    shares = [_share(largest == position + away, _neighbours(words, away)) for away in OFFSETS.values()]
    rows = mask[..., None, :]
    # Mean weight over all real rows that goes to the leading, then to the other special tokens.
    for kind in (1, 2):
        keys = (mask & (role == kind))[..., None, None, :]
        mass = jnp.sum(jnp.where(keys, heads, jnp.zeros_like(heads)), axis=-1)
        shares.append(mean_over_rows(mass, rows))
    shares.append(mean_over_rows(entropy(heads), rows))
    return jnp.stack(shares, axis=-1)


def _neighbours(words: Bool[Array, "*batch token"], away: int) -> Bool[Array, "*batch 1 token"]:
    """The words that have a word at this distance."""
    there = jnp.roll(words, -away, axis=-1)
    position = jnp.arange(words.shape[-1]) + away
    # `roll` wraps around, so neighbours beyond either end are taken out.
    inside = (position >= 0) & (position < words.shape[-1])
    return (words & there & inside)[..., None, :]


def _share(hits: Bool[Array, "*batch head token"], rows: Bool[Array, "*batch 1 token"]) -> Float[Array, "*batch head"]:
    return mean_over_rows(hits.astype(jnp.float32), rows)
