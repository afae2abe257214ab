"""Files that are not what their names say, or of which nothing can be known: one line, and no text out of them."""

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import zipfile

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from jaxflow._checks import InputError
from jaxflow.inputs.files import open_source
from jaxflow.inputs.rows import Text

TABLE = pa.table({"text": ["the first", "the second"] * 40})
LINES = b"text\n" + b"the first line\n" * 40


def read(path, **options):
    """The texts, and what is wrong with the other rows."""
    with open_source(str(path), **options) as source:
        return [row.text if isinstance(row, Text) else row.reason for row in source.rows()]


def refused(path, **options):
    with pytest.raises(InputError) as caught:
        _ = read(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def in_memory(write):
    held = io.BytesIO()
    write(held)
    return held.getvalue()


def zipped(held):
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.csv", LINES)


def database(tmp_path):
    path = tmp_path / "rows.db"
    with sqlite3.connect(path) as connection:
        _ = connection.execute("create table t (text)")
    connection.close()
    return path.read_bytes()


FOREIGN = {
    "bzip2": (lambda _: bz2.compress(LINES), "a file packed by bzip2; unpack it first"),
    "xz": (lambda _: lzma.compress(LINES), "a file packed by xz; unpack it first"),
    "zip": (lambda _: in_memory(zipped), "a ZIP archive, as workbooks of Excel are; unpack it first, or save"),
    "parquet": (lambda _: in_memory(lambda held: pq.write_table(TABLE, held)), "a Parquet file; name it .parquet"),
    "no rows": (lambda _: in_memory(lambda held: pq.write_table(TABLE[:0], held)), "a Parquet file"),
    "feather": (lambda _: in_memory(lambda held: feather.write_feather(TABLE, held)), "a Feather (Arrow) file"),
    "sqlite": (database, "an SQLite database"),
    "twice": (lambda _: gzip.compress(gzip.compress(LINES)), "a packed file inside a packed one; unpack it first"),
}


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv", ".jsonl", ".csv.gz"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_text_gives_no_lines_whatever_its_name(tmp_path, kind, suffix):
    make, said = FOREIGN[kind]
    content = make(tmp_path)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    assert f"{path.name}: `source` must be a file of text, got {said}" in refused(path)
    # A one-byte encoding would take all of its bytes for letters.
    assert "must be a file of text" in refused(path, encoding="latin-1")


def test_names_that_say_no_format_are_told_what_the_file_is(tmp_path):
    for name, content, said in (
        ("a.csv.bz2", bz2.compress(LINES), "got a file packed by bzip2"),
        ("a.xlsx", in_memory(zipped), "save the workbook as CSV"),
        (
            "a.gz",
            gzip.compress(LINES),
            "must end in one of .txt, .jsonl, .ndjson, .csv, .tsv, .parquet (.gz or .zst may follow), got 'a.gz'",
        ),
        ("a.text", LINES, "got 'a.text'; name the file by what it holds"),
    ):
        (tmp_path / name).write_bytes(content)
        assert said in refused(tmp_path / name)


def test_texts_may_begin_as_files_do(tmp_path):
    texts = ["PAR1 is a receptor", "BZh9 is no word", "PK said so", "ARROW1 is a missile", "%PDF-1.4 is a line"]
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.txt"
        path.write_text(f"{text}\n")
        assert read(path) == [text]


def test_a_column_that_is_quoted_throughout_is_asked_about(tmp_path):
    """Nobody can tell PostgreSQL's FORCE_QUOTE, which leaves the header bare, from sentences that are all quotes."""
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"the film"\t1\n"the end"\t0\n"a key"\t1\n')
    assert "`quotes` must be 'yes' or 'no', got quotes (the first in line 2)" in refused(path)
    assert read(path, quotes="yes") == ["the film", "the end", "a key"]
    assert read(path, quotes="no") == ['"the film"', '"the end"', '"a key"']
    # One sentence without shows that quotes are characters.
    path.write_text('text\tlabel\n"the film"\t1\n"the end"\t0\na key\t1\n')
    assert read(path) == ['"the film"', '"the end"', "a key"]
    path.write_text('text\tlabel\n"the film"\t"1"\n"the end" is\t0\n')
    assert read(path) == ['"the film"', '"the end" is']


def test_json_that_python_does_not_read_is_said_in_plain_words(tmp_path):
    path = tmp_path / "a.jsonl"
    long, deep = "9" * 5000, "[" * 100_000
    path.write_text(f'{{"text": "a", "n": {long}}}\n{{"text": {deep}\n{{"text": "fine"}}\n')
    first, second, third = read(path)
    assert (
        "line 1 of a.jsonl must be a JSON object, got malformed JSON (a whole number of more than 4,300 digits)"
        in first
    )
    assert (
        "line 2 of a.jsonl must be a JSON object, got malformed JSON (lists or objects that are nested too deeply)"
        in second
    )
    assert third == "fine"
    path.write_text(json.dumps([{"text": "a"}, {"text": "b"}], indent=1))
    assert "line 1 of a.jsonl must be a JSON object, got malformed JSON" in refused(path)
    path.write_text('[{"text": "a"},\n{"text": "b"}]\n')
    assert "write one object a line, and no list around them" in refused(path)


@pytest.mark.parametrize("separator", [";", "|"])
@pytest.mark.parametrize(("end", "inside"), [("\r", "\n"), ("\n", "\r")])
def test_a_separator_is_known_though_rows_hold_bare_line_ends(tmp_path, separator, end, inside):
    """As pandas and the csv module write them: only the line end that they use themselves is quoted."""
    path = tmp_path / "a.csv"
    rows = [["n", "text"], ["1", "the film"], ["2", f"the{inside}end"], ["3", "a key"]]
    path.write_bytes(end.join([*map(separator.join, rows), ""]).encode())
    found = read(path)
    assert (found[0], found[2]) == ("the film", "a key")
    assert found[1] == f"the{inside}end" or "line end of another kind" in found[1]
    # Of such a header alone nothing can be told.
    path.write_bytes(end.join([f"n{separator}text", f"the{inside}end", f"a{inside}key", ""]).encode())
    assert "`separator` must be the file's own, got the only column" in refused(path)


def test_tabs_in_quotes_do_not_make_commas_the_separator(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('"note"\t"text"\t"label, as given"\n"note 0"\t",\t"\t0\n')
    assert read(path) == [",\t"]


# Beside a blank, a NUL stands as it does in UTF-16.
@pytest.mark.parametrize("place", range(len("The key\nof it\n") + 1))
def test_the_nul_of_a_short_file_is_refused_by_its_line(tmp_path, place):
    content, path = "The key\nof it\n", tmp_path / "a.txt"
    _ = path.write_text(f"{content[:place]}\0{content[place:]}", newline="")
    number = content[:place].count("\n") + 1
    # A NUL after the last line end is a line of its own.
    expected = [*content.splitlines(), ""][: max(number, 2)]
    found = read(path)
    assert f"line {number} of a.txt must be text, got a NUL" in found[number - 1]
    assert found[: number - 1] + found[number:] == expected[: number - 1] + expected[number:]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["यह हिन्दी में है", "தமிழ் மொழி", "שלום עולם", "中 文", "ภาษา ไทย", "Ελλάδα μου", "a b"])
def test_scripts_of_all_kinds_are_known_for_utf_16(tmp_path, encoding, text):
    path = tmp_path / "a.txt"
    _ = path.write_bytes(f"{text}\n{text}\n".encode(encoding))
    assert f'pass `encoding="{encoding}"`' in refused(path)
