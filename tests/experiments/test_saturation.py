"""The experiment on saturation: kinds of cuts by networkx, and what the record says."""

import json

import networkx as nx
import numpy as np
import pytest

import jaxflow as jf
from experiments.saturation.__main__ import main
from experiments.saturation.measure import KINDS, cut_kinds, joint_certainty, saturation


def has_cut(capacity, query, token, arcs, flow):
    """Whether these arcs, by (layer, from, to), are a minimum cut: none flows without them, and they hold it."""
    graph = nx.DiGraph()
    graph.add_nodes_from([(len(capacity), query), (0, token)])
    graph.add_edges_from(
        ((layer + 1, int(i)), (layer, int(k)))
        for layer, i, k in np.argwhere(capacity)
        if (int(layer), int(i), int(k)) not in arcs
    )
    held = sum(capacity[arc] for arc in arcs)
    return not nx.has_path(graph, (len(capacity), query), (0, token)) and abs(held - flow) < 1e-6


@pytest.mark.parametrize("wide", [False, True])
def test_kinds_are_minimum_cuts(wide):
    rng, seen = np.random.default_rng(4), set()
    for layers in (2, 3, 3, 4, 4):
        capacity = rng.integers(0, 30, (layers, 4, 4)) / 32 * (rng.random((layers, 4, 4)) < 0.8)
        # What leaves the first position is little.
        capacity[:, 0] /= 8
        capacity += (40 if wide else 0.25) * np.eye(4)
        flow = jf.attention_flow(jf.capacity_graph(capacity), layers=layers, method="exact").value[0]
        kinds = cut_kinds(capacity, flow, range(4))
        # Each pair that has a flow is of one kind.
        np.testing.assert_array_equal(sum(kinds.values()), flow > 0)
        top = layers - 1
        for q, j in np.argwhere(flow > 0):
            others = [k for k in range(4) if k != q]
            arcs = {
                "own arcs": {(top, int(q), k) for k in range(4)},
                "first column": {(0, i, int(j)) for i in range(4)},
                "query's chain": {(layer, int(q), k) for layer in range(1, layers) for k in others}
                | {(0, int(q), int(j))},
                "token's chain": {(layer, i, int(j)) for layer in range(top) for i in range(4) if i != j}
                | {(top, int(q), int(j))},
            }
            # Between a position and itself there are no chains to cut.
            names = KINDS[:-1] if q != j else KINDS[:2]
            fit = [name for name in names if has_cut(capacity, int(q), int(j), arcs[name], flow[q, j])]
            assert kinds[(fit or ["neither"])[0]][q, j]
            seen.add((fit or ["neither"])[0])
    assert seen >= ({"query's chain", "token's chain", "neither"} if wide else {"own arcs", "first column", "neither"})


def test_uniform_attention_is_saturated_and_its_joint_flow_says_nothing():
    capacity = np.broadcast_to(0.5 / 8 + 0.5 * np.eye(8), (6, 8, 8))
    found = saturation(capacity, 6, [0, 3])
    assert found["saturated"] == found["tied tokens"] == 1
    certain = joint_certainty(capacity, 6, 0)
    # Any token can have all of the flow, or none of it.
    assert certain == {"width": pytest.approx(1, abs=1e-6), "certain": 0}
    # Where each token is reached by an arc of its own, shares are certain, and so is all of their order.
    alone = np.stack([np.eye(4), np.broadcast_to(np.arange(1, 5) / 10, (4, 4))])
    assert joint_certainty(alone, 2, 0) == {"width": pytest.approx(0, abs=1e-9), "certain": 1}


@pytest.mark.slow
def test_quick_record_has_every_cell(tmp_path):
    assert main(["--quick", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "verb-number.json").read_text())
    assert set(record["cells"]) == {"attention, 10 tokens", "attention-gradient, 10 tokens"}
    for cell in record["cells"].values():
        for layer in cell["layers"].values():
            assert sum(layer[kind][0] for kind in KINDS) == pytest.approx(1, abs=1e-5)
            assert layer["certified"][0] == 1
    plain, by_class = (cell["layers"] for cell in record["cells"].values())
    assert plain["6"]["saturated"][0] > 0.9 > 0.5 > by_class["6"]["saturated"][0]
    assert (tmp_path / "saturation.png").is_file()


def test_without_data_the_way_out_is_told(capsys):
    assert main([]) == 2
    assert "--data" in capsys.readouterr().err
