"""The experiment on faithfulness: what is chosen on some texts is reported on the others."""

import json

import numpy as np
import pytest

from experiments._methods import REFERENCES as EVERY
from experiments.faithfulness.__main__ import main
from experiments.faithfulness.measure import SEEDS, Row
from experiments.faithfulness.table import SIGN, agreements, cell, chosen, reported_rows, unchosen

TEXTS = 30
REFERENCES = tuple(name for name in EVERY if name != "random")


def rows_and_means(better):
    """Rows of made-up methods: two mixings of each functional at two layers, and the references, with mean scores."""
    means = {
        Row(f"{name} of {kind}", layer): 0.1
        for name in ("raw", "rollout", "flow", "joint-flow")
        for kind in "ab"
        for layer in (1, 2)
    }
    means |= {Row(name, 2): 0.2 for name in REFERENCES}
    means |= {Row(f"random {seed}", 2): 0.01 * seed for seed in range(SEEDS)}
    return means | better


def scores_of(means, sign=1):
    noise = np.random.default_rng(0).normal(size=(TEXTS, len(means))) * 0.02
    return {"sufficiency": sign * (np.array(list(means.values())) + noise - noise.mean(0)), "saco": noise}


def test_layers_and_mixings_are_chosen_on_some_texts_and_reported_on_others():
    # Sufficiency: low is faithful. Flow of b at layer 1 is best by the texts that choose, and poor on the others.
    choice = rows_and_means({Row("flow of b", 1): 0.5, Row("raw of a", 2): 0.4})
    rows = list(choice)
    of_choice = chosen(rows, scores_of(choice, -1), "sufficiency")
    assert of_choice.best("flow") == of_choice.best("graph") == "flow of b"
    assert of_choice.layers["flow of b"] == Row("flow of b", 1)
    assert of_choice.best("raw") == "raw of a"
    # Soft sufficiency takes the layers of sufficiency.
    assert chosen(rows, scores_of(choice, -1), "soft-sufficiency") == of_choice
    few = reported_rows(rows, [of_choice])
    assert Row("flow of b", 1) in few
    assert Row("raw of a", 1) not in few
    held = rows_and_means({Row("flow of b", 1): 0.05, Row("flow of a", 2): 0.9})
    held = {row: mean for row, mean in held.items() if row in few}
    found = cell(of_choice, few, scores_of(held, -1), "sufficiency", 499)
    flow = found["contestants"]["flow"]
    assert (flow["method"], flow["layer"]) == ("flow of b", 1)
    assert flow["mean"][0] == pytest.approx(-0.05)
    assert flow["mean"][1] < -0.05 < flow["mean"][2]
    # Signed so that above is more faithful: 0.05 is above the mean of the random orders, 0.02, and below the sums.
    assert flow["above"]["random"][0] == pytest.approx(0.03)
    assert flow["above"]["column-sums"][0] == pytest.approx(-0.15)
    assert flow["above"]["column-sums"][3] < 0.01
    every = found["every method: last layer, best layer, which"]
    np.testing.assert_allclose(every["flow of a"][:1], [-0.9])
    assert "random 0" not in every


def test_ranks_at_the_last_layer_need_no_choice():
    key = "every method: last layer, best layer, which"
    # What is best at its best layer comes last here.
    scores = {"one": 0.9, "another": 0.4, "third": 0.1}
    high = {name: [value, 1 - value, 1] for name, value in scores.items()}
    low = {name: [-value, value, 1] for name, value in scores.items()}
    cells = {name: {key: high if sign > 0 else low} for name, sign in SIGN.items()}
    assert unchosen({"table": {"mask": cells, "delete": cells}}) == {"one": 1, "another": 2, "third": 3}
    other = {name: {key: low if sign > 0 else high} for name, sign in SIGN.items()}
    assert unchosen({"table": {"mask": cells, "delete": other}}) == {"one": 2, "another": 2, "third": 2}


def test_rankings_that_agree_and_that_do_not():
    better = {Row(f"{name} of a", 2): 0.1 * place for place, name in enumerate(("raw", "rollout", "flow"))}
    means = rows_and_means(better)
    rows = list(means)
    same, other = scores_of(means, -1), scores_of(means)
    choices = {
        (setting, protocol): chosen(rows, same, protocol)
        for setting in ("mask", "delete")
        for protocol in ("sufficiency", "saco")
    }
    kept = dict.fromkeys(("mask", "delete"), rows)
    agree = agreements(choices, kept, {"mask": same, "delete": same})
    assert agree["another removal, same protocol"]["sufficiency"]["mask / delete"] == pytest.approx(1)
    assert agree["methods"] == 8 + len(REFERENCES)
    against = agreements(choices, kept, {"mask": same, "delete": other})
    assert against["another removal, same protocol"]["sufficiency"]["mask / delete"] == pytest.approx(-1)


@pytest.mark.slow
def test_quick_run_writes_a_record_and_a_figure_and_goes_on(tmp_path, capsys):
    assert main(["verb-number", "--quick", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "verb-number.json").read_text())
    table = record["table"]
    assert set(table) == {"mask", "delete"}
    for cells in table.values():
        assert set(cells) == set(record["faithful"])
        for each in cells.values():
            for name, found in each["contestants"].items():
                low, high = found["mean"][1:]
                assert low <= found["mean"][0] <= high, name
    # No path of a machine is in it.
    assert str(tmp_path) not in json.dumps(record)
    assert "| comprehensiveness |" in capsys.readouterr().out
    # Again: all pieces are there, and the numbers are the same.
    assert main(["verb-number", "--quick", "--out", str(tmp_path)]) == 0
    assert "measured" not in capsys.readouterr().out
    assert json.loads((tmp_path / "verb-number.json").read_text())["table"] == table
    assert main(["figure", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "faithfulness.png").stat().st_size > 10_000


def test_what_is_missing_is_said_in_one_line(tmp_path, capsys):
    for arguments, message in [
        (["sst2"], "--model must name the folder of a classifier for sst2"),
        (["verb-number"], "--data must name the folder of the public data sets"),
        (["figure"], "--out must be a folder that holds records of tasks"),
    ]:
        assert main([*arguments, "--out", str(tmp_path)]) == 2
        line = capsys.readouterr().err
        assert message in line
        assert line.count("\n") == 1
