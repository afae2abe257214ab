"""The experiments on pronouns and the paper's figures, with tiny models made here."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
import transformers
from scipy.stats import rankdata

from experiments.figures.__main__ import main as figures
from experiments.figures.entropy import entropy_record, evenness
from experiments.pronouns.__main__ import main as pronouns
from experiments.pronouns.data import FILE, read_winogender
from experiments.pronouns.gender import hits_and_ranks, position_hits
from experiments.pronouns.masked import QUESTIONS, Question, answer
from jaxflow import InputError, load_model
from jaxflow.models import new_encoder, save_encoder
from tests.tiny_text_model import model_folder

PEOPLE = ("nurse", "doctor", "teacher", "clerk")
SENTENCES = ("The {} said that {} left.", "{} knew that the {} left.", "The {} took {} key today.")
FORMS = {"male": ("he", "his"), "female": ("she", "her"), "neutral": ("they", "their")}


def made(head, labels=(), size=2):
    """A tiny BERT with random weights and a tokenizer that knows the sentences' words."""
    tokenizer = load_model(model_folder()).tokenizer
    known = [*(question.text for question in QUESTIONS), *SENTENCES, *PEOPLE, *(" ".join(f) for f in FORMS.values())]
    words = {word.strip(".,").lower() for text in known for word in text.split()}
    _ = tokenizer.add_tokens(["him", *sorted(word for word in words if word.isalpha())])
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=size,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=48,
        initializer_range=0.3,
        id2label=dict(enumerate(labels)) or None,
        label2id={label: i for i, label in enumerate(labels)} or None,
    )
    return new_encoder(config, tokenizer, head=head, seed=1)


@pytest.fixture(scope="module")
def winogender(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coref")
    rows = []
    for person in PEOPLE:
        for gender, (subject, owner) in FORMS.items():
            texts = (
                SENTENCES[0].format(person, subject),
                SENTENCES[1].format(subject.capitalize(), person),
                SENTENCES[2].format(person, owner),
            )
            rows += [f"{person}.someone.{i}.{gender}.txt\t{text}" for i, text in enumerate(texts)]
    (folder / FILE).write_text("sentid\tsentence\n" + "\n".join(rows) + "\n")
    return folder


def test_every_sentence_has_its_pronoun(winogender, tmp_path):
    found = read_winogender(winogender)
    assert len(found) == 36
    assert {s.text[slice(*s.pronoun)].lower() for s in found} == {w for forms in FORMS.values() for w in forms}
    assert {sentence.occupation for sentence in found} == set(PEOPLE)
    (tmp_path / FILE).write_text("sentid\tsentence\na.b.0.male.txt\the said he was ill.\n")
    with pytest.raises(InputError, match="must have one pronoun of its gender, got 2"):
        _ = read_winogender(tmp_path)


def test_hits_and_ranks_are_those_of_scipy():
    rng = np.random.default_rng(5)
    values = rng.integers(0, 4, (60, 3, 7)).astype(float)
    mask = np.arange(7) < rng.integers(2, 8, 60)[:, None]
    place = np.array([rng.integers(row.sum()) for row in mask])
    hits, reciprocal = hits_and_ranks(values, mask, place)
    for i in range(60):
        for row in range(3):
            real = values[i, row, mask[i]]
            assert reciprocal[i, row] == pytest.approx(1 / rankdata(-real)[place[i]])
            top = real == real.max()
            assert hits[i, row] == pytest.approx(top[place[i]] / top.sum())
    assert 0 < hits.mean() < 1


def test_the_place_is_learnt_from_other_groups():
    place = np.array([3, 3, 1, 1, 1, 1])
    groups = np.array(["a", "a", "b", "b", "c", "c"])
    # Others than `a` stand at 1 alone; others than `b` at 3 and 1 as often, of which the first is taken.
    np.testing.assert_array_equal(position_hits(place, groups), [0, 0, 1, 1, 1, 1])


@pytest.mark.slow
def test_gender_is_measured_and_goes_on(winogender, tmp_path, capsys):
    model = save_encoder(made("sequence_classification", ("female", "male", "unknown")), tmp_path / "model")
    command = ["--data", str(winogender), "--out", str(tmp_path), "--model", str(model), "--quick"]
    assert pronouns(command) == 0
    assert "top word" in capsys.readouterr().out
    record = json.loads((tmp_path / "gender.json").read_text())
    assert record["certified"] == 1
    assert sum(record["confusion"].values()) == record["settings"]["sentences"] == 24
    group = record["words"]["gendered"]
    assert set(group["hits"]["flow"]) == {"1", "2"}
    # Six words in each sentence, and a full stop.
    assert group["chance"]["mean"] == pytest.approx(1 / 6, rel=1e-5)
    assert group["chance_reciprocal_rank"]["mean"] == pytest.approx(2.45 / 6, rel=1e-5)
    assert record["words_and_signs"]["gendered"]["chance"]["mean"] == pytest.approx(1 / 7, rel=1e-5)
    for cell in (group["hits"]["raw"]["1"], group["hits"]["blank-out"], group["position"]):
        assert 0 <= cell["low"] <= cell["mean"] <= cell["high"] <= 1
    _ = ET.parse(tmp_path / "gender.svg")  # noqa: S314
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("pieces/*/*.npz")}
    assert len(kept) == 4
    assert pronouns(command) == 0
    assert kept == {path: path.stat().st_mtime_ns for path in tmp_path.glob("pieces/*/*.npz")}
    assert json.loads((tmp_path / "gender.json").read_text())["words"] == record["words"]


@pytest.mark.slow
def test_masked_pronouns(tmp_path, capsys):
    encoder = made("masked_lm")
    model = save_encoder(encoder, tmp_path / "model")
    assert pronouns(["--out", str(tmp_path), "--masked-lm", str(model)]) == 0
    assert capsys.readouterr().out.count("p(her)") == 5
    record = json.loads((tmp_path / "masked.json").read_text())
    assert [one["text"] for one in record["sentences"]] == [question.text for question in QUESTIONS]
    _ = ET.parse(tmp_path / "masked.svg")  # noqa: S314
    # Against transformers, from the folder that was saved.
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(model, attn_implementation="eager").eval()
    coded = encoder.tokenizer(QUESTIONS[0].text, return_tensors="pt")
    with torch.no_grad():
        out = theirs(**coded, output_attentions=True)
    place = coded["input_ids"][0].tolist().index(encoder.tokenizer.mask_token_id)
    chances = out.logits[0, place].softmax(-1)
    first = record["sentences"][0]
    for word in ("his", "her"):
        chance = float(chances[encoder.tokenizer.convert_tokens_to_ids(word)])
        assert first["chances"][word] == pytest.approx(chance, abs=1e-5)
    tokens = encoder.tokenizer.convert_ids_to_tokens(coded["input_ids"][0])
    raw = np.array([layer[0].mean(0)[place].numpy() for layer in out.attentions])
    expected = raw[:, [tokens.index("author"), tokens.index("sara")]]
    np.testing.assert_allclose(first["relevance"]["raw"], expected, atol=1e-5)


def test_a_pronoun_that_the_model_lacks_is_named():
    encoder = made("masked_lm")
    question = Question("The author has [MASK] book.", ("author", "book"), ("his", "hisher"))
    with pytest.raises(InputError, match="must have a token of its own for 'hisher', got"):
        _ = answer(encoder, question)


@pytest.mark.slow
def test_figures_are_drawn(tmp_path, capsys):
    model = save_encoder(made("sequence_classification", ("negative", "positive")), tmp_path / "model")
    texts = tmp_path / "some.conllu"
    lines = [
        f"# text = {' '.join(['key', 'his', 'book', 'he', 'to', 'love', 'in'][: 6 + i % 2])} {i}" for i in range(9)
    ]
    texts.write_text("\n".join([*lines, "# text = too short", "1\tnot a sentence of this file at all"]))
    command = ["--out", str(tmp_path), "--model", str(model), "--texts", str(texts), "--quick"]
    assert figures([*command, "--classifier", str(model)]) == 0
    assert "flow - rollout" in capsys.readouterr().out
    for number in (1, 2, 3, 4):
        _ = ET.parse(tmp_path / f"figure{number}.svg")  # noqa: S314
        assert (tmp_path / f"figure{number}.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "figure4.json").read_text())["settings"]["sentences"] == 9


def test_evenness_and_its_test():
    assert evenness(np.array([[1.0, 1, 1, 1], [5, 0, 0, 0]])) == pytest.approx([1, 0])
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.4, (40, 1, 2))
    values = np.concatenate([base, base + 0.1 * rng.uniform(-1, 1, base.shape), base + 0.2], axis=1)
    cells = entropy_record({"all": values})["all"]["differences"]
    assert cells["flow - raw"]["1"]["mean"] == pytest.approx(0.2)
    assert cells["flow - raw"]["2"]["p"] < 1e-6
    assert cells["raw - rollout"]["1"]["p"] > 1e-3


def test_bad_input_is_one_line(winogender, tmp_path, capsys):
    model = str(model_folder())
    for command, line in (
        (
            ["--out", str(tmp_path)],
            "--model must name a classifier of gender where --masked-lm names no model, got none",
        ),
        (["--out", str(tmp_path), "--model", model], "--data"),
        (
            ["--out", str(tmp_path), "--model", model, "--data", str(winogender)],
            "must have the labels male, female, unknown",
        ),
        (["--out", str(tmp_path), "--masked-lm", str(tmp_path)], "config.json"),
    ):
        assert pronouns(command) == 2
        assert line in capsys.readouterr().err
