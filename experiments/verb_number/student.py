"""The student: the paper's encoder, which learns numbers from labels and, where it has a teacher, from that as well."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from experiments.verb_number.aligned import padded, tokens_and_places
from experiments.verb_number.batches import as_batch
from experiments.verb_number.beginnings import Beginning
from experiments.verb_number.targets import Targets
from experiments.verb_number.teacher import DEPTHS
from experiments.verb_number.tokenizer import END, PADDING, START, UNKNOWN
from jaxflow.models import Encoder, TextEncoder, TokenBatch

# Tokens that beginnings are padded to.
BUCKETS = (12, 16, 20, 26, 36, 52)
# Weight of the label against the teacher's probabilities.
LABEL = 0.3


class Student(nnx.Module):
    """An encoder with maps from its hidden states to the teacher's, which are thrown away when it has learnt."""

    def __init__(self, model: Encoder, width: int, key: Array):
        shape = (len(DEPTHS), model.config.width, width)
        self.encoder = model
        self.maps = nnx.Param(jax.random.normal(key, shape) / np.sqrt(shape[1]).astype(np.float32))
        self.shifts = nnx.Param(jnp.zeros((shape[0], 1, width)))

    def states(self, hidden_states: Float[Array, "text state token width"]) -> Float[Array, "text layer token narrow"]:
        """What the student takes the teacher's states to be."""
        depth = hidden_states.shape[1] - 1
        chosen = hidden_states[:, jnp.array([round(share * depth) for share in DEPTHS])]
        # Its scale grows from layer to layer before the last norm.
        chosen = chosen * jax.lax.rsqrt(jnp.square(chosen).mean(-1, keepdims=True) + 1e-6)
        return jnp.einsum("bltw,lwn->bltn", chosen, self.maps[...]) + self.shifts[...]


def distillation_loss(module: Student, batch: TokenBatch, wanted: Any, key: Any) -> Array:
    """Cross-entropy with label and teacher, and the mean squared error of the states at real tokens."""
    numbers, hidden, logits = wanted
    out = module.encoder(batch, key=key, return_attention=False)
    assert out.hidden_states is not None
    assert out.logits is not None
    error = jnp.square(module.states(out.hidden_states) - hidden.astype(jnp.float32)).mean(-1).mean(1)
    label = optax.softmax_cross_entropy_with_integer_labels(out.logits, numbers).mean()
    teacher = optax.softmax_cross_entropy(out.logits, jax.nn.softmax(logits)).mean()
    return LABEL * label + (1 - LABEL) * teacher + error.mean(where=batch.mask)


def label_loss(module: Student, batch: TokenBatch, wanted: Any, key: Any) -> Array:
    """Cross-entropy with the label alone: no teacher."""
    logits = module.encoder(batch, key=key, return_attention=False, return_hidden_states=False).logits
    assert logits is not None
    return optax.softmax_cross_entropy_with_integer_labels(logits, wanted[0]).mean()


class Lessons:
    """Batches of beginnings and what is to be learnt from them; a step's depends on the seed and the step alone.

    Some words are replaced by `<unk>`: the model that comes of it knows what blanking a word out means.
    """

    def __init__(
        self,
        model: TextEncoder,
        found: Sequence[Beginning],
        parts: Sequence[Targets],
        *,
        tokens: int,
        word_dropout: float,
        seed: int,
    ):
        self.word_dropout, self.seed, self.parts = word_dropout, seed, parts
        self.numbers = np.array([b.number for b in found], np.int32)
        rows = tokens_and_places(model.tokenizer, found, BUCKETS[-1])
        which = np.searchsorted(BUCKETS, [len(ids) for ids, _ in rows])
        self.buckets = []
        for bucket, length in enumerate(BUCKETS):
            members = np.flatnonzero(which == bucket)
            if len(members):
                ids, places = (padded([rows[m][kind] for m in members], length, (PADDING, 0)[kind]) for kind in (0, 1))
                self.buckets.append((members, ids, places, max(1, tokens // length)))
        self.steps = sum(len(members) / size for members, _, _, size in self.buckets)
        self._chances = [len(members) / size / self.steps for members, _, _, size in self.buckets]
        # Of each beginning, the part that its targets are in, and its row there.
        self._part = np.repeat(np.arange(len(parts)), [len(part.rows) for part in parts])
        self._row = np.concatenate([np.arange(len(part.rows)) for part in parts]) if parts else np.array([], int)

    def __call__(self, step: int) -> tuple[TokenBatch, tuple[np.ndarray, ...]]:
        """The batch of a step, its numbers, and the teacher's states and logits where there is one."""
        rng, (members, ids, places, size) = self._drawn(step)
        rows = rng.integers(0, len(members), size)
        ids, places, members = ids[rows], places[rows], members[rows]
        dropped = (rng.random(ids.shape) < self.word_dropout) & ~np.isin(ids, (START, PADDING, END))
        batch = as_batch(np.where(dropped, np.int32(UNKNOWN), ids))
        return batch, (self.numbers[members], *self._taught(members, places))

    def tokens(self, steps: int) -> int:
        """Tokens of the first so many steps, padding included."""
        return sum(ids.shape[1] * size for _, (_, ids, _, size) in map(self._drawn, range(steps)))

    def _drawn(self, step: int) -> tuple[np.random.Generator, tuple[Any, Any, Any, int]]:
        rng = np.random.default_rng((self.seed, step))
        return rng, self.buckets[rng.choice(len(self.buckets), p=self._chances)]

    def _taught(self, members: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, ...]:
        if not self.parts:
            return ()
        layers, _, width = self.parts[0].hidden.shape
        hidden = np.zeros((len(members), layers, places.shape[1], width), np.float16)
        logits = np.zeros((len(members), 2), np.float32)
        for number, part in enumerate(self.parts):
            here = np.flatnonzero(self._part[members] == number)
            rows = self._row[members[here]]
            hidden[here] = part.hidden[:, part.starts[rows, None] + places[here]].swapaxes(0, 1)
            logits[here] = part.logits[rows]
        return hidden, logits
