"""What a head's numbers say."""

import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow.models.config import HeadConfig
from jaxflow.models.prediction import predictions

LABELS = ("bad", "good", "odd")


@pytest.fixture
def encodings(tiny):
    return tiny.bert().ours.tokenize(["the key is lost", "she knows"], ["he laughed", "that is the author"])


def predicted(head, logits, encodings=None, tokenizer=None):
    return predictions(head, np.asarray(logits, np.float32), encodings, tokenizer)


def test_one_class_of_several():
    head = HeadConfig("sequence_classification", 3, labels=LABELS)
    first, second = predicted(head, [[0, np.log(3), 0], [9, 0, 0]])
    assert (first.label, second.label) == ("good", "bad")
    assert first.scores == pytest.approx({"bad": 0.2, "good": 0.6, "odd": 0.2})


def test_several_classes_at_once():
    head = HeadConfig("sequence_classification", 3, labels=LABELS, problem="multi_label")
    both, none = predicted(head, [[1, -1, 2], [-1, -1, -1]])
    assert (both.label, none.label) == ("bad, odd", "")
    assert both.scores["bad"] == pytest.approx(1 / (1 + np.exp(-1)))


def test_a_regression():
    head = HeadConfig("sequence_classification", 1, labels=("LABEL_0",), problem="regression")
    (only,) = predicted(head, [[0.25]])
    assert (only.label, only.scores) == ("0.25", {"LABEL_0": 0.25})


def test_a_choice():
    (only,) = predicted(HeadConfig("multiple_choice", 1), [[0, 2, 1]])
    assert only.label == "1"
    assert sum(only.scores.values()) == pytest.approx(1)


def test_a_label_a_token(encodings):
    head = HeadConfig("token_classification", 3, labels=LABELS)
    logits = np.zeros((2, 12, 3))
    logits[0, 2, 1] = logits[1, 0, 2] = 1
    first, second = predicted(head, logits, encodings)
    assert first.label.split() == ["bad", "bad", "good"] + ["bad"] * (len(encodings[0]) - 3)
    assert second.label.split()[0] == "odd"


def test_an_answer_is_in_the_second_text_and_ends_after_it_starts(encodings):
    logits = np.zeros((2, 12, 2))
    logits[0, 1, 0] = 99  # in the question: not allowed
    logits[0, 7, 0], logits[0, 8, 1], logits[0, 6, 1] = 5, 5, 9
    first, _ = predicted(HeadConfig("question_answering", 2), logits, encodings)
    assert encodings[0].tokens[6:9] == ("he", "laugh", "##ed")
    assert first.label == "laugh ##ed"


def test_masked_words(tiny):
    encoder = tiny.bert("BertForMaskedLM").ours
    encodings = encoder.tokenize(["the [MASK] is [MASK]"])
    logits = np.zeros((1, 6, encoder.config.vocabulary))
    vocabulary = encoder.tokenizer.get_vocab()
    logits[0, 2, vocabulary["key"]] = logits[0, 4, vocabulary["lost"]] = 1
    assert encoder.predict(logits, encodings)[0].label == "key lost"


def test_replaced_tokens(encodings):
    logits = np.full((2, 12), -1.0)
    logits[0, 1] = 1
    label = predicted(HeadConfig("discriminator", 1), logits, encodings)[0].label.split()
    assert label[:3] == ["original", "replaced", "original"]
    assert len(label) == len(encodings[0])


def test_what_is_missing_is_named(tiny, encodings):
    head = HeadConfig("token_classification", 3, labels=LABELS)
    with pytest.raises(InputError, match="`encodings` must be given for a token_classification head"):
        predicted(head, np.zeros((2, 12, 3)))
    with pytest.raises(InputError, match="as many as the 3 rows of logits, got 2"):
        predicted(head, np.zeros((3, 12, 3)), encodings)
    with pytest.raises(InputError, match="must have a head"):
        tiny.bert().ours.predict(np.zeros((1, 3)))
