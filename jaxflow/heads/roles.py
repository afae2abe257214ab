"""Roles of heads (Voita et al. 2019): attention to a neighbour, to [SEP], to the rarest word."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._checks import InputError, as_flag
from jaxflow._typing import Given, Inputs, Pairs
from jaxflow.evaluation import Interval
from jaxflow.heads.names import head_number
from jaxflow.heads.patterns import PATTERNS, head_patterns
from jaxflow.models import Encoding, Model
from jaxflow.running import EngineOptions, LayerView, PassOutputs, ReaderInputs, layer_room, put_layer, run_readers
from jaxflow.statistics.blocks import Blocks
from jaxflow.statistics.tests import block_interval


@dataclass(frozen=True, eq=False)
class HeadRoles:
    """Patterns of each head, over all texts.

    Attributes:
        patterns: mean over texts of each of `PATTERNS`, `layer head pattern`.
        rarest: share of words whose largest weight among a text's words is on the rarest of them, `layer head`.
        rarest_by_chance: that share for a word drawn at random.
        texts: how many.
    """

    patterns: Interval
    rarest: Interval
    rarest_by_chance: float
    texts: int

    def names(self, least: float = 0.5) -> list[list[str]]:
        """The role of each head, `layer head`, see `role_names`; `rarest` only from twice the chance level."""
        return _names(self.patterns.mean, self.rarest.mean, self.rarest_by_chance, least)


def role_names(
    patterns: Float[np.ndarray, "layer head pattern"],
    least: float = 0.5,
    rarest: Float[np.ndarray, "layer head"] | None = None,
) -> list[list[str]]:
    """The role of each head: its largest share, if that is `least` or more; else "".

    Positional roles by the share of words, [SEP] and [CLS] (`separators`, `leading`) by the mean weight that goes
    there, `rarest` by the share of words, where it is given. A head may send most weight to [SEP] and still look at a
    neighbour among words; the larger figure names it.
    """
    shares = {name: patterns[..., index] for index, name in enumerate(PATTERNS) if name != "entropy"}
    if rarest is not None:
        shares["rarest"] = rarest
    # layer head role; NaN, of texts without such words, counts as 0.
    names, stacked = list(shares), np.nan_to_num(np.stack(list(shares.values()), axis=-1))
    best = stacked.argmax(axis=-1)
    return [
        [names[best[layer, head]] if stacked[layer, head].max() >= least else "" for head in range(best.shape[1])]
        for layer in range(best.shape[0])
    ]


def head_roles(
    model: Model,
    texts: Inputs,
    pairs: Pairs = None,
    *,
    counts: Mapping[str, int] | None = None,
    batch_size: int = 16,
    max_length: int | None = None,
    truncate: Given[bool] = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> HeadRoles:
    """Find the role of each head of a model on some texts; `role_changes` compares two models.

    Args:
        model: the model.
        texts: a sequence of texts, or one.
        pairs: a second text for each.
        counts: occurrences of each token in the language, by which a text's rarest word is found; a missing token
            counts as 0. None counts over these texts.
        batch_size: texts in a batch, at most.
        max_length: most tokens a text may have.
        truncate: cut longer texts rather than refuse them.
        seed: of the intervals' draws.
        progress: called with the number of texts that were just finished.

    Raises:
        InputError: a text does not fit.
    """
    truncate = as_flag("truncate", truncate)
    texts, pairs = _listed(texts), None if pairs is None else _listed(pairs)
    encodings = model.tokenize(texts, pairs, max_length=max_length, truncate=truncate)
    if not encodings:
        raise InputError("texts", "hold at least one text", "none")
    words = RoleWords(encodings, counts)
    results = run_readers(
        model,
        encodings,
        [WatchedRoles()],
        arrays=lambda texts, rows, length: (words.arrays(texts, rows, length),),
        options=EngineOptions(batch_size=batch_size),
        progress=progress,
    )
    tally = RoleTally()
    for index, (watched,) in enumerate(results):
        tally.add(watched, words.chance(index))
    return tally.roles(seed)


def role_changes(before: HeadRoles, after: HeadRoles, least: float = 0.5) -> list[dict[str, str | int | float]]:
    """A table of two models' roles, one row a head: its role before and after, and each pattern's change.

    Layers and heads are counted from 1.

    Raises:
        InputError: the models differ in their number of layers or heads.
    """
    if before.rarest.mean.shape != after.rarest.mean.shape:
        expected = f"have as many layers and heads as `before`, {before.rarest.mean.shape}"
        raise InputError("after", expected, str(after.rarest.mean.shape))
    names = before.names(least), after.names(least)
    change = after.patterns.mean - before.patterns.mean
    return [
        {
            **head_number(layer, head),
            "before": names[0][layer][head],
            "after": names[1][layer][head],
            **{name: float(change[layer, head, index]) for index, name in enumerate(PATTERNS)},
            "rarest": float(after.rarest.mean[layer, head] - before.rarest.mean[layer, head]),
        }
        for layer in range(change.shape[0])
        for head in range(change.shape[1])
    ]


@dataclass(frozen=True)
class WatchedRoles:
    """The reader of heads' roles: patterns, `row layer head pattern`, and shares of rarest words, `row layer head`.

    Its arrays are those of `RoleWords`.
    """

    needs_logits: bool = False
    undefined_as_nan: bool = True

    def start(self, inputs: ReaderInputs) -> tuple[Array, Array]:
        """Room for a layer's shares."""
        patterns = layer_room(inputs, inputs.depth, inputs.heads, len(PATTERNS))
        return patterns, layer_room(inputs, inputs.depth, inputs.heads)

    def step(self, inputs: ReaderInputs, carry: tuple[Array, Array], layer: LayerView) -> tuple[Array, Array]:
        """One more layer's shares."""
        role, rarest = inputs.examples
        words = role == 0
        # row head query: the word that has a query's largest weight, among words.
        among = jnp.where(words[:, None, None, :], layer.masked, jnp.full_like(layer.masked, -1))
        hit = jnp.take_along_axis(rarest[:, None, :], jnp.argmax(among, axis=-1), axis=-1)
        # Share of the text's words; a text of special tokens alone has none, and gives 0.
        share = jnp.sum(hit & words[:, None, :], axis=-1).astype(layer.masked.dtype)
        count = jnp.maximum(jnp.sum(words, axis=-1), 1).astype(share.dtype)[:, None]
        # role is -1 on padding, so `role >= 0` is the mask.
        patterns = head_patterns(layer.masked, role >= 0, role)
        return put_layer(carry[0], patterns, layer.index), put_layer(carry[1], share / count, layer.index)

    def finish(self, inputs: ReaderInputs, carry: tuple[Array, Array], outputs: PassOutputs) -> tuple[Array, Array]:
        """All layers."""
        return carry


class RoleWords:
    """The role of each position in its text, and the rarest words of each text."""

    def __init__(self, encodings: Sequence[Encoding], counts: Mapping[str, int] | None = None) -> None:
        """The positions of some texts.

        Args:
            encodings: of the texts.
            counts: how often each token occurs; None counts over these texts.
        """
        known = _counted(encodings) if counts is None else counts
        self._positions = [_positions(encoding, known) for encoding in encodings]

    def arrays(
        self, texts: Sequence[int], rows: int, length: int
    ) -> tuple[Int[np.ndarray, "row token"], Bool[np.ndarray, "row token"]]:
        """Role of each position of the numbered texts, -1 for padding, and whether it is a rarest word."""
        role, rarest = np.full((rows, length), -1, np.int32), np.zeros((rows, length), bool)
        for row, text in enumerate(texts):
            roles, rare = self._positions[text]
            role[row, : len(roles)], rarest[row, : len(roles)] = roles, rare
        # A filler is one special token.
        role[len(texts) :, 0] = 1
        return role, rarest

    def chance(self, text: int) -> float:
        """The share of a text's words that are its rarest."""
        roles, rare = self._positions[text]
        return float(rare.sum() / (roles == 0).sum())


class RoleTally:
    """Sums of heads' patterns over texts."""

    def __init__(self) -> None:
        self._patterns, self._rarest = Blocks(), Blocks()
        self._chances: list[float] = []

    def add(self, watched: tuple[np.ndarray, np.ndarray], chance: float) -> None:
        """Add one text: the arrays of `WatchedRoles`, and the share of its words that are its rarest."""
        self._patterns.add(watched[0])
        self._rarest.add(watched[1])
        self._chances.append(chance)

    def roles(self, seed: int = 0) -> HeadRoles:
        """The roles with their intervals."""
        intervals = [block_interval(blocks, seed=seed) for blocks in (self._patterns, self._rarest)]
        return HeadRoles(intervals[0], intervals[1], float(np.mean(self._chances)), len(self._chances))

    def names(self) -> list[list[str]]:
        """`HeadRoles.names`, without the work of the intervals."""
        return _names(self._patterns.mean, self._rarest.mean, float(np.mean(self._chances)), 0.5)


def _names(
    patterns: Float[np.ndarray, "layer head pattern"],
    rarest: Float[np.ndarray, "layer head"],
    by_chance: float,
    least: float,
) -> list[list[str]]:
    """Role names, `rarest` only from twice the chance level."""
    # Below twice the chance level the share counts as 0, so it cannot name a head.
    return role_names(patterns, least, np.where(rarest >= 2 * by_chance, rarest, 0.0))


def _positions(
    encoding: Encoding, counts: Mapping[str, int]
) -> tuple[Int[np.ndarray, " token"], Bool[np.ndarray, " token"]]:
    """0 for words, 1 for special tokens ahead of them, 2 for the others; and which are the rarest words."""
    special = np.array(encoding.special)
    # The first word's position: special tokens before it are the leading ones.
    first = encoding.special.index(False)
    role = np.where(special, np.where(np.arange(len(special)) < first, 1, 2), 0).astype(np.int32)
    numbers = np.array([counts.get(token, 0) for token in encoding.tokens])
    return role, ~special & (numbers == numbers[~special].min())


def _counted(encodings: Sequence[Encoding]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for encoding in encodings:
        counts.update(token for token, special in zip(encoding.tokens, encoding.special, strict=True) if not special)
    return counts


def _listed(texts: Inputs) -> list[Any]:
    return [texts] if isinstance(texts, str) or not isinstance(texts, Iterable) else list(texts)
