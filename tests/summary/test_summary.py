import dataclasses
import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from jaxflow._checks import InputError
from jaxflow.compare import read_conllu
from jaxflow.store import shards as store
from jaxflow.store.results import open_sweep
from jaxflow.summary import gathering as statistics
from jaxflow.summary.summary import MEASURES, summarize, write_summary
from jaxflow.summary.words import summary_table
from tests.store.test_store import MANIFEST, example, write

METHODS = ("raw", "rollout", "flow")
PAIRS = [("raw", "rollout"), ("raw", "flow"), ("rollout", "flow")]


@pytest.fixture(scope="module")
def examples():
    """Of many lengths, some with ties, one with nothing but special tokens, one all 0."""
    rng = np.random.default_rng(0)
    made = [example(rng, f"text {i}", 1 + i % 9, 1 + i % 4) for i in range(40)]
    for values in made[5].relevance.values():
        values[:] = np.round(values, 1)
    for values in made[7].relevance.values():
        values[0] = 0
    return made


@pytest.fixture(scope="module")
def folder(examples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    store.write_manifest(folder, MANIFEST)
    for index, first in enumerate(range(0, len(examples), 15)):
        write(folder, index, examples[first : first + 15], first + 1, first + 15 >= len(examples))
    return folder


@pytest.fixture(params=[1, 1 << 19], ids=["one by one", "together"])
def summary(folder, request, monkeypatch):
    monkeypatch.setattr(statistics, "CHUNK", request.param)
    return summarize(open_sweep(folder))


def mean(values):
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def entropy(row):
    return stats.entropy(row.astype(np.float64)) if row.sum() > 0 else math.nan


def tied(row):
    return np.mean([(np.abs(row - value) <= 1e-9).sum() > 1 for value in row]) if len(row) else 0.0


def spearman(one, two):
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return math.nan
    return float(stats.spearmanr(one, two).statistic)


def rank(matrix):
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(matrix.astype(np.float64) @ matrix.T.astype(np.float64)), 0))
    return math.exp(stats.entropy(values)) if values.sum() > 0 else math.nan


def test_measures_are_those_of_a_plain_loop(summary, examples):
    assert (summary.examples, summary.methods, summary.layers) == (40, METHODS, (1, 4))
    for method in METHODS:
        for layer in (0, 1):
            rows = [list(each.relevance[method][layer]) for each in examples]
            wanted = {
                "entropy": mean([mean(map(entropy, each)) for each in rows]),
                "effective_tokens": mean([mean([math.exp(entropy(row)) for row in each]) for each in rows]),
                "tied_tokens": mean([mean([tied(row[1:]) for row in each]) for each in rows]),
                "effective_rank": mean([rank(np.array(each)) for each in rows if len(each) > 1]),
            }
            if method == "flow":
                wanted["certified"] = mean([each.certified[layer].mean() for each in examples])
                wanted["saturated"] = mean([each.saturated[layer].mean() for each in examples])
            assert summary.measures[method].keys() == wanted.keys()
            for name, value in wanted.items():
                # Singular values by the oracle's squares have half the digits.
                tol = 1e-6 if name == "effective_rank" else 1e-12
                assert summary.measures[method][name][layer] == pytest.approx(value, abs=tol), (method, name, layer)


def test_agreement_is_scipys_and_the_least_agreeing_are_named(summary, examples):
    for pair in PAIRS:
        for layer in (0, 1):
            found = []
            for number, each in enumerate(examples, 1):
                rows = zip(*(each.relevance[method][layer] for method in pair), strict=True)
                value = mean([spearman(one[1:].astype(float), two[1:].astype(float)) for one, two in rows])
                if not math.isnan(value):
                    found.append((value, number, each.text))
            assert summary.agreement[pair][layer] == pytest.approx(mean([value for value, *_ in found]), abs=1e-12)
            assert summary.defined[pair][layer] == pytest.approx(len(found))
        by_number = {number: (value, text) for value, number, text in found}
        least = sorted(value for value, *_ in found)[:20]
        assert len({number for _, number, _ in summary.disagreements[pair]}) == 20
        for (value, number, text), wanted in zip(summary.disagreements[pair], least, strict=True):
            assert value == pytest.approx(wanted, abs=1e-12)
            assert by_number[number] == (pytest.approx(value, abs=1e-12), text)


def test_tokens_and_positions_are_averaged_over_all_examples(summary, examples):
    assert summary.position_counts == [sum(len(each.tokens) > place for each in examples) for place in range(9)]
    for method in METHODS:
        for token, count in summary.token_counts.items():
            # In these examples a token is called after its place.
            place = int(token[1:])
            values = [each.relevance[method][:, :, place].mean(axis=1) for each in examples if len(each.tokens) > place]
            assert count == len(values)
            index = list(summary.token_counts).index(token)
            np.testing.assert_allclose(summary.tokens[method][:, index], np.mean(values, axis=0), atol=1e-6)
            np.testing.assert_allclose(summary.positions[method][:, place], np.mean(values, axis=0), atol=1e-6)


def test_a_token_that_comes_twice_counts_twice():
    means = statistics.Keyed(2)
    means.add(["a", "b", "a"], np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 3.0]]))
    means.add(["c"], np.array([[7.0], [8.0]]))
    names, values, counts = means.means()
    assert (names, counts.tolist()) == (["a", "b", "c"], [2, 1, 1])
    np.testing.assert_array_equal(values, [[2.5, 2.0, 7.0], [1.5, 0.0, 8.0]])


def test_what_is_written_says_the_same(summary, folder, tmp_path):
    paths = write_summary(summary, tmp_path)
    assert [path.name for path in paths] == ["summary.json", "summary.parquet"]
    said = json.loads(paths[0].read_text("utf-8"))
    assert said["examples"] == 40
    assert said["measures"]["flow"]["certified"] == summary.measures["flow"]["certified"]
    assert [each["methods"] for each in said["agreement"]] == [list(pair) for pair in PAIRS]
    assert said["tokens"][0]["count"] == 40
    table = pq.read_table(paths[1]).to_pandas()
    chosen = table[(table.statistic == "position") & (table.method == "raw") & (table.layer == 4)]
    assert chosen.key.tolist() == [str(place) for place in range(9)]
    np.testing.assert_array_equal(chosen["mean"], summary.positions["raw"][1])
    assert chosen["count"].tolist() == summary.position_counts
    assert set(table.statistic) == {*MEASURES, "spearman", "token", "position"}


def test_the_terminal_gets_a_table_that_fits(summary):
    lines = list(summary_table(summary, 3, 80))
    assert lines[0] == "40 examples"
    assert any(line.startswith("certified, flow") for line in lines)
    assert any(line.startswith("agreement, raw and flow") for line in lines)
    assert "tokens worth most by flow at layer 4, on average, special ones left out" in lines
    assert sum(line.startswith("where ") for line in lines) == 3
    assert max(map(len, lines)) <= 80
    assert len(list(summary_table(summary, 0, 80))) <= 20
    # Names of methods may be longer than most.
    renamed = {"raw": "raw", "rollout": "rollout@attention-gradient", "flow": "flow@attention-gradient"}
    longer = dataclasses.replace(
        summary,
        methods=tuple(renamed.values()),
        measures={renamed[name]: values for name, values in summary.measures.items()},
        agreement={tuple(map(renamed.get, pair)): values for pair, values in summary.agreement.items()},
    )
    table = list(summary_table(longer, 0, 80))[2:]
    assert len({len(line) for line in table}) == 1
    assert any(line.startswith("agreement, rollout@attention-gradient and flow@attention-gradient") for line in table)


def test_flows_tie_as_near_as_they_were_computed(tmp_path):
    """A device's bounds are right to 1e-6, and so nearer than that nothing is known; solved ones are right to 1e-9."""
    made = example(np.random.default_rng(2), "a", 5, 1)
    for values in made.relevance.values():
        values[:] = 0.25 + 3e-7 * np.arange(5)
    shares = {}
    for stage in ("cut", "bounds"):
        folder = tmp_path / stage
        folder.mkdir()
        store.write_manifest(folder, MANIFEST)
        record = write(folder, 0, [made], last=True)
        flows = made.relevance["flow"].size
        rows = list(open_sweep(folder).rows())
        settled = dataclasses.replace(record, flows=flows, stages={"bounds": 0, "cut": 0} | {stage: flows}, sha256=None)
        _ = store.write_shard(folder, settled, rows, {})
        summary = summarize(open_sweep(folder))
        shares[stage] = {method: summary.measures[method]["tied_tokens"] for method in METHODS}
        agreeing = summary.agreement["rollout", "flow"]
        # Five that tie say nothing of any order.
        assert np.isnan(agreeing).all() if stage == "bounds" else np.allclose(agreeing, 1)
    assert shares["cut"] == {method: [0, 0] for method in METHODS}
    assert shares["bounds"] == {"raw": [0, 0], "rollout": [0, 0], "flow": [1, 1]}


def test_one_query_and_one_method_leave_out_what_is_not_defined(tmp_path):
    store.write_manifest(tmp_path, MANIFEST)
    with pytest.raises(InputError, match="must hold at least one example"):
        summarize(open_sweep(tmp_path))
    rng = np.random.default_rng(1)
    write(tmp_path, 0, [example(rng, "a", 4, 1, methods=("rollout",))], last=True)
    summary = summarize(open_sweep(tmp_path))
    assert summary.measures["rollout"].keys() == {"entropy", "effective_tokens", "tied_tokens"}
    assert summary.agreement == summary.disagreements == {}
    write_summary(summary, tmp_path)


PARSED = """# text = The keys, du
1\tThe\t_\tDET\t_\t_\t2\tdet\t_\t_
2\tkeys\t_\tNOUN\t_\t_\t0\troot\t_\tSpaceAfter=No
3\t,\t_\tPUNCT\t_\t_\t2\tpunct\t_\t_
4-5\tdu\t_\t_\t_\t_\t_\t_\t_\t_
4\tde\t_\tADP\t_\t_\t2\tcase\t_\t_
5\tle\t_\tDET\t_\t_\t2\tdet\t_\t_

# text = nowhere
1\tnowhere\t_\tADV\t_\t_\t0\troot\t_\t_
"""
# [CLS], the two halves of "The", " keys" with its blank, the comma, "du", [SEP].
SPANS = ((0, 0), (0, 2), (2, 3), (3, 8), (8, 9), (10, 12), (0, 0))
TAGGED = {"DET": [1, 2], "NOUN": [3], "PUNCT": [4], "ADP": [5]}


def parsed(tmp_path, texts):
    rng = np.random.default_rng(3)
    store.write_manifest(tmp_path, MANIFEST)
    examples = [
        dataclasses.replace(
            example(rng, text, 7, 2), tokens=tuple("abcdefg"), offsets=SPANS, source=(-1, 0, 0, 0, 0, 0, -1)
        )
        for text in texts
    ]
    write(tmp_path, 0, examples, 1, True)
    return open_sweep(tmp_path)


def test_parts_of_speech_are_of_the_words_that_tokens_stand_in(tmp_path):
    results = parsed(tmp_path, ["The keys, du", "not parsed", "The keys, du"])
    found = summarize(results, read_conllu(PARSED.splitlines()))
    rows = [row for row in results.rows() if row["text"] != "not parsed"]
    assert found.tag_counts == {"DET": 4, "NOUN": 2, "PUNCT": 2, "ADP": 2}
    for method in METHODS:
        for index, tag in enumerate(found.tag_counts):
            expected = np.mean([row[method][:, :, TAGGED[tag]].mean((1, 2)) for row in rows], axis=0)
            np.testing.assert_allclose(found.tags[method][:, index], expected, rtol=1e-6)
    assert [each["tag"] for each in found.as_json()["parts_of_speech"]] == ["DET", "NOUN", "PUNCT", "ADP"]
    long = [row for row in found.as_rows() if row["statistic"] == "part_of_speech"]
    assert len(long) == len(METHODS) * len(found.layers) * 4
    assert any(line.split()[:2] == ["NOUN", "2"] for line in summary_table(found, 0))
    assert found.tagged_examples == found.as_json()["tagged_examples"] == 2
    assert any("of 2 parsed examples" in line for line in summary_table(found, 0))
    assert not summarize(results).tag_counts


def test_sentences_that_are_of_other_texts_are_refused(tmp_path):
    with pytest.raises(InputError, match="must hold sentences that are texts of the results, got 2, of which none is"):
        _ = summarize(parsed(tmp_path, ["The keys"]), read_conllu(PARSED.splitlines()))
