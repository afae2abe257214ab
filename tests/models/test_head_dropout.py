"""Training drops in the heads where Hugging Face's models drop, and at their rates."""

import jax
import jax.numpy as jnp
import pytest
import torch
import transformers

from jaxflow.models.create import new_encoder
from jaxflow.models.encoder import heads
from jaxflow.models.families import ENCODERS

# A rate of its own for every name, so that a wrong one shows.
RATES = {
    "hidden_dropout_prob": 0.11,
    "classifier_dropout": 0.12,
    "classifier_dropout_prob": 0.13,
    "summary_first_dropout": 0.14,
    "summary_last_dropout": 0.15,
    "pooler_dropout": 0.16,
    "cls_dropout": 0.17,
    "seq_classif_dropout": 0.18,
    "qa_dropout": 0.19,
}
SIZES = {
    "vocab_size": 27,
    "hidden_size": 8,
    "embedding_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}
DISTILBERT = {"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 8, "dropout": 0.2}
NONE_HAS = ("bare", "masked_lm", "next_sentence", "discriminator")
CASES = [
    (model_type, head, RATES)
    for model_type, family in ENCODERS.items()
    for head in family.heads
    if head not in NONE_HAS
] + [(model_type, "sequence_classification", {"hidden_dropout_prob": 0.3}) for model_type in ENCODERS]


def their_drops(model, inputs):
    """Rate and axes of what goes through each dropout of the head, in order."""
    found = []

    def note(module, arguments):
        if module.p > 0:
            found.append((round(module.p, 3), arguments[0].ndim))

    inner = tuple(f"{model.base_model_prefix}.{part}" for part in ("embeddings", "encoder", "transformer"))
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and not name.startswith(inner):
            module.register_forward_pre_hook(note)
    model.train()(**inputs)
    return found


@pytest.mark.parametrize(("model_type", "head", "rates"), CASES)
def test_heads_drop_as_torch_does(monkeypatch, model_type, head, rates):
    settings = {**SIZES, **(DISTILBERT if model_type == "distilbert" else {}), **rates}
    if head == "question_answering":
        settings["num_labels"] = 2
    config = transformers.AutoConfig.for_model(model_type, **settings)
    shape = (1, 2, 4) if head == "multiple_choice" else (2, 4)
    model = getattr(transformers, ENCODERS[model_type].heads[head].architecture)(config)
    theirs = their_drops(model, {"input_ids": torch.full(shape, 5)})

    found = []

    def note(x, rate, key):
        assert key is not None
        if rate > 0:
            found.append((round(rate, 3), x.ndim))
        return x

    monkeypatch.setattr(heads, "dropout", note)
    encoder = new_encoder(config, head=head)
    hidden = jnp.zeros((2, 4, 8))
    words = encoder.module.embeddings.words.table[...]
    _ = jax.eval_shape(lambda hidden: encoder.module.head(hidden, words, jax.random.key(0)), hidden)
    assert found == theirs
