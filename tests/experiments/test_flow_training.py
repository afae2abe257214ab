"""Training with flow: what the sentences, terms, intervals and the quick run must hold."""

import gzip
import json

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

import jaxflow as jf
from experiments.flow_training.__main__ import main
from experiments.flow_training.data import HINTS, LEXICON, TASKS, made, texts
from experiments.flow_training.fit import Size, new_model
from experiments.flow_training.measure import MEASURES, faithfulness
from experiments.flow_training.real import treebank
from experiments.flow_training.table import interval
from experiments.flow_training.terms import LEAST, TERMS, term_loss
from experiments.verb_number.beginnings import LABELS, VBP


def nouns_of(text):
    return [word for word in text.split() if word in LEXICON.singular + LEXICON.plural]


def probabilities(model, lines):
    return np.asarray(softmax(model.module(model.pad(model.tokenize(lines), 30)).logits, axis=-1), np.float64)


@pytest.mark.parametrize("task", TASKS)
def test_the_evidence_alone_tells_the_number(task):
    for kind in (TASKS[task].trained, TASKS[task].chosen, *TASKS[task].tests.values()):
        sentences = made(kind, 60, 3)
        others = hints = 0
        for row, text in enumerate(texts(sentences)):
            label, words = sentences.labels[row], text.split()
            nouns = LEXICON.plural if label == VBP else LEXICON.singular
            # Behind `<s>`: token 1 is word 0.
            assert words[sentences.evidence[row] - 1] in nouns
            assert sentences.chance[row] != sentences.evidence[row]
            assert sentences.words[row, sentences.chance[row]]
            rest = [noun in nouns for noun in nouns_of(text)]
            rest.remove(True)
            # All other nouns are of one number.
            assert len(set(rest)) == 1
            others += rest[0]
            hints += words[0] == HINTS[label]
        assert abs(others / 60 - kind.agreeing) < 0.2
        assert abs(hints / 60 - (kind.hint or 0)) < 0.2
        assert sentences.labels.mean() == 0.5


@pytest.mark.slow
def test_terms_are_shares_of_what_attribution_gives():
    model, sentences = new_model(Size(layers=2, width=16), 0), made(TASKS["attractors"].trained, 3, 0)
    lines, known = texts(sentences), (sentences.words, sentences.labels, sentences.evidence)
    for name in ("rollout", "class flow"):
        term, shares = TERMS[name], []
        loss, logits = term_loss(term, model.module, sentences.batch, *map(jnp.asarray, known))
        method = name.rsplit(" ", 1)[-1]
        for line, label, place in zip(lines, sentences.labels, sentences.evidence, strict=True):
            target = (LABELS[label], LABELS[1 - label]) if name == "class flow" else None
            mixing = term.mixing
            row = jf.attribute(model, [line], methods=method, mixing=mixing, target=target)[0].relevance[method][-1, 0]
            shares.append(row[place] / row[1:-1].sum())
        np.testing.assert_allclose(loss, -np.log((1 - LEAST) * np.array(shares) + LEAST).mean(), rtol=1e-4)
        expected = model.module(sentences.batch).logits
        assert expected is not None
        np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.slow
def test_what_is_measured_of_a_sentence_is_what_flow_and_blank_out_say():
    model, sentences = new_model(Size(layers=2, width=16), 1), made(TASKS["shortcut"].trained, 3, 1)
    found = faithfulness(model, sentences)
    assert set(found) == set(MEASURES)
    for row, line in enumerate(texts(sentences)):
        flow = jf.attribute(model, [line], methods="flow", mixing="attention-gradient")[0].relevance["flow"][-1, 0]
        place = sentences.evidence[row]
        # The rank by hand, among words alone.
        order = sorted(flow[1:-1], reverse=True)
        assert found["evidence rank"][row] == pytest.approx(1 / (1 + order.index(flow[place])))
        assert found["flow finds evidence"][row] == (flow[place] == order[0])
        # Blanks by hand: the fall of the predicted probability, word by word.
        words = line.split()
        blanked = [" ".join([*words[:at], "<unk>", *words[at + 1 :]]) for at in range(len(words))]
        chances = probabilities(model, [line, *blanked])
        falls = chances[0].max() - chances[1:, chances[0].argmax()]
        assert found["evidence matters"][row] == pytest.approx(falls[place - 1], abs=1e-6)
        assert found["comprehensiveness"][row] == pytest.approx(falls[flow[1:-1].argmax()], abs=1e-6)


def test_intervals_draw_seeds_and_sentences():
    rng = np.random.default_rng(0)
    seeds, sentences = rng.normal(size=(5, 1)), rng.normal(size=(1, 200))
    of_seeds, of_sentences = interval(0.5 + 0 * sentences + seeds), interval(0.5 + sentences + 0 * seeds)
    assert of_seeds["mean"] == pytest.approx(0.5 + seeds.mean())
    low, high = of_sentences["interval"]
    # Means of 200 have a standard error of about 0.07; of five seeds of about 0.45.
    assert 0.2 < high - low < 0.36
    wide = of_seeds["interval"][1] - of_seeds["interval"][0]
    assert wide == pytest.approx(3.9 * seeds.std() / np.sqrt(5), rel=0.25)
    np.testing.assert_array_equal(interval(np.full((3, 4), 0.25))["interval"], 0.25)


def test_real_sentences_keep_their_nouns_numbers_and_lose_their_words(tmp_path):
    rows = [
        ("The", "DT", 3, "det"), ("old", "JJ", 3, "amod"), ("dogs", "NNS", 7, "nsubj"), ("of", "IN", 6, "case"),
        ("the", "DT", 6, "det"), ("farm", "NN", 3, "nmod"), ("bark", "VBP", 0, "root"),
    ]  # fmt: skip
    lines = [f"{i}\t{word}\t_\t_\t{tag}\t_\t{head}\t{of}\t_\t_" for i, (word, tag, head, of) in enumerate(rows, 1)]
    folder = tmp_path / "ud" / "EWT"
    folder.mkdir(parents=True)
    with gzip.open(folder / "all_sources.conllu.gz", "wt", encoding="utf-8") as file:
        _ = file.write("# newdoc id = one\n" + "\n".join(lines) + "\n\n")
    found = treebank(tmp_path)
    assert [len(each) for each in found.values()] == [0, 1]
    assert found["real, attractors"].labels.tolist() == [VBP]
    (text,) = texts(found["real, attractors"])
    the, adjective, subject, _, article, other = text.split()
    assert (the, article) == ("the", "the")
    assert adjective in LEXICON.adjectives
    assert subject in LEXICON.plural
    assert other in LEXICON.singular


@pytest.mark.slow
def test_a_quick_run_writes_its_record_and_goes_on_from_it(tmp_path, capsys):
    assert main(["shortcut", "--quick", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "shortcut.json").read_text())
    assert set(record["arms"]) == {"control", "rollout, evidence", "rollout, random"}
    assert {"command", "commit", "device", "settings"} <= set(record)
    arm = record["arms"]["rollout, evidence"]
    # Differences are paired: they are those of the means.
    for cell, control in zip(arm["right"].values(), record["arms"]["control"]["right"].values(), strict=True):
        assert cell["less control"]["mean"] == pytest.approx(cell["mean"] - control["mean"], abs=1e-5)
    assert (tmp_path / "shortcut.png").stat().st_size > 10_000
    assert "| rollout, random | 1 |" in capsys.readouterr().out
    assert main(["shortcut", "--quick", "--out", str(tmp_path)]) == 0
    # Nothing was trained again.
    assert "measured" not in capsys.readouterr().out
    assert json.loads((tmp_path / "shortcut.json").read_text())["arms"] == record["arms"]
