"""The script that turns pickles into folders that load: types, shards, wrappers, names, and what a failure leaves."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from jaxflow.models import load_model
from tests.models.conftest import bert_config, make_tokenizer

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("convert_checkpoint")
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(4)
    return transformers.BertForSequenceClassification(bert_config()).eval().state_dict()


@pytest.fixture
def convert(script, state, tmp_path, monkeypatch, capsys):
    """Converts what is saved beside a configuration and a tokenizer; the exit code and what was said."""
    folder = tmp_path / "old"
    config = bert_config()
    config.architectures = ["BertForSequenceClassification"]
    config.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)

    def run(saved, *options, name="pytorch_model.bin", out="new"):
        if saved is not None:
            torch.save(saved, folder / name)
        monkeypatch.setattr(sys, "argv", ["convert", str(folder / name), str(tmp_path / out), *options])
        code = script.main()
        said = capsys.readouterr()
        assert said.err.count("\n") == (0 if code == 0 else 1)
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
        assert (tmp_path / out).exists() == (code == 0)
        return code, said.err

    run.folder, run.out = folder, tmp_path / "new"
    return run


def logits(folder, batch):
    return np.asarray(load_model(folder)(batch).logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_type_is_converted(convert, state, batch, tmp_path, dtype):
    lowered = {name: tensor.to(dtype) for name, tensor in state.items()}
    assert convert(lowered) == (0, "")
    model = transformers.BertForSequenceClassification(bert_config()).eval()
    # The oracle: torch itself widens what was rounded.
    model.load_state_dict({name: tensor.float() for name, tensor in lowered.items()})
    model.save_pretrained(tmp_path / "theirs")
    np.testing.assert_array_equal(
        logits(convert.out, batch), np.asarray(load_model(tmp_path / "theirs", tokenizer=False)(batch).logits)
    )


@pytest.fixture
def plain(convert, state, batch):
    assert convert(state, out="plain")[0] == 0
    return logits(convert.out.with_name("plain"), batch)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state},
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"lr": torch.ones(1)}, "step": torch.tensor(7)},
        lambda state: {"state_dict": {"module": state}},
    ],
)
def test_what_trainers_put_around_the_weights_is_taken_off(convert, state, batch, plain, wrap):
    assert convert(wrap(state)) == (0, "")
    np.testing.assert_array_equal(logits(convert.out, batch), plain)


@pytest.mark.parametrize(
    "named", ["pytorch_model.bin.index.json", "part-00001-of-00003.bin", "part-00003-of-00003.bin"]
)
def test_shards_are_read_together_by_their_index_or_by_any_of_them(convert, state, batch, plain, named):
    stem = "pytorch_model" if named.endswith("json") else "part"
    names, parts = list(state), {}
    for index in range(3):
        file = f"{stem}-{index + 1:05d}-of-00003.bin"
        torch.save({name: state[name] for name in names[index::3]}, convert.folder / file)
        parts |= dict.fromkeys(names[index::3], file)
    (convert.folder / "pytorch_model.bin").unlink()
    if named.endswith("json"):
        (convert.folder / named).write_text(json.dumps({"metadata": {}, "weight_map": parts}))
    assert convert(None, name=named) == (0, "")
    np.testing.assert_array_equal(logits(convert.out, batch), plain)
    shutil.rmtree(convert.out)
    (convert.folder / f"{stem}-00002-of-00003.bin").unlink()
    code, said = convert(None, name=named)
    assert code == 2
    assert f"'{stem}-00002-of-00003.bin' missing" in said


def test_a_failure_leaves_nothing_and_says_which_options_help(convert, state, batch, plain):
    foreign = {f"net.{name}": tensor for name, tensor in state.items()} | {"net.crf.transitions": torch.ones(2, 2)}
    code, said = convert(foreign)
    assert code == 2
    assert "--strip" in said
    assert "--drop" in said
    code, said = convert(foreign, "--strip", "net.")
    assert code == 2
    assert "crf.transitions" in said
    assert "--drop" in said
    # The same folder, with the options that were named.
    assert convert(foreign, "--strip", "net.", "--drop", r"net\.crf\..*") == (0, "")
    np.testing.assert_array_equal(logits(convert.out, batch), plain)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--drop", "("], "--drop must be a regular expression"),
        (["--drop", ".*"], "--drop must leave some tensors"),
        (["--drop", "bert."], "--drop must match some of the names, got 'bert.', and none matches; write it for whole"),
        (["--strip", "nothing."], "--strip must begin some of the names"),
        (["--architecture", "GPT2Model"], "GPT2Model"),
    ],
)
def test_options_that_do_not_fit_are_one_line(convert, state, options, said):
    code, error = convert(state, *options)
    assert code == 2
    assert said in error


@pytest.mark.parametrize("content", [b"", b"no pickle", b"PK\x03\x04 no zip"])
def test_files_that_are_none_are_one_line(convert, content):
    (convert.folder / "pytorch_model.bin").write_bytes(content)
    code, said = convert(None)
    assert code == 2
    assert "weights must be a whole file" in said


def test_code_in_a_pickle_is_never_run(convert, tmp_path):
    class Code:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    code, _ = convert({"model": Code()})
    assert code == 2
    assert not (tmp_path / "ran").exists()
