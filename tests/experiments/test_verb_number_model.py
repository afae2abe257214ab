"""The verb-number experiment's training, measures and tables, on tiny models."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import scipy.stats

import jaxflow as jf
from experiments.verb_number import made, measure, tables
from experiments.verb_number.batches import BUCKETS, bucketed, sampling_weights
from experiments.verb_number.beginnings import Beginning
from experiments.verb_number.model import MAX_LENGTH, Architecture, make_model
from experiments.verb_number.tokenizer import PADDING, SPECIALS, UNKNOWN, make_tokenizer

FOUND = made.Grammar(made.SMALL, 1).beginnings(400)
KNOWN = [*SPECIALS, *sorted({word for b in FOUND for word in b.words})]
TOKENIZER = make_tokenizer(KNOWN, MAX_LENGTH)
SIZE = Architecture(layers=2, heads=2, width=16, feed_forward=16)


@pytest.fixture(scope="module")
def encoder():
    return make_model(KNOWN, SIZE, None, seed=0)


def test_batches_hold_what_they_were_made_of():
    buckets = bucketed(FOUND, TOKENIZER)
    assert sorted(np.concatenate([bucket.places for bucket in buckets])) == list(range(len(FOUND)))
    for bucket in buckets:
        assert bucket.ids.shape[1] in BUCKETS
        for ids, number, place in zip(bucket.ids, bucket.numbers, bucket.places, strict=True):
            words = [KNOWN[i] for i in ids if i != PADDING]
            assert words == ["<s>", *FOUND[place].words, "</s>"]
            assert number == FOUND[place].number
    unknown = bucketed([Beginning(("zyx", "the"), 0, "made")], TOKENIZER)[0]
    assert unknown.ids[0, :4].tolist() == [0, UNKNOWN, KNOWN.index("the"), 2]


def test_a_beginning_too_long_keeps_the_tokens_next_to_the_verb():
    long = Beginning(("keys", *["the"] * 70), 0, "made")
    (bucket,) = bucketed([long], TOKENIZER)
    assert bucket.ids[0].tolist() == [0, *[KNOWN.index("the")] * 50, 2]


def test_sampling_gives_both_numbers_the_same_weight_and_misleading_nouns_more():
    found = [
        Beginning(("the", "key"), 0, "a"),
        Beginning(("the", "key", "to", "the", "cabinets"), 0, "a"),
        Beginning(("old", "keys"), 1, "a"),
    ]
    weights = sampling_weights(found, ["key"], ["keys", "cabinets"], 3.0)
    np.testing.assert_allclose(weights, [1 / 4, 3 / 4, 1])


def test_word_vectors_become_the_word_embeddings():
    vectors = np.random.default_rng(0).normal(size=(len(KNOWN), SIZE.width)).astype(np.float32)
    made_from = make_model(KNOWN, SIZE, vectors, seed=0)
    np.testing.assert_allclose(made_from.module.embeddings.words.table[...], 0.1 * vectors, rtol=1e-6)


def test_accuracy_is_the_share_of_right_labels(encoder):
    found = [*FOUND[:40], *FOUND[:5], Beginning(("zyx", "keys"), 1, "other", 2)]
    chances = measure.class_probabilities(encoder, found)
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-5)
    texts = [" ".join(b.words) for b in found]
    logits = np.concatenate([encoder(encoder.pad(encoder.tokenize([text]))).logits for text in texts[-4:]])
    np.testing.assert_allclose(chances[-4:], np.asarray(jax.nn.softmax(logits)), atol=1e-5)
    report = measure.accuracies(encoder, {"mixed": found})["mixed"]
    right = {b: chances[i].argmax() == b.number for i, b in enumerate(found)}
    assert report["count"] == len(right) == len({b.words for b in found})
    assert report["accuracy"] == pytest.approx(np.mean(list(right.values())), abs=1e-4)
    assert report["by attractors"]["2"]["count"] >= 1
    assert sum(row["count"] for row in report["by number"].values()) == report["count"]
    assert 0 < report["unknown words"] < 0.02
    assert report["words in pieces"] == 0


@pytest.mark.slow
def test_cells_of_the_tables_are_rank_correlations_of_each_example(encoder):
    found = [b for b in FOUND if 4 < len(b.words) < 8][:6]
    one = tables.tables(encoder, found)
    assert one["certified"] == 1
    texts = [" ".join(b.words) for b in found]
    relevance = jf.attribute(encoder, texts).relevance["rollout"]
    unknown = encoder.tokenizer.unk_token
    by_hand = []
    for b, rows in zip(found, relevance, strict=True):
        variants = [b, *(replace(b, words=(*b.words[:i], unknown, *b.words[i + 1 :])) for i in range(len(b.words)))]
        chances = measure.class_probabilities(encoder, variants)[:, b.number]
        score = np.abs(chances[0] - chances[1:])
        by_hand.append([scipy.stats.spearmanr(row[0, 1:-1], score).statistic for row in rows])
    cell = one["agreement"]["blank-out"]["rollout"]["words"]
    np.testing.assert_allclose(cell["mean"], np.mean(by_hand, 0), atol=0.05)
    assert cell["undefined"] == [0, 0]
    cells = tables.over_seeds([one, one])
    assert cells["blank-out"]["rollout"]["words"]["mean"] == pytest.approx(cell["mean"])
    assert cells["blank-out"]["rollout"]["words"]["seeds"] == [0, 0]
    assert len(tables.markdown(cells, "blank-out", "paper").splitlines()) == 5
