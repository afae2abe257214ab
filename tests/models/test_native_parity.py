"""Every family that runs in JAX against torch in one batch: any length up to the longest, both sides, both precisions.

A program a family and precision: the batch holds each text twice, padded on the right and on the left.
"""

import copy
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import jaxflow as jf
from jaxflow.models import TokenBatch
from jaxflow.models.encoder_decoder.families import FAMILIES as PAIRED
from jaxflow.models.families import DECODERS, ENCODERS, FAMILIES, VISION
from tests.models import decoders, test_encoder_decoders, test_families, test_modernbert, test_vit
from tests.models.test_torch_model import torch_model
from tests.models.tiny_images import image

TEXTS = ("the key to the cabinets is lost .", "she knows", "!", "the " * 40)
SECOND = ("is lost !", "that he said", "!", "the key is on the table that she knows")
WORDS = ("masked_lm", "token_classification")
# Texts of one side of the batch.
COUNT = 2 * len(TEXTS)


@dataclass(frozen=True)
class Case:
    """One model as torch has it and as we load it.

    Attributes:
        theirs: of transformers.
        ours: in float32.
        folder: of the checkpoint.
        head: on it.
        causal: whether it is a decoder.
    """

    theirs: Any
    ours: Any
    folder: Any
    head: str
    causal: bool = False


def make(model_type, folder, tiny):
    if model_type in DECODERS:
        made = decoders.make(model_type, "next_token", folder, tiny)
        return Case(*made, folder, "next_token", causal=True)
    if model_type == "modernbert":
        return Case(*test_modernbert.make("masked_lm", folder, tiny), folder, "masked_lm")
    head = next(head for head in WORDS if head in ENCODERS[model_type].heads)
    return Case(*test_families.make(model_type, head, folder, tiny), folder, head)


def rows_of(case):
    """Ids, mask and segments of all texts, single ones and pairs: padded on the right, then on the left."""
    ours = case.ours
    longest = min(ours.max_length, 24)
    inputs = inputs_of(ours, longest, causal=case.causal)
    ids = np.full((2 * COUNT, longest), ours.config.pad_id, np.int32)
    mask, segments = np.zeros(ids.shape, bool), np.zeros(ids.shape, np.int32)
    for row, each in enumerate(inputs):
        size = len(each["input_ids"])
        for start, place in ((row, slice(size)), (COUNT + row, slice(longest - size, longest))):
            ids[start, place], mask[start, place] = each["input_ids"], True
            if ours.config.segments > 1:
                segments[start, place] = each["token_type_ids"]
    return ids, mask, segments


def inputs_of(ours, longest, *, causal):
    """The tokens of texts of all lengths, as transformers gives them."""
    if causal:
        # Of a decoder a pair is one text, and not all tiny tokenizers are read by transformers' class of the family.
        rng = np.random.default_rng(0)
        return [{"input_ids": rng.integers(2, 27, size).tolist()} for size in (1, 2, 3, 5, 8, 11, longest - 1, longest)]
    tokenizer = ours.tokenizer
    asked = {"truncation": True, "max_length": longest, "return_token_type_ids": True}
    inputs = [tokenizer(text, **asked) for text in TEXTS]
    inputs += [tokenizer(*both, **asked) for both in zip(TEXTS, SECOND, strict=True)]
    # Ours are the same tokens.
    own = ours.tokenize(TEXTS[:3], None)
    assert [list(each.input_ids) for each in own] == [each["input_ids"] for each in inputs[:3]]
    (pair,) = ours.tokenize(TEXTS[:1], SECOND[:1])
    assert list(pair.input_ids) == inputs[len(TEXTS)]["input_ids"]
    assert max(len(each["input_ids"]) for each in inputs) == longest
    return inputs


@jax.jit
def run(module, batch):
    return module(batch)


def torch_pass(case, model, ids, mask, segments):
    """What torch gives: attention `row layer head token token`, and its head's numbers, in float32."""
    given = {"input_ids": torch.tensor(ids).long(), "attention_mask": torch.tensor(mask).long()}
    if case.ours.config.segments > 1:
        given["token_type_ids"] = torch.tensor(segments).long()
    if case.causal:
        given["position_ids"] = torch.tensor(np.maximum(mask.cumsum(1) - 1, 0))
    with torch.no_grad():
        outputs = model(**given, output_attentions=True)
    logits = outputs.logits.float().numpy()
    if case.causal:
        last = ids.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
        logits = logits[np.arange(len(ids)), last]
    return torch.stack(outputs.attentions, 1).float().numpy(), logits


def compared(attention, logits, mask, case):
    """The numbers of real tokens alone, one after the other."""
    pairs = mask[:, None, None, :, None] & mask[:, None, None, None, :]
    attention = np.asarray(attention)
    kept = attention[np.broadcast_to(pairs, attention.shape)]
    return kept, np.asarray(logits).ravel() if case.causal else np.asarray(logits)[mask].ravel()


def low_of(model):
    """The model in sixteen bits, and the same numbers in full precision."""
    low = copy.deepcopy(model).to(torch.bfloat16)
    return low, copy.deepcopy(low).float()


def nearer(ours, theirs, exact):
    """Ours are about as far from full precision as torch's own sixteen bits are, or nearer, in the mean.

    The operands of products are rounded in both; the last product's rounding is all there is to some numbers.
    """
    for mine, other, true in zip(ours, theirs, exact, strict=True):
        scale = np.abs(other - true).mean()
        assert scale > 0
        assert np.abs(mine - true).mean() <= 1.25 * scale


TEXT_FAMILIES = sorted({*ENCODERS, *DECODERS, "modernbert"})


def test_no_family_is_left_out():
    assert {*TEXT_FAMILIES, *VISION} == set(FAMILIES)
    assert {kind.split()[0] for kind in test_encoder_decoders.KINDS} == {family.title for family in PAIRED.values()}


@pytest.mark.slow
@pytest.mark.parametrize("model_type", TEXT_FAMILIES)
def test_one_batch_of_all_lengths_is_torchs_in_both_precisions(tiny, tmp_path, model_type):
    case = make(model_type, tmp_path, tiny)
    ids, mask, segments = rows_of(case)
    batch = TokenBatch(*map(jnp.asarray, (ids, mask, segments)))
    output = run(case.ours.module, batch)
    theirs = torch_pass(case, case.theirs, ids, mask, segments)
    for mine, other, atol in zip(
        compared(output.attention, output.logits, mask, case), compared(*theirs, mask, case), (1e-5, 1e-4), strict=True
    ):
        np.testing.assert_allclose(mine, other, atol=atol, rtol=0)
    # Padding has no attention on either side.
    padding = (mask[:, :, None] & ~mask[:, None, :])[:, None, None]
    assert not np.where(padding, output.attention, 0).any()
    # Each text alone, as torch reads it. On the left a decoder counts positions from the text's own beginning.
    sides = (False, True) if case.causal else (False,)
    for row in range(COUNT):
        size = int(mask[row].sum())
        alone = torch_pass(case, case.theirs, *(each[row : row + 1, :size] for each in (ids, mask, segments)))
        for left in sides:
            place = slice(ids.shape[1] - size, None) if left else slice(size)
            at = COUNT * left + row
            np.testing.assert_allclose(output.attention[at][..., place, place], alone[0][0], atol=1e-5, rtol=0)
            logits = output.logits[at] if case.causal else output.logits[at][place]
            np.testing.assert_allclose(logits, alone[1][0], atol=1e-4, rtol=0)
    low, exact = low_of(case.theirs)
    rounded = run(jf.load_model(case.folder, dtype="bfloat16").module, batch)
    assert rounded.attention.dtype == jnp.float32
    results = [torch_pass(case, model, ids, mask, segments) for model in (low, exact)]
    nearer(compared(rounded.attention, rounded.logits, mask, case), *(compared(*each, mask, case) for each in results))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in test_vit.KINDS if not name.endswith("bare")])
def test_one_batch_of_images_is_torchs_in_both_precisions(tmp_path, name):
    transformers.utils.logging.set_verbosity_error()
    model, reader = test_vit.saved(name, tmp_path)
    ours = jf.load_model(tmp_path)
    pictures = [image(seed, *size) for seed, size in enumerate(((31, 40), (60, 20), (8, 9)))]
    batch = ours.pad(ours.tokenize(pictures))
    output, rounded = (run(each.module, batch) for each in (ours, jf.load_model(tmp_path, dtype="bfloat16")))
    # Ours has registers behind the patches.
    registers = ours.config.registers
    order = [0, *range(1 + registers, ours.max_length), *range(1, 1 + registers)]

    def passed(made, picture):
        inputs = reader([Image.fromarray(picture)], return_tensors="pt")["pixel_values"].to(made.dtype)
        with torch.no_grad():
            seen = made(pixel_values=inputs, output_attentions=True)
        attention = torch.stack(seen.attentions, 1)[0].float().numpy()
        return attention[..., order, :][..., order], seen.logits[0].float().numpy()

    low, exact = low_of(model)
    for row, picture in enumerate(pictures):
        attention, logits = passed(model, picture)
        np.testing.assert_allclose(output.attention[row], attention, atol=1e-5, rtol=0)
        np.testing.assert_allclose(output.logits[row], logits, atol=1e-4, rtol=0)
    results = [
        [np.stack(each) for each in zip(*(passed(made, picture) for picture in pictures), strict=True)]
        for made in (low, exact)
    ]
    nearer((rounded.attention, rounded.logits), *results)


@pytest.mark.slow
@pytest.mark.parametrize("kind", test_encoder_decoders.KINDS)
def test_one_batch_of_sources_and_targets_is_torchs_in_both_precisions(tmp_path, kind):
    theirs = test_encoder_decoders.made(kind, tmp_path)
    ours = jf.load_model(tmp_path)
    # As many of both as the model takes, where it has a longest; and one of each.
    longest = min(ours.max_length, 32)
    longest = longest if kind.startswith("BART") else 32
    texts = [" ".join(["the key"] * 40), *test_encoder_decoders.TEXTS]
    targets = [" ".join(["table on"] * 40), *test_encoder_decoders.TARGETS]
    asked = {"max_length": longest, "truncate": True}
    encodings = ours.tokenize(texts, targets, **asked)
    low, exact = low_of(theirs)
    models = [ours, jf.load_model(tmp_path, dtype="bfloat16"), *map(torch_model, (theirs, low, exact))]
    mixing = jf.mixing.Attention(heads="max")
    weights = [np.asarray(jf.build_graph(each, texts, mixing, pairs=targets, **asked).weights) for each in models]
    assert len(encodings[0]) == weights[0].shape[-1]
    # Torch reads each text alone.
    np.testing.assert_allclose(weights[0], weights[2], atol=1e-5, rtol=0)
    real = weights[4] > 0
    nearer([weights[1][real]], [weights[3][real]], [weights[4][real]])
