"""The experiment on agreement with blank-out: what is chosen on one half is reported on the other."""

import json
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

import jaxflow as jf
from experiments._methods import REFERENCES, mixings_of
from experiments.agreement.__main__ import made_texts, main
from experiments.agreement.table import Ranked, cells, markdown, verdicts
from jaxflow.evaluation import occlusion_scores, token_inputs

TEXTS = 40
CHOSEN_ON = np.arange(TEXTS) % 2 == 0


def made_up(chosen, held):
    """A method whose agreement by layer is `chosen` on the texts that choose, `held` on the others, but for noise."""
    noise = np.random.default_rng(0).normal(size=(TEXTS, 1)) * 0.01
    values = np.where(CHOSEN_ON[:, None], chosen, held) + noise - noise[CHOSEN_ON].mean() * CHOSEN_ON[:, None]
    return Ranked(values, values > 0.5, np.array([0, 3]))


def test_layers_and_mixings_are_chosen_on_one_half_and_reported_on_the_other():
    agreement = {
        # The best layer by the half that chooses is the first, though the second does better on the other half.
        "flow of a": made_up((0.6, 0.5), (0.1, 0.9)),
        # The best mixing at the last layer by the half that chooses.
        "flow of b": made_up((0.3, 0.55), (0.2, 0.4)),
        "rollout of a": made_up((0.2, 0.1), (0.3, 0.3)),
        "rollout of b": made_up((0.1, 0.1), (0.9, 0.9)),
        "column-sums": made_up((0.1, 0.7), (0.1, 0.6)),
    }
    report = cells(agreement, CHOSEN_ON, 99)
    held = {name: each.spearman[~CHOSEN_ON].mean(0) for name, each in agreement.items()}
    assert report["flow of a"]["best"]["layer"] == 1
    assert report["flow of a"]["best"]["spearman"] == pytest.approx(held["flow of a"][0])
    assert report["flow of a"]["last"]["layer"] == 2
    assert report["flow of a"]["last"]["spearman"] == pytest.approx(held["flow of a"][1])
    low, high = report["flow of a"]["last"]["spearman interval"]
    assert low < held["flow of a"][1] < high
    assert report["flow of a"]["last"]["all words tied"] == 3
    assert (report["flow of a"]["best"]["top-1"], report["flow of a"]["last"]["top-1"]) == (0, 1)
    verdict = verdicts(agreement, report, CHOSEN_ON, 99)
    assert set(verdict) == {"graph", "flow", "rollout"}
    assert verdict["graph"] == verdict["flow"]
    assert (verdict["flow"]["best"]["method"], verdict["flow"]["last"]["method"]) == ("flow of a", "flow of b")
    # Above the column sums at their own best layer, the second.
    below = held["flow of a"][0] - held["column-sums"][1]
    assert verdict["flow"]["best"]["above column sums"] == pytest.approx(below)
    assert "| graph, best layer: flow of a | 1 |" in markdown(report, verdict)


def test_every_mixing_that_the_model_gives_is_in_the_table():
    model = jf.load_model("verb-number")
    mixings: dict[str, Any] = dict(mixings_of(model))
    assert {mixing.name for mixing in mixings.values()} == set(jf.mixing.MIXINGS)
    norms = [mixing for mixing in mixings.values() if mixing.name == "norms"]
    assert {mixing.variant for mixing in norms} == {"N", "N-Res", "N-ResLN", "N-Enc"}
    # Names in the table tell all of them apart, and so do their values.
    assert len(set(mixings.values())) == len(mixings)


def test_without_data_the_way_out_is_told(capsys):
    assert main(["sst2"]) == 2
    assert "--data" in capsys.readouterr().err


@pytest.mark.slow
def test_quick_figures_are_those_of_the_methods(tmp_path, capsys):
    assert main(["verb-number", "--quick", "--out", str(tmp_path), "--functionals", "rollout", "joint-flow"]) == 0
    record = json.loads((tmp_path / "verb-number.json").read_text())
    assert set(REFERENCES) < set(record["methods"])
    assert "| attention-gradient |" in capsys.readouterr().out
    # One cell by another library, on the half that is reported: every other text.
    model, texts = jf.load_model("verb-number"), made_texts("verb-number")
    rows = jf.attribute(model, texts, methods="rollout", queries="classifier").relevance["rollout"]
    inputs = token_inputs(model, texts)
    blank, words = occlusion_scores(model, inputs).values, inputs.positions("words")
    agreement = []
    for text, row in enumerate(rows):
        found: Any = spearmanr(row[-1, 0][words[text][: row.shape[-1]]], blank[text][words[text]])
        agreement.append(found.statistic)
    cell = record["methods"]["rollout of attention"]["last"]
    assert cell["spearman"] == pytest.approx(np.mean(agreement[1::2]), abs=1e-5)
    assert cell["layer"] == 6
