"""Whatever happened to a folder of results: the same rows, or one clear line; never other rows."""

import shutil

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.cli import main as cli
from jaxflow.store import shards as store
from jaxflow.store.record import CHECK, check_of
from jaxflow.summary.summary import summarize
from jaxflow.sweep import shards
from tests.sweep import damage
from tests.sweep.first_edition import first_edition

TEXTS = ("the key is on the table", "no", "the keys", "is it")
OTHERS = (damage.STRANGE, "the table", "a b c", "d")
SHARD, RECORD = "part-00001.parquet", f"{store.ABOUT}/part-00001.json"
RECORDED = (
    "index",
    "rows",
    "input_sha256",
    "last",
    "examples",
    "sha256",
    "tokens",
    "flows",
    "stages",
    "skipped",
    "sweep",
)
MADE = ("format", "model", "fingerprint", "question", "lengths", "input", "versions", "sweep")


def mended(fields):
    """Fields with the checksum that they would have, as one who forges them makes it."""
    plain = {name: value for name, value in fields.items() if name != CHECK}
    return plain | {CHECK: check_of(plain)}


WAYS = dict(
    [
        *damage.of_part(SHARD),
        *damage.of_table(SHARD),
        *damage.of_place(SHARD),
        *damage.of_json(RECORD),
        *damage.of_place(RECORD),
        *damage.of_fields(RECORD, RECORDED),
        *damage.of_fields(RECORD, RECORDED, mended),
        (
            f"{RECORD}: another shard's",
            lambda folder, _: shutil.copy(folder / RECORD.replace("1", "0"), folder / RECORD),
        ),
        (f"{SHARD}: another shard's", lambda folder, _: shutil.copy(folder / SHARD.replace("1", "0"), folder / SHARD)),
        # Both are whole, and the sweeps had the same model, question and name of the input.
        (
            f"{SHARD}: another sweep's, with its record",
            lambda folder, other: [shutil.copy(other / name, folder / name) for name in (SHARD, RECORD)],
        ),
        (
            f"{store.MANIFEST}: another sweep's",
            lambda folder, other: shutil.copy(other / store.MANIFEST, folder / store.MANIFEST),
        ),
        *damage.of_json(store.MANIFEST),
        *damage.of_place(store.MANIFEST),
        *damage.of_fields(store.MANIFEST, MADE),
        *damage.of_fields(store.MANIFEST, MADE, mended),
        *damage.of_place(store.ABOUT),
        ("stray files", lambda folder, _: [(folder / name).write_text("x") for name in (".x", "part-x.parquet")]),
        ("stray records", lambda folder, _: [(folder / store.ABOUT / f"part-{x}.json").write_text("") for x in "a3²"]),
    ]
)
# What was in the folder may be gone: a sweep without a record of a shard is one that was not finished.
UNFINISHED = f"{RECORD}: nothing in its place"


@pytest.fixture(scope="module")
def whole(encoder, tmp_path_factory):
    """A small sweep, and another one of the same shape."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_ROWS", 2)
        for name, texts in (("whole", TEXTS), ("other", OTHERS)):
            folder = tmp_path_factory.mktemp("damage") / name
            jf.run_sweep(encoder, texts, folder, flow="bounds")
            made.append(folder)
    rows = list(jf.open_sweep(made[0]).rows())
    return made[0], made[1], rows


def flat(value):
    """A value of NumPy's or Arrow's as plain lists."""
    if isinstance(value, np.ndarray):
        return [flat(each) for each in value.tolist()]
    if isinstance(value, list | tuple):
        return [flat(each) for each in value]
    return value


def of_tables(rows):
    return [[row["text"], flat(row["raw"]), flat(row["flow"]), flat(row["tokens"])] for row in rows]


def by_index(folder):
    results = jf.open_sweep(folder)
    return of_tables(
        {"text": each.text, "tokens": each.tokens, **each.relevance} for each in map(results.__getitem__, range(4))
    )


READERS = {
    "rows": lambda folder: of_tables(jf.open_sweep(folder).rows()),
    "index": by_index,
    "last": lambda folder: [jf.open_sweep(folder)[-1].text],
    "pandas": lambda folder: of_tables(jf.open_sweep(folder).to_pandas().to_dict("records")),
    "polars": lambda folder: of_tables(jf.open_sweep(folder).to_polars().to_dicts()),
    "dataset": lambda folder: of_tables(jf.open_sweep(folder).dataset().to_table().to_pylist()),
    "summary": lambda folder: summarize(jf.open_sweep(folder)).measures,
}


@pytest.fixture(scope="module")
def wanted(whole):
    return {name: read(whole[0]) for name, read in READERS.items()}


def one_line(error):
    message = str(error)
    assert "\n" not in message
    assert 40 < len(message) < 700
    assert "Traceback" not in message
    return message


def test_there_are_enough_ways():
    assert len(WAYS) > 300


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_folder_gives_the_same_rows_or_one_line(whole, wanted, tmp_path, capsys, way):
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    intact, other, _ = whole
    folder = tmp_path / "damaged"
    shutil.copytree(intact, folder)
    WAYS[way](folder, other)
    refused = []
    for name, read in READERS.items():
        if way == UNFINISHED:
            assert not jf.open_sweep(folder).complete
            assert [row["text"] for row in jf.open_sweep(folder).rows()] == list(TEXTS[:2])
            return
        try:
            found = read(folder)
        except InputError as error:
            refused.append(name)
            message = one_line(error)
            assert str(folder) in message
        else:
            assert found == wanted[name], name
    # Either all of it can be read or nothing that was damaged can.
    assert refused in ([], [name for name in READERS if name in refused])
    assert not refused or set(refused) >= {"rows", "index", "pandas", "polars", "dataset", "summary"}
    code = cli.main(["summarize", str(folder)])
    said = capsys.readouterr()
    assert code == (2 if refused else 0)
    if refused:
        assert [line for line in said.err.splitlines() if line.startswith("jaxflow: ")] == said.err.splitlines()[-1:]


# Resuming takes longer, so of ways that are alike only some are tried.
RESUMED = [way for number, way in enumerate(WAYS) if "is " not in way or number % 9 == 0]


@pytest.mark.parametrize("way", RESUMED)
def test_resuming_a_damaged_folder_mends_it_or_says_why_not(encoder, whole, wanted, tmp_path, monkeypatch, way):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)
    intact, other, _ = whole
    folder = tmp_path / "damaged"
    shutil.copytree(intact, folder)
    WAYS[way](folder, other)
    try:
        jf.run_sweep(encoder, TEXTS, folder, flow="bounds")
    except InputError as error:
        refused = one_line(error)
    else:
        refused = None
    if refused is not None:
        assert str(folder) in refused
        return
    for name in ("rows", "index", "dataset"):
        assert READERS[name](folder) == wanted[name]


def test_a_file_is_checked_once_and_again_when_it_changes(whole, tmp_path, monkeypatch):
    intact, other, _ = whole
    folder = tmp_path / "out"
    shutil.copytree(intact, folder)
    from jaxflow.store import parts

    digests, real = [], parts.hashlib.file_digest
    monkeypatch.setattr(
        parts.hashlib, "file_digest", lambda file, name: (digests.append(file.name), real(file, name))[1]
    )
    results = jf.open_sweep(folder)
    assert digests == []
    assert [results[2].text, results[3].text, results[2].text] == [TEXTS[2], TEXTS[3], TEXTS[2]]
    assert len(digests) == 1
    for _ in range(2):
        assert [row["text"] for row in results.rows()] == list(TEXTS)
        assert results.dataset().to_table().num_rows == 4
    assert len(digests) == 2
    shutil.copy(other / SHARD, folder / SHARD)
    for read in (lambda: results[2], lambda: list(results), lambda: results.dataset().to_table()):
        with pytest.raises(InputError, match=SHARD):
            read()
    shutil.copy(intact / SHARD, folder / SHARD)
    assert results[2].text == TEXTS[2]


def test_a_data_set_that_was_made_before_finds_damage_that_came_later(whole, tmp_path):
    intact, other, _ = whole
    folder = tmp_path / "out"
    shutil.copytree(intact, folder)
    results = jf.open_sweep(folder)
    data = results.dataset()
    assert data.to_table(columns=["text"])["text"].to_pylist() == list(TEXTS)
    shutil.copy(other / SHARD, folder / SHARD)
    with pytest.raises(InputError, match=SHARD):
        data.to_table()


# What a manifest of the first edition has: settings, and no name of its own.
MADE_FIRST = (*(name for name in MADE if name not in ("question", "lengths", "sweep")), "settings")
RECORDED_FIRST = tuple(name for name in RECORDED if name != "sweep")
FIRST = {
    way.replace(f"{store.ABOUT}/", ""): change
    for file, names in (("manifest.json", MADE_FIRST), ("part-00001.json", RECORDED_FIRST))
    for ways in (damage.of_json(file), damage.of_fields(file, names), damage.of_place(file))
    for way, change in ways
}


@pytest.mark.parametrize("way", FIRST)
def test_damage_of_a_first_edition_folder_is_one_line_as_well(encoder, whole, wanted, tmp_path, monkeypatch, way):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)
    folder = tmp_path / "damaged"
    shutil.copytree(whole[0], folder)
    first_edition(folder)
    FIRST[way](folder, whole[1])
    found, message = None, ""
    try:
        found = READERS["rows"](folder)
    except InputError as error:
        message = one_line(error)
    if found is None:
        assert str(folder) in message
    else:
        unfinished = way == "part-00001.json: nothing in its place"
        assert found == wanted["rows"][: 2 if unfinished else 4]
        assert cli.main(["summarize", str(folder)]) == 0
