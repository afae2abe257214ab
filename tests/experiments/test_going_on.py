"""The verb-number model that ships was taught in two goes: what is told of it, and how it got into the package."""

import json
import shutil

import jax
import numpy as np
import pytest
from flax import nnx

import jaxflow as jf
from experiments.verb_number.__main__ import quick_corpus
from experiments.verb_number.model import Architecture
from experiments.verb_number.ship import PLACE, ship
from experiments.verb_number.train import Settings, train
from tests.experiments.test_told_figures import RECORDS, TOLD, agrees, table

SETS = {
    "held-out documents of the training sources": "test",
    "Linzen et al. (2016), all": "linzen",
    "Gulordava et al. (2018)": "gulordava",
    "BLiMP, six agreement sets": "blimp",
    "Marvin & Linzen (2018), held-out templates": "marvin_linzen",
}


RESULTS = RECORDS / "verb_number" / "results"


def test_the_table_tells_what_was_measured():
    three = json.loads((RESULTS / "seeds" / "accuracy.json").read_text("utf-8"))["seeds"].values()
    shipped = json.loads((RESULTS / "accuracy.json").read_text("utf-8"))["seeds"]["seed3"]

    def measured(name, sets):
        if name in SETS:
            return sets[SETS[name]]["accuracy"]
        attractors = name.removeprefix("Linzen, ").partition(" ")[0]
        return sets["linzen"]["by attractors"][attractors]["accuracy"]

    rows = table(TOLD, "set", "three seeds")
    assert len(rows) == 10
    for name, before, after in rows:
        agrees(before, sum(measured(name, sets) for sets in three) / len(three))
        agrees(after, measured(name, shipped))


def test_the_shipped_model_s_ranks_are_those_of_the_record():
    cells = json.loads((RESULTS / "tables-test.json").read_text("utf-8"))["cells"]
    rows = table(TOLD, "shipped", "L1")
    assert len(rows) == 6
    for name, *told in rows:
        score, _, method = name.partition(": ")
        measured = cells[score][method]["words"]
        for cell, mean, std in zip(told, measured["mean"], measured["std"], strict=True):
            agrees(cell.replace("±", " "), mean, std)


def test_what_ships_is_made_from_the_records(tmp_path):
    seed = tmp_path / "seed3"
    seed.mkdir()
    shutil.copy(RESULTS / "training.json", seed)
    shutil.copytree(PLACE, seed / "model")
    shipped = ship(tmp_path, RESULTS, RESULTS / "seeds" / "training-seed0.json", tmp_path / "place")
    for name in ("README.md", "model.safetensors", "config.json"):
        assert (shipped / name).read_bytes() == (PLACE / name).read_bytes(), name


def test_a_model_that_went_on_needs_the_record_before(tmp_path):
    seed = tmp_path / "seed3"
    seed.mkdir()
    shutil.copy(RESULTS / "training.json", seed)
    with pytest.raises(SystemExit, match="--before"):
        ship(tmp_path, RESULTS, None, tmp_path / "place")
    assert not (tmp_path / "place").exists()


def test_training_goes_on_from_a_trained_model(tmp_path):
    settings = Settings(steps=2, tokens=96, rate=1e-6, teacher="none", parts=1, part=200, of=1, start="verb-number")
    gone_on = train(quick_corpus(), Architecture(), settings, tmp_path, lambda line: None).model
    start = jf.load_model("verb-number")
    assert gone_on.tokenizer.get_vocab() == start.tokenizer.get_vocab()
    # Steps so small leave it where it began, but not in every weight.
    pairs = zip(*(jax.tree.leaves(nnx.state(model.module, nnx.Param)) for model in (start, gone_on)), strict=True)
    far = [float(np.abs(np.asarray(one) - np.asarray(other)).max()) for one, other in pairs]
    assert 0 < max(far) < 1e-4
