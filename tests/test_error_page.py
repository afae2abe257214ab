"""The page on errors: each line that it explains is one that the library says."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import transformers

import jaxflow as jf
from jaxflow._checks import InputError, missing_extra
from jaxflow.models import as_model
from tests.tiny_text_model import model_folder

PAGE = (Path(__file__).parents[1] / "docs" / "errors.md").read_text("utf-8")
# What the user sees, the first column of the table.
SEEN = [line.split(" | ")[0].removeprefix("| ") for line in PAGE.splitlines() if line.startswith("| ")][2:]


@pytest.fixture(scope="module")
def model():
    return jf.load_model(model_folder())


@pytest.fixture(scope="module")
def in_torch():
    auto, tokenizer = transformers.AutoModelForSequenceClassification, transformers.AutoTokenizer
    with warnings.catch_warnings(action="ignore"):
        return auto.from_pretrained(model_folder()), tokenizer.from_pretrained(model_folder())


def no_attention(tokenizer):
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8}
    with warnings.catch_warnings(action="ignore"):
        return jf.TorchModel(transformers.FNetModel(transformers.FNetConfig(**sizes)), tokenizer)


def missing():
    raise missing_extra("ray", "ray", "workers of Ray's")


def test_every_line_of_the_page_is_said(model, in_torch, tmp_path):
    torch_model, tokenizer = in_torch
    with warnings.catch_warnings(action="ignore"):
        wrapped = jf.TorchModel(torch_model, tokenizer)
    table, kept = tmp_path / "table.csv", tmp_path / "kept"
    _ = table.write_text("one,two\nkey,table\n")
    _ = jf.attribute(model, "the key", methods="raw").save(kept)
    attention = np.full((1, 2, 2, 3, 3), np.nan)
    ways = [
        # Under pytest annotations are checked before the library can say it.
        lambda: as_model("model", torch_model),
        lambda: jf.load_model("no-such/model"),
        lambda: no_attention(tokenizer),
        lambda: jf.attribute(wrapped, "the key", mixing="value-zeroing"),
        lambda: jf.attribute(wrapped, "the key", methods="decompx"),
        lambda: jf.attribute(model, "the key", methods="flow", target="good"),
        lambda: jf.attribute(model, "the key", target="splendid"),
        lambda: jf.attribute(model, "the key " * 100),
        lambda: jf.attribute(model, ["the key", " "]),
        lambda: jf.attribute(model, "the key", methods="raw", queries=99),
        lambda: jf.attribute(model, "the key", layers=0),
        lambda: jf.attribute(model, "the key", heads="max"),
        lambda: jf.run_sweep(model, table, tmp_path / "new"),
        lambda: jf.run_sweep(model, ["the key"], kept, methods="rollout"),
        lambda: jf.attribute_attention(attention, [["a", "b", "c"]]),
        missing,
    ]
    for seen, way in zip(SEEN, ways, strict=True):
        with pytest.raises(InputError, match=re.escape(seen)):
            way()
