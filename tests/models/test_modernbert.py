"""ModernBERT in JAX against Hugging Face's torch model, eager and in float32."""

import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.models import load_model
from jaxflow.models.families import FAMILIES
from tests.models.decoders import as_batch, padded, run
from tests.models.test_families import SIZES

HEADS = FAMILIES["modernbert"].heads
# Windows of three on each side, in the layers that are not every third.
OWN = {"num_hidden_layers": 4, "local_attention": 6}
WHOLE = {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True}
CASES = [
    ("masked_lm", {}),
    ("sequence_classification", {"classifier_pooling": "mean", **WHOLE}),
    *(pytest.param(head, {"classifier_pooling": "cls"}, marks=pytest.mark.slow) for head in HEADS),
    pytest.param("masked_lm", {**WHOLE, "tie_word_embeddings": False}, marks=pytest.mark.slow),
]


def make(head, folder, tiny, **changes):
    torch.manual_seed(1)
    specials = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
    config = transformers.ModernBertConfig(**{**SIZES, **OWN, **specials, **changes})
    model = getattr(transformers, HEADS[head].architecture)(config)
    model.set_attn_implementation("eager")
    tiny.save(folder, model, tiny.tokenizer(pad=config.pad_token_id))
    return model, load_model(folder)


@pytest.mark.parametrize(("head", "changes"), CASES)
def test_equals_torch(tiny, tmp_path, head, changes):
    model, ours = make(head, tmp_path, tiny, **changes)
    first = head == "sequence_classification" and not ours.head.mean
    assert ours.reads_at == (0 if first else None)
    for side in ("right", "left"):
        ids, mask = padded(side)
        output = run(ours.module, as_batch(ids, mask))
        with torch.no_grad():
            theirs = model(
                input_ids=torch.tensor(ids).long(), attention_mask=torch.tensor(mask).long(), output_attentions=True
            )
        real = mask[:, None, None, :, None]
        attention = torch.stack(theirs.attentions, 1).numpy()
        np.testing.assert_allclose(np.where(real, output.attention, 0), np.where(real, attention, 0), atol=1e-5)
        # The windows are there: in the second layer nobody sees farther than three tokens.
        far = np.abs(np.subtract.outer(np.arange(16), np.arange(16))) > 3
        assert np.abs(np.where(real & far, output.attention, 0))[:, 1].max() == 0
        assert np.abs(np.where(real & far, output.attention, 0))[:, 0].max() > 0
        # A head that reads the first token finds padding there where it stands on the left.
        if head != "bare" and not (first and side == "left"):
            logits = theirs.logits.numpy()
            kept = mask[..., None] if logits.ndim == 3 else True
            np.testing.assert_allclose(np.where(kept, output.logits, 0), np.where(kept, logits, 0), atol=1e-4)


def test_a_saved_model_is_loaded_by_transformers(tiny, tmp_path):
    model, ours = make("masked_lm", tmp_path / "theirs", tiny)
    folder = jf.models.save_encoder(ours, tmp_path / "ours")
    again = transformers.AutoModelForMaskedLM.from_pretrained(folder).state_dict()
    assert again.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(again[name].numpy(), tensor.numpy(), err_msg=name)


def test_its_methods_and_what_it_cannot_give(tiny, tmp_path):
    _, ours = make("sequence_classification", tmp_path, tiny, classifier_pooling="mean")
    result = jf.attribute(ours, ["the key to the table"], methods=("rollout", "flow", "flow@attention-gradient"))
    assert result[0].certified.all()
    with pytest.raises(InputError, match=r"DecompX.*they are gated.*attn-lrp"):
        jf.attribute(ours, ["the key"], methods="decompx")


def test_the_first_layers_norm_which_no_checkpoint_has_is_never_read(tiny, tmp_path):
    """Layers are stored stacked, so that the first one has a row of the norms as well."""
    _, ours = make("masked_lm", tmp_path, tiny)
    batch = as_batch(*padded("right"))
    scale = ours.module.layers.attention_norm.scale
    rows = np.array(scale[...])
    np.testing.assert_array_equal(rows[0], 1)
    output = run(ours.module, batch)
    rows[0] = 7
    scale[...] = rows
    other = run(ours.module, batch)
    np.testing.assert_array_equal(other.hidden_states, output.hidden_states)
    np.testing.assert_array_equal(other.attention, output.attention)
    rows[1] = 7
    scale[...] = rows
    assert not np.array_equal(run(ours.module, batch).hidden_states, output.hidden_states)
