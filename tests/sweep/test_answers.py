"""Sweeps of a decoder's answers: given or generated, killed and gone on with."""

import warnings

import numpy as np
import pytest
import torch

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.sweep import shards
from tests.models.torch_architectures import WORDS, of

pytestmark = pytest.mark.usefixtures("few_sizes")

PROMPTS = ["the key to the cabinets", "keys", "the key is on the table to", "table", "is the key"]
ANSWERS = ["is on the table", "is", "the cabinets is the key", "on", "to the"]
ASK = {"queries": "answer", "methods": ("rollout", "flow")}


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*eager attention is switched on", UserWarning)
        return jf.TorchModel(of("GPT-2").make(), WORDS)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)


def same(store, result):
    assert len(store) == len(result)
    for row, example in zip(store, result, strict=True):
        assert (row.text, row.pair, row.tokens) == (example.text, example.pair, example.tokens)
        assert row.answer.tolist() == example.answer.tolist()
        for name, values in example.relevance.items():
            np.testing.assert_allclose(row.relevance[name], values, atol=1e-6)


def test_given_answers(decoder, tmp_path):
    rows = [{"text": text, "answer": pair} for text, pair in zip(PROMPTS, ANSWERS, strict=True)]
    ask = ASK | {"methods": ("rollout", "flow@attention-gradient")}
    store = jf.run_sweep(decoder, rows, tmp_path / "out", column="text", pair_column="answer", **ask)
    same(store, jf.attribute(decoder, PROMPTS, pairs=ANSWERS, **ask))
    assert [record.examples for record in store.records] == [2, 2, 1]
    assert store.to_pandas(["answer"])["answer"][1].tolist() == [4]


def test_generated_answers_are_gone_on_with(decoder, tmp_path):
    whole = jf.run_sweep(decoder, PROMPTS, tmp_path / "whole", new_tokens=3, **ASK)
    same(whole, jf.attribute(decoder, PROMPTS, new_tokens=3, **ASK))
    assert whole.manifest["lengths"]["new_tokens"] == 3

    class StoppedError(Exception):
        pass

    def told(tally):
        if tally.examples >= 4:
            raise StoppedError

    with pytest.raises(StoppedError):
        jf.run_sweep(decoder, PROMPTS, tmp_path / "out", new_tokens=3, progress=told, **ASK)
    with pytest.raises(InputError, match=r"differs in new_tokens \(there 3, now 4\)"):
        jf.run_sweep(decoder, PROMPTS, tmp_path / "out", new_tokens=4, **ASK)
    store = jf.run_sweep(decoder, PROMPTS, tmp_path / "out", new_tokens=3, **ASK)
    assert store.complete
    same(store, list(whole))


def test_prompts_too_long_for_an_answer_are_skipped_in_place(decoder, tmp_path):
    rows = ["the " * 40, *PROMPTS[:1]]
    with pytest.raises(InputError, match="row 1 of the texts must have at most 31 tokens"):
        jf.run_sweep(decoder, rows, tmp_path / "stop", new_tokens=3, **ASK)
    store = jf.run_sweep(decoder, rows, tmp_path / "out", new_tokens=3, on_error="skip", **ASK)
    assert [row["id"] for row in store.skipped] == [1]
    assert len(store) == 1
