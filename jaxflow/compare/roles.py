"""What heads do (Voita et al. 2019): look at a neighbour, at [SEP], at the rarest word, at a syntactic relative."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._checks import InputError
from jaxflow._switches import broadcasting, undefined_as_nan
from jaxflow.compare.blocks import Blocks
from jaxflow.compare.device import Side
from jaxflow.compare.patterns import PATTERNS, head_patterns
from jaxflow.compare.statistics import block_interval
from jaxflow.compare.stream import attended
from jaxflow.evaluation import Interval
from jaxflow.models import Encoding, TextEncoder


@dataclass(frozen=True, eq=False)
class HeadRoles:
    """What each head does, over all texts.

    Attributes:
        patterns: mean over texts of each of `PATTERNS`, `layer head pattern`.
        rarest: share of words whose largest weight among a text's words is on the rarest of them, `layer head`.
        rarest_by_chance: what that share would be if the word were drawn at random.
        texts: how many.
    """

    patterns: Interval
    rarest: Interval
    rarest_by_chance: float
    texts: int

    def names(self, least: float = 0.5) -> list[list[str]]:
        """The role of each head, `layer head`, see `role_names`; `rarest` only where it is twice what chance gives."""
        chance = self.rarest.mean >= 2 * self.rarest_by_chance
        return role_names(self.patterns.mean, least, np.where(chance, self.rarest.mean, 0.0))


def role_names(
    patterns: Float[np.ndarray, "layer head pattern"],
    least: float = 0.5,
    rarest: Float[np.ndarray, "layer head"] | None = None,
) -> list[list[str]]:
    """The role of each head, "" for none: what it does for a share of `least` at least; of several the largest.

    Positional roles by the share of words, [SEP] and [CLS] (`separators`, `leading`) by the mean weight that goes
    there, `rarest` by the share of words, where it is given. A head may send most weight to [SEP] and still look at a
    neighbour among words; the larger figure names it.
    """
    shares = {name: patterns[..., index] for index, name in enumerate(PATTERNS) if name != "entropy"}
    if rarest is not None:
        shares["rarest"] = rarest
    names, stacked = list(shares), np.nan_to_num(np.stack(list(shares.values()), axis=-1))
    best = stacked.argmax(axis=-1)
    return [
        [names[best[layer, head]] if stacked[layer, head].max() >= least else "" for head in range(best.shape[1])]
        for layer in range(best.shape[0])
    ]


def head_roles(
    encoder: TextEncoder,
    texts: Any,
    pairs: Any = None,
    *,
    counts: Mapping[str, int] | None = None,
    batch_size: int = 16,
    max_length: int | None = None,
    truncate: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> HeadRoles:
    """What each head of a model does on some texts; `role_changes` sets two models side by side.

    Args:
        encoder: the model.
        texts: a sequence of texts, or one.
        pairs: a second text for each.
        counts: how often each token occurs in the language, to say which is the rarest of a text; tokens that are
            missing have occurred never. None counts over these texts.
        batch_size: texts in a batch, at most.
        max_length: most tokens a text may have.
        truncate: cut longer texts rather than refuse them.
        seed: of the intervals' draws.
        progress: called with the number of texts that were just finished.

    Raises:
        InputError: a text does not fit.
    """
    texts, pairs = _listed(texts), None if pairs is None else _listed(pairs)
    encodings = encoder.tokenize(texts, pairs, max_length=max_length, truncate=truncate)
    if not encodings:
        raise InputError("`texts` must hold at least one text, got none")
    known = _counted(encodings) if counts is None else counts
    found: dict[int, tuple[np.ndarray, np.ndarray, float]] = {}
    for part, side, length in attended(encoder, encodings, asked=batch_size, progress=progress):
        role, rarest = _positions([encodings[index] for index in part], known, side.heads.shape[0], length)
        patterns, hits = _observed(side, jnp.asarray(role), jnp.asarray(rarest))
        for row, index in enumerate(part):
            words = (role[row] == 0).sum()
            found[index] = np.asarray(patterns[row]), np.asarray(hits[row]), rarest[row].sum() / words
    rows = [found[index] for index in range(len(encodings))]
    blocks = Blocks(), Blocks()
    for row in rows:
        for kept, values in zip(blocks, row, strict=False):
            kept.add(values)
    intervals = [block_interval(kept, seed=seed) for kept in blocks]
    return HeadRoles(intervals[0], intervals[1], float(np.mean([chance for *_, chance in rows])), len(rows))


def role_changes(before: HeadRoles, after: HeadRoles, least: float = 0.5) -> list[dict[str, Any]]:
    """A table of two models' roles, one row a head: its role before and after, and each pattern's change.

    Raises:
        InputError: the models have not as many layers and heads.
    """
    if before.rarest.mean.shape != after.rarest.mean.shape:
        raise InputError(f"`before` and `after` differ: {before.rarest.mean.shape} and {after.rarest.mean.shape} heads")
    names = before.names(least), after.names(least)
    change = after.patterns.mean - before.patterns.mean
    return [
        {
            "layer": layer + 1,
            "head": head,
            "before": names[0][layer][head],
            "after": names[1][layer][head],
            **{name: float(change[layer, head, index]) for index, name in enumerate(PATTERNS)},
            "rarest": float(after.rarest.mean[layer, head] - before.rarest.mean[layer, head]),
        }
        for layer in range(change.shape[0])
        for head in range(change.shape[1])
    ]


@undefined_as_nan
@partial(jax.jit)
@broadcasting
def _observed(
    side: Side, role: Int[Array, "text token"], rarest: Bool[Array, "text token"]
) -> tuple[Float[Array, "text layer head pattern"], Float[Array, "text layer head"]]:
    mask = role >= 0
    words = role == 0

    def of_layer(heads: Float[Array, "text head token token"]) -> tuple[Array, Array]:
        among = jnp.where(words[:, None, None, :], heads, jnp.full_like(heads, -1))
        hit = jnp.take_along_axis(rarest[:, None, :], jnp.argmax(among, axis=-1), axis=-1)
        share = jnp.sum(hit & words[:, None, :], axis=-1).astype(heads.dtype)
        count = jnp.maximum(jnp.sum(words, axis=-1), 1).astype(heads.dtype)[:, None]
        return head_patterns(heads, mask, role), share / count

    patterns, hits = jax.lax.map(of_layer, jnp.moveaxis(side.heads, 1, 0))
    return jnp.moveaxis(patterns, 0, 1), jnp.moveaxis(hits, 0, 1)


def _positions(
    encodings: Sequence[Encoding], counts: Mapping[str, int], size: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """The role of each position, -1 for padding, and which are a text's rarest words."""
    role, rarest = np.full((size, length), -1, np.int32), np.zeros((size, length), bool)
    for row, encoding in enumerate(encodings):
        first = encoding.special.index(False)
        for position, special in enumerate(encoding.special):
            role[row, position] = 0 if not special else (1 if position < first else 2)
        words = [position for position, special in enumerate(encoding.special) if not special]
        numbers = [counts.get(encoding.tokens[position], 0) for position in words]
        rarest[row, [position for position, number in zip(words, numbers, strict=True) if number == min(numbers)]] = (
            True
        )
    return role, rarest


def _counted(encodings: Sequence[Encoding]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for encoding in encodings:
        counts.update(token for token, special in zip(encoding.tokens, encoding.special, strict=True) if not special)
    return counts


def _listed(texts: Any) -> list[Any]:
    return [texts] if isinstance(texts, str) or not isinstance(texts, Iterable) else list(texts)
