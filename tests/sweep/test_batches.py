"""Batches of `Attributor` in every kind that an engine hands over, and those that cannot be used."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from tests.tiny_text_model import model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = ["the key is on the table", "no", "the keys"]
ASKED = {"methods": ("rollout", "flow"), "flow": "bounds"}


@pytest.fixture(scope="module")
def attributor():
    return jf.Attributor(str(model_folder()), **ASKED)


@pytest.fixture
def skipping():
    return jf.Attributor(str(model_folder()), on_error="skip", **ASKED)


@pytest.mark.parametrize(
    "column",
    [
        pd.array([*TEXTS, pd.NA], dtype="string"),
        pd.array([*TEXTS, None], dtype=pd.ArrowDtype(pa.string())),
        pd.array([*TEXTS, np.nan], dtype=object),
        pd.array([*TEXTS, None], dtype="category"),
        np.array([*TEXTS, None], object),
        pa.array([*TEXTS, None]),
        pa.chunked_array([TEXTS, [None]]),
        pa.array([*TEXTS, None]).dictionary_encode(),
        [*TEXTS, float("nan")],
    ],
    ids=str,
)
def test_a_text_that_is_missing_is_a_bad_row_in_every_kind_of_column(attributor, skipping, column):
    batches = [{"text": column}]
    if not isinstance(column, pa.Array | pa.ChunkedArray):
        batches.append(pd.DataFrame({"text": column}, index=[5, 5, 6, 7]))
        batches.append({"text": batches[-1]["text"]})
    for batch in batches:
        with pytest.raises(InputError, match="'text' in row 4 of the batch must hold a text, got nothing"):
            _ = attributor(batch)
        assert [str(text) for text in skipping(batch)["text"]] == TEXTS


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (pd.array([1, pd.NA, 3], dtype="Int64"), "None"),
        ([np.array([1, 2]), np.array([3, 4]), np.array([5])], "array([3, 4])"),
        ([[1], [np.nan, 2], {"a": 1}], "[nan, 2]"),
    ],
)
def test_ids_may_be_missing_or_lists(attributor, skipping, ids, said):
    assert len(attributor(pd.DataFrame({"text": TEXTS, "id": ids}))) == 3
    for batch in (pd.DataFrame({"text": ["a", None, "no"], "id": ids}), {"text": ["a", None, "no"], "id": ids}):
        assert len(skipping(batch)["text"]) == 2
        assert skipping.skipped[-1].startswith(f"'text' in the row of id {said} must hold")


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            {"text": TEXTS, "id": [1, 2]},
            "hold as many values in one column as in another, got 3 in column 'text' and 2",
        ),
        ({"text": TEXTS, "id": [1, 2, 3, 4]}, "got 3 in column 'text' and 4 in column 'id'; give each row a value"),
        ({"text": TEXTS, "other": np.arange(2)}, "got 3 in column 'text' and 2 in column 'other'"),
        ({"text": "The keys to"}, "hold columns that are lists or arrays, got 'The keys to' of type str as column"),
        ({"text": np.array("a")}, "hold columns that are lists or arrays, got array('a', dtype='<U1') of type ndarray"),
        ({"text": iter(TEXTS)}, "of type list_iterator as column 'text'; put it in a list"),
        ({"text": TEXTS, "other": 3}, "hold columns that are lists or arrays, got 3 of type int as column 'other'"),
        (pa.table([TEXTS, [1, 2, 3], [1, 2, 3]], names=["text", "id", "id"]), "`id_column` must name one column"),
        (pd.DataFrame([["a", 1, 2]], columns=["text", "id", "id"]), "`id_column` must name one column, got 'id'"),
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), "`column` must name one column, got 'text'"),
    ],
)
def test_columns_that_cannot_be_used_are_one_line(attributor, batch, message):
    with pytest.raises(InputError) as caught:
        _ = attributor(batch)
    assert message in str(caught.value)


def test_a_column_is_named_by_text_whatever_the_frame_has():
    numbered = jf.Attributor(str(model_folder()), column="0", **ASKED)
    frame = numbered(pd.DataFrame([[text] for text in TEXTS]))
    assert frame[0].tolist() == TEXTS
    assert "rollout" in frame.columns
    assert numbered({0: TEXTS})[0] == TEXTS
    for given, message in (
        ({"column": 0}, "`column` must be the name of a column, got 0 of type int; write it as text"),
        ({"pair_column": ["a"]}, "`pair_column` must be the name of a column, got ['a'] of type list"),
        ({"id_column": None}, "`id_column` must be the name of a column, got None of type NoneType"),
    ):
        with pytest.raises(InputError) as caught:
            _ = jf.Attributor(str(model_folder()), **given)
        assert str(caught.value).startswith(message)


def test_own_columns_of_a_dict_come_back_as_they_came(skipping):
    bad = [*TEXTS, None]
    series = pd.Series(range(4), index=[9, 9, 8, 7])
    own = {"array": np.arange(4, dtype=np.int8), "series": series, "arrow": pa.array(range(4)), "tuple": tuple(bad)}
    result = skipping({"text": bad} | own)
    assert result["array"].dtype == np.int8
    pd.testing.assert_series_equal(result["series"], series.iloc[:3])
    assert result["arrow"].equals(pa.array(range(3)))
    assert result["text"] == result["tuple"] == TEXTS


def test_a_frame_keeps_types_and_metadata_in_parquet(attributor, tmp_path):
    frame = pd.DataFrame({"text": TEXTS, "id": ["a", "b", "c"]})
    result, schema = attributor(frame), attributor.schema(pa.schema([("text", pa.string()), ("id", pa.string())]))
    assert result["first_target"].dtype == attributor(frame.iloc[:0])["first_target"].dtype == "Int32"
    path = tmp_path / "x.parquet"
    result.to_parquet(path)
    kept = pq.read_schema(path)
    # Of what holds no value pandas says no type.
    names = [name for name in schema.names if name not in ("text", "id", "prediction", "answer")]
    assert {name: kept.field(name).type for name in names} == {name: schema.field(name).type for name in names}
    # Frames of several batches, one of them empty.
    pd.concat([result, attributor(frame.iloc[:0])]).to_parquet(path)
    assert len(pd.read_parquet(path)) == 3
    results = jf.open_sweep(tmp_path)
    assert [row["id"] for row in results.rows()] == ["a", "b", "c"]
    assert results[0].relevance["rollout"].dtype == np.float32
    assert results[2].text == "the keys"
