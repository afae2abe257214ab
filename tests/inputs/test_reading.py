"""How files are read: quotes, separators, line ends, encodings, packing; and what is said about it."""

import gzip
import io
import os
import threading

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxflow._checks import InputError
from jaxflow.inputs import lines, tables
from jaxflow.inputs.files import open_source
from jaxflow.inputs.rows import BadRow, Text


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, column=None, **options):
    """The texts, what is wrong with the other rows by their number, and what was said."""
    with open_source(str(path), column, **options) as source:
        rows = list(source.rows())
        assert source.count() == len(rows)
        bad = {row.id: row.reason for row in rows if isinstance(row, BadRow)}
        return [row.text for row in rows if isinstance(row, Text)], bad, source.note or ""


def refused(path, column=None, **options):
    with pytest.raises(InputError) as caught, open_source(str(path), column, **options) as source:
        list(source.rows())
    assert "\n" not in str(caught.value)
    return str(caught.value)


SENTENCES = {
    "paired": ["fine", '"Hello there', "second", 'he said bye"', "last"],
    "open": ["fine", '"Hello there', "second", "last"],
    "word": ['"Jaws" is a film', 'a film called "Jaws"', "last"],
    "whole": ['"Jaws"', "a film", "last"],
    "comma": ['"Well, yes"', "well, no", "last"],
}


@pytest.mark.parametrize("labels", [("1", "0"), ("pos", "neg")])
@pytest.mark.parametrize("kind", SENTENCES)
def test_quotes_that_sentences_begin_with_are_characters(tmp_path, kind, labels):
    rows = [f"{text}\t{labels[number // 2 % 2]}\tnote {number}\n" for number, text in enumerate(SENTENCES[kind])]
    path = written(tmp_path, "a.tsv", "text\tlabel\tnote\n" + "".join(rows))
    texts, bad, note = read(path)
    assert texts == SENTENCES[kind]
    assert not bad
    assert "quotes in a.tsv as characters" in note
    assert read(path, quotes="no")[::2] == (texts, "")


def test_quotes_that_programs_set_around_cells_are_taken_off(tmp_path):
    texts = ['He said "hi"', "two\nlines here", "a\ttab", '"', "plain, with a comma"]
    frame = pd.DataFrame({"id": range(5), "text": texts, "note": list("abcde")})
    for number, order in enumerate((["text", "id", "note"], ["id", "text"], ["id", "note", "text"])):
        path = tmp_path / f"{number}.tsv"
        frame.to_csv(path, sep="\t", index=False, columns=order)
        found, bad, note = read(path)
        assert (found, bad) == (texts, {})
        assert "set around cells by the program" in note
        # By the switch, cells are what stands between tabs; the others are refused.
        bare = read(path, quotes="no")[0]
        assert '"He said ""hi"""' in bare
        assert "a\ttab" not in bare


def test_quotes_of_which_nothing_can_be_known_are_asked_about(tmp_path):
    single = written(tmp_path, "a.tsv", 'text\n"Hello there\nhe said bye"\n')
    said = refused(single)
    assert said.startswith("a.tsv: `quotes` must be 'yes' or 'no', got quotes (the first in line 2)")
    assert read(single, quotes="yes")[0] == ["Hello there\nhe said bye"]
    assert read(single, quotes="no")[0] == ['"Hello there', 'he said bye"']
    # Quotes escaped in another way than any that is read: a header in quotes says that they are not characters.
    assert "`quotes`" in refused(written(tmp_path, "r.tsv", '"text"\t"n"\n"say \\"hi\\""\t1\n'))


@pytest.mark.parametrize("rest", ["", '"the, last",3\n', "the end,3\n"])
def test_an_open_quote_costs_its_own_row_and_is_named(tmp_path, rest):
    good = [f"row {number}" for number in range(1000)]
    rows = "".join(f"{text},0\n" for text in good)
    texts, bad, _ = read(written(tmp_path, "a.csv", f'text,label\nfine,1\n"open,2\n{rows}{rest}'))
    assert texts[:1001] == ["fine", *good]
    assert len(texts) == 1001 + bool(rest)
    assert list(bad) == [2]
    assert "line 3 of a.csv must have quotes around whole cells, got one that is not closed" in bad[2]


def test_the_quote_that_is_named_is_the_one_that_opened(tmp_path):
    texts, bad, _ = read(written(tmp_path, "a.csv", 'text,note\n"two\nlines","open\nnext,1\nlast,2\n'))
    assert texts == ["next", "last"]
    assert "line 3 of a.csv must have quotes around whole cells" in bad[1]


def test_the_rest_of_a_malformed_row_is_no_text(tmp_path):
    texts, bad, _ = read(written(tmp_path, "a.csv", 'text,n\n"one\nsays "two" here\nthree",1\nfine,2\n'))
    assert texts == ["fine"]
    assert list(bad) == [1, 2, 3]


def test_an_open_quote_ends_at_a_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "QUOTED_MOST", 1000)
    taken = []
    several = [(number, f"row {number},0\n", None) for number in range(3, 5000)]

    def stream():
        yield 1, "text,label\n", None
        yield 2, '"open,1\n', None
        for line in several:
            taken.append(line)
            yield line

    rows = tables.table(stream(), tables.Dialect(",", True, "\n"), "a.csv")
    _, (line, row, _) = next(rows), next(rows)
    assert line == 2
    assert isinstance(row, InputError)
    assert len(taken) < 200
    assert [row for _, row, _ in rows] == [[f"row {number}", "0"] for number in range(3, 5000)]


SEPARATORS = {"semicolon": ";", "pipe": "|", "tab": "\t"}


@pytest.mark.parametrize("word", SEPARATORS)
def test_separators_are_recognised_from_the_header_and_said(tmp_path, word):
    separator = SEPARATORS[word]
    rows = [["id", "text", "score (0,1)"], ["1", "gut, sehr gut", "0,5"], ["2", "schlecht", "1,5"]]
    path = written(tmp_path, "a.csv", "".join(separator.join(row) + "\r\n" for row in rows))
    texts, bad, note = read(path)
    assert (texts, bad) == (["gut, sehr gut", "schlecht"], {})
    assert f"the {word} for the separator of a.csv" in note
    for named in (word, separator):
        assert read(path, separator=named) == (texts, {}, "")


def test_spreadsheets_may_name_the_separator(tmp_path):
    content = 'sep=;\r\ntext;n\r\n"a; b";1\r\n'
    assert read(written(tmp_path, "a.csv", content)) == (["a; b"], {}, "")
    with open_source(str(tmp_path / "a.csv")) as source:
        assert next(source.rows()).place == "row 1 (line 3) of a.csv"


@pytest.mark.parametrize("header", ["text;label", "title|body", "dc:text"])
def test_an_only_column_that_holds_a_separator_is_asked_about(tmp_path, header):
    path = written(tmp_path, "a.csv", f"{header}\nA film\nAnother film\n")
    said = refused(path)
    assert said.startswith(f"a.csv: `separator` must be the file's own, got the only column {header!r}")
    assert "; pass `separator=" in said
    assert read(path, header)[:2] == (["A film", "Another film"], {})


def test_short_rows_of_a_file_with_semicolons_are_named(tmp_path):
    texts, bad, _ = read(written(tmp_path, "a.csv", "text;label\ngut\nschlecht;0\n"))
    assert texts == ["schlecht"]
    assert "row 1 (line 2) of a.csv must have 2 cells, as the header has, got 1" in bad[1]


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_lines_end_as_those_of_any_system(tmp_path, end):
    for name, content in (
        ("a.txt", ["one", "two"]),
        ("a.csv", ["text,n", "one,1", '"two",2']),
        ("a.tsv", ["text\tn", "one\t1", "two\t2"]),
    ):
        for last in ("", end):
            assert read(written(tmp_path, name, end.join(content) + last)) == (["one", "two"], {}, "")
    quoted = written(tmp_path, "b.csv", end.join(["text,n", '"a\r\nb\rc\nd",1', ""]))
    assert read(quoted)[0] == ["a\r\nb\rc\nd"]


def test_line_ends_of_two_kinds_are_refused_where_they_may_be_of_a_text(tmp_path):
    texts, bad, _ = read(written(tmp_path, "a.txt", "one\rtwo\nthree\n"))
    assert texts == ["three"]
    assert "line 1 of a.txt" in bad[1]
    texts, bad, _ = read(written(tmp_path, "a.csv", "n,text\n1,one\r\n2,two\n3,th\rree\n"))
    assert texts == ["two"]
    assert list(bad) == [1, 3]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["the key", "Привет мир", "你好 世界"])
def test_wide_encodings_are_read_by_their_mark_or_name_and_else_refused(tmp_path, encoding, text):
    for name, content in (("a.txt", f"{text}\n{text}\n"), ("a.csv", f"text,n\n{text},1\n{text},2\n")):
        bare = written(tmp_path, name, content.encode(encoding))
        said = refused(bare)
        assert f'pass `encoding="{encoding}"`' in said
        assert read(bare, encoding=encoding) == ([text, text], {}, "")
        marked = written(tmp_path, name, f"\ufeff{content}".encode(encoding))
        assert read(marked)[:2] == ([text, text], {})
        assert f"{name} as {encoding.upper()}, as its byte-order mark says" in read(marked)[2]
        assert read(marked, encoding=encoding[:6])[:2] == ([text, text], {})
        assert "its mark says" in refused(marked, encoding="cp1252")


def test_other_encodings_are_read_by_name(tmp_path):
    for encoding in ("cp1252", "latin-1", "cp037", "utf-8-sig"):
        path = written(tmp_path, "a.csv", "text;n\r\nschön;1\r\n".encode(encoding))
        assert read(path, encoding=encoding)[0] == ["schön"]
    path = written(tmp_path, "a.txt", "学校\n鍵\n".encode("shift_jis"))
    assert read(path, encoding="shift_jis")[0] == ["学校", "鍵"]
    texts, bad, _ = read(written(tmp_path, "a.txt", b"one\n\x81\nthree\n"), encoding="cp1252")
    assert texts == ["one", "three"]
    assert "line 2 of a.txt must be CP1252, got byte 0x81" in bad[2]
    for wrong in ("utf-99", "rot13", "idna", "", "a\0b"):
        assert refused(path, encoding=wrong).startswith("`encoding` must be an encoding that Python knows")


def test_a_wide_file_cut_within_a_character_is_refused_where_it_ends(tmp_path):
    texts, bad, _ = read(written(tmp_path, "a.txt", "\ufeffone\ntwo".encode("utf-16-le")[:-1]))
    assert texts == ["one"]
    assert "line 2" in bad[2]


def test_a_lone_nul_is_refused_by_its_line(tmp_path):
    texts, bad, _ = read(written(tmp_path, "a.txt", "one line of text\nan\0other\nthe third line\n"))
    assert texts == ["one line of text", "the third line"]
    assert "line 2 of a.txt must be text, got a NUL" in bad[2]


def files(tmp_path):
    yield "txt", b"one\ntwo\n"
    yield "jsonl", b'{}\n{"id": 1, "text": null}\n{"text": "one"}\n{"text": "two"}\n'
    yield "csv", b"text;n\none;1\ntwo;2\n"
    yield "tsv", b"text\tn\none\t1\ntwo\t2\n"
    pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / "a.parquet")
    yield "parquet", (tmp_path / "a.parquet").read_bytes()


def test_packed_files_of_every_format_are_read_and_damaged_ones_refused(tmp_path):
    noise = os.urandom(300_000)
    for kind, content in files(tmp_path):
        for suffix, pack in ((".gz", gzip.compress), (".zst", lambda each: pa.compress(each, "zstd", asbytes=True))):
            path = written(tmp_path, f"a.{kind}{suffix}", pack(content))
            assert read(path)[0] == ["one", "two"]
            whole = pack(content + (b"" if kind == "parquet" else noise.hex().encode()))
            assert f"a.{kind}{suffix} must be a whole file of" in refused(
                written(tmp_path, path.name, whole[: len(whole) // 2])
            )
            assert "as its name says" in refused(written(tmp_path, path.name, content))
    with open_source("-", stdin=io.BytesIO(gzip.compress(b"one\n"))) as source:
        assert [row.text for row in source.rows()] == ["one"]
    assert "must end in one of" in refused(written(tmp_path, "a.gz", gzip.compress(b"one\n")))


def test_records_may_lack_the_column_at_first(tmp_path):
    path = written(
        tmp_path, "a.jsonl", '{}\nnull\n{"id": 1}\n{"id": 2, "review": "one", "text": "other"}\n{"review": null}\n'
    )
    texts, bad, _ = read(path, "review")
    assert texts == ["one"]
    assert "'review' in line 1 of a.jsonl must hold a text, got no such column; there are: none" in bad[1]
    assert "got null" in bad[2]
    assert "'id'" in bad[3]
    assert "got nothing" in bad[5]
    assert read(path)[0] == ["other"]
    assert "must name a column, got 'body'" in refused(path, "body")
    late = written(tmp_path, "b.jsonl", '{"id": 1}\n' * 20_000 + '{"review": "one"}\n')
    assert read(late, "review")[0] == ["one"]
    assert "must hold a record" in refused(written(tmp_path, "c.jsonl", "{}\n{}\n"))


@pytest.mark.parametrize(
    "text", ["\u200b", "\xa0", "\u3000", "\xad\u200d", "\x07", "\ufffd", "\ufe0f", "\u2800", "\u3164", "\U000e0001 "]
)
def test_lines_of_characters_that_cannot_be_seen_are_empty_texts(tmp_path, text):
    for name, content, number in (
        ("a.txt", f"one\n\n{text}\nthe end\n", 3),
        ("a.csv", f"text,n\none,1\n{text},2\nthe end,3\n", 2),
    ):
        texts, bad, _ = read(written(tmp_path, name, content))
        assert texts == ["one", "the end"]
        assert list(bad) == [number]
        empty = "must hold a text, got an empty one", "must hold characters that can be seen, got none"
        assert any(words in bad[number] for words in empty)


def test_characters_that_are_seen_together_with_others_stay(tmp_path):
    kept = ["a\u200bb", "\U0001f469\u200d\U0001f467", "\u0301", "\u2764\ufe0f", "क्ष", "\ufffdx"]
    assert read(written(tmp_path, "a.txt", "\n".join(kept)))[:2] == (kept, {})


def test_lines_beyond_all_measure_are_refused_and_never_held(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LINE_MOST", 1000)
    monkeypatch.setattr(lines, "CHUNK", 64)
    for name, head in (("a.txt", ""), ("a.csv", "text\n"), ("a.tsv", "text\n")):
        content = f"{head}one\n{'x' * 5000}\n{'y' * 999}\n"
        texts, bad, _ = read(written(tmp_path, name, content))
        assert texts == ["one", "y" * 999]
        assert list(bad) == [2]
        assert f"line {2 + bool(head)} of {name} must have at most 1,000 bytes, got 5,001" in bad[2]


def test_a_pipe_is_opened_once(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    opened = []

    def write():
        with pipe.open("w") as file:
            opened.append(file)
            _ = file.write("text;label\none;1\ntwo;2\n")

    thread = threading.Thread(target=write)
    thread.start()
    with open_source(str(pipe)) as source:
        assert [row.text for row in source.rows()] == ["one", "two"]
        # Another column comes from what was read already.
        assert list(source.of_column("label").values()) == ["1", "2"]
        assert [row.text for row in source.rows()] == ["one", "two"]
    thread.join()
    assert len(opened) == 1


def test_options_that_do_not_fit_a_file_are_refused(tmp_path):
    text, table = written(tmp_path, "a.txt", "one\n"), written(tmp_path, "a.csv", "text,n\none,1\n")
    assert "`separator` must go with a file of kind .csv, .tsv" in refused(text, separator=",")
    assert "`quotes` must go with" in refused(text, quotes="no")
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "a.parquet")
    assert "`encoding` must go with" in refused(tmp_path / "a.parquet", encoding="utf-8")
    for wrong in ("", "ab", "\n", '"'):
        assert "`separator` must be one character" in refused(table, separator=wrong)
    assert "`quotes` must be one of" in refused(table, quotes="maybe")


def test_errors_show_no_more_of_a_file_than_can_be_read(tmp_path):
    long = "x" * 50_000
    for name, content in (
        ("a.csv", f"{long},b\n1,2\n"),
        ("b.csv", f"{long};{long}\n1\n"),
        ("a.jsonl", f'{{"{long}": 1, "b": 2}}\n'),
    ):
        assert len(refused(written(tmp_path, name, content))) < 800
    assert len(read(written(tmp_path, "c.csv", f"{long}\none\n"))[2]) < 800
