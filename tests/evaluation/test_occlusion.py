"""Blank-out scores against torch, one copy at a time."""

import numpy as np
import pytest
import torch

from jaxflow._checks import InputError
from jaxflow.evaluation import Target, occlusion_scores, token_inputs
from jaxflow.models import load_model
from tests.tiny_text_model import model_folder

UNKNOWN, MASK = 1, 4

NUMBERS = {
    "gold": (lambda gold: gold, lambda logits, label: torch.softmax(logits, -1)[label]),
    "logit": (lambda gold: Target(gold, "logit"), lambda logits, label: logits[label]),
    "difference": (
        lambda gold: Target(gold, against=[(label + 1) % 3 for label in gold]),
        lambda logits, label: torch.softmax(logits, -1)[label] - torch.softmax(logits, -1)[(label + 1) % 3],
    ),
}


def by_hand(theirs, gold, number, blanked, blank):
    """Falls of the number, each copy run alone."""
    falls = []
    for ids, label in zip(theirs.ids, gold, strict=True):
        whole, fall = number(theirs.logits(ids), label).item(), np.zeros(len(ids))
        for position in blanked(ids):
            copy = list(ids)
            copy[position] = blank
            fall[position] = whole - number(theirs.logits(copy), label).item()
        falls.append(fall)
    return falls


@pytest.mark.parametrize("kind", NUMBERS)
def test_equals_torch_one_copy_at_a_time(encoder, theirs, texts, gold, kind):
    target, number = NUMBERS[kind]
    scores = occlusion_scores(encoder, texts, target=target(gold))
    expected = by_hand(theirs, gold, number, lambda ids: range(len(ids)), UNKNOWN)
    assert scores.values.shape == (3, 10)
    assert scores.classes.tolist() == gold
    for index, fall in enumerate(expected):
        assert len(scores[index]) == len(theirs.ids[index])
        np.testing.assert_allclose(scores[index], np.abs(fall), atol=1e-5, rtol=0)
        np.testing.assert_allclose(scores.signed[index, : len(fall)], fall, atol=1e-5, rtol=0)
        assert not scores.values[index, len(fall) :].any()
        whole = number(theirs.logits(theirs.ids[index]), gold[index]).item()
        np.testing.assert_allclose(scores.value[index], whole, atol=1e-5)
        assert np.abs(fall).max() > 1e-3


@pytest.mark.parametrize(
    ("positions", "chosen"),
    [("words", lambda ids: range(1, len(ids) - 1)), ("all_but_last", lambda ids: range(len(ids) - 1))],
)
def test_positions_are_the_callers_choice_and_the_rest_scores_0(encoder, theirs, texts, gold, positions, chosen):
    scores = occlusion_scores(encoder, texts, target=gold, positions=positions, blank="[MASK]", batch_tokens=64)
    number = NUMBERS["gold"][1]
    for index, fall in enumerate(by_hand(theirs, gold, number, chosen, MASK)):
        np.testing.assert_allclose(scores[index], np.abs(fall), atol=1e-5, rtol=0)
        assert scores[index][-1] == 0


def test_memory_is_bounded_by_smaller_batches_which_change_nothing(encoder, texts):
    whole = occlusion_scores(encoder, texts)
    small = occlusion_scores(encoder, texts, batch_tokens=30)
    np.testing.assert_allclose(small.signed, whole.signed, atol=1e-6)
    logits = np.stack([np.asarray(encoder(encoder.pad(encoder.tokenize([text]))).logits[0]) for text in texts])
    np.testing.assert_array_equal(whole.classes, logits.argmax(-1))


def test_ids_batches_and_texts_are_one_input(encoder, theirs, texts):
    bare = load_model(model_folder(), tokenizer=False)
    from_texts = occlusion_scores(encoder, texts, positions="words")
    special = [[True, *[False] * (len(ids) - 2), True] for ids in theirs.ids]
    inputs = token_inputs(bare, theirs.ids, special=special)
    from_ids = occlusion_scores(bare, inputs, blank=UNKNOWN, positions="words")
    from_batch = occlusion_scores(encoder, encoder.pad(encoder.tokenize(texts), 12), positions="words")
    np.testing.assert_array_equal(from_ids.values, from_texts.values)
    np.testing.assert_array_equal(from_batch.values[:, :10], from_texts.values)


def test_a_blank_in_the_place_of_itself_is_unresolved(encoder):
    scores = occlusion_scores(encoder, [[2, UNKNOWN, 7, 8, 9, 3]])
    assert scores.unresolved[0, 1]
    assert scores.unresolved.sum() == 1
    assert scores.values[0, 1] < 1e-6 < scores.values[0, 2]


def test_pairs_keep_their_segments(encoder):
    inputs = token_inputs(encoder, ["the key to"], ["is on the"])
    assert inputs.segments[0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    scores = occlusion_scores(encoder, inputs, target=0)
    logits = encoder(encoder.pad(encoder.tokenize(["the key to"], ["is on the"]))).logits[0]
    np.testing.assert_allclose(scores.value[0], np.exp(logits - np.logaddexp.reduce(logits))[0], atol=1e-5)


def test_bad_input_is_refused_by_name(encoder, texts):
    with pytest.raises(
        InputError, match="`classes` must be 'predicted', an index below 3 or a class of the model, got 'fine'; its"
    ):
        occlusion_scores(encoder, texts, target="fine")
    with pytest.raises(InputError, match="one class for each of 3 examples, got 2"):
        occlusion_scores(encoder, texts, target=[0, 1])
    with pytest.raises(InputError, match="another class than `classes`, got 1 for both in example 0"):
        occlusion_scores(encoder, texts, target=Target(1, against=1))
    with pytest.raises(InputError, match="`quantity` must be one of"):
        Target(quantity="odds")
    with pytest.raises(InputError, match=r"`blank` must be a token of .* got '<nothing>'"):
        occlusion_scores(encoder, texts, blank="<nothing>")
    with pytest.raises(InputError, match="`blank` must be an id below"):
        occlusion_scores(encoder, texts, blank=10_000)
    with pytest.raises(InputError, match="`batch_tokens` must be"):
        occlusion_scores(encoder, texts, batch_tokens=0)
    with pytest.raises(InputError, match="`positions` must be one of"):
        occlusion_scores(encoder, texts, positions="verbs")
    with pytest.raises(InputError, match=r"booleans of shape \(3, 10\), got int64"):
        occlusion_scores(encoder, texts, positions=np.ones((3, 10), int))
    with pytest.raises(InputError, match="got position 7 of example 0, which is padding"):
        occlusion_scores(encoder, texts, positions=np.ones((3, 10), bool))
    headless = load_model(model_folder(), head="bare")
    with pytest.raises(InputError, match="must have a head that classifies texts, got the head 'bare'"):
        occlusion_scores(headless, texts)


def test_inputs_that_do_not_fit_are_refused_by_example(encoder, texts):
    with pytest.raises(InputError, match="at least one text"):
        token_inputs(encoder, [])
    with pytest.raises(InputError, match=r"`texts\[1\]` must have at least one token, got none"):
        token_inputs(encoder, [[2, 3], np.zeros(0, int)])
    with pytest.raises(InputError, match=r"`texts\[0\]` must have at most 24 tokens, got 25"):
        token_inputs(encoder, [[5] * 25])
    with pytest.raises(InputError, match=r"`texts\[1\]` must have ids below \d+, got -1 at position 2"):
        token_inputs(encoder, [[2, 3], [2, 5, -1, 3]])
    with pytest.raises(InputError, match="token ids or a TokenBatch, got float"):
        token_inputs(encoder, [0.5])
    with pytest.raises(InputError, match="padded on the right"):
        token_inputs(encoder, encoder.pad(encoder.tokenize(texts), side="left"))
    bare = load_model(model_folder(), tokenizer=False)
    with pytest.raises(InputError, match="pass `special` to token_inputs"):
        occlusion_scores(bare, [[2, 5, 3]], blank=1, positions="words")
    with pytest.raises(InputError, match="pass the id"):
        occlusion_scores(bare, [[2, 5, 3]])
    with pytest.raises(InputError, match=r"`special\[0\]` must be 3 booleans"):
        token_inputs(bare, [[2, 5, 3]], special=[[True, False]])
