"""`Attributor`: the same columns in whatever kind of batch, and folders of them."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.pages.page import write_report
from jaxflow.store import arrow
from tests.tiny_text_model import model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = ["the key is on the table", "no", "the keys", "is it", "a"]
ASKED = {"methods": ("raw", "rollout", "flow"), "flow": "bounds"}
TABLE = pa.table({"number": pa.array([7, 8, 9, 10, 11]), "id": list("abcde"), "sentence": TEXTS})


@pytest.fixture(scope="module")
def attributor():
    return jf.Attributor(str(model_folder()), column="sentence", **ASKED)


@pytest.fixture(scope="module")
def expected(encoder):
    return jf.attribute(encoder, TEXTS, **ASKED)


def assert_rows(rows, expected):
    """Rows as Python has them: nested lists or arrays."""
    for row, example in zip(rows, expected, strict=True):
        assert list(row["tokens"]) == list(example.tokens)
        assert row["prediction"] == example.prediction
        for method, values in example.relevance.items():
            found = np.stack([np.stack([np.asarray(q) for q in layer]) for layer in row[method]])
            np.testing.assert_allclose(found, values, atol=1e-6)
        assert np.shape(example.certified) == (len(row["certified"]), 1, len(row["tokens"]))


def test_a_table_comes_back_with_its_own_columns_and_those_of_relevance(attributor, expected):
    result = attributor(TABLE)
    assert result.select(TABLE.column_names).equals(TABLE)
    assert_rows(result.to_pylist(), expected)
    assert result.column("flow").type == pa.list_(pa.list_(pa.list_(pa.float64())))
    assert result.column("flow:saturated").type == pa.list_(pa.list_(pa.list_(pa.bool_())))


def test_every_kind_of_batch_gives_the_same(attributor, expected):
    table = attributor(TABLE)
    (batch,) = TABLE.to_batches()
    assert pa.Table.from_batches([attributor(batch)]).equals(table)
    frame = attributor(TABLE.to_pandas().set_index("number"))
    assert isinstance(frame, pd.DataFrame)
    assert frame.index.tolist() == [7, 8, 9, 10, 11]
    assert_rows(frame.to_dict("records"), expected)
    # What Spark does with it: frames are made Arrow again, of the schema that was named.
    named = table.drop_columns("number").schema
    assert pa.Table.from_pandas(frame, schema=named, preserve_index=False).equals(table.drop_columns("number"))
    for columns in (
        TABLE.to_pydict(),
        {name: np.array(TABLE[name].to_pylist(), object) for name in TABLE.column_names},
    ):
        result = attributor(columns)
        assert pa.table(result, schema=table.schema).equals(table)
    assert [each.num_rows for each in attributor.each(TABLE.to_batches(max_chunksize=2))] == [2, 2, 1]


def test_every_batch_has_the_same_schema_an_empty_one_and_one_of_nothing_usable_too(attributor):
    schema = attributor(TABLE).schema
    assert attributor(TABLE.slice(0, 0)).schema.equals(schema, check_metadata=True)
    assert attributor.schema(TABLE.schema).equals(schema, check_metadata=True)
    skipping = jf.Attributor(str(model_folder()), column="sentence", on_error="skip", **ASKED)
    bad = pa.table({"number": [1, 2, 3], "id": ["x", "y", "z"], "sentence": ["", None, " "]})
    assert skipping(bad).num_rows == 0
    assert skipping(bad).schema.equals(schema)
    assert [kept["id"] for kept in skipping(pa.concat_tables([bad, TABLE])).to_pylist()] == list("abcde")
    assert "the row of id 'y' must hold a text, got nothing" in skipping.skipped[1]
    undecodable = pa.array([b"the key", b"\xff"], pa.binary()).view(pa.string())
    assert skipping(pa.table({"id": ["a", "z"], "sentence": undecodable})).column("id").to_pylist() == ["a"]
    assert "'sentence' in the row of id 'z' must be UTF-8, got byte 0xff" in skipping.skipped[-1]
    frame = skipping(TABLE.slice(0, 0).to_pandas())
    assert frame.empty
    assert list(frame.columns) == schema.names
    for question in (jf.Question(methods=("raw", "joint-flow", "widest-path")), jf.Question(methods="flow@norms")):
        each = jf.Attributor(str(model_folder()), question, column="sentence")
        assert each(TABLE).schema.equals(each.schema(TABLE.schema))


def test_no_column_of_results_is_left_out_of_the_schema(encoder):
    from jaxflow.attribution.registry import METHODS

    asked = [name for name, method in METHODS.items() if type(method).__name__ not in ("AttnLRP", "DecompX")]
    question = jf.Question(methods=asked, flow="bounds", target="predicted")
    rows = list(arrow.rows_of([1], jf.attribute(encoder, ["the key"], question)))
    columns = {name for name in rows[0] if name not in ("id", "text", "pair")}
    assert columns <= set(arrow.result_schema(question).names)
    assert set(arrow.result_schema(question).names) - columns == {"first_target", "answer"}


def test_settings_are_pickled_without_the_model_and_with_one_that_was_passed(attributor, encoder, expected):
    _ = attributor(TABLE.slice(0, 1))
    small = pickle.dumps(attributor)
    assert len(small) < 2000
    assert_rows(pickle.loads(small)(TABLE).to_pylist(), expected)  # noqa: S301
    for model in (lambda: encoder, encoder):
        assert_rows(jf.Attributor(model, column="sentence", **ASKED)(TABLE).to_pylist(), expected)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([1], "`batch` must be a pyarrow Table or RecordBatch, a pandas DataFrame, or a dict of columns, got list"),
        ({"text": ["a"]}, "the batch: `column` must name a column, got 'sentence'; there are: 'text'"),
        (
            {"sentence": ["a"], "tokens": [1]},
            "the batch must have no column that is called as one of relevance, got 'to",
        ),
        ({"sentence": ["a", ""]}, "'sentence' in row 2 of the batch must hold a text, got an empty one"),
        ({"sentence": ["a", 3.0]}, "'sentence' in row 2 of the batch must hold a text, got float"),
        ({"sentence": ["a"], "id": [5]} | {"sentence": ["a " * 500]}, "the row of id 5 must have at most"),
    ],
)
def test_batches_that_cannot_be_used_are_one_line(attributor, batch, message):
    with pytest.raises(InputError) as caught:
        _ = attributor(batch)
    assert message in str(caught.value)


def test_a_wrong_question_shows_where_the_settings_are_made():
    with pytest.raises(InputError, match="`methods` must be one of"):
        _ = jf.Attributor("nowhere", methods="magic")
    with pytest.raises(InputError, match="`on_error` must be one of"):
        _ = jf.Attributor("nowhere", on_error="ignore")


def test_a_folder_of_such_tables_is_read_without_a_manifest(attributor, expected, tmp_path):
    folder = tmp_path / "engine"
    folder.mkdir()
    with pytest.raises(InputError, match=r"holds no results of jaxflow"):
        _ = jf.open_sweep(folder)
    pq.write_table(attributor(TABLE.slice(0, 3)), folder / "x-1.parquet", row_group_size=2)
    pq.write_table(attributor(TABLE.slice(3)), folder / "x-2.parquet")
    results = jf.open_sweep(folder)
    assert results.complete
    assert len(results) == 5
    assert [row["id"] for row in results.rows()] == list("abcde")
    assert jf.Question.from_json(results.manifest["question"]) == jf.Question(**ASKED)
    for place in (0, 2, 3, 4):
        example = results[place]
        assert example.text == TEXTS[place]
        assert example.relevance.keys() == {"raw", "rollout", "flow"}
        np.testing.assert_allclose(example.relevance["flow"], expected[place].relevance["flow"], atol=1e-6)
        np.testing.assert_array_equal(example.saturated, expected[place].saturated)
    assert results.to_pandas(["number"])["number"].tolist() == [7, 8, 9, 10, 11]
    assert write_report(results, tmp_path / "report.html").stat().st_size > 1000
    # Whatever else lies there is not taken for results.
    other = jf.Attributor(str(model_folder()), column="sentence", methods="raw")
    pq.write_table(other(TABLE), folder / "y.parquet")
    with pytest.raises(InputError, match=r"hold results of one run, got 'y\.parquet' and 'x-1\.parquet', which differ"):
        _ = jf.open_sweep(folder)
    pq.write_table(TABLE, folder / "y.parquet")
    with pytest.raises(InputError, match=r"y\.parquet', whose metadata do not say what made it; keep the schema's"):
        _ = jf.open_sweep(folder)


def test_hugging_faces_datasets_map_it(attributor, expected, tmp_path):
    import datasets

    dataset = datasets.Dataset.from_dict(TABLE.to_pydict())
    cache = {"batched": True, "batch_size": 2, "cache_file_name": str(tmp_path / "plain.arrow")}
    assert_rows(list(dataset.map(attributor, **cache)), expected)
    mapped = dataset.with_format("arrow").map(attributor, **cache | {"cache_file_name": str(tmp_path / "table.arrow")})
    assert_rows(list(mapped.with_format(None)), expected)


WORKER = """
import pickle, sys
import pyarrow as pa
attributor = pickle.load(sys.stdin.buffer)
print(attributor(pa.table({"sentence": ["the key"]})).column("tokens").to_pylist())
"""


def test_another_process_makes_its_own_of_the_settings(attributor):
    done = subprocess.run(
        [sys.executable, "-c", WORKER], input=pickle.dumps(attributor), capture_output=True, check=True
    )
    assert done.stdout.decode().startswith("[['")
