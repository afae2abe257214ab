"""The experiment on dates: its texts, the trained encoder-decoder that comes with it, and what the record says."""

import json
import re
from calendar import month_name
from datetime import date

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from flax import nnx

import jaxflow as jf
from experiments.source_target.__main__ import RIGHT, WEIGHTS, main
from experiments.source_target.dates import FORMS, LEADS, PARTS, drawn, ordinal, write
from experiments.source_target.measure import WRITTEN, against, explained_by, measured, refused, table
from experiments.source_target.model import END, new_model, save_model
from experiments.source_target.train import _likeliest, batch_of, right, trained
from jaxflow.models.forward import ForwardOptions
from tests.experiments.test_told_figures import agrees, record, section
from tests.experiments.test_told_figures import table as told_table

# Seeds of texts that neither training, testing nor explaining draws from.
NEW = 77_000
KINDS = np.array([PARTS[place] for place in WRITTEN])


@pytest.fixture(scope="module")
def model():
    return jf.load_model(WEIGHTS)


def month_of(word):
    return int(word) if word.isdigit() else list(month_name).index(word)


def test_targets_are_written_from_the_characters_that_the_evidence_names():
    texts = drawn(300, NEW)
    for each in texts:
        words = [None if span is None else each.text[slice(*span)] for span in each.evidence]
        year, month, day = "".join(words[:4]), month_of(words[5]), int(re.match(r"\d+", words[7])[0])
        assert words[4] is words[6] is None
        assert each.target == date(int(year), month, day).isoformat()
    # All forms are drawn, with and without other numbers around the date.
    written = " ".join(each.text for each in texts)
    assert all(lead in written for lead in LEADS)
    assert {len(each.text.split()) for each in texts} == set(range(2, 15, 2))
    assert drawn(300, NEW) == texts != drawn(300, NEW + 1)


def test_ordinals():
    told = "1st 2nd 3rd 4th 10th 11th 12th 13th 14th 20th 21st 22nd 23rd 24th 30th 31st"
    assert [ordinal(int(re.match(r"\d+", word)[0])) for word in told.split()] == told.split()


def test_every_token_of_texts_and_targets_is_known_and_evidence_is_one_token():
    fresh = new_model(0)
    texts = drawn(200, NEW)
    for encoding, each in zip(
        fresh.tokenize([each.text for each in texts], [each.target for each in texts]), texts, strict=True
    ):
        assert "<unk>" not in encoding.tokens
        sources = encoding.segments.index(1)
        for span in filter(None, each.evidence):
            assert encoding.offsets[:sources].count(span) == 1
        # The decoder's first token, and one token for each part of the target.
        assert len(encoding) - sources == 1 + len(PARTS)


def test_labels_are_the_targets_and_their_end():
    fresh = new_model(0)
    (text,) = drawn(1, NEW)
    batch, labels = batch_of(fresh, [text])
    (encoding,) = fresh.tokenize([text.text], [text.target])
    sources = encoding.segments.index(1)
    expected = [*encoding.input_ids[sources + 1 :], END]
    assert labels[0, sources : len(encoding)].tolist() == expected
    assert (np.delete(np.asarray(labels[0]), range(sources, len(encoding))) == -1).all()
    assert fresh.tokenizer.decode(expected, skip_special_tokens=True) == text.target
    assert np.asarray(batch.mask).sum() == len(encoding)


def test_the_trained_model_writes_new_dates_exactly(model):
    texts = drawn(500, NEW)
    good = right(model, texts)
    assert good.mean() >= RIGHT
    # What it writes by itself, of texts of one length, whose program is compiled once.
    alike = [each for each in texts if len(each.text.split()) == 6][:8]
    assert jf.generate(model, [each.text for each in alike], new_tokens=len(PARTS) + 1) == [
        each.target for each in alike
    ]
    # A date that a text does not name is not what it writes.
    swapped = [write(["due"], FORMS[0], [], date(2011, 3, day)) for day in (3, 4)]
    wrong = type(swapped[0])(swapped[0].text, swapped[1].target, swapped[0].evidence)
    assert right(model, [*swapped, wrong]).tolist() == [True, True, False]


def test_answers_depend_on_the_evidence_alone(model):
    # Each part of a date changed, and then the number of another thing: only what is written from it changes.
    told = (["order", "12", "due"], FORMS[1], ["2nd", "page"])
    days = [date(2571, 3, 14), date(2571, 3, 15), date(2571, 8, 14), date(2578, 3, 14), date(9571, 3, 14)]
    texts = [write(*told, day) for day in days]
    texts.append(write(["order", "13", "due"], FORMS[1], ["7th", "page"], days[0]))
    # Every text with the first one's target before each next one.
    forced = [type(each)(each.text, texts[0].target, each.evidence) for each in texts]
    batch, labels = batch_of(model, forced)
    likeliest, asked = np.asarray(_likeliest(model.module, batch)), np.asarray(labels) >= 0
    own, *others = (row[real][: len(PARTS)] for row, real in zip(likeliest, asked, strict=True))
    changed = [set(np.flatnonzero(own != other)) for other in others]
    assert changed == [{7}, {5}, {3}, {0}, set()]


def test_attention_is_transformers(model):
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(WEIGHTS, attn_implementation="eager").eval()
    texts = drawn(5, NEW)
    encodings = model.tokenize([each.text for each in texts], [each.target for each in texts])
    logits, ours = attention_of(model.module, model.pad(encodings))
    for row, encoding in enumerate(encodings):
        sources, size, below = encoding.segments.index(1), len(encoding), model.encoder_layers
        ids = torch.tensor([encoding.input_ids])
        with torch.no_grad():
            expected = theirs(
                input_ids=ids[:, :sources],
                decoder_input_ids=ids[:, sources:],
                output_attentions=True,
                use_cache=False,
            )
        for found, attentions, rows, columns in (
            (ours[:below], expected.encoder_attentions, slice(sources), slice(sources)),
            (ours[below::2], expected.decoder_attentions, slice(sources, size), slice(sources, size)),
            (ours[below + 1 :: 2], expected.cross_attentions, slice(sources, size), slice(sources)),
        ):
            np.testing.assert_allclose(found[:, row, :, rows, columns], torch.cat(attentions), atol=1e-5)
        # Logits are of tens.
        np.testing.assert_allclose(logits[row, sources:size], expected.logits[0], atol=1e-4)


@nnx.jit
def attention_of(module, batch):
    """Numbers of the next target at each position, and the attention of every head, `layer row head query key`."""
    rows, tokens = batch.mask.shape
    hidden, attention = module.run(
        batch,
        lambda carry, layer: carry.at[layer.index].set(layer.attention),
        jnp.zeros((module.depth, rows, module.heads, tokens, tokens)),
        ForwardOptions(),
    )
    return module.scores(hidden), attention


def test_cross_attention_finds_what_targets_are_written_from(model):
    texts = drawn(6, NEW)
    methods = [
        each
        for each in explained_by(model, ("attention",))
        if each.name in ("raw of attention", "rollout of attention", "random")
    ]
    report = table([measured(model, texts, methods)], resamples=99)
    # One of about twelve sources is right.
    crossing = report["raw of attention, decoder 2 cross"]
    assert crossing["share"][0] > 3 * report["random"]["share"][0]
    assert report["raw of attention, decoder 1 cross"]["first"][0] > 0.6
    # Targets attend to sources alone in a cross layer; rollout halves what is earlier targets' at each.
    assert crossing["sources"][0] == pytest.approx(1, abs=1e-6)
    assert report["rollout of attention"]["sources"][0] == pytest.approx(0.75, abs=1e-5)


def test_shares_by_hand():
    # Two texts of three sources and one target token each; the second text has two sources alone.
    values = np.array([[[[1, 2, 5, 2.0]]], [[[4, 4, 0, 2.0]]]])
    evidence = np.array([[[0, 0, 1, 0]], [[0, 1, 0, 0]]], bool)
    sources = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    share, first, of_sources = against(values, evidence, sources)[:, :, 0, 0]
    np.testing.assert_allclose(share, [5 / 8, 1 / 2])
    # Of two that tie, one is first as often as the other.
    np.testing.assert_allclose(first, [1, 1 / 2])
    np.testing.assert_allclose(of_sources, [8 / 10, 8 / 10])


def test_means_are_over_texts_of_all_models():
    first, second = np.zeros((3, 2, len(WRITTEN))), np.ones((3, 1, len(WRITTEN)))
    first[0, 1] = np.where(KINDS == "year", 0.6, 0)
    cell = table([{"flow": first}, {"flow": second}], resamples=99)["flow"]
    assert cell["share"][0] == pytest.approx((0 + 0.4 + 1) / 3)
    assert cell["share of"] == pytest.approx({"year": 1.6 / 3, "month": 1 / 3, "day": 1 / 3})
    assert cell["share by seed"] == pytest.approx([0.2, 1])


def test_what_is_refused_says_so(model):
    said = refused(model, drawn(1, NEW)[0])
    assert {"norms", "alti", "value-zeroing", "integrated-gradients", "decompx"} <= set(said)
    assert all("must need only what the model gives" in each for each in said.values())
    assert {"attention", "attention-gradient", "occlusion", "random"}.isdisjoint(said)


def test_a_saved_model_is_the_one_that_is_loaded(tmp_path):
    fresh = new_model(3, width=16)
    save_model(fresh, tmp_path / "model")
    loaded = jf.load_model(tmp_path / "model")
    assert loaded.config == fresh.config
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), loaded.module, fresh.module))


def test_training_lowers_the_loss_and_is_the_seed_s(capsys):
    weights = [jax.tree.leaves(trained(seed, 20, width=16, pool=64).module) for seed in (5, 5, 6)]
    assert all((a == b).all() for a, b in zip(*weights[:2], strict=True))
    assert any((a != b).any() for a, b in zip(*weights[1:], strict=True))
    # Below even chances of all tokens.
    losses = [float(found) for found in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    assert len(losses) == 3
    assert max(losses) < np.log(new_model(0).vocabulary)


@pytest.mark.slow
def test_a_model_that_does_not_write_dates_is_not_asked(tmp_path, capsys):
    assert main(["--seeds", "1", "--steps", "1", "--out", str(tmp_path)]) == 2
    assert "99% exact match" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_quick_record_has_every_method(tmp_path, capsys):
    assert main(["--quick", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "dates.json").read_text())
    assert {"commit", "device", "packages", "settings"} <= set(record)
    names = {"raw of attention, decoder 1 cross", "rollout of attention", "flow of attention-gradient", "occlusion"}
    assert names <= set(record["methods"])
    for cell in record["methods"].values():
        assert all(0 <= low <= mean <= high <= 1 for mean, low, high in (cell["share"], cell["first"]))
    assert (tmp_path / "dates.png").is_file()
    assert "| occlusion |" in capsys.readouterr().out


# How the README calls methods of the record.
NAMES = {
    "cross-attention, decoder 2": "raw of attention, decoder 2 cross",
    "cross-attention, decoder 1": "raw of attention, decoder 1 cross",
    "rollout": "rollout of attention",
    "flow": "flow of attention",
    "class-specific cross-attention, decoder 2": "raw of attention-gradient, decoder 2 cross",
    "class-specific cross-attention, decoder 1": "raw of attention-gradient, decoder 1 cross",
    "class-specific rollout": "rollout of attention-gradient",
    "class-specific flow": "flow of attention-gradient",
    "occlusion": "occlusion",
    "column sums": "column-sums",
    "position": "position",
    "random": "random",
}


def test_told_figures_are_the_record_s():
    kept = record("source_target", "dates")
    rows = told_table(section("source_target"), "method", "share", "first")
    assert len(rows) == len(NAMES)
    for name, share, first, kinds, sources, seeds in rows:
        cell = kept["methods"][NAMES[name]]
        agrees(share, *cell["share"])
        agrees(first, cell["first"][0])
        agrees(kinds, *cell["share of"].values())
        agrees(sources, cell["sources"][0])
        agrees(seeds, *cell["share by seed"])
    assert all(each["exact match"] >= RIGHT for each in kept["models"])
