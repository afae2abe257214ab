"""The experiment on the paper's .7: the authors' floats, protocols, and what the records say."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import jaxflow as jf
from experiments.paper_closer.__main__ import QUICK, best, by_layer, main, name_of
from experiments.paper_closer.real import LSTM
from experiments.paper_closer.training import DROPOUTS
from experiments.paper_closer.variants import BASE, paper_flow, protocols
from experiments.verb_number.batches import as_batch


def test_flow_on_floats_is_exact_flow_but_for_rounding_and_its_sum():
    attention = np.random.default_rng(0).dirichlet(np.ones(5), (4, 1, 5))
    graph = jf.attention_graph(attention)
    exact = np.asarray(jf.attention_flow(graph, queries=0, method="exact").value)[:, 0]
    for layer in (1, 3, 4):
        rows = paper_flow(np.asarray(graph.capacity, np.float64), layer)
        np.testing.assert_allclose(rows, exact[layer - 1] / exact[layer - 1].sum(), atol=1e-9)


def test_protocols_say_which_positions_count():
    words = np.array([[0, 1, 1, 0, 0], [0, 1, 1, 1, 0]], bool)
    inputs: Any = SimpleNamespace(mask=np.array([[1, 1, 1, 1, 0], [1] * 5], bool), positions=lambda _: words)
    scores = np.arange(1, 11).reshape(2, 5) * np.array([[1, 1, 1, 1, 0], [1] * 5])
    found = protocols(inputs, scores)
    assert found["as the paper"][0].tolist() == [[1, 2, 3, 0, 0], [6, 7, 8, 9, 0]]
    assert found["<s> and </s> count 0"][0].tolist() == [[0, 2, 3, 0, 0], [0, 7, 8, 9, 0]]
    assert found["without <s>"][1].tolist() == [[False, True, True, True, False], [False, True, True, True, True]]
    assert found["words"][1] is words


def test_the_best_combination_is_chosen_on_one_half():
    rng = np.random.default_rng(1)
    half = np.arange(40)[:, None] % 2 == 0
    found = {f"flow, {name}": np.where(half, chosen, held) + rng.normal(size=(40, 3)) * 0.01 for name, chosen, held in
             (("a", 0.9, 0.1), ("b", 0.2, 0.8))}  # fmt: skip
    found["rollout, a"] = np.ones((40, 3))
    first, second = best(found)
    assert (first["name"], second["name"]) == ("flow, a", "flow, b")
    assert first["chosen"] == pytest.approx(0.9, abs=0.01)
    assert first["held out"][0] == pytest.approx(0.1, abs=0.01)
    assert [mean for mean, _, _ in by_layer(found["rollout, a"])] == [1, 1, 1]
    assert name_of("flow", *BASE) == "flow, residual once | as the paper | dense ranks, their formula | <unk>"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["variants", "floats", "dropout", "real"])
def test_quick_records(tmp_path, what):
    assert main([what, "--quick", "--out", str(tmp_path), "--work", str(tmp_path / "work")]) == 0
    record = json.loads((tmp_path / f"{what}.json").read_text())
    if what == "floats":
        assert all(set(cell) == {"floats", "exact, ties tied", "floats above"} for cell in record["table"].values())
    tables = {"variants": [record], "dropout": [record.get(name) for name in DROPOUTS], "real": [record.get(QUICK)]}
    for table in tables.get(what, []):
        base = table["one by one"]["base"]
        # Layer 1: rollout and flow are the capacities themselves.
        assert base["flow"][0] == pytest.approx(base["rollout"][0], abs=1e-5)
        assert len(table["best"]) == 10 if what != "real" else 0 <= table["teacher's accuracy"]["held out"] <= 1


def test_the_lstm_is_torch_s_and_reads_no_padding():
    lstm = LSTM(9, 6, seed=3)
    ids = np.array([[0, 5, 6, 2, 1, 1], [0, 7, 8, 4, 3, 2]])
    ours = np.asarray(lstm(as_batch(ids)))
    np.testing.assert_allclose(ours[:1], lstm(as_batch(ids[:1, :4])), atol=1e-6)
    with torch.no_grad():
        theirs = torch.nn.LSTM(6, 6, 2, batch_first=True)
        for layer, ours_of in enumerate(lstm.layers):
            cell = ours_of.cell
            # Both hold the gates one below the other, in the order input, forget, cell, output.
            for name, dense in (("ih", cell.dense_i), ("hh", cell.dense_h)):
                getattr(theirs, f"weight_{name}_l{layer}").copy_(torch.tensor(np.asarray(dense.kernel[...]).T))
                bias = getattr(dense, "bias", None)
                values = np.zeros(24, np.float32) if bias is None else np.asarray(bias[...])
                getattr(theirs, f"bias_{name}_l{layer}").copy_(torch.tensor(values))
        states, _ = theirs(torch.tensor(np.asarray(lstm.embeddings.embedding[...])[ids]))
    last = states[torch.arange(2), torch.tensor([3, 5])].numpy()
    kernel, bias = (np.asarray(part[...]) for part in (lstm.classifier.kernel, lstm.classifier.bias))
    np.testing.assert_allclose(ours, last @ kernel + bias, atol=1e-5)


def test_without_data_the_way_out_is_told(capsys):
    assert main(["variants"]) == 2
    assert "--data" in capsys.readouterr().err
