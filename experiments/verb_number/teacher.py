"""The teacher: a pretrained encoder fine-tuned on the same beginnings, and what it lets a student see.

A few hundred thousand beginnings say little about English; a pretrained encoder knows it already, learns the task
within minutes, and has something to say about every word: its hidden states there.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from experiments.finetune.classification import classification_loss
from experiments.finetune.fit import Recipe, fit
from experiments.verb_number.aligned import NOWHERE, padded, tokens_and_places
from experiments.verb_number.beginnings import LABELS, Beginning
from jaxflow.models import Encoder, TextEncoder, TokenBatch, with_head

# Tokens that beginnings are padded to, and of a batch: in training, and where the teacher is only asked.
BUCKETS, TRAINED, ASKED = (12, 16, 20, 28, 40, 80), 1536, 2048
# Layers whose hidden states a student learns, as shares of the depth.
DEPTHS = (1 / 3, 2 / 3, 1)


@dataclass(frozen=True)
class Seen:
    """What a teacher says of some beginnings.

    Attributes:
        rows: which of the beginnings.
        hidden: of each, a layer's states at each place: `layer place width`; means over a word's tokens.
        logits: of the number.
    """

    rows: np.ndarray
    hidden: list[np.ndarray]
    logits: np.ndarray


@dataclass(frozen=True)
class Projection:
    """Hidden states in fewer dimensions: the directions in which they vary most, all layers apart.

    Attributes:
        mean: of the states, `layer width`.
        maps: `layer width narrow`; what comes out has variance 1 on average, and along each direction the root of the
            variance that it had, so that rare distinctions count.
    """

    mean: np.ndarray
    maps: np.ndarray

    def save(self, path: Path) -> None:
        """Write it."""
        np.savez(path, mean=self.mean, maps=self.maps)

    @classmethod
    def load(cls, path: Path) -> "Projection":
        """Read what `save` wrote."""
        with np.load(path) as stored:
            return cls(stored["mean"], stored["maps"])


def fine_tuned(
    model: TextEncoder,
    found: Sequence[Beginning],
    recipe: Recipe,
    folder: Path,
    *,
    report: Callable[[str], None],
) -> TextEncoder:
    """The encoder with a head for the number, trained on beginnings; goes on from the folder's checkpoint."""
    model = with_head(model, "sequence_classification", labels=LABELS, seed=recipe.seed)
    numbers = np.array([b.number for b in found], np.int32)
    rows = tokens_and_places(model.tokenizer, found, BUCKETS[-1])
    members = [m for m in _by_length([len(ids) for ids, _ in rows]) if len(m[1])]
    sizes = [max(1, TRAINED // length) for length, _ in members]
    chances = np.array([len(places) / size for (_, places), size in zip(members, sizes, strict=True)])

    def batch(step: int) -> tuple[TokenBatch, np.ndarray]:
        rng = np.random.default_rng((recipe.seed, step))
        bucket = rng.choice(len(members), p=chances / chances.sum())
        length, places = members[bucket]
        drawn = rng.choice(places, sizes[bucket])
        ids = padded([rows[place][0] for place in drawn], length, model.config.pad_id)
        return _as_batch(ids, ids != model.config.pad_id), numbers[drawn]

    fitted = fit(model.module, classification_loss, batch, recipe, folder, report=report)
    return dataclasses.replace(model, module=fitted.module)


def right(model: TextEncoder, found: Sequence[Beginning]) -> float:
    """Share of the beginnings whose number the teacher tells."""
    told = np.zeros(len(found), int)
    for seen in see(model, found, None):
        told[seen.rows] = seen.logits.argmax(1)
    return float((told == [b.number for b in found]).mean())


def see(model: TextEncoder, found: Sequence[Beginning], projection: Projection | None) -> Iterator[Seen]:
    """What the teacher says of beginnings, in batches by length.

    A beginning of more words than the teacher's tokens hold, or with a word that has none, comes without its states:
    an empty array.
    """
    rows = tokens_and_places(model.tokenizer, found, BUCKETS[-1])
    maps = None if projection is None else (jnp.asarray(projection.mean), jnp.asarray(projection.maps))
    for length, members in _by_length([len(ids) for ids, _ in rows]):
        size = max(8, ASKED // length)
        for start in range(0, len(members), size):
            chosen = members[start : start + size]
            filled = np.resize(chosen, size)
            ids = padded([rows[row][0] for row in filled], length, model.config.pad_id)
            places = padded([rows[row][1] for row in filled], length, NOWHERE)
            hidden, logits = jax.device_get(_states(model.module, ids, places, maps))
            states = []
            for row, of_row in zip(chosen.tolist(), hidden, strict=False):
                width, there = len(found[row].words) + 2, set(rows[row][1])
                states.append(of_row[:, : width if len(there) == width else 0])
            yield Seen(chosen, states, logits[: len(chosen)])


def projection_of(model: TextEncoder, found: Sequence[Beginning], width: int) -> Projection:
    """The projection to `width` dimensions, from the states of these beginnings."""
    parts = [states for seen in see(model, found, None) for states in seen.hidden]
    states = np.concatenate(parts, axis=1).astype(np.float64)
    mean, spread = states.mean(1), states.std(1)
    maps = []
    for layer, middle, scale in zip(states, mean, spread, strict=True):
        whole = (layer - middle) / scale
        directions, variances, _ = np.linalg.svd(whole.T @ whole / len(whole))
        directions, variances = directions[:, :width], variances[:width]
        narrow = directions * variances**-0.25 / np.sqrt(np.sqrt(variances).mean())
        maps.append(narrow / scale[:, None])
    return Projection(mean.astype(np.float32), np.stack(maps).astype(np.float32))


def word_vectors(model: TextEncoder, known: Sequence[str], special: int, width: int, inside: str) -> np.ndarray:
    """A vector for each word and piece of a vocabulary, `(word, width)`, of unit variance; special tokens' are random.

    What the teacher's embeddings and first half of the layers make of the word alone, in the directions of greatest
    variance. Pieces inside a word stand behind an "a".
    """
    table = model.tokenizer.get_vocab()
    cut = model.tokenizer.backend_tokenizer
    first, last = model.tokenizer.cls_token_id, model.tokenizer.sep_token_id
    before = table.get("a", model.tokenizer.unk_token_id)
    rows = []
    for word in known[special:]:
        if word.startswith(inside) and word in table:
            rows.append(([first, before, table[word], last], [NOWHERE, NOWHERE, 0, NOWHERE]))
        else:
            ids = cut.encode(word.removeprefix(inside), add_special_tokens=False).ids[:6]
            rows.append(([first, *ids, last], [NOWHERE, *(0 for _ in ids), NOWHERE]))
    parts = []
    for start in range(0, len(rows), 512):
        chosen = rows[start : start + 512]
        ids = padded([ids for ids, _ in chosen], 8, model.config.pad_id)
        places = padded([at for _, at in chosen], 8, NOWHERE)
        parts.append(np.asarray(_of_words(model.module, ids, ids != model.config.pad_id, places)))
    features = np.concatenate(parts).astype(np.float64)
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    left, values, _ = np.linalg.svd(features.reshape(len(features), -1), full_matrices=False)
    found = left[:, :width] * np.sqrt(values[:width])
    random = np.random.default_rng(0).normal(size=(special, width))
    return np.concatenate([random, found / found.std()]).astype(np.float32)


def _by_length(lengths: Sequence[int]) -> list[tuple[int, np.ndarray]]:
    which = np.searchsorted(BUCKETS, lengths)
    return [(length, np.flatnonzero(which == bucket)) for bucket, length in enumerate(BUCKETS)]


def _as_batch(ids: Any, mask: Any) -> TokenBatch:
    return TokenBatch(jnp.asarray(ids), jnp.asarray(mask), jnp.zeros(ids.shape, jnp.int32))


@jax.jit
def _states(
    module: Encoder, ids: Int[Array, "text token"], places: Int[Array, "text token"], maps: Any
) -> tuple[Float[Array, "text layer place width"], Float[Array, "text label"]]:
    out = module(_as_batch(ids, places != NOWHERE), return_attention=False)
    assert out.hidden_states is not None
    assert out.logits is not None
    depth = out.hidden_states.shape[1] - 1
    hidden = out.hidden_states[:, jnp.array([round(share * depth) for share in DEPTHS])]
    hidden = jnp.einsum("bpt,bltw->blpw", _means(places, ids.shape[1]), hidden)
    if maps is not None:
        mean, narrow = maps
        hidden = jnp.einsum("blpw,lwn->blpn", hidden - mean[:, None], narrow).astype(jnp.float16)
    return hidden, out.logits


@jax.jit
def _of_words(module: Encoder, ids: Any, mask: Any, places: Any) -> Float[Array, "word layer width"]:
    out = module(_as_batch(ids, mask), return_attention=False)
    assert out.hidden_states is not None
    middle = (out.hidden_states.shape[1] - 1) // 2
    hidden = out.hidden_states[:, jnp.array([0, min(1, middle), middle])]
    return jnp.einsum("bt,bltw->blw", _means(places, 1)[:, 0], hidden)


def _means(places: Int[Array, "text token"], count: int) -> Float[Array, "text place token"]:
    """Weights that average the tokens of each place."""
    there = (places[:, None] == jnp.arange(count)[:, None]).astype(jnp.float32)
    return there / jnp.maximum(there.sum(-1, keepdims=True), 1)
