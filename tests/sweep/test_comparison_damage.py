"""Whatever happened to the folder of a comparison: the same rows, or one clear line."""

import hashlib
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxflow._checks import InputError
from jaxflow.store.record import CHECK, check_of
from jaxflow.sweep import comparison_folder
from jaxflow.sweep.comparison_folder import (
    ATTENTION,
    COLUMNS,
    FIELD_TYPES,
    FIRST_FORMAT,
    FIRST_SUMMARY,
    FORMAT,
    SUMMARY,
    open_comparison,
    write_rows,
)
from tests.sweep import damage

SHARD = "texts-00001.parquet"


def mended(fields):
    plain = {name: value for name, value in fields.items() if name != CHECK}
    return plain | {CHECK: check_of(plain)}


def row(number, text):
    arrays = {name: np.arange(number + 2) for name in ("source", "word", "queries")}
    pairs = {name: np.full((number + 1, 2), number) for name in ("offsets", "layers")}
    words = {"id": number, "text": text, "pair": None, "units": ["a"], "words": ["b"]}
    return {**words, **arrays, **pairs, "raw_a": np.full((1, 2, number + 1), number / 3, np.float32)}


def make(folder, strange, *, first=False):
    """A folder of two shards; `first` has it as the first edition wrote it, without checksums."""
    folder.mkdir()
    attention = folder / ("attention.parquet" if first else ATTENTION)
    files = []
    for index in range(2):
        rows = [row(2 * index + each, f"{strange}{index} {each}") for each in range(2)]
        assert rows[0].keys() >= COLUMNS
        write_rows(folder / f"texts-0000{index}.parquet", rows, files)
    heads = [{"id": 0, "fused_a": np.full((1, 2, 2), len(strange), np.float32), "fused_b": np.eye(2)[None]}]
    write_rows(attention, heads, files)
    fields = {name: kind() for name, kind in FIELD_TYPES.items()}
    fields |= {"format": FIRST_FORMAT if first else FORMAT, "texts": 4, "total": 4, "attention": 1}
    fields |= {"shards": [path.name for path in files[:2]]}
    if first:
        (folder / FIRST_SUMMARY).write_text(json.dumps(fields))
        return folder
    fields |= {
        "files": {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    }
    (folder / SUMMARY).write_text(json.dumps(mended(fields)))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("comparison")
    return make(home / "whole", ""), make(home / "other", damage.STRANGE)


def read(folder):
    stored = open_comparison(folder)
    return list(stored.rows()), list(stored.attention())


WAYS = dict(
    [
        *(way for file in (SHARD, ATTENTION) for way in damage.of_part(file)),
        *(way for file in (SHARD, ATTENTION, SUMMARY) for way in damage.of_place(file)),
        *damage.of_json(SUMMARY),
        *damage.of_fields(SUMMARY, ["format", "files", *FIELD_TYPES]),
        *damage.of_fields(SUMMARY, ["shards", "attention", "files", "texts", "format"], mended),
        (
            f"{SUMMARY}: a shard that lies elsewhere",
            lambda folder, other: damage.with_field(folder / SUMMARY, "shards", [f"../other/{SHARD}"], mended),
        ),
        (f"{SHARD}: another shard's", lambda folder, _: shutil.copy(folder / SHARD.replace("1", "0"), folder / SHARD)),
    ]
)
# What has no checksum, or one that was forged, is right as far as can be told.
FORGED = "with a checksum"


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_comparison_gives_the_same_rows_or_one_line(folders, tmp_path, way):
    folder = tmp_path / "whole"
    shutil.copytree(folders[0], folder)
    wanted = read(folder)
    WAYS[way](folder, folders[1])
    message = None
    try:
        found = read(folder)
    except InputError as error:
        message, found = str(error), None
    if message is not None:
        assert str(folder) in message
        assert "\n" not in message
        assert (
            "compare again" in message
            or "read it by the version" in message
            or "name a folder" in message
            or ("compute the results again" in message)
        )
    elif FORGED not in way:
        np.testing.assert_equal(found, wanted)


@pytest.mark.parametrize("content", [*damage.BYTES.values(), "another", "table"])
def test_files_of_comparisons_without_checksums_are_told_by_what_they_hold(folders, tmp_path, content):
    folder = make(tmp_path / "whole", "", first=True)
    np.testing.assert_equal(read(folder), read(folders[0]))
    if content == "another":
        shutil.copy(folder / "attention.parquet", folder / SHARD)
    elif content == "table":
        with (folder / SHARD).open("rb") as file:
            table = pq.read_table(file)
        with (folder / SHARD).open("wb") as file:
            pq.write_table(table.slice(1), file)
    else:
        damage.replaced_by(folder / SHARD, content)
    message = None
    try:
        found = read(folder)
    except InputError as error:
        message, found = str(error), None
    if message is None:
        np.testing.assert_equal(found, read(folders[0]))
    else:
        assert str(folder) in message


def test_a_comparison_is_one_table_of_its_texts(folders):
    rows, _ = read(folders[0])
    assert pq.read_table(folders[0])["text"].to_pylist() == [each["text"] for each in rows]
    assert pq.ParquetDataset(folders[0]).schema.equals(pq.read_schema(folders[0] / SHARD))


@pytest.mark.parametrize("name", ["cmp:1", "a b", "ключ#?%20"])
def test_no_path_of_a_comparison_is_taken_for_an_address(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name, "")
    assert len(read(name)[0]) == 4
    rows = [row(0, "x")]
    written = []
    write_rows(comparison_folder.Path(name) / "texts-00009.parquet", rows, written)
    assert [path.name for path in tmp_path.iterdir()] == [name]
