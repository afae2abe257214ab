import json
import stat

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxflow._checks import InputError
from jaxflow.attribution import Attribution, Example
from jaxflow.sweep import arrow, store


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
        relevance={m: rng.random(shape).astype(arrow.RELEVANCE[m]) for m in methods},
        certified=rng.random(shape) < 0.5 if "flow" in methods else None,
        prediction=label,
        scores={"yes": 0.25, "no": 0.75} if label else {},
    )


def written(tmp_path, examples, name="part-00000.parquet"):
    rows = list(arrow.rows_of(range(1, len(examples) + 1), Attribution(tuple(examples))))
    store.write_shard(tmp_path / name, rows, {"jaxflow": "{}"})
    manifest = {"format": store.FORMAT, "shards": [{"file": name}]}
    store.write_manifest(tmp_path, manifest)
    return store.open_store(tmp_path)


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
            assert row[method].dtype == arrow.RELEVANCE[method]
            np.testing.assert_array_equal(row[method], values)
        np.testing.assert_array_equal(row["certified"], wanted.certified)
        assert row["certified_share"] == pytest.approx(wanted.certified.mean())


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
    assert store.read_table(tmp_path).num_rows == 2


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
    with pytest.raises(InputError, match=r"cannot write .*gone"), store.replaced(tmp_path / "gone" / "x"):
        pass


def test_shards_cut_short_or_changed_are_found(tmp_path):
    rng = np.random.default_rng(3)
    results = written(tmp_path, [example(rng, "a", 3, 1), example(rng, "b", 3, 1)])
    path = tmp_path / "part-00000.parquet"
    intact, checksum = path.read_bytes(), store.checksum(path)
    assert store.is_whole(path, checksum)
    for place in range(0, len(intact), len(intact) // 7):
        path.write_bytes(intact[:place] + bytes([intact[place] ^ 255]) + intact[place + 1 :])
        assert not store.is_whole(path, checksum), f"a changed byte {place} was not seen"
    path.write_bytes(intact[:-9])
    assert not store.is_whole(path, checksum)
    assert not store.is_whole(tmp_path / "none", checksum)
    with pytest.raises(InputError, match=r"part-00000\.parquet.*--resume"):
        results.table()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 99}'])
def test_manifests_that_are_none_are_named(tmp_path, content):
    with pytest.raises(InputError, match="holds no results of jaxflow"):
        store.open_store(tmp_path)
    (tmp_path / store.MANIFEST).write_text(content)
    with pytest.raises(InputError, match=r"cannot be read|format 99"):
        store.open_store(tmp_path)


def test_leftovers_of_a_killed_writer_are_not_results(tmp_path):
    assert store.is_empty(tmp_path)
    (tmp_path / ".jaxflow-abc.tmp").write_text("half")
    assert store.is_empty(tmp_path)
    (tmp_path / "notes.txt").write_text(json.dumps("mine"))
    assert not store.is_empty(tmp_path)
    store.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
