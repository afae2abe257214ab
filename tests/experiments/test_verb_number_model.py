"""The verb-number experiment's training, measures and tables, on tiny models."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import scipy.stats
from flax import nnx

import jaxflow as jf
from experiments.verb_number import made, measure, tables
from experiments.verb_number.batches import BUCKETS, Sampler, bucketed, sampling_weights
from experiments.verb_number.beginnings import Beginning
from experiments.verb_number.grow import grown
from experiments.verb_number.model import MAX_LENGTH, Architecture, make_model
from experiments.verb_number.tokenizer import PADDING, SPECIALS, UNKNOWN, make_tokenizer
from experiments.verb_number.train import Settings, train, with_parameters

FOUND = made.Grammar(made.SMALL, 1).beginnings(400)
KNOWN = [*SPECIALS, *sorted({word for b in FOUND for word in b.words})]
TOKENIZER = make_tokenizer(KNOWN, MAX_LENGTH)
SIZE = Architecture(layers=2, heads=2, width=16, feed_forward=16)


@pytest.fixture(scope="module")
def encoder():
    return make_model(KNOWN, SIZE, None, seed=0)


def sampler_of(found, tokens=96, seed=0):
    return Sampler(bucketed(found, TOKENIZER), tokens, seed)


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


def test_a_steps_batch_depends_on_seed_and_step_alone():
    short = [b for b in FOUND if len(b.words) < 9]
    one, two = sampler_of(short), sampler_of(short)
    _ = [two(step) for step in range(5)]
    np.testing.assert_array_equal(one(7)[0].input_ids, two(7)[0].input_ids)
    assert not np.array_equal(one(7)[0].input_ids, one(8)[0].input_ids)
    assert not np.array_equal(one(7)[0].input_ids, sampler_of(short, seed=1)(7)[0].input_ids)


def test_sampling_gives_both_numbers_the_same_weight_and_misleading_nouns_more():
    found = [
        Beginning(("the", "key"), 0, "a"),
        Beginning(("the", "key", "to", "the", "cabinets"), 0, "a"),
        Beginning(("old", "keys"), 1, "a"),
    ]
    weights = sampling_weights(found, ["key"], ["keys", "cabinets"], 3.0)
    np.testing.assert_allclose(weights, [1 / 4, 3 / 4, 1])
    drawn = np.concatenate([Sampler(bucketed(found, TOKENIZER, weights), 96, 0)(step)[1] for step in range(200)])
    assert 0.45 < drawn.mean() < 0.55


def test_a_killed_run_goes_on_exactly(encoder, tmp_path):
    short = [b for b in FOUND if len(b.words) < 10]
    encoder = make_model(KNOWN, replace(SIZE, hidden_dropout=0.1, attention_dropout=0.1), None, seed=0)
    validation = bucketed(short[:50], TOKENIZER)
    settings = Settings(steps=8, every=2, warmup=2, tokens=96)
    lines = []
    whole, log = train(encoder, sampler_of(short), validation, settings, tmp_path / "whole", lines.append)
    _ = train(encoder, sampler_of(short), validation, settings, tmp_path / "cut", lines.append, stop_after=4)
    resumed, log_resumed = train(encoder, sampler_of(short), validation, settings, tmp_path / "cut", lines.append)
    assert "goes on from step 4" in lines
    assert [row["step"] for row in log_resumed] == [2, 4, 6, 8]
    assert log == log_resumed
    for one, two in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(one, two)
    first = nnx.to_pure_dict(nnx.state(encoder.module))
    moved = [not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(whole), strict=True)]
    assert np.mean(moved) > 0.9


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


def test_a_grown_model_computes_what_the_shallow_one_did(encoder):
    shallow = jax.tree.map(lambda x: x + 0.1, nnx.to_pure_dict(nnx.state(encoder.module)))
    deep = make_model(KNOWN, replace(SIZE, layers=6), None, seed=1)
    deep = with_parameters(deep, grown(shallow, 6))
    batch = encoder.pad(encoder.tokenize([" ".join(b.words) for b in FOUND[:3]]))
    before = with_parameters(encoder, shallow)(batch)
    after = deep(batch)
    np.testing.assert_allclose(after.logits, before.logits, atol=1e-5)
    np.testing.assert_allclose(after.attention[:, [0, 3]], before.attention, atol=1e-5)
    # The copies attend like their originals would, though nothing comes of it yet.
    assert not np.allclose(after.attention[:, 1], 1 / after.attention.shape[-1], atol=1e-3)
    with pytest.raises(ValueError, match="a multiple of the shallow model's 2, got 5"):
        grown(shallow, 5)


def test_trained_parameters_go_into_the_model(encoder):
    doubled = jax.tree.map(lambda x: 2 * x, nnx.to_pure_dict(nnx.state(encoder.module)))
    changed = with_parameters(encoder, doubled)
    np.testing.assert_array_equal(changed.module.head.out.kernel[...], 2 * encoder.module.head.out.kernel[...])
    assert changed.tokenizer is encoder.tokenizer
