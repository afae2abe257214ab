"""The model that comes with the package: whole, small, loaded without a network, equal to transformers', and right."""

import json
import socket

import numpy as np
import pytest
import torch
import transformers

from jaxflow.models import builtin, load_model

FOLDER = builtin.SHIPPED["verb-number"]
PLAIN = {
    "The keys": "VBP",
    "The key": "VBZ",
    "The old books on the table": "VBP",
    "This book": "VBZ",
    "My friends": "VBP",
    "The teacher": "VBZ",
    "The two houses": "VBP",
    "The number of people": "VBZ",
    "A number of people": "VBP",
    "These people": "VBP",
    "The man with the red car": "VBZ",
}


@pytest.fixture(scope="module")
def encoder():
    return load_model("verb-number")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_it_loads_without_a_network(no_network):
    encoder = load_model("verb-number")
    assert encoder.labels == ("VBZ", "VBP")
    assert (encoder.config.layers, encoder.config.heads, encoder.config.width) == (6, 8, 128)
    lines = []
    assert builtin.fetch("verb-number", lines.append) == FOLDER
    assert lines == ["verb-number comes with jaxflow; there is nothing to fetch"]


def test_it_is_small_and_has_a_card():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 12e6
    card = (FOLDER / "README.md").read_text("utf-8")
    assert all(heading in card for heading in ("## Accuracy", "## Training", "## Limits", "licence"))
    assert json.loads((FOLDER / "config.json").read_text())["architectures"] == [
        "RobertaPreLayerNormForSequenceClassification"
    ]


def test_it_equals_transformers(encoder):
    texts = list(PLAIN)
    batch = encoder.pad(encoder.tokenize(texts))
    ours = encoder(batch)
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(FOLDER, attn_implementation="eager")
    inputs = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    np.testing.assert_array_equal(inputs["input_ids"].numpy(), batch.input_ids)
    with torch.no_grad():
        theirs = model.eval()(**inputs, output_attentions=True)
    np.testing.assert_allclose(ours.logits, theirs.logits.numpy(), atol=1e-4)
    real = np.asarray(batch.mask)[:, None, None, :, None]
    attention = torch.stack(theirs.attentions, 1).numpy()
    np.testing.assert_allclose(np.where(real, ours.attention, 0), np.where(real, attention, 0), atol=1e-5)


def test_it_knows_plain_sentences(encoder):
    texts = list(PLAIN)
    logits = encoder(encoder.pad(encoder.tokenize(texts))).logits
    found = [prediction.label for prediction in encoder.predict(logits)]
    assert found == list(PLAIN.values())


def test_rare_words_come_in_pieces_and_what_it_cannot_read_is_said(encoder):
    (encoding,) = encoder.tokenize(["The zyxqws of the ж"])
    *pieces, of, _, unknown, end = encoding.tokens[2:]
    assert "".join(piece.removeprefix("##") for piece in pieces) == "zyxqws"
    assert len(pieces) > 1
    assert (of, unknown, end) == ("of", "<unk>", "</s>")
    assert encoding.offsets[-2] == (18, 19)
