import dataclasses
import json
import stat

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from jaxflow._checks import InputError
from jaxflow.attribution import Attribution, Example, Question
from jaxflow.store import arrow
from jaxflow.store import shards as store
from jaxflow.store.results import open_sweep
from jaxflow.store.shards import Record
from jaxflow.sweep import comparison_folder
from jaxflow.sweep.comparison_folder import StoredComparison, write_rows

NUMBERS = ("FLOAT", "DOUBLE")
STORED = {"raw": np.float32, "rollout": np.float32, "flow": np.float64}

# The least that a manifest must hold.
MANIFEST = {
    "format": store.FORMAT,
    "model": "m",
    "input": {"name": "in"},
    "question": Question().as_json(),
    "lengths": {"max_length": None, "truncate": False},
}


def example(rng, text, tokens, queries, methods=("raw", "rollout", "flow"), pair=None, label=None):
    shape = (2, queries, tokens)
    return Example(
        text=text,
        pair=pair,
        tokens=tuple(f"t{i}" for i in range(tokens)),
        offsets=((-1, -1), *((i, i + 1) for i in range(tokens - 1))),
        source=(-1, *(0 for _ in range(tokens - 1))),
        queries=np.arange(queries),
        layers=(1, 4),
        relevance={m: rng.random(shape).astype(STORED[m]) for m in methods},
        certified=rng.random(shape) < 0.5 if "flow" in methods else None,
        saturation={"flow": rng.random(shape) < 0.5} if "flow" in methods else {},
        prediction=label,
        scores={"yes": 0.25, "no": 0.75} if label else {},
    )


def write(folder, index, examples, first=1, last=False, skipped=()):
    rows = list(arrow.rows_of(range(first, first + len(examples)), Attribution(tuple(examples))))
    record = Record(index, len(rows) + len(skipped), "x", last, len(rows), None, 0, 0, 0, {}, tuple(skipped))
    return store.write_shard(folder, record, rows, {"jaxflow": "{}"})


def written(folder, examples):
    write(folder, 0, examples, last=True)
    store.write_manifest(folder, MANIFEST)
    return open_sweep(folder)


def test_rows_of_many_shapes_come_back_to_the_last_digit(tmp_path):
    rng = np.random.default_rng(0)
    examples = [
        example(rng, "a\x00</script>\u202e", 5, 1, label="no"),
        example(rng, "b", 1, 1),
        example(rng, "c", 7, 7, pair="d"),
    ]
    rows = list(written(tmp_path, examples).rows())
    for index, (row, wanted) in enumerate(zip(rows, examples, strict=True)):
        assert row["id"] == index + 1
        assert (row["text"], row["pair"], row["prediction"]) == (wanted.text, wanted.pair, wanted.prediction)
        assert tuple(row["tokens"]) == wanted.tokens
        assert (row["probabilities"] or {}) == wanted.scores
        np.testing.assert_array_equal(row["offsets"], np.array(wanted.offsets))
        np.testing.assert_array_equal(row["source"], wanted.source)
        np.testing.assert_array_equal(row["queries"], wanted.queries)
        np.testing.assert_array_equal(row["layers"], wanted.layers)
        for method, values in wanted.relevance.items():
            assert row[method].dtype == STORED[method]
            np.testing.assert_array_equal(row[method], values)
        np.testing.assert_array_equal(row["certified"], wanted.certified)
        assert row["certified_share"] == pytest.approx(wanted.certified.mean())


def test_more_values_than_usual_lists_hold_come_back_as_well(tmp_path, monkeypatch):
    rng = np.random.default_rng(6)
    rows = [
        {"id": i, "heads": rng.random((2, 3, n, n)).astype(np.float16), "words": ["a"]} for i, n in enumerate((4, 1, 7))
    ]
    monkeypatch.setattr(comparison_folder, "GROUP_VALUES", 100)
    lists = {}
    for most in (arrow.MOST_IN_LISTS, 5):
        monkeypatch.setattr(arrow, "MOST_IN_LISTS", most)
        path = tmp_path / f"{most}.parquet"
        write_rows(path, rows, [])
        lists[most] = str(pq.read_schema(path).field("heads").type)
        assert pq.ParquetFile(path).num_row_groups == 3
        for wanted, found in zip(rows, StoredComparison(tmp_path, {"shards": [path.name]}).rows(), strict=True):
            assert (found["id"], found["words"]) == (wanted["id"], ["a"])
            assert found["heads"].dtype == np.float16
            np.testing.assert_array_equal(found["heads"], wanted["heads"])
    assert "large_list" not in lists.pop(2**31 - 1)
    assert "large_list" in lists.pop(5)


def test_the_file_is_plain_parquet_of_one_row_an_example(tmp_path):
    rng = np.random.default_rng(1)
    results = written(tmp_path, [example(rng, "a", 3, 2), example(rng, "b", 4, 1)])
    table = pq.read_table(tmp_path / "part-00000.parquet")
    assert table.num_rows == 2
    assert str(table.schema.field("flow").type).count("list") == 3
    assert "double" in str(table.schema.field("flow").type)
    assert "float" in str(table.schema.field("raw").type)
    assert table.schema.metadata[b"jaxflow"] == b"{}"
    values = table["flow"][1].as_py()
    assert np.shape(values) == (2, 1, 4)
    assert results.table(["id", "text"]).to_pydict() == {"id": [1, 2], "text": ["a", "b"]}
    assert len(results) == 2


def test_relevance_takes_little_place_and_every_reader_reads_it_to_the_last_digit(tmp_path):
    rng = np.random.default_rng(7)
    # Rows as attention has them: shares of every size that sum to 1.
    weights = np.exp(3 * rng.normal(size=(40, 2, 20, 20)))
    shares = (weights / weights.sum(-1, keepdims=True)).astype(np.float32)
    examples = [
        dataclasses.replace(example(rng, "a", 20, 20), relevance={"raw": each, "flow": each.astype(np.float64) ** 0.5})
        for each in shares
    ]
    _ = written(tmp_path, examples)
    path = tmp_path / "part-00000.parquet"
    columns = pq.ParquetFile(path).metadata.row_group(0)
    numbers = [columns.column(i) for i in range(columns.num_columns) if columns.column(i).physical_type in NUMBERS]
    assert {"raw", "flow"} <= {column.path_in_schema.split(".")[0] for column in numbers}
    assert all("BYTE_STREAM_SPLIT" in column.encodings for column in numbers)
    # As dictionaries, which is what pyarrow writes unless it is told.
    table = pq.read_table(path)
    pq.write_table(table, tmp_path / "usual.parquet", compression="zstd", row_group_size=store.ROW_GROUP)
    assert path.stat().st_size < 0.75 * (tmp_path / "usual.parquet").stat().st_size
    read = pl.read_parquet(path)["raw"].to_list()
    np.testing.assert_array_equal(np.asarray(read, np.float32), shares)
    np.testing.assert_array_equal(np.asarray(table["raw"].to_pylist(), np.float32), shares)


def test_methods_that_were_not_asked_for_have_no_column(tmp_path):
    rng = np.random.default_rng(2)
    results = written(tmp_path, [example(rng, "a", 3, 2, methods=("rollout",))])
    (row,) = results.rows()
    assert "rollout" in row
    assert not {"raw", "flow", "certified", "certified_share"} & set(row)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError), store.replaced(path) as temporary:
        fail(temporary)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with store.replaced(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    other = tmp_path / "plain"
    other.write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with (
        pytest.raises(InputError, match=r"gone.*must be a file that can be written"),
        store.replaced(tmp_path / "gone" / "x"),
    ):
        pass


def test_shards_cut_short_or_changed_are_found(tmp_path):
    rng = np.random.default_rng(3)
    record = write(tmp_path, 0, [example(rng, "a", 3, 1), example(rng, "b", 3, 1)])
    path = tmp_path / "part-00000.parquet"
    intact = path.read_bytes()
    assert store.is_whole(tmp_path, record)
    for place in range(0, len(intact), len(intact) // 7):
        path.write_bytes(intact[:place] + bytes([intact[place] ^ 255]) + intact[place + 1 :])
        assert not store.is_whole(tmp_path, record), f"a changed byte {place} was not seen"
    path.write_bytes(intact[:-9])
    assert not store.is_whole(tmp_path, record)
    path.unlink()
    assert not store.is_whole(tmp_path, record)
    assert store.is_whole(tmp_path, write(tmp_path, 1, []))


def test_damage_is_named_when_it_is_read(tmp_path):
    rng = np.random.default_rng(3)
    found = written(tmp_path, [example(rng, "a", 30, 1), example(rng, "b", 30, 1)])
    path = tmp_path / "part-00000.parquet"
    intact = path.read_bytes()
    # The first bytes after the magic number are the first column's page, whose checksum is its own.
    for broken in (intact[:-9], intact[:60] + bytes([intact[60] ^ 1]) + intact[61:]):
        path.write_bytes(broken)
        for read in (found.table, lambda: found[1], lambda: list(found)):
            with pytest.raises(InputError, match=r"part-00000\.parquet.*the same run makes it again"):
                read()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 99}', '{"format": 1}'])
def test_manifests_that_are_none_are_named(tmp_path, content):
    with pytest.raises(InputError, match="holds no results of jaxflow"):
        open_sweep(tmp_path)
    (tmp_path / store.ABOUT).mkdir()
    (tmp_path / store.MANIFEST).write_text(content)
    with pytest.raises(InputError, match=r"cannot be read|format (1|99)"):
        open_sweep(tmp_path)


def test_a_record_is_whole_or_none(tmp_path):
    skipped = [{"id": 4, "reason": "line 4 is \u2028 malformed"}]
    wanted = write(tmp_path, 3, [example(np.random.default_rng(0), "a", 3, 1)], skipped=skipped)
    path = tmp_path / store.ABOUT / "part-00003.json"
    assert store.read_records(tmp_path) == {3: wanted}
    assert dataclasses.asdict(wanted)["sha256"] == store.checksum(tmp_path / "part-00003.parquet")
    intact = path.read_text("utf-8")
    for number in [number for number, sign in enumerate(intact) if sign in "0123456789"]:
        path.write_text(intact[:number] + str((int(intact[number]) + 1) % 10) + intact[number + 1 :], "utf-8")
        assert store.read_records(tmp_path) == {}, f"a changed digit {number} was not seen"
    for broken in ("", intact[:-20], "[]", '{"check": 1}'):
        path.write_text(broken, "utf-8")
        assert store.read_records(tmp_path) == {}
    path.write_text(intact, "utf-8")
    path.rename(path.with_name("part-00004.json"))
    assert store.read_records(tmp_path) == {}


def test_leftovers_of_a_killed_writer_are_not_results(tmp_path):
    assert store.is_empty(tmp_path)
    names = [".jaxflow-manifest.json-ab.tmp", ".jaxflow-part-00002.json-cd.tmp", ".jaxflow-part-00003.parquet-ef.tmp"]
    for name in names:
        (tmp_path / name).write_text("half")
    assert store.is_empty(tmp_path)
    (tmp_path / "notes.txt").write_text(json.dumps("mine"))
    assert not store.is_empty(tmp_path)
    store.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
