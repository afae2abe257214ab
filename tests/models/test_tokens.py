"""Text into tokens: offsets that point into the text, and errors that name the text."""

import dataclasses
import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow.models import TokenBatch, load_model, tokens


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
    with pytest.raises(InputError, match=r"`texts\[1\]` must have at most 12 tokens, got 22; .*truncate=True"):
        encoder.tokenize(["the key", long])
    cut = encoder.tokenize(["the key", long], truncate=True)
    assert [len(encoding) for encoding in cut] == [4, 12]
    assert cut[1].tokens[-1] == "[SEP]"
    with pytest.raises(InputError, match="at most 5 tokens"):
        encoder.tokenize([long], max_length=5)


@pytest.mark.parametrize(
    ("texts", "pairs", "message"),
    [
        (["the key", " \n"], None, r"`texts\[1\]` must be a text that is not empty"),
        (["the key"], [""], r"`pairs\[0\]` must be a text that is not empty"),
        (["the key"], ["a", "b"], "`pairs` must have one text for each of the 1 `texts`, got 2"),
        ("the key", None, "put it in a list"),
        ([3], None, r"`texts\[0\]` must be a text, got int$"),
        ([b"the key"], None, r"`texts\[0\]` must be a text, got bytes; decode it"),
        ([("the key", "a lock")], None, r"`texts\[0\]` must be a text, got tuple; pass second texts as `pairs`"),
        (["the key", float("nan")], None, r"`texts\[1\]` must be a text, got float; leave it out"),
        (["the key", None], None, r"`texts\[1\]` must be a text, got NoneType; leave it out"),
        (7, None, "sequence of texts, got int"),
        (["the key", "\u200b\x00"], None, r"`texts\[1\]` must hold a token that"),
        (["\ud800"], None, r"`texts\[0\]` must be valid Unicode"),
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


@pytest.fixture
def folder(tiny, tmp_path):
    """A copy of a good model, whose tokenizer is changed."""
    return shutil.copytree(tiny.bert().folder, tmp_path / "model")


def edit_tokenizer(folder, change):
    path = folder / "tokenizer.json"
    described = json.loads(path.read_text())
    change(described)
    path.write_text(json.dumps(described))


def test_a_token_that_the_model_lacks_costs_its_text_alone(folder):
    edit_tokenizer(folder, lambda described: described["model"]["vocab"].update({"cat": 27, "": 28, "dog": 60}))
    encoder = load_model(folder)
    (encoding,) = encoder.tokenize(["the key"])
    assert encoding.tokens == ("[CLS]", "the", "key", "[SEP]")
    match = r"`texts\[1\]` must hold none but the model's 27 tokens, got 'cat' with the id 27; leave the text out"
    with pytest.raises(InputError, match=match):
        encoder.tokenize(["the key", "the cat"])
    with pytest.raises(InputError, match="got 'dog' with the id 60"):
        encoder.tokenize(["the key"], ["dog"])


def with_special_token(token, number):
    """The template adds the token under that id, whatever the vocabulary says."""

    def change(described):
        described["post_processor"]["special_tokens"][token]["ids"] = [number]

    return change


@pytest.mark.parametrize(("token", "number"), [("[CLS]", 27), ("[SEP]", 10**6)])
def test_a_special_token_that_the_model_lacks_is_refused_when_it_loads(folder, token, number):
    edit_tokenizer(folder, with_special_token(token, number))
    match = rf"a tokenizer that adds '\{token[:-1]}\]' with the id {number} to every text; use the tokenizer"
    with pytest.raises(InputError, match=match):
        load_model(folder)


def test_a_template_with_more_ids_than_tokens(folder):
    def change(described):
        described["post_processor"]["special_tokens"]["[SEP]"]["ids"] *= 2

    edit_tokenizer(folder, change)
    encoder = load_model(folder)
    with pytest.raises(InputError, match=r"`texts\[0\]` must be .*ids for \d+ tokens.*; use the tokenizer") as caught:
        encoder.tokenize(["the key"])
    assert "\n" not in str(caught.value)


def test_a_special_token_of_pairs_that_the_model_lacks(folder):
    def change(described):
        processor = described["post_processor"]
        processor["special_tokens"]["[MID]"] = {"id": "[MID]", "ids": [99], "tokens": ["[MID]"]}
        processor["pair"].insert(2, {"SpecialToken": {"id": "[MID]", "type_id": 0}})

    edit_tokenizer(folder, change)
    encoder = load_model(folder)
    assert len(encoder.tokenize(["the key"])) == 1
    with pytest.raises(InputError, match=r"got '\[MID\]' with the id 99"):
        encoder.tokenize(["the key"], ["she"])


def test_a_token_type_that_the_model_lacks(folder):
    def change(described):
        for part in described["post_processor"]["pair"][3:]:
            next(iter(part.values()))["type_id"] = 2

    edit_tokenizer(folder, change)
    with pytest.raises(InputError, match=r"`texts\[0\]` must have token type ids below 2, got 2"):
        load_model(folder).tokenize(["the key"], ["she"])


def test_a_tokenizer_without_an_unknown_token(folder):
    edit_tokenizer(folder, lambda described: described["model"].update({"unk_token": "[NONE]"}))
    encoder = load_model(folder)
    assert len(encoder.tokenize(["the key"])) == 1
    with pytest.raises(InputError, match=r"`texts\[1\]` must be a text .* got 'the zebra' \(.*[Mm]issing") as caught:
        encoder.tokenize(["the key", "the zebra"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["input_ids", "segments"])
@pytest.mark.parametrize("value", [27, 10**6])
def test_a_token_without_a_row_never_takes_another_ones(tiny, name, value):
    encoder = tiny.bert().ours
    batch = encoder.pad(encoder.tokenize(["the key", "the author laughed", "she"]))
    wrong = dataclasses.replace(batch, **{name: getattr(batch, name).at[1, 2].set(value)})
    with pytest.raises(
        InputError, match=rf"`batch` must have `{name}` from 0 to .*, got {value} at example 1, token 2"
    ):
        encoder(wrong)
    # Where values cannot be looked at, the text's numbers are NaN, and no other text's.
    hidden = np.asarray(encoder.module(wrong).hidden_states)
    assert np.isnan(hidden[1]).any()
    assert np.isfinite(hidden[[0, 2]]).all()


def test_padding_may_stand_beyond_the_table_of_positions(tiny):
    encoder = tiny.bert().ours
    encodings = encoder.tokenize(["the key", "the author laughed"])
    short, long = encoder.pad(encodings), encoder.pad(encodings, 20)
    mask = np.asarray(short.mask)[:, None, :, None]
    few, many = (np.asarray(encoder.module(batch).hidden_states)[:, :, : mask.shape[2]] for batch in (short, long))
    np.testing.assert_allclose(np.where(mask, many, 0), np.where(mask, few, 0), atol=1e-5)
    unmasked = TokenBatch(long.input_ids, jnp.ones_like(long.mask), long.segments)
    with pytest.raises(InputError, match="`batch` must have at most 12 tokens a text, got 20"):
        encoder(unmasked)
    assert np.isnan(np.asarray(encoder.module(unmasked).hidden_states)).any()


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
        with pytest.raises(InputError, match=r"`texts\[0\]` must have at most 12 tokens, got at least \d+;"):
            encoder.tokenize([text], None if pair is None else [pair])
    assert max(lengths) <= tokens.CHARACTERS_A_TOKEN * encoder.max_length


def test_a_word_beyond_all_measure_is_cut_or_refused(tiny, monkeypatch):
    monkeypatch.setattr(tokens, "CHARACTERS_MOST", 5000)
    encoder = tiny.bert().ours
    for text in ("A" * 6000, " " * 4000 + "A" * 2000):
        (cut,) = encoder.tokenize([text], truncate=True)
        assert cut.tokens == ("[CLS]", "[UNK]", "[SEP]")
        with pytest.raises(InputError, match=r"must have at most 5,000 characters, got 6,000.*truncate=True"):
            encoder.tokenize([text])
    # What is far down in a text that can be read is found.
    (found,) = encoder.tokenize([" " * 4000 + "the key"])
    assert found.tokens == ("[CLS]", "the", "key", "[SEP]")
    assert found.offsets[1:3] == ((4000, 4003), (4004, 4007))
