"""What fine-tuning changes: its parts against other ways of computing them, and a quick run of all pairs."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import scipy.stats
import torch
import transformers

from experiments.attention_change.__main__ import main
from experiments.attention_change.layers import arcs_of, syntax_record
from experiments.attention_change.made import made_data, made_models
from experiments.attention_change.marks import ahead, lift, marks_record, of_spans, shuffled
from experiments.attention_change.pairs import PAIRS
from experiments.attention_change.prompts import marked_prompt, read_prompts
from experiments.attention_change.reactions import marked_reaction
from experiments.attention_change.sentiment import read_sentences
from experiments.attention_change.smiles import AROMATIC, parse, without_map
from experiments.attention_change.statistics import gini, rank_correlation
from experiments.attention_change.taken import logits_without
from experiments.attention_change.texts import Marked, treebank, word_counts
from jaxflow import InputError
from jaxflow.compare import Units
from jaxflow.models import save_encoder

MAPPED = (
    "[CH3:1][C:2](=[O:3])[Cl:9].[nH:4]1[cH:5][cH:6][cH:7][cH:8]1>>[CH3:1][C:2](=[O:3])[n:4]1[cH:5][cH:6][cH:7][cH:8]1"
)


def test_smiles_are_read_and_written_without_their_map():
    # As RDKit 2025.9 reads them; 1,500 reactions of USPTO-50k's test set were held against it once.
    for mapped, plain, bonds in (
        ("[CH3:1][C:2](=[O:3])[OH:4]", "CC(=O)O", {(1, 2): 1, (2, 3): 2, (2, 4): 1}),
        (
            "[cH:1]1[cH:2][cH:3][n:4][cH:5][cH:6]1",
            "c1ccncc1",
            dict.fromkeys(((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (1, 6)), AROMATIC),
        ),
        ("[CH2:1]=[CH:2][C:3]#[N:4]", "C=CC#N", {(1, 2): 2, (2, 3): 1, (3, 4): 3}),
        (
            "[NH3+:1][C@@H:2]([CH3:3])[C:4](=[O:5])[O-:6]",
            "[NH3+][C@@H](C)C(=O)[O-]",
            {(1, 2): 1, (2, 3): 1, (2, 4): 1, (4, 5): 2, (4, 6): 1},
        ),
        (
            "[nH:1]1[cH:2][cH:3][cH:4][cH:5]1",
            "[nH]1cccc1",
            dict.fromkeys(((1, 2), (2, 3), (3, 4), (4, 5), (1, 5)), AROMATIC),
        ),
        (
            "[CH3:1][S:2](=[O:3])(=[O:4])[Cl:5].[Na+:6]",
            "CS(=O)(=O)Cl.[Na+]",
            {(1, 2): 1, (2, 3): 2, (2, 4): 2, (2, 5): 1},
        ),
        (
            "[CH3:1]/[CH:2]=[CH:3]/[CH:4]%10[CH2:5][CH2:6]%10",
            "C/C=C/C%10CC%10",
            {(1, 2): 1, (2, 3): 2, (3, 4): 1, (4, 5): 1, (5, 6): 1, (4, 6): 1},
        ),
        ("[13CH3:1][CH2:2]", "[13CH3][CH2]", {(1, 2): 1}),
    ):
        molecules = parse(mapped)
        numbers = [atom.number for atom in molecules.atoms]
        assert {(numbers[a], numbers[b]): order for (a, b), order in molecules.bonds.items()} == bonds
        text, spans = without_map(mapped)
        assert text == plain
        assert [text[start:end].strip("[]")[0] for start, end in spans] == [
            atom.text[0] if atom.text[0] != "1" else "1" for atom in molecules.atoms
        ]


def test_malformed_smiles_are_named():
    for wrong, line in (
        ("C1CC", "left open"),
        ("C)C", "must close a branch that was opened, got"),
        ("C!C", "character 1"),
        ("[zz9]", "must hold an atom of a SMILES"),
        ("1CC1", "must close a ring behind an atom"),
    ):
        with pytest.raises(InputError, match=line):
            _ = parse(wrong)


def test_reacting_atoms_are_those_with_another_bond():
    reaction = marked_reaction(MAPPED, "2")
    assert reaction.text == "CC(=O)Cl.[nH]1cccc1>>CC(=O)n1cccc1"
    found = [
        reaction.text[start:end] for (start, end), label in zip(reaction.spans, reaction.labels, strict=True) if label
    ]
    assert found == ["C", "Cl", "[nH]", "C", "n"]
    # A reduction, where a bond's order changes alone.
    reduced = marked_reaction("[CH3:1][CH:2]=[O:3]>>[CH3:1][CH2:2][OH:3]")
    assert reduced.labels == (False, True, True, False, True, True)
    # What leaves together stays together as far as is known.
    leaving = marked_reaction("[CH3:1][O:2][CH2:3][CH3:4]>>[CH3:1][OH:2]")
    assert leaving.labels == (False, True, True, False, False, True)
    with pytest.raises(InputError, match="two arrows"):
        _ = marked_reaction("CC")


def test_prompts_are_marked_by_braces():
    prompt = marked_prompt("{Do it} now, {or else}.", word_counts(()))
    assert prompt.text == "Do it now, or else."
    assert prompt.labels == (True, True, False, True, True)
    prompts = read_prompts(word_counts(()))
    groups = [text.group for text in prompts]
    assert groups == ["injection"] * 40 + ["benign"] * 40
    assert all(any(text.labels) and not all(text.labels) for text in prompts[:40])
    assert len({text.text for text in prompts}) == 80
    assert sum(any(text.labels) for text in prompts[40:]) == 15


def test_lift_and_how_often_marked_words_are_ahead():
    rng = np.random.default_rng(0)
    values = np.ones((3, 9))
    for _ in range(20):
        values = rng.integers(1, 5, (3, 9)).astype(float)
        labels = rng.permutation([True, True, True, *[False] * 6])
        for row in range(3):
            assert lift(values, labels)[row] == pytest.approx(values[row, labels].mean() / values[row].mean())
            u = scipy.stats.mannwhitneyu(values[row, labels], values[row, ~labels]).statistic
            assert ahead(values, labels)[row] == pytest.approx(u / (labels.sum() * (~labels).sum()))
    assert np.isnan(lift(values, np.zeros(9, bool))).all()
    # A word without a token takes no part.
    values[:, 4] = np.nan
    assert lift(values, np.arange(9) < 5)[0] == pytest.approx(values[0, :4].mean() / np.nanmean(values[0]))


def test_words_take_the_largest_of_their_pieces():
    units = Units(
        ("[CLS]", "un", "##do", "it", "[SEP]"),
        ((-1, -1), (0, 2), (2, 4), (5, 7), (-1, -1)),
        (-1, 0, 0, 0, -1),
        *((0, 1, 2, 3, 4),) * 2,
    )
    values = np.array([[9.0, 1, 3, 2, 9], [9.0, 4, 3, 2, 9]])
    np.testing.assert_array_equal(of_spans(values, units, [(0, 4), (5, 7), (8, 9)])[:, :2], [[3, 2], [4, 2]])
    assert np.isnan(of_spans(values, units, [(8, 9)])).all()


def test_marks_are_shuffled_within_kinds():
    labels = np.array([True, False, False, True, True, False])
    found = shuffled(labels, ("a", "a", "a", "b", "b", "c"), np.random.default_rng(1), 500)
    assert (found[:, :3].sum(axis=1) == 1).all()
    assert found[:, 3:5].all()
    assert not found[:, 5].any()
    np.testing.assert_allclose(found[:, :3].mean(axis=0), 1 / 3, atol=0.07)


def test_a_planted_gain_is_found_and_chance_is_not():
    rng = np.random.default_rng(2)
    texts, before, after = [], [], []
    for _ in range(40):
        labels = tuple(bool(each) for each in rng.permutation([True, True, *[False] * 6]))
        texts.append(Marked("", ((0, 0),) * 8, labels, ("rare",) * 4 + ("common",) * 4))
        values = rng.uniform(1, 2, (2, 8))
        before.append(values)
        # The first row gains on marked words, the second at random.
        after.append(values + np.stack([0.5 * np.array(labels), rng.permutation(labels) * 0.5]))
    record = marks_record(texts, before, after, [("raw", "1"), ("raw", "2")], 199)
    gained, even = record["raw"]["1"], record["raw"]["2"]
    assert gained["lift change"]["low"] > 0.1
    assert max(gained[f"{name} change"]["p"] for name in ("lift", "ahead", "chance", "alike")) < 0.05
    assert gained["chance change"]["mean"] == pytest.approx(0, abs=0.02)
    assert min(even[f"{name} change"]["p"] for name in ("lift", "chance", "alike")) > 0.05
    direct = [v[0, np.array(t.labels)].mean() / v[0].mean() for t, v in zip(texts, after, strict=True)]
    assert gained["lift after"]["mean"] == pytest.approx(np.mean(direct))


def test_rank_correlation_and_gini():
    rng = np.random.default_rng(3)
    one = rng.integers(0, 6, 25)
    two = one + rng.integers(0, 4, 25)
    found = rank_correlation(one, two, 1999)
    assert found["rho"] == pytest.approx(scipy.stats.spearmanr(one, two)[0])
    assert found["p"] < 0.01
    assert rank_correlation(one, rng.random(25), 1999)["p"] > 0.05
    assert np.isnan(rank_correlation(one, np.ones(25))["rho"])
    values = rng.random(9)
    pairs = np.abs(values[:, None] - values).sum() / (2 * 9**2 * values.mean())
    assert gini(values) == pytest.approx(pairs)


def test_heads_that_follow_syntax_are_found(tmp_path):
    sentences = treebank(made_data(tmp_path))
    names, counts, baseline = arcs_of(sentences)
    assert names[0] == "det"
    assert counts.sum(axis=0)[0] == 108
    # Every determiner stands before its noun.
    assert baseline[0] == 1
    shape = (len(counts), len(names), 2, 4, 2)
    after = np.zeros(shape)
    # A head of layer 2 finds all arcs, one of layer 4 half of them, others none.
    after[..., 1, 0, 1, 1] = 0
    after[:, :, 0, 1, 1] = counts
    after[:, :, 1, 3, 0] = counts / 2
    record = syntax_record(np.zeros(shape), after, names, counts, baseline, 99)
    expected = np.array([0, 1, 0, 0.5]) - baseline.mean()
    np.testing.assert_allclose([cell["mean"] for cell in record["after"]], expected)
    assert record["change"][1]["mean"] == pytest.approx(1)
    assert record["change"][1]["p"] == pytest.approx((scipy.stats.binom.pmf(0, 4, 0.5) * 2 * 99 + 1) / 100, abs=0.15)
    assert record["deep_less_shallow"]["after"]["mean"] == pytest.approx(-0.25)


def test_sentences_have_their_words_judged(tmp_path):
    texts = read_sentences(made_data(tmp_path) / "sst", word_counts(()))
    assert len(texts) == 27
    for text in texts:
        assert text.text.split()[-2] == text.text[slice(*text.spans[-1])]
        assert text.labels == (False, False, False, False, True)
        assert text.signs[-1] == (1 if text.group == "positive" else -1)


def test_heads_taken_away_together_give_nothing(tmp_path):
    # Against a model whose value rows of those heads are zero, which is the same thing by other means.
    data = made_data(tmp_path / "data")
    encoder = made_models(PAIRS["sentiment"], data)[1]
    texts = read_sentences(data / "sst", word_counts(()))[:4]
    away = np.zeros((4, 4, 2), bool)
    away[:, [0, 2, 3], [1, 0, 1]] = True
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(
        save_encoder(encoder, tmp_path / "model"), attn_implementation="eager"
    ).eval()
    size = theirs.config.hidden_size // 2
    for layer, head in ((0, 1), (2, 0), (3, 1)):
        value = theirs.bert.encoder.layer[layer].attention.self.value
        with torch.no_grad():
            value.weight[head * size : (head + 1) * size] = 0
            value.bias[head * size : (head + 1) * size] = 0
    coded = encoder.tokenizer([text.text for text in texts], return_tensors="pt")
    with torch.no_grad():
        expected = theirs(**coded).logits.numpy()
    found = logits_without(encoder, texts, away)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - logits_without(encoder, texts, np.zeros_like(away))).max() > 1e-3


@pytest.mark.slow
def test_a_pair_runs_quickly_and_is_not_made_again(tmp_path, capsys):
    command = ["sentiment", "--quick", "--out", str(tmp_path)]
    assert main(command) == 0
    assert "deep layers change more" in capsys.readouterr().out
    record = checked(tmp_path, "sentiment")
    debugging = record["debugging"]
    assert debugging["wrong"] + round(record["predictions"]["accuracy"] * 12) == 12
    best = debugging["words"]["the best word there is"]["prediction turned"]["mean"]
    assert all(row["prediction turned"]["mean"] <= best for row in debugging["words"].values())
    assert record["bias"]["pairs"] == 6
    for kind in ("case", "bias"):
        _ = ET.parse(tmp_path / f"sentiment-{kind}.svg")  # noqa: S314
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert main(command) == 0
    assert "is there already" in capsys.readouterr().out
    assert kept == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}


@pytest.mark.slow
def test_the_other_pairs_run_quickly(tmp_path):
    for name in PAIRS.keys() - {"sentiment"}:
        assert main([name, "--quick", "--out", str(tmp_path)]) == 0
        _ = checked(tmp_path, name)


def checked(folder, name):
    """The record of a pair, with what holds for all."""
    record = json.loads((folder / f"{name}.json").read_text())
    apart = record["layers"]["deep_less_shallow"]
    assert apart["low"] <= apart["mean"] <= apart["high"]
    assert {row["verdict"] for row in record["claims"]} <= {"holds", "opposite", "not shown"}
    assert len(record["marks"]["flow"]) == 4
    for kind in ("layers", "heads"):
        _ = ET.parse(folder / f"{name}-{kind}.svg")  # noqa: S314
    return record


def test_bad_input_is_one_line(tmp_path, capsys):
    for command, line in (
        (["all", "--out", str(tmp_path)], "--data must name the folder of the data sets, got none"),
        (["all", "--quick", "--out", str(tmp_path), "--model-a", "x"], "name the pair"),
        (["reactions", "--out", str(tmp_path), "--data", str(tmp_path), "--models", str(tmp_path)], "rxnfp-pretrained"),
    ):
        assert main(command) == 2
        assert line in capsys.readouterr().err
