"""Files in stores, by their addresses; what is written stays on this host."""

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
        ("nosuch://a/in.txt", "--input must be a file that can be read, got 'nosuch://a/in.txt' (Protocol not known"),
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


def test_results_are_not_written_into_a_store(encoder, capsys):
    for call in (lambda: jf.run_sweep(encoder, TEXTS, "s3://bucket/out"), lambda: jf.open_sweep("gs://bucket/out")):
        with pytest.raises(
            InputError, match=r"`folder` must be a path on this host, got '(s3|gs)://bucket/out'; name a"
        ):
            _ = call()
    assert cli.main(["attribute", "--text", "a", "--out", "s3://bucket/out"]) == 2
    assert "--out: a path is expected, got 's3://bucket/out'; name a folder or file here" in capsys.readouterr().err
