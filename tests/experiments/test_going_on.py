"""The verb-number model that was taught for longer: what is told of it, and the weights that are kept."""

import json

import jax
import numpy as np
from flax import nnx

import jaxflow as jf
from experiments.verb_number.__main__ import quick_corpus
from experiments.verb_number.made import SMALL, Grammar
from experiments.verb_number.measure import accuracies
from experiments.verb_number.model import Architecture
from experiments.verb_number.train import Settings, train
from tests.experiments.test_told_figures import RECORDS, TOLD, agrees, table

SETS = {
    "held-out documents of the training sources": "test",
    "Linzen et al. (2016), all": "linzen",
    "Gulordava et al. (2018)": "gulordava",
    "BLiMP, six agreement sets": "blimp",
    "Marvin & Linzen (2018), held-out templates": "marvin_linzen",
}


def test_the_table_tells_what_was_measured():
    results = RECORDS / "verb_number" / "results"
    shipped = json.loads((results / "accuracy.json").read_text("utf-8"))["seeds"].values()
    longer = json.loads((results / "longer" / "accuracy.json").read_text("utf-8"))["seeds"]["seed3"]

    def measured(name, sets):
        if name in SETS:
            return sets[SETS[name]]["accuracy"]
        attractors = name.removeprefix("Linzen, ").partition(" ")[0]
        return sets["linzen"]["by attractors"][attractors]["accuracy"]

    rows = table(TOLD, "set", "shipped, three seeds")
    assert len(rows) == 10
    for name, before, after in rows:
        agrees(before, sum(measured(name, sets) for sets in shipped) / len(shipped))
        agrees(after, measured(name, longer))


def test_the_kept_weights_tell_numbers():
    model = jf.load_model(RECORDS / "verb_number" / "longer")
    assert (model.config.layers, model.config.heads, model.config.width) == (6, 8, 128)
    found = [beginning for beginning in Grammar(SMALL, 5).beginnings(300) if len(beginning.words) <= 10]
    assert len(found) > 100
    assert accuracies(model, {"made": found})["made"]["accuracy"] > 0.9


def test_training_goes_on_from_a_trained_model(tmp_path):
    settings = Settings(steps=2, tokens=96, rate=1e-6, teacher="none", parts=1, part=200, of=1, start="verb-number")
    gone_on = train(quick_corpus(), Architecture(), settings, tmp_path, lambda line: None).model
    start = jf.load_model("verb-number")
    assert gone_on.tokenizer.get_vocab() == start.tokenizer.get_vocab()
    # Steps so small leave it where it began, but not in every weight.
    pairs = zip(*(jax.tree.leaves(nnx.state(model.module, nnx.Param)) for model in (start, gone_on)), strict=True)
    far = [float(np.abs(np.asarray(one) - np.asarray(other)).max()) for one, other in pairs]
    assert 0 < max(far) < 1e-4
