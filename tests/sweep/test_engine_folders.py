"""Folders of Parquet that engines wrote of what `Attributor` made, whole and not."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.pages.page import write_report
from tests.tiny_text_model import model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = ["the key is on the table", "no", "the keys"]


@pytest.fixture(scope="module")
def attributor():
    return jf.Attributor(str(model_folder()), column="review", methods=("rollout", "flow"), flow="bounds")


@pytest.fixture(scope="module")
def table(attributor):
    return attributor(pa.table({"review": TEXTS}))


def written(folder, tables):
    """A folder of tables by name."""
    for name, each in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(each, folder / name)
    return folder


def with_ids(table, ids):
    return table.append_column("id", pa.array(ids))


def test_rows_without_ids_are_numbered_through_all_files(table, tmp_path):
    results = jf.open_sweep(written(tmp_path, {"a.parquet": table, "b.parquet": table.slice(0, 2)}))
    assert [row["id"] for row in results.rows()] == [1, 2, 3, 4, 5]
    assert results.to_pandas(["id"])["id"].tolist() == [1, 2, 3, 4, 5]
    frame = results.to_pandas(["text", "id", "review", "prediction"])
    assert frame.columns.tolist() == ["text", "id", "review", "prediction"]
    assert frame["text"].tolist() == frame["review"].tolist() == [*TEXTS, *TEXTS[:2]]
    assert results.table().column_names == [*table.column_names, "id"]
    assert results[3].text == TEXTS[0]
    assert results.dataset().to_table().num_rows == 5
    assert write_report(results, tmp_path / "report.html").stat().st_size > 1000
    with pytest.raises(InputError, match="`columns` must name columns of the results, got 'nix'; there are: 're"):
        _ = results.to_pandas(["nix"])


def test_columns_go_by_their_names_in_results_too(tmp_path):
    attributor = jf.Attributor(str(model_folder()), column="review", id_column="key", methods="raw")
    made = attributor(pa.table({"review": TEXTS, "key": list("abc")}))
    results = jf.open_sweep(written(tmp_path, {"a.parquet": made}))
    assert results.table(["id", "text"]).to_pydict() == {"id": list("abc"), "text": TEXTS}
    assert results.table().column_names == made.column_names
    # Where that column is not there, an `id` of the files' own names the rows.
    made = made.rename_columns({"key": "id"}).replace_schema_metadata(made.schema.metadata)
    results = jf.open_sweep(written(tmp_path, {"a.parquet": made}))
    assert [row["id"] for row in results.rows()] == results.table(["id"])["id"].to_pylist() == list("abc")


@pytest.mark.parametrize("column", ["review", "tokens", "prediction", "flow"])
def test_a_file_without_a_column_is_refused_when_the_folder_is_opened(table, tmp_path, column):
    folder = written(tmp_path, {"a.parquet": table, "b.parquet": table.drop_columns(column)})
    expected = f"`folder` must hold files with all columns of results, got 'b.parquet' without '{column}'; keep it when"
    with pytest.raises(InputError, match=expected):
        _ = jf.open_sweep(folder)


def test_types_that_do_not_go_together_are_one_line(table, tmp_path):
    files = {"a.parquet": with_ids(table, [1, 2, 3]), "b.parquet": with_ids(table, ["x", "y", "z"])}
    with pytest.raises(InputError) as caught:
        _ = jf.open_sweep(written(tmp_path, files))
    assert str(caught.value) == (
        "`folder` must hold files with columns of the same types, got 'id' of type int64 in 'a.parquet' and string in "
        "'b.parquet'; cast one of them, or keep them in folders of their own"
    )


def test_types_that_go_together_are_joined(table, tmp_path):
    empty = with_ids(table, pa.array([1, 2, 3], pa.int32())).slice(0, 0)
    nothing = with_ids(table, pa.nulls(3))
    results = jf.open_sweep(
        written(tmp_path, {"a.parquet": nothing, "b.parquet": with_ids(table, [4, 5, 6]), "c.parquet": empty})
    )
    assert results.table(["id"])["id"].to_pylist() == [None, None, None, 4, 5, 6]
    assert results.table().num_rows == 6
    assert results.dataset().to_table(columns=["id"], filter=pc.field("id") > 4)["id"].to_pylist() == [5, 6]
    assert [row["id"] for row in results.rows()] == [None, None, None, 4, 5, 6]


def test_a_partitioned_table_is_read_with_its_keys(table, tmp_path):
    files = {
        "year=2024/name=a%20b/x.parquet": table,
        "year=2025/name=__HIVE_DEFAULT_PARTITION__/x.parquet": table.slice(0, 1),
        "_temporary/year=1/x.parquet": table,
    }
    results = jf.open_sweep(written(tmp_path, files))
    assert len(results) == 4
    frame = results.to_pandas(["year", "name", "text"])
    assert frame["year"].tolist() == [2024, 2024, 2024, 2025]
    assert [None if pd.isna(name) else name for name in frame["name"]] == ["a b", "a b", "a b", None]
    assert [row["id"] for row in results.rows()] == [1, 2, 3, 4]
    assert results[3].text == TEXTS[0]
    assert results.dataset().to_table(filter=pc.field("year") == 2025).num_rows == 1
    assert results.table().column_names == [*table.column_names, "year", "name", "id"]
    # Where the key is what names the rows.
    attributor = jf.Attributor(str(model_folder()), column="review", id_column="day", methods="raw")
    made = attributor(pa.table({"review": TEXTS}))
    days = jf.open_sweep(written(tmp_path / "days", {"day=3/x.parquet": made, "day=x/x.parquet": made}))
    assert [row["id"] for row in days.rows()] == ["3"] * 3 + ["x"] * 3


def test_lost_metadata_come_back_by_the_schema(attributor, table, tmp_path):
    # As engines have it that go by Python's values.
    plain = pa.Table.from_pylist(table.to_pylist())
    folder = written(tmp_path, {"a.parquet": plain})
    with pytest.raises(
        InputError, match=r"whose metadata do not say what made it; keep the schema's metadata: have Ray"
    ):
        _ = jf.open_sweep(folder)
    schema = attributor.schema(pa.schema([("review", pa.string())]))
    pq.write_table(pq.read_table(folder).cast(schema), folder / "a.parquet")
    results = jf.open_sweep(folder)
    assert results.table(table.column_names).cast(table.schema).equals(table)
    assert [example.text for example in results] == TEXTS
