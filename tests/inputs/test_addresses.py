"""Files in stores, by their addresses; what is written stays on this host."""

import zipfile

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.cli import main as cli
from jaxflow.inputs.files import open_source
from tests.tiny_text_model import model_folder

TEXTS = ["the key", "no", "is it"]


@pytest.fixture
def stored():
    """A function that stores bytes in memory, and gives their address."""
    made = []

    def store(name, content):
        made.append(f"memory://jaxflow-test/{name}")
        with fsspec.open(made[-1], "wb") as file:
            file.write(content)
        return made[-1]

    yield store
    fsspec.filesystem("memory").rm("/jaxflow-test", recursive=True)


def texts_of(address, **options):
    with open_source(address, **options) as source:
        return source.name, source.count(), [row.text for row in source.rows()]


def test_every_kind_of_file_is_read_from_a_store(stored, tmp_path):
    import gzip

    lines = "\n".join(TEXTS).encode()
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "x.parquet")
    for name, content in {
        "in.txt": lines,
        "in.csv": b"text,other\n" + b"".join(f"{text},1\n".encode() for text in TEXTS),
        "in.txt.gz": gzip.compress(lines),
        "in.parquet": (tmp_path / "x.parquet").read_bytes(),
    }.items():
        assert texts_of(stored(name, content)) == (name, 3, TEXTS)
    (tmp_path / "in.txt").write_bytes(lines)
    assert texts_of(f"file://{tmp_path}/in.txt") == ("in.txt", 3, TEXTS)
    assert texts_of(f"FILE://{tmp_path}/in.txt") == ("in.txt", 3, TEXTS)


def test_an_address_may_have_capital_letters_a_query_or_ways_to_read_it_in_front(stored, tmp_path):
    lines = "\n".join(TEXTS).encode()
    address = stored("in.txt", lines)
    for each in (address.replace("memory", "Memory"), f"simplecache::{address}", f"SimpleCache::{address}"):
        assert texts_of(each) == ("in.txt", 3, TEXTS)
    # The store decides what a query means: in memory it is of the name.
    assert texts_of(stored("in.txt?versionId=3", lines)) == ("in.txt", 3, TEXTS)
    assert texts_of(stored("why?.txt", lines)) == ("why?.txt", 3, TEXTS)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("in.csv", "text\nthe key\n")
    assert texts_of(f"zip://in.csv::file://{tmp_path}/all.zip") == ("in.csv", 1, ["the key"])


def test_a_sweep_of_a_stored_file_is_one_of_the_file(encoder, stored, tmp_path):
    address = stored("in.txt", "\n".join(TEXTS).encode())
    results = jf.run_sweep(encoder, address, f"file://{tmp_path}/out", methods="raw")
    assert results.folder == tmp_path / "out"
    assert [example.text for example in results] == TEXTS
    (tmp_path / "in.txt").write_text("\n".join(TEXTS))
    assert len(jf.run_sweep(encoder, tmp_path / "in.txt", tmp_path / "out", methods="raw")) == 3


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://nowhere/in.txt", "--input must be a file, got 'memory://nowhere/in.txt', which does not exist"),
        (
            "nosuch://a/in.txt",
            "--input must be a file that can be read, got 'nosuch://a/in.txt' (Protocol not known: nosuch); name a",
        ),
        ("simplecache::nosuch://a/in.txt", "--input must be a file that can be read, got 'simplecache::nosuch://a/in"),
        ("memory://a/in.txt?versionId=3", "--input must be a file, got 'memory://a/in.txt?versionId=3', which does"),
        ("Memory://nowhere/in.txt", "--input must be a file, got 'Memory://nowhere/in.txt', which does not exist"),
        ("memory://a/in.doc", "--input must end in one of .txt"),
    ],
)
def test_addresses_that_cannot_be_read_are_one_line(tmp_path, capsys, address, message):
    assert (
        cli.main(["attribute", "--input", address, "--out", str(tmp_path / "out"), "--model", str(model_folder())]) == 2
    )
    said = capsys.readouterr().err
    assert said.startswith(f"jaxflow: {message}")
    assert said.count("\n") == 1


def test_what_needs_a_folder_here_says_so(encoder, capsys):
    result = jf.attribute(encoder, "a", methods="raw")
    for address in ("s3://bucket/out", "S3://bucket/out", "simplecache::gs://bucket/out"):
        for call in (result.save, lambda folder: jf.models.save_encoder(encoder, folder)):
            with pytest.raises(InputError, match=f"`folder` must be a path on this host, got '{address}'; name a"):
                _ = call(address)
    texts = ["compare", "--model-a", "a", "--model-b", "b", "--text", "a"]
    assert cli.main([*texts, "--out", "s3://bucket/out"]) == 2
    assert "--out: a path is expected, got 's3://bucket/out'; name a folder or file here" in capsys.readouterr().err
