"""Ways of damaging a folder of results: each a name and a function that is given the folder and another sweep's."""

import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq

# A text that the other sweep has and the damaged one must never give.
STRANGE = "a text of another sweep"

JSON = {
    "empty": b"",
    "cut": lambda old: old[: len(old) // 2],
    "no JSON": b"{format: 2",
    "null": b"null",
    "number": b"3",
    "list": b"[1, 2]",
    "string": b'"x"',
    "nothing in it": b"{}",
    "not UTF-8": lambda old: old.replace(b'"', b"\xff", 1),
    "UTF-16": lambda old: old.decode().encode("utf-16"),
    "NULs": lambda old: bytes(len(old)),
    "deep": b"[" * 100_000,
    "deep object": b'{"format": ' * 5000 + b"1" + b"}" * 5000,
    "twice": lambda old: old + old,
    "huge number": b'{"format": ' + b"9" * 10_000 + b"}",
    "huge exponent": b'{"format": 1e999}',
    "mark": lambda old: b"\xef\xbb\xbf" + old,
}
VALUES = {"null": None, "text": "x", "number": -7, "huge": 10**30, "list": [[]], "object": {"a": {}}, "truth": True}


def replaced_by(path, content):
    old = path.read_bytes()
    path.write_bytes(content(old) if callable(content) else content)


def with_field(path, name, value, mend=None):
    fields = json.loads(path.read_text("utf-8"))
    fields[name] = value
    path.write_text(json.dumps(mend(fields) if mend else fields), "utf-8")


def without_field(path, name, mend=None):
    fields = json.loads(path.read_text("utf-8"))
    del fields[name]
    path.write_text(json.dumps(mend(fields) if mend else fields), "utf-8")


def in_place_of(path, kind):
    """Something that is not the file in its place."""
    kept = path.with_name(f"{path.name}.kept")
    path.rename(kept)
    if kind == "folder":
        path.mkdir()
    elif kind == "full folder":
        path.mkdir()
        (path / "x").write_text("x")
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "link to nothing":
        path.symlink_to(path.with_name("nowhere"))
    elif kind == "link to itself":
        path.symlink_to(path)
    elif kind == "link to a device":
        path.symlink_to("/dev/null")
    elif kind == "link to itself elsewhere":
        path.symlink_to(kept)
    if kind != "link to itself elsewhere":
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()


PLACES = ("nothing", "folder", "full folder", "FIFO", "link to nothing", "link to itself", "link to a device")
PLACES += ("link to itself elsewhere",)


def rewritten(path, change):
    """The same file with another table in it."""
    table = change(pq.ParquetFile(pa.OSFile(str(path))).read())
    with path.open("wb") as file:
        pq.write_table(table, file)


def _texts(table, values):
    return table.set_column(table.column_names.index("text"), "text", pa.array(values))


TABLES = {
    "texts swapped": lambda t: _texts(t, t["text"].to_pylist()[::-1]),
    "text without a column": lambda t: t.drop_columns(["text"]),
    "tokens without a column": lambda t: t.drop_columns(["tokens"]),
    "layers without a column": lambda t: t.drop_columns(["layers"]),
    "flow without a column": lambda t: t.drop_columns(["flow"]),
    "renamed": lambda t: t.rename_columns([f"x{name}" for name in t.column_names]),
    "flow and raw swapped": lambda t: t.rename_columns(
        [{"raw": "flow", "flow": "raw"}.get(name, name) for name in t.column_names]
    ),
    "column twice": lambda t: t.append_column("text", t["text"]),
    "one more column": lambda t: t.append_column("more", t["id"]),
    "text as numbers": lambda t: _texts(t, [1] * t.num_rows),
    "text as nothing": lambda t: _texts(t, pa.nulls(t.num_rows)),
    "rows fewer": lambda t: t.slice(1),
    "rows none": lambda t: t.slice(0, 0),
    "rows twice": lambda t: pa.concat_tables([t, t]),
    "relevance as text": lambda t: t.set_column(t.column_names.index("raw"), "raw", pa.array(["x"] * t.num_rows)),
    "ids moved": lambda t: t.set_column(t.column_names.index("id"), "id", pa.array([9] * t.num_rows)),
    "other table": lambda t: pa.table({"a": [1, 2]}),
    "written again": lambda t: t,
}

BYTES = {
    "empty": b"",
    "text": b"text\n",
    "magic": b"PAR1",
    "magic twice": b"PAR1PAR1",
    "CSV": b"id,text\n1,a\n",
    "zeros": lambda old: bytes(len(old)),
    "cut by 1": lambda old: old[:-1],
    "cut by 9": lambda old: old[:-9],
    "cut to half": lambda old: old[: len(old) // 2],
    "longer": lambda old: old + b"\0",
    "twice": lambda old: old + old,
    "start flipped": lambda old: bytes([old[0] ^ 1]) + old[1:],
    "upper half flipped": lambda old: old[:200] + bytes([old[200] ^ 64]) + old[201:],
    "footer flipped": lambda old: old[:-30] + bytes([old[-30] ^ 2]) + old[-29:],
    "length flipped": lambda old: old[:-7] + bytes([old[-7] ^ 128]) + old[-6:],
}


def of_json(file):
    """Ways of damaging a JSON file, by name."""
    for name, content in JSON.items():
        yield f"{file}: {name}", lambda folder, _, content=content: replaced_by(folder / file, content)


def of_place(file):
    """Ways of putting something else into a file's place."""
    for kind in PLACES:
        yield f"{file}: {kind} in its place", lambda folder, _, kind=kind: in_place_of(folder / file, kind)


def of_fields(file, names, mend=None):
    """Ways of changing one field of a JSON file."""
    said = "" if mend is None else " with a checksum"
    for field in names:
        yield (
            f"{file}: without {field}{said}",
            lambda folder, _, field=field: without_field(folder / file, field, mend),
        )
        for name, value in VALUES.items():
            yield (
                f"{file}: {field} is {name}{said}",
                lambda folder, _, field=field, value=value: with_field(folder / file, field, value, mend),
            )
    yield f"{file}: one more field{said}", lambda folder, _: with_field(folder / file, "more", 1, mend)


def of_part(file):
    """Ways of damaging a Parquet file."""
    for name, content in BYTES.items():
        yield f"{file}: {name}", lambda folder, _, content=content: replaced_by(folder / file, content)
    yield f"{file}: another sweep's", lambda folder, other: shutil.copy(other / file, folder / file)


def of_table(file):
    """Ways of damaging the table in a shard's file."""
    for name, change in TABLES.items():
        yield f"{file}: {name}", lambda folder, _, change=change: rewritten(folder / file, change)
