"""Heads that follow syntax: share of words whose relative each head finds, and that of the best fixed distance."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._checks import InputError
from jaxflow.heads.names import head_number
from jaxflow.heads.pooling import pooled
from jaxflow.inputs.conllu import Sentence
from jaxflow.models import Encoding, Model
from jaxflow.running import EngineOptions, LayerView, PassOutputs, ReaderInputs, layer_room, put_layer, run_readers

# Who attends: the word to its head, or the head to the word.
DIRECTIONS = ("to_head", "to_dependent")


@dataclass(frozen=True, eq=False)
class HeadRelations:
    """How often each head's largest weight is on a word's syntactic relative.

    Attributes:
        relations: names, the most frequent first.
        count: occurrences of each.
        share: share of these that each head finds, `relation direction layer head`, in the order of `DIRECTIONS`.
        baseline: share that the best fixed distance finds, `relation direction`: always the word 1 to the left, say.
        offset: that distance, in words.
    """

    relations: tuple[str, ...]
    count: Int[np.ndarray, " relation"]
    share: Float[np.ndarray, "relation direction layer head"]
    baseline: Float[np.ndarray, "relation direction"]
    offset: Int[np.ndarray, "relation direction"]

    def best(self) -> list[dict[str, object]]:
        """One row for each relation and direction: the head that finds most, beside the baseline.

        Layers and heads are counted from 1.
        """
        rows = []
        for index, name in enumerate(self.relations):
            for side, direction in enumerate(DIRECTIONS):
                shares = self.share[index, side]
                layer, head = np.unravel_index(int(shares.argmax()), shares.shape)
                rows.append(
                    {
                        "relation": name,
                        "direction": direction,
                        "count": int(self.count[index]),
                        **head_number(int(layer), int(head)),
                        "share": float(shares[layer, head]),
                        "baseline": float(self.baseline[index, side]),
                        "offset": int(self.offset[index, side]),
                    }
                )
        return rows


def head_relations(
    model: Model,
    sentences: Iterable[Sentence],
    *,
    batch_size: int = 16,
    max_length: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> HeadRelations:
    """How often each head follows each syntactic relation (Voita et al. 2019, section 5.2; Clark et al. 2019).

    Attention is pooled to words, see `pooled`. A head finds a word's relative if that has its largest weight among the
    other words of the sentence.

    Args:
        model: the model.
        sentences: from `read_conllu`. One that the model cannot take is an error; leave it out.
        batch_size: sentences in a batch, at most.
        max_length: most tokens of a sentence.
        progress: called with the number of sentences that were just finished.

    Raises:
        InputError: there is no relation in the sentences, or one of them does not fit.
    """
    listed = list(sentences)
    if not listed:
        raise InputError("sentences", "hold at least one sentence", "none")
    encodings = model.tokenize([sentence.text for sentence in listed], max_length=max_length)
    # Of each sentence the tokens of each word, then its arcs (dependent, head, relation).
    groups = [_tokens_of(sentence, encoding) for sentence, encoding in zip(listed, encodings, strict=True)]
    arcs = [_arcs(sentence, tokens) for sentence, tokens in zip(listed, groups, strict=True)]
    count = Counter(name for each in arcs for _, _, name in each)
    if not count:
        raise InputError("sentences", "hold a word with a head in the same sentence", "none")
    # The most frequent first; equals by name, so that the order is always the same.
    names = sorted(count, key=lambda name: (-count[name], name))
    place = {name: index for index, name in enumerate(names)}
    results = run_readers(
        model,
        encodings,
        [LargestWord()],
        arrays=lambda texts, rows, length: (_word_arrays(model, [groups[text] for text in texts], rows, length),),
        # A sentence may have more words than tokens, where a token spans several.
        lengths=[max(len(encoding), len(words)) for encoding, words in zip(encodings, groups, strict=True)],
        options=EngineOptions(batch_size=batch_size),
        progress=progress,
    )
    hits, offsets = _hits(arcs, [largest for (largest,) in results], place)
    numbers = np.array([count[name] for name in names])
    # The offset that is right most often, and how often: (offset, right).
    best = [[each.most_common(1)[0] for each in both] for both in offsets]
    return HeadRelations(
        relations=tuple(names),
        count=numbers,
        share=hits / numbers[:, None, None, None],
        baseline=np.array([[right for _, right in both] for both in best]) / numbers[:, None],
        offset=np.array([[offset for offset, _ in both] for both in best]),
    )


def _hits(
    arcs: Sequence[list[tuple[int, int, str]]],
    largest_words: Sequence[Int[np.ndarray, "layer head word"]],
    place: Mapping[str, int],
) -> tuple[Float[np.ndarray, "relation direction layer head"], list[list[Counter[int]]]]:
    """Hits of each head, and for each relation and direction how often each offset, in words, is right."""
    # The first axes of any sentence are layers and heads.
    hits = np.zeros((len(place), len(DIRECTIONS), *largest_words[0].shape[:2]))
    offsets: list[list[Counter[int]]] = [[Counter() for _ in DIRECTIONS] for _ in place]
    for sentence_arcs, largest in zip(arcs, largest_words, strict=True):
        for dependent, head, name in sentence_arcs:
            for direction, (attends, attended_to) in enumerate(((dependent, head), (head, dependent))):
                # layer head: whether the largest weight of the word that attends is on its relative.
                hits[place[name], direction] += largest[:, :, attends] == attended_to
                offsets[place[name]][direction][attended_to - attends] += 1
    return hits, offsets


@dataclass(frozen=True)
class LargestWord:
    """For each word the other word that has its largest weight, by every head: `row layer head word`.

    Its arrays: which word each token belongs to, `row token word`, and which words have a token, `row word`.
    """

    needs_logits: bool = False

    def start(self, inputs: ReaderInputs) -> Int[Array, "row layer head word"]:
        """Room for every head's words."""
        _, words = inputs.examples
        return layer_room(inputs, inputs.depth, inputs.heads, words.shape[-1], dtype=jnp.int32)

    def step(
        self, inputs: ReaderInputs, carry: Int[Array, "row layer head word"], layer: LayerView
    ) -> Int[Array, "row layer head word"]:
        """One more layer's words."""
        members, words = inputs.examples
        # row head word word.
        heads = pooled(layer.masked, members)
        # row head word word: a word's weight on itself does not count.
        others = words[:, None, None, :] & ~jnp.eye(heads.shape[-1], dtype=bool)
        largest = jnp.argmax(jnp.where(others, heads, jnp.full_like(heads, -1)), axis=-1).astype(jnp.int32)
        return put_layer(carry, largest, layer.index)

    def finish(
        self, inputs: ReaderInputs, carry: Int[Array, "row layer head word"], outputs: PassOutputs
    ) -> Int[Array, "row layer head word"]:
        """All layers."""
        return carry


def _word_arrays(
    model: Model, groups: Sequence[list[list[int]]], rows: int, length: int
) -> tuple[Float[np.ndarray, "row token word"], Bool[np.ndarray, "row word"]]:
    """Membership of tokens in words, and the words that have a token, from each text's tokens of each word."""
    members = np.zeros((rows, min(length, model.max_length), length), np.float32)
    words = np.zeros((rows, length), bool)
    for row, held in enumerate(groups):
        for word, tokens in enumerate(held):
            # A token that spans two words belongs to both.
            members[row, tokens, word] = 1
            words[row, word] = bool(tokens)
    return members, words


def _tokens_of(sentence: Sentence, encoding: Encoding) -> list[list[int]]:
    """The tokens of each word: those that overlap it."""
    return [
        [
            position
            for position, (start, end) in enumerate(encoding.offsets)
            if start >= 0 and start < word_end and end > word_start
        ]
        for word_start, word_end in sentence.offsets
    ]


def _arcs(sentence: Sentence, groups: Sequence[list[int]]) -> list[tuple[int, int, str]]:
    """Dependent, head and relation, but for roots, unknown heads, and words that have no token or share all of them."""
    return [
        (dependent, head, name)
        for dependent, (head, name) in enumerate(zip(sentence.heads, sentence.relations, strict=True))
        if head is not None and head >= 0 and groups[dependent] and groups[head] and groups[dependent] != groups[head]
    ]
