"""Encoders travel between processes and are copied, used or not: what was compiled for one stays with it."""

import copy
import pickle

import numpy as np
import pytest

import jaxflow as jf

WAYS = {
    "pickled": lambda encoder: pickle.loads(pickle.dumps(encoder)),  # noqa: S301
    "copied": copy.copy,
    "deeply copied": copy.deepcopy,
}


@pytest.fixture(scope="module")
def used(tiny):
    """A model that has been called and has programs for attribution."""
    encoder = tiny.bert("BertForSequenceClassification").ours
    _ = jf.attribute(encoder, ["the key"], methods=("rollout",))
    _ = encoder(encoder.pad(encoder.tokenize(["the key"])))
    assert encoder.kept
    return encoder


@pytest.mark.parametrize("way", WAYS)
def test_a_used_encoder_is_copied_without_its_programs(used, way):
    twin = WAYS[way](used)
    assert (twin.kept, twin.config, twin.max_length) == ({}, used.config, used.max_length)
    assert twin.kept is not used.kept
    batch = used.pad(used.tokenize(["the key"]))
    np.testing.assert_array_equal(twin(batch).logits, used(batch).logits)
    ours, theirs = (jf.attribute(encoder, ["the key"], methods=("rollout",)) for encoder in (used, twin))
    np.testing.assert_array_equal(theirs[0].relevance["rollout"], ours[0].relevance["rollout"])


def test_a_copy_costs_no_more_once_the_encoder_was_used(used, tiny):
    fresh = jf.load_model(tiny.bert("BertForSequenceClassification").folder)
    assert abs(len(pickle.dumps(fresh)) - len(pickle.dumps(used))) < 100
