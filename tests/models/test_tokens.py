"""Text into tokens: offsets that point into the text, and errors that name the text."""

import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow.models import tokens


def test_offsets_point_into_the_text(tiny):
    text, pair = "The KEY, she laughed", "学 is lost"
    (encoding,) = tiny.bert().ours.tokenize([text], [pair])
    pieces = [(text, pair)[s][a:b] for (a, b), s in zip(encoding.offsets, encoding.source, strict=True) if s >= 0]
    assert pieces == ["The", "KEY", ",", "she", "laugh", "ed", "学", "is", "lost"]
    assert encoding.special == tuple(s == -1 for s in encoding.source)
    assert encoding.offsets[0] == encoding.offsets[-1] == (-1, -1)
    assert len(encoding) == len(encoding.tokens) == 12


def test_padding_on_either_side(tiny):
    encoder = tiny.bert().ours
    encodings = encoder.tokenize(["the key", "she knows the author laughed"])
    right, left = encoder.pad(encodings, 9), encoder.pad(encodings, 9, side="left")
    assert right.input_ids.shape == (2, 9)
    np.testing.assert_array_equal(right.mask.sum(1), [4, 8])
    np.testing.assert_array_equal(right.input_ids[0, :4], encodings[0].input_ids)
    np.testing.assert_array_equal(left.input_ids[0, -4:], encodings[0].input_ids)
    np.testing.assert_array_equal(left.mask[0], [False] * 5 + [True] * 4)
    assert encoder.pad(encodings).input_ids.shape == (2, 8)


def test_truncation_only_on_request(tiny):
    encoder = tiny.bert().ours
    long = "the key " * 10
    with pytest.raises(InputError, match=r"texts\[1\].* 22 tokens.* 12 .*truncate=True"):
        encoder.tokenize(["the key", long])
    cut = encoder.tokenize(["the key", long], truncate=True)
    assert [len(encoding) for encoding in cut] == [4, 12]
    assert cut[1].tokens[-1] == "[SEP]"
    with pytest.raises(InputError, match="5 that fit"):
        encoder.tokenize([long], max_length=5)


@pytest.mark.parametrize(
    ("texts", "pairs", "message"),
    [
        (["the key", " \n"], None, r"`texts\[1\]` is empty"),
        (["the key"], [""], r"`pairs\[0\]` is empty"),
        (["the key"], ["a", "b"], "`pairs` must have one text for each of the 1 `texts`, got 2"),
        ("the key", None, "put it in a list"),
        ([3], None, r"`texts\[0\]` must be a text, got int"),
        (7, None, "sequence of texts, got int"),
        (["the key", "\u200b\x00"], None, r"`texts\[1\]` has no token"),
        (["\ud800"], None, r"`texts\[0\]` holds characters"),
    ],
)
def test_bad_texts_are_named(tiny, texts, pairs, message):
    with pytest.raises(InputError, match=message) as caught:
        tiny.bert().ours.tokenize(texts, pairs)
    assert "\n" not in str(caught.value)


def test_bad_lengths_are_named(tiny):
    encoder = tiny.bert().ours
    encodings = encoder.tokenize(["the key is lost"])
    with pytest.raises(InputError, match="`length` must be at least 6"):
        encoder.pad(encodings, 3)
    with pytest.raises(InputError, match="at least one encoding"):
        encoder.pad([])
    with pytest.raises(InputError, match="`side`"):
        encoder.pad(encodings, side="middle")
    with pytest.raises(InputError, match="`max_length`"):
        encoder.tokenize(["the key"], max_length=2)


def truncated_whole(encoder, text, pair=None):
    """The tokens that fit, by tokenising all of the text."""
    options = {"truncation": True, "max_length": encoder.max_length, "padding": False}
    return encoder.tokenizer(text, pair, **options)["input_ids"]


@pytest.mark.parametrize("blank", [" ", "\n", " , "])
def test_long_texts_are_cut_as_if_all_of_them_had_been_tokenised(tiny, blank, monkeypatch):
    encoder, lengths = tiny.bert().ours, []
    call = tokens._call
    monkeypatch.setattr(tokens, "_call", lambda *given: lengths.append(len(given[1])) or call(*given))
    words = ["the", "key", "laughed", "unlost", "学", "she", "x" * 40]
    rng = np.random.default_rng(0)
    long = blank.join(rng.choice(words, 1000))
    for text, pair in ((long, None), ("the key", long), (long, "the key")):
        (cut,) = encoder.tokenize([text], None if pair is None else [pair], truncate=True)
        assert list(cut.input_ids) == truncated_whole(encoder, text, pair)
        with pytest.raises(InputError, match=r"`texts\[0\]` has at least \d+ tokens, more than the 12 that fit"):
            encoder.tokenize([text], None if pair is None else [pair])
    assert max(lengths) <= tokens.CHARACTERS_A_TOKEN * encoder.max_length


def test_a_word_beyond_all_measure_is_cut_or_refused(tiny, monkeypatch):
    monkeypatch.setattr(tokens, "CHARACTERS_MOST", 5000)
    encoder = tiny.bert().ours
    for text in ("A" * 6000, " " * 4000 + "A" * 2000):
        (cut,) = encoder.tokenize([text], truncate=True)
        assert cut.tokens == ("[CLS]", "[UNK]", "[SEP]")
        with pytest.raises(InputError, match=r"has 6,000 characters, more than the 5,000 that are read.*truncate=True"):
            encoder.tokenize([text])
    # What is far down in a text that can be read is found.
    (found,) = encoder.tokenize([" " * 4000 + "the key"])
    assert found.tokens == ("[CLS]", "the", "key", "[SEP]")
    assert found.offsets[1:3] == ((4000, 4003), (4004, 4007))
