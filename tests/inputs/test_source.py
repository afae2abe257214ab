import io
import json
from itertools import count, islice

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxflow._checks import InputError
from jaxflow.inputs.files import open_source
from jaxflow.inputs.rows import BadRow, Text
from jaxflow.inputs.source import InlineSource, as_source
from jaxflow.sweep.entry import run_sweep

HOSTILE = "<script>alert('x')</script> \"q\" \u202eabc\u202c \x00 \U0001f469\u200d\U0001f467"


def texts_of(source):
    """The texts, or the error that says what is wrong with the first one that cannot be used."""
    rows = list(source.rows())
    for row in rows:
        if isinstance(row, BadRow):
            raise row.error
    return [(row.id, row.text, row.pair) for row in rows]


def read(path, column=None, pair_column=None, stdin=None):
    with open_source(str(path), column, pair_column, stdin=stdin) as source:
        return texts_of(source)


def refused(path, *parts, **options):
    with pytest.raises(InputError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_lines_keep_their_numbers_when_blank_ones_are_left_out(tmp_path):
    path = write(tmp_path, "a.txt", "\ufeffone\r\n\n  \ntwo\u2028still two\nthree")
    assert read(path) == [(1, "one", None), (4, "two\u2028still two", None), (5, "three", None)]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
def test_columns_of_every_format_come_back_as_they_went_in(tmp_path, kind):
    # A raw NUL is refused in files of text; JSON escapes it.
    hostile = HOSTILE if kind in ("jsonl", "parquet") else HOSTILE.replace("\x00", "")
    texts = [hostile, "line\nbreak, comma\tand tab", "שלום", "x" * 200_000]
    pairs = ["p", '"', "学", "z"]
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"other": [1, 2, 3, 4], "b": pairs, "text": texts}), path)
    elif kind == "jsonl":
        lines = [
            json.dumps({"text": t, "b": p}, ensure_ascii=i % 2 == 0)
            for i, (t, p) in enumerate(zip(texts, pairs, strict=True))
        ]
        write(tmp_path, path.name, "\n\n".join(lines))
    else:
        import csv

        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="," if kind == "csv" else "\t")
            writer.writerows([("b", "text"), *zip(pairs, texts, strict=True)])
    found = read(path, pair_column="b")
    assert [(text, pair) for _, text, pair in found] == list(zip(texts, pairs, strict=True))
    assert [number for number, _, _ in found] == ([1, 3, 5, 7] if kind == "jsonl" else [1, 2, 3, 4])
    assert read(path, "b")[1][1] == '"'


def test_standard_input_is_read_twice_over():
    with open_source("-", stdin=io.BytesIO(b"one\n\ntwo\n")) as source:
        for _ in range(2):
            assert texts_of(source) == [(1, "one", None), (3, "two", None)]
        assert next(source.rows()).place == "line 1 of standard input"
        assert source.count() == 2


def test_the_only_column_is_taken_and_named(tmp_path):
    with open_source(str(write(tmp_path, "a.csv", "review\ngood\n"))) as source:
        assert texts_of(source) == [(1, "good", None)]
        assert "'review'" in (source.note or "")
    with open_source(str(write(tmp_path, "b.csv", "text,label\ngood,1\n"))) as source:
        assert source.column == "text"
        assert source.note is None
    with open_source(str(write(tmp_path, "c.csv", "q,a\nhow,so\n")), None, "a") as source:
        assert source.column == "q"


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.txt", b"", ["a.txt must hold a text, got an empty file"]),
        ("a.jsonl", b"\n\n", ["a.jsonl must hold a record with a column, got none"]),
        ("a.csv", b"\n", ["a.csv must begin with a header"]),
        ("a.txt", b"fine\nab\xe9c\n", ["line 2 of a.txt must be UTF-8, got byte 0xe9 (byte 7 of the file)"]),
        ("a.csv", b"text\nfine\n\xff\n", ["line 3 of a.csv must be UTF-8, got byte 0xff"]),
        ("a.csv", b"text\nfine\na\0b\n", ["line 3 of a.csv must be text, got a NUL", "`encoding`"]),
        ("a.pdf", b"x", ["must end in one of", ".jsonl"]),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', ["line 2 of a.jsonl must be a JSON object, got malformed JSON"]),
        ("a.jsonl", b'{"text": "a"}\n["b"]\n', ["line 2 of a.jsonl", "object", "list"]),
        ("a.jsonl", b"[" * 100_000, ["line 1 of a.jsonl must be a JSON object, got malformed JSON"]),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"txt": "b"}\n',
            ["'text' in line 2 of a.jsonl must hold a text, got no such column", "'txt'"],
        ),
        ("a.jsonl", b'{"text": 3}\n', ["line 1 of a.jsonl", "must hold a text, got int"]),
        ("a.jsonl", b'{"text": null}\n', ["line 1", "got nothing"]),
        (
            "a.jsonl",
            b'{"text": "a"}\n\n{"text": " "}\n',
            ["'text' in line 3 of a.jsonl must hold a text, got an empty one"],
        ),
        ("a.jsonl", b'{"text": "\\ud800"}\n', ["line 1", "surrogate"]),
        ("a.csv", b"text,n\na,1\nb\n", ["row 2 (line 3) of a.csv must have 2 cells, as the header has, got 1"]),
        ("a.csv", b'text,n\na,1\n"b,2\n', ["line 3 of a.csv must have quotes around whole cells"]),
        ("a.csv", b"text,n\na,1\n,2\n", ["'text' in row 2 (line 3) of a.csv must hold a text, got an empty one"]),
        ("a.csv", b"text,text\na,b\n", ["a.csv: `column` must name one column, got 'text', which several have"]),
        ("a.csv", b"a,b\n1,2\n", ["a.csv must have a column 'text', got 'a', 'b'; name another with `column`"]),
        ("a.parquet", b"PAR1 not really", ["a.parquet must be Parquet"]),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(tmp_path, name, content, parts):
    refused(write(tmp_path, name, content), *parts)


def test_columns_that_are_not_there_are_named_with_those_that_are(tmp_path):
    path = write(tmp_path, "a.csv", "text,label\na,1\n")
    refused(path, "`column` must name a column, got 'body'; there are: 'text', 'label'", column="body")
    refused(path, "`pair_column` must name a column, got 'body'", pair_column="body")
    refused(write(tmp_path, "a.txt", "a\n"), "must go with a file that has columns", "`column`", column="text")


def test_parquet_cells_that_are_no_text_are_named(tmp_path):
    pq.write_table(pa.table({"text": ["a", None], "n": [1, 2]}), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "row 2 of a.parquet", "got nothing")
    refused(tmp_path / "a.parquet", "row 1 of a.parquet", "got int", column="n")


def test_a_parquet_text_that_is_not_utf8_costs_its_row_alone(tmp_path):
    # Arrow takes the bytes as they are.
    undecodable = pa.array([b"one", b"a\xffb", b"three"], pa.binary()).view(pa.string())
    for place, column in enumerate((undecodable, undecodable.dictionary_encode(), undecodable.cast(pa.large_binary()))):
        column = column.view(pa.large_string()) if pa.types.is_large_binary(column.type) else column
        path = tmp_path / f"{place}.parquet"
        pq.write_table(pa.table({"text": column, "pair": ["p", "q", "r"]}), path)
        with open_source(str(path), pair_column="pair") as source:
            first, bad, last = source.rows()
        assert [(row.id, row.text, row.pair) for row in (first, last)] == [(1, "one", "p"), (3, "three", "r")]
        where, rest = f"'text' in row 2 of {path.name}", "must be UTF-8, got byte 0xff; correct it, or write the column"
        assert (bad.id, bad.reason.startswith(f"{where} {rest}")) == (2, True)
        with pytest.raises(InputError, match=f"^{where} must be UTF-8"):
            _ = list(source.values())


def test_a_parquet_file_cut_short_is_named(tmp_path):
    pq.write_table(pa.table({"text": [str(i) for i in range(5000)]}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    refused(write(tmp_path, "cut.parquet", content[: len(content) // 2]), "cut.parquet must be Parquet")


def test_missing_files_and_folders_are_named(tmp_path):
    refused(tmp_path / "none.txt", "must be a file, got", "none.txt', which does not exist")
    refused(tmp_path, "got the folder")
    refused("-", "got '-'; pass a file: standard input is not read here")
    refused("-", "standard input must hold a text", stdin=io.BytesIO(b""))


def test_inline_texts_are_numbered_and_checked():
    assert texts_of(InlineSource(("a", "b"), ("c", "d"))) == [(1, "a", "c"), (2, "b", "d")]
    for texts, pairs, message in [
        (("a", " "), None, "--text 2 must hold a text"),
        (("a",), ("",), "the pair of --text 1 must hold a text"),
        (("\udcff",), None, "surrogate"),
    ]:
        with pytest.raises(InputError, match=message):
            texts_of(InlineSource(texts, pairs))


@pytest.mark.parametrize(
    ("name", "content", "reasons"),
    [
        ("a.txt", b"one\n\xe9\nthree\n", {2: "line 2 of a.txt must be UTF-8, got byte 0xe9"}),
        (
            "a.jsonl",
            b'{"text": "one"}\n{"text": \n[2]\n\n{"txt": "b"}\n{"text": ""}\n{"text": "three"}\n',
            {
                2: "malformed JSON",
                3: "got list",
                5: "'text' in line 5 of a.jsonl must hold a text, got no such column",
                6: "got an empty one",
            },
        ),
        ("a.csv", b'text,n\none,1\ntwo\n"a "b" c",3\n,4\n\xe9,5\nthree,6\n', {2: "", 3: "", 4: "", 5: "0xe9"}),
    ],
)
def test_bad_rows_stand_where_they_were_and_reading_goes_on(tmp_path, name, content, reasons):
    with open_source(str(write(tmp_path, name, content))) as source:
        rows = list(source.rows())
        bad = {row.id: row.reason for row in rows if isinstance(row, BadRow)}
        assert bad.keys() == reasons.keys()
        for number, part in reasons.items():
            assert part in bad[number]
        good = [row.text for row in rows if isinstance(row, Text)]
        assert (good[0], good[-1], len(good)) == ("one", "three", len(rows) - len(reasons))
        assert source.count() == len(rows)


def test_a_first_line_that_is_malformed_hides_no_column(tmp_path):
    with open_source(str(write(tmp_path, "a.jsonl", b'{\n{"text": "b"}\n'))) as source:
        assert [type(row) for row in source.rows()] == [BadRow, Text]
    refused(write(tmp_path, "b.jsonl", b"{\n{\n"), "line 1 of b.jsonl must be a JSON object, got malformed JSON")


def test_iterables_of_texts_and_of_records_are_drawn_one_at_a_time():
    drawn = []

    def endless():
        for number in count(1):
            drawn.append(number)
            yield {"text": f"t{number}", "other": number}

    source = as_source(endless())
    assert source.once
    assert source.count() is None
    assert [row.text for row in islice(source.rows(), 3)] == ["t1", "t2", "t3"]
    assert drawn == [1, 2, 3]
    again = as_source(["a", "b"])
    assert not again.once
    assert again.count() == 2
    assert texts_of(again) == texts_of(again) == [(1, "a", None), (2, "b", None)]
    paired = as_source([{"q": "a", "p": "b"}], "q", "p")
    assert texts_of(paired) == [(1, "a", "b")]
    assert paired.paired
    with pytest.raises(InputError, match="row 2 of the texts must be a text or a record by column, got int"):
        texts_of(as_source(["a", 2]))
    frame = pd.DataFrame({"text": ["a", "b"]})
    for wrong, message in [
        (3, "got int"),
        ("text", "put a single text in a list"),
        ({"train": []}, "'train'"),
        (frame, "pass a column of it"),
        (pa.table({"text": ["a", "b"]}), r"pass `table.to_pylist\(\)`"),
    ]:
        with pytest.raises(InputError, match=message):
            as_source(wrong)


def test_hugging_face_data_sets_stream_the_columns_that_are_wanted():
    datasets = pytest.importorskip("datasets")
    records = {"n": [1, 2], "sentence": ["a", "b"], "pair": ["c", "d"]}
    whole = datasets.Dataset.from_dict(records)
    for data in (whole, whole.to_iterable_dataset()):
        source = as_source(data, "sentence", "pair")
        assert texts_of(source) == texts_of(source) == [(1, "a", "c"), (2, "b", "d")]
        with pytest.raises(InputError, match=r"the data set must have a column 'text', got .*'sentence'"):
            as_source(data)
        assert texts_of(as_source(data.select_columns(["sentence"]))) == [(1, "a", None), (2, "b", None)]
    assert as_source(whole, "sentence").count() == 2
    assert not as_source(whole, "sentence").once
    with pytest.raises(InputError, match="a dict of 'train'; pass one"):
        as_source(datasets.DatasetDict({"train": whole}))


def test_the_manifest_says_how_a_file_is_read_and_another_reading_is_refused(tmp_path, encoder):
    path = write(tmp_path, "a.csv", "text;note\nthe key;x\n")
    options = {"column": "text", "methods": "raw", "layers": 1}
    results = run_sweep(encoder, path, tmp_path / "out", **options)
    told = {"encoding": "utf-8", "separator": ";", "quotes": "yes"}
    assert told.items() <= results.manifest["input"].items()
    assert len(run_sweep(encoder, path, tmp_path / "out", separator="semicolon", **options)) == 1
    with pytest.raises(InputError, match="which differs in quotes "):
        _ = run_sweep(encoder, path, tmp_path / "out", quotes="no", **options)
    with pytest.raises(InputError, match="`separator` must go with a file"):
        _ = run_sweep(encoder, ["the key"], tmp_path / "other", separator=";")
