"""A tiny random classifier, as we load it and as transformers does."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from jaxflow.models import load_model
from tests.tiny_text_model import model_folder

# 7, 6 and 10 tokens or so: two buckets, and padding within them.
TEXTS = ("the key to the cabinets", "keys on the", "unbelievable tables on the table")
GOLD = (1, 0, 2)


@pytest.fixture(scope="session")
def encoder():
    return load_model(model_folder())


@pytest.fixture(scope="session")
def texts():
    return list(TEXTS)


@pytest.fixture(scope="session")
def short():
    """Texts of one bucket: few programs to compile."""
    return list(TEXTS[:2])


@pytest.fixture(scope="session")
def gold():
    return list(GOLD)


@pytest.fixture(scope="session")
def theirs(encoder):
    """The same model in torch, one example at a time, without padding."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        model_folder(), attn_implementation="eager"
    ).eval()

    def logits(ids, mask=None):
        with torch.no_grad():
            attention = None if mask is None else torch.tensor(np.asarray(mask)[None]).long()
            return model(input_ids=torch.tensor(np.asarray(ids)[None]).long(), attention_mask=attention).logits[0]

    def embed(ids):
        return model.bert.embeddings.word_embeddings(torch.tensor(np.asarray(ids)[None]).long()).detach()

    def gradient(words, number):
        words = words.clone().requires_grad_()
        value = number(model(inputs_embeds=words).logits[0])
        return torch.autograd.grad(value, words)[0][0].numpy(), value.item()

    ids = [list(encoding.input_ids) for encoding in encoder.tokenize(list(TEXTS))]
    return SimpleNamespace(logits=logits, embed=embed, gradient=gradient, ids=ids)
