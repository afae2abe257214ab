"""Models from the hub, whose client is stood in for: what is asked of it, and what its refusals say."""

import fnmatch
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import errors

from jaxflow._checks import InputError
from jaxflow.models import load_model


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with one folder's files, which keeps what was asked of it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    asked = []

    def serve(folder, refusal=None):
        def snapshot_download(repo_id, *, revision, allow_patterns, ignore_patterns, local_files_only):
            asked.append((repo_id, revision, local_files_only))
            if refusal is not None:
                raise refusal
            place = tmp_path / f"snapshot{len(asked)}"
            for file in Path(folder).rglob("*"):
                name = file.relative_to(folder).as_posix()
                wanted = any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns)
                if file.is_file() and wanted and not any(fnmatch.fnmatch(name, p) for p in ignore_patterns):
                    (place / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, place / name)
            return str(place)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
        return asked

    return serve


@pytest.fixture
def folder(tiny, tmp_path):
    """A model's folder as hub folders are: pickles and other formats beside the weights."""
    made = shutil.copytree(tiny.bert("BertForSequenceClassification").folder, tmp_path / "model")
    (made / "onnx").mkdir()
    for name in ("pytorch_model.bin", "tf_model.h5", "run.py", "README.md", "onnx/config.json"):
        (made / name).write_bytes(b"not to be fetched")
    return made


def refused(match, name="owner/model", **options):
    with pytest.raises(InputError, match=match) as caught:
        load_model(name, **options)
    assert "\n" not in str(caught.value)


def test_a_hub_model_loads_without_its_pickles(hub, folder, tiny, batch, tmp_path):
    asked = hub(folder)
    encoder = load_model("owner/model", revision="v2.0")
    assert asked == [("owner/model", "v2.0", False)]
    assert encoder.name == "owner/model"
    there = {file.name for file in (tmp_path / "snapshot1").rglob("*") if file.is_file()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= there
    assert not there & {"pytorch_model.bin", "tf_model.h5", "run.py", "README.md"}
    assert not (tmp_path / "snapshot1" / "onnx").exists()
    kept = tiny.bert("BertForSequenceClassification").ours
    np.testing.assert_array_equal(encoder(batch).logits, kept(batch).logits)
    _ = load_model("owner/model", local_files_only=True)
    assert asked[-1] == ("owner/model", None, True)


def test_a_hub_model_in_shards_loads(hub, folder, tiny, batch):
    (folder / "model.safetensors").unlink()
    tiny.bert("BertForSequenceClassification").torch.save_pretrained(folder, max_shard_size="8KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    hub(folder)
    kept = tiny.bert("BertForSequenceClassification").ours
    np.testing.assert_array_equal(load_model("owner/model")(batch).logits, kept(batch).logits)


def test_a_hub_model_of_pickles_alone_is_refused(hub, folder):
    (folder / "model.safetensors").unlink()
    hub(folder)
    refused("must hold model.safetensors, or shards.*pickles are never fetched")


def response(status):
    return SimpleNamespace(status_code=status, headers={}, request=None)


@pytest.mark.parametrize(
    ("refusal", "match"),
    [
        (
            errors.GatedRepoError("403.\n\nCannot access gated repo", response=response(403)),
            "'owner/model'.*GatedRepoError: 403.*accept the model's terms on its page",
        ),
        (
            errors.RepositoryNotFoundError("404.\nRepository Not Found", response=response(404)),
            "RepositoryNotFoundError: 404.*log in",
        ),
        (
            errors.RevisionNotFoundError("404.\nRevision Not Found", response=response(404)),
            "at revision 'v9'.*check the revision",
        ),
        (TimeoutError("timed out"), "TimeoutError: timed out.*check the name and the connection"),
        (ConnectionError(""), r"\(ConnectionError: ConnectionError\); check the name and the connection"),
        (errors.HfHubHTTPError("500 Server Error", response=response(500)), "500 Server Error"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_a_refusal_is_one_clear_line(hub, folder, refusal, match):
    hub(folder, refusal)
    refused(match, revision="v9")
