"""What a teacher says of beginnings, and what a student is asked to learn of it."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.verb_number import made, targets, teacher
from experiments.verb_number.__main__ import main
from experiments.verb_number.aligned import NOWHERE, padded, tokens_and_places
from experiments.verb_number.beginnings import Beginning
from experiments.verb_number.corpus import Corpus
from experiments.verb_number.model import MAX_LENGTH, Architecture, make_model
from experiments.verb_number.student import LABEL, Lessons, Student, distillation_loss, label_loss
from experiments.verb_number.tokenizer import END, INSIDE, PADDING, SPECIALS, START, UNKNOWN, make_tokenizer
from experiments.verb_number.train import Settings, drawn_parts
from jaxflow.models import load_model

# Lengths of one bucket alone, so that little is compiled.
FOUND = [b for b in made.Grammar(made.SMALL, 1).beginnings(600) if 5 < len(b.words) < 9][:60]
WORDS = sorted({word for b in FOUND for word in b.words})
# The teacher cuts words that end in s in two; the student knows them whole.
CUT = [word for word in WORDS if not (word.endswith("s") and word[:-1] in WORDS)]
SIZE = Architecture(layers=3, heads=2, width=16, feed_forward=16)
WIDTH = 5


@pytest.fixture(scope="module")
def tutor():
    encoder = make_model([*SPECIALS, *CUT, INSIDE + "s", "a"], replace(SIZE, width=24), None, seed=3)
    return replace(encoder, module=jax.tree.map(lambda x: 3 * x, encoder.module))


@pytest.fixture(scope="module")
def pupil():
    return make_model([*SPECIALS, *WORDS], SIZE, None, seed=4)


@pytest.fixture(scope="module")
def projection(tutor):
    return teacher.projection_of(tutor, FOUND, WIDTH)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("targets")


@pytest.fixture(scope="module")
def parts(tutor, folder):
    rows = [np.arange(0, 60, 2), np.arange(1, 60, 2)]
    lines = []
    first = targets.targets(tutor, FOUND, rows, folder, WIDTH, lines.append)
    again = targets.targets(tutor, FOUND, rows, folder, WIDTH, lines.append)
    assert len(lines) == 2
    for one, two in zip(first, again, strict=True):
        for name, value in vars(one).items():
            np.testing.assert_array_equal(value, getattr(two, name))
    return first


def states_of(encoder, b):
    """By hand: one beginning alone, the mean of each word's tokens."""
    ((ids, places),) = tokens_and_places(encoder.tokenizer, [b], 80)
    batch = teacher._as_batch(np.array([ids]), np.ones((1, len(ids)), bool))
    out = encoder.module(batch, return_attention=False)
    hidden = np.asarray(out.hidden_states)[0, 1:]
    means = [hidden[:, np.array(places) == place].mean(1) for place in range(len(b.words) + 2)]
    return np.stack(means, 1), np.asarray(out.logits)[0]


def test_places_say_which_word_a_token_is_of(tutor):
    known = make_tokenizer([*SPECIALS, "the", "key", INSIDE + "s", "are"], MAX_LENGTH)
    long = Beginning(("the", "keys", "are"), 0, "made")
    assert tokens_and_places(known, [long], 80) == [([0, 5, 6, 7, 8, 2], [0, 1, 2, 2, 3, 4])]
    # What is too long loses its front.
    assert tokens_and_places(known, [long], 4) == [([0, 7, 8, 2], [0, 2, 3, 4])]
    np.testing.assert_array_equal(padded([[1], [2, 3]], 3, NOWHERE), [[1, -1, -1], [2, 3, -1]])


def test_a_teacher_sees_the_mean_of_each_words_tokens(tutor):
    cut = [ids for ids, _ in tokens_and_places(tutor.tokenizer, FOUND, 80)]
    assert any(len(ids) > len(b.words) + 2 for ids, b in zip(cut, FOUND, strict=True))
    seen = list(teacher.see(tutor, FOUND, None))
    found = {row: (h, z) for s in seen for row, h, z in zip(s.rows, s.hidden, s.logits, strict=True)}
    assert sorted(found) == list(range(len(FOUND)))
    for row in (0, 7, 23):
        hidden, logits = states_of(tutor, FOUND[row])
        np.testing.assert_allclose(found[row][0], hidden, atol=2e-5)
        np.testing.assert_allclose(found[row][1], logits, atol=2e-5)
    right = [found[row][1].argmax() == b.number for row, b in enumerate(FOUND)]
    assert teacher.right(tutor, FOUND) == pytest.approx(np.mean(right))


def test_a_word_without_a_token_gives_no_states(tutor):
    odd = Beginning((*FOUND[0].words[:3], "", *FOUND[0].words[3:]), 0, "made")
    (seen,) = teacher.see(tutor, [FOUND[0], odd], None)
    assert [states.shape[1] for states in seen.hidden] == [len(FOUND[0].words) + 2, 0]
    assert seen.logits.shape == (2, 2)


def test_a_projection_keeps_the_directions_of_greatest_variance(tutor, projection):
    states = np.concatenate([h for s in teacher.see(tutor, FOUND, None) for h in s.hidden], 1).astype(np.float64)
    for layer, mean, maps in zip(states, projection.mean, projection.maps, strict=True):
        narrow = (layer - mean) @ maps
        np.testing.assert_allclose(narrow.mean(0), 0, atol=1e-3)
        covariance = narrow.T @ narrow / len(narrow)
        np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-3)
        assert np.trace(covariance) / WIDTH == pytest.approx(1, abs=1e-3)
        # The roots of the largest variances of what is standardised, up to one factor.
        whole = (layer - layer.mean(0)) / layer.std(0)
        largest = np.sqrt(np.linalg.eigvalsh(whole.T @ whole / len(whole))[::-1][:WIDTH])
        np.testing.assert_allclose(np.diag(covariance) / np.diag(covariance)[0], largest / largest[0], rtol=1e-3)


def test_targets_are_what_the_teacher_sees_in_fewer_dimensions(tutor, folder, parts):
    projection = teacher.Projection.load(folder / "projection.npz")
    for part in parts:
        for row, start, logits in list(zip(part.rows, part.starts, part.logits, strict=True))[::9]:
            hidden, wanted = states_of(tutor, FOUND[row])
            narrow = np.einsum("lpw,lwn->lpn", hidden - projection.mean[:, None], projection.maps)
            stored = part.hidden[:, start : start + hidden.shape[1]]
            np.testing.assert_allclose(stored, narrow, atol=5e-3 * np.abs(narrow).max())
            np.testing.assert_allclose(logits, wanted, atol=2e-5)


def lessons_of(pupil, parts, **options):
    chosen = [FOUND[row] for part in parts for row in part.rows]
    return chosen, Lessons(pupil, chosen, parts, tokens=120, **{"word_dropout": 0.0, "seed": 0, **options})


def test_a_lesson_has_the_teachers_states_at_every_token(pupil, parts):
    chosen, lessons = lessons_of(pupil, parts)
    of_words = {b.words: n for n, b in enumerate(chosen)}
    where = [(part, row) for part in parts for row in range(len(part.rows))]
    for step in range(6):
        batch, (numbers, hidden, logits) = lessons(step)
        for n, ids in enumerate(np.asarray(batch.input_ids)):
            words = tuple([*SPECIALS, *WORDS][i] for i in ids if i not in (START, PADDING, END))
            part, row = where[of_words[words]]
            there = slice(part.starts[row], part.starts[row] + len(words) + 2)
            np.testing.assert_array_equal(hidden[n, :, : len(words) + 2], part.hidden[:, there])
            np.testing.assert_array_equal(logits[n], part.logits[row])
            assert numbers[n] == chosen[of_words[words]].number


def test_a_lesson_depends_on_the_seed_and_the_step_alone(pupil, parts):
    (_, one), (_, two), (_, other) = (lessons_of(pupil, parts, seed=seed) for seed in (0, 0, 1))
    _ = [two(step) for step in range(5)]
    for a, b in zip(jax.tree.leaves(one(7)), jax.tree.leaves(two(7)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one(7)[0].input_ids, one(8)[0].input_ids)
    assert not np.array_equal(one(7)[0].input_ids, other(7)[0].input_ids)
    assert one.tokens(10) == sum(one(step)[0].mask.size for step in range(10))


def test_words_are_dropped_and_special_tokens_never(pupil, parts):
    _, lessons = lessons_of(pupil, parts, word_dropout=0.5)
    ids = np.concatenate([np.asarray(lessons(step)[0].input_ids).ravel() for step in range(20)])
    assert np.count_nonzero(ids == START) == np.count_nonzero(ids == END) == 20 * 10
    of_words = ids[~np.isin(ids, (START, END, PADDING))]
    assert 0.4 < (of_words == UNKNOWN).mean() < 0.6


def test_losses_are_what_a_loop_over_texts_and_tokens_gives(pupil, parts):
    _, lessons = lessons_of(pupil, parts)
    batch, wanted = lessons(3)
    numbers, hidden, logits = wanted
    student = Student(pupil.module, WIDTH, jax.random.key(0))
    out = pupil.module(batch, return_attention=False)
    chances = np.asarray(jax.nn.softmax(out.logits))
    maps, errors, label, taught = np.asarray(student.maps[...]), [], [], []
    for n, mask in enumerate(np.asarray(batch.mask)):
        for token in np.flatnonzero(mask):
            for layer in range(3):
                state = np.asarray(out.hidden_states)[n, layer + 1, token]
                guess = state / np.sqrt(np.mean(state**2) + 1e-6) @ maps[layer]
                errors.append(np.mean((guess - hidden[n, layer, token]) ** 2))
        label.append(-np.log(chances[n, numbers[n]]))
        taught.append(-np.sum(np.asarray(jax.nn.softmax(logits[n])) * np.log(chances[n])))
    by_hand = LABEL * np.mean(label) + (1 - LABEL) * np.mean(taught) + np.mean(errors)
    wanted = jax.tree.map(jnp.asarray, wanted)
    assert float(distillation_loss(student, batch, wanted, None)) == pytest.approx(by_hand, rel=1e-4)
    assert float(label_loss(student, batch, wanted, None)) == pytest.approx(np.mean(label), rel=1e-4)


def test_word_vectors_are_of_words_alone_and_of_pieces_behind_an_a(tutor):
    known = [*SPECIALS, *WORDS, INSIDE + "s", INSIDE + "zq"]
    vectors = teacher.word_vectors(tutor, known, len(SPECIALS), 6, INSIDE)
    assert vectors.shape == (len(known), 6)
    assert vectors[len(SPECIALS) :].std() == pytest.approx(1, abs=1e-3)
    table = tutor.tokenizer.get_vocab()
    states = jax.jit(lambda module, batch: module(batch, return_attention=False).hidden_states)

    def of(ids, places):
        batch = teacher._as_batch(np.array([ids]), np.ones((1, len(ids)), bool))
        hidden = np.asarray(states(tutor.module, batch))[0]
        return hidden[[0, 1, 1]][:, places].mean(1).ravel()

    rows = [of([START, *(t for t in ids), END], slice(1, -1)) for ids in _cut(tutor, WORDS)]
    rows.append(of([START, table["a"], table[INSIDE + "s"], END], [2]))
    rows.append(of([START, UNKNOWN, END], [1]))
    whole = np.array(rows)
    whole = (whole - whole.mean(0)) / (whole.std(0) + 1e-6)
    left, values, _ = np.linalg.svd(whole, full_matrices=False)
    expected = left[:, :6] * np.sqrt(values[:6])
    # Up to the sign of each direction.
    found = vectors[len(SPECIALS) :]
    cosines = np.abs((found * expected).sum(0)) / np.linalg.norm(found, axis=0) / np.linalg.norm(expected, axis=0)
    np.testing.assert_allclose(cosines, 1, atol=5e-2)


def _cut(encoder, words):
    cut = encoder.tokenizer.backend_tokenizer.encode_batch(
        [[word] for word in words], is_pretokenized=True, add_special_tokens=False
    )
    return [encoding.ids for encoding in cut]


def test_parts_share_no_beginning_and_are_the_same_however_many_are_used():
    found = list({b.words: b for b in made.Grammar(made.SMALL, 2).beginnings(4000)}.values())
    found = Corpus({"train": found}, [], list(made.SMALL.singular), list(made.SMALL.plural), {})
    settings = Settings(part=300, of=3, parts=3)
    parts = drawn_parts(found, settings)
    assert [len(part) for part in parts] == [300] * 3
    assert len(np.unique(np.concatenate(parts))) == 900
    for one, two in zip(parts, drawn_parts(found, replace(settings, parts=2)), strict=False):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_the_quick_run_trains_without_a_teacher_and_with_one(tmp_path, capsys):
    assert main(["train", "--quick", "--out", str(tmp_path / "alone")]) == 0
    first = tmp_path / "alone" / "seed0"
    assert main(["train", "--quick", "--out", str(tmp_path / "taught"), "--teacher", str(first / "model")]) == 0
    for place, taught in ((first, False), (tmp_path / "taught" / "seed0", True)):
        record = json.loads((place / "training.json").read_text())
        assert record["validation"] > 0.75
        assert (record["teacher validation"] is not None) == taught
        assert str(tmp_path) not in (place / "training.json").read_text()
        assert load_model(place / "model").config.layers == 3
    assert "the teacher is right on" in capsys.readouterr().out
    # What was trained is not trained again.
    assert main(["train", "--quick", "--out", str(tmp_path / "alone")]) == 0
    assert "was trained before" in capsys.readouterr().out
