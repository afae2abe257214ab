"""Comprehensiveness and sufficiency against torch, one removal at a time."""

import math

import numpy as np
import pytest
import torch

from jaxflow._checks import InputError
from jaxflow.evaluation import faithfulness

SHARES = (0.0, 0.01, 0.2, 0.5, 1.0)


def number(logits):
    return torch.softmax(logits, -1)[1].item()


def by_hand(theirs, ids, relevance, share, removal):
    """The two falls of one text, words only; of equals the earlier token goes first."""
    words = sorted(range(1, len(ids) - 1), key=lambda position: -relevance[position])
    count = math.ceil(share * len(words) - 1e-9)
    whole, falls = number(theirs.logits(ids)), []
    for gone in (words[:count], words[count:]):
        if removal == "blank":
            copy = [1 if position in gone else token for position, token in enumerate(ids)]
            falls.append(whole - number(theirs.logits(copy)))
        else:
            mask = [position not in gone for position in range(len(ids))]
            falls.append(whole - number(theirs.logits(ids, mask)))
    return falls


@pytest.mark.parametrize("removal", ["blank", "drop"])
def test_equals_torch_one_removal_at_a_time(encoder, theirs, texts, removal):
    relevance = np.random.default_rng(0).integers(0, 4, (3, 2, 10)) / 4
    found = faithfulness(encoder, texts, relevance, shares=SHARES, removal=removal, target="good")
    assert found.comprehensiveness.shape == found.sufficiency.shape == (3, 2, 5)
    for index, ids in enumerate(theirs.ids):
        for row in range(2):
            for place, share in enumerate(SHARES):
                expected = by_hand(theirs, ids, relevance[index, row], share, removal)
                mine = found.comprehensiveness[index, row, place], found.sufficiency[index, row, place]
                np.testing.assert_allclose(mine, expected, atol=1e-5)
        assert found.removed[index].tolist() == [math.ceil(share * (len(ids) - 2) - 1e-9) for share in SHARES]
        np.testing.assert_allclose(found.value[index], number(theirs.logits(ids)), atol=1e-5)
    assert np.abs(found.comprehensiveness).max() > 1e-2
    np.testing.assert_allclose(found.comprehensiveness[..., 0], 0, atol=1e-6)
    np.testing.assert_allclose(found.sufficiency[..., -1], 0, atol=1e-6)
    # All gone on one side is all gone on the other.
    np.testing.assert_allclose(found.comprehensiveness[..., -1], found.sufficiency[..., 0], atol=1e-6)
    np.testing.assert_allclose(found.aopc_comprehensiveness, found.comprehensiveness.mean(-1))
    np.testing.assert_allclose(found.aopc_sufficiency, found.sufficiency.mean(-1))


def test_bad_input_is_refused_by_name(encoder, texts):
    relevance = np.ones((3, 10))
    with pytest.raises(InputError, match=r"`relevance` must be numbers of shape \(3, ..., 10\)"):
        faithfulness(encoder, texts, np.ones((3, 9)))
    with pytest.raises(InputError, match="`relevance` must be finite"):
        faithfulness(encoder, texts, np.full((3, 10), np.nan))
    with pytest.raises(InputError, match=r"`shares` must be numbers in \[0, 1\], got \(0.5, 2\)"):
        faithfulness(encoder, texts, relevance, shares=(0.5, 2))
    with pytest.raises(InputError, match="`shares` must be"):
        faithfulness(encoder, texts, relevance, shares=())
    with pytest.raises(InputError, match="`removal` must be one of 'blank', 'drop'"):
        faithfulness(encoder, texts, relevance, removal="shuffle")
    with pytest.raises(InputError, match="must leave out the first token, which the classifier reads"):
        faithfulness(encoder, texts, relevance, removal="drop", positions="tokens")
