"""Words that hold whole tokens of two tokenizers."""

import numpy as np
import pytest

from jaxflow.compare.units import Units, membership, same_tokens, token_units, word_units, words_of
from jaxflow.models import Encoding
from tests.compare.models import first_words, second_words


def encoding(spans, special=(1, 1), between=0):
    """Tokens with those offsets; pairs have two lists of spans."""
    parts = spans if isinstance(spans[0], list) else [spans]
    tokens, offsets, source = [], [], []

    def add_special(name, count):
        for _ in range(count):
            tokens.append(name)
            offsets.append((-1, -1))
            source.append(-1)

    add_special("[CLS]", special[0])
    for number, part in enumerate(parts):
        if number:
            add_special("[SEP]", between)
        for span in part:
            tokens.append(str(span))
            offsets.append(span)
            source.append(number)
    add_special("[SEP]", special[1])
    count = len(tokens)
    return Encoding(
        (0,) * count, (0,) * count, tuple(tokens), tuple(offsets), tuple(source), tuple(s == -1 for s in source)
    )


def test_units_are_words_where_tokens_lie_within_words():
    text = "Unbelievable tables."
    one = encoding([(0, 2), (2, 12), (13, 18), (18, 19), (19, 20)])
    two = encoding([(0, 7), (7, 12), (13, 19), (19, 20)])
    units = word_units(text, None, one, two)
    assert units.names == ("[CLS]", "Unbelievable", "tables", ".", "[SEP]")
    assert units.first == (0, 1, 1, 2, 2, 3, 4)
    assert units.second == (0, 1, 1, 2, 3, 4)
    assert units.special == (True, False, False, False, True)
    assert units.offsets[1] == (0, 12)


def test_a_token_across_words_joins_them_and_blanks_of_a_token_do_not_count():
    text = "New York is"
    one = encoding([(0, 3), (4, 8), (9, 11)])
    two = encoding([(0, 8), (8, 11)])
    units = word_units(text, None, one, two)
    assert units.names == ("[CLS]", "New York", "is", "[SEP]")
    assert units.first == (0, 1, 1, 2, 3)
    assert units.second == (0, 1, 2, 3)


def test_words_that_were_cut_off_are_no_units_and_a_word_may_be_missing_in_one_model():
    text = "one two three four"
    units = word_units(text, None, encoding([(0, 3), (4, 7), (8, 13)]), encoding([(0, 3), (8, 13)]))
    assert units.names == ("[CLS]", "one", "two", "three", "[SEP]")
    assert units.second == (0, 1, 3, 4)


def test_pairs_and_runs_of_special_tokens_meet():
    one = encoding([[(0, 1)], [(0, 2)]], between=1)
    two = encoding([[(0, 1)], [(0, 2)]], special=(1, 2), between=2)
    units = word_units("a", "bc", one, two)
    assert units.names == ("[CLS]", "a", "[SEP]", "bc", "[SEP]")
    assert units.source == (-1, 0, -1, 1, -1)
    assert units.first == (0, 1, 2, 3, 4)
    assert units.second == (0, 1, 2, 2, 3, 4, 4)


def test_a_model_without_a_special_token_has_none_there():
    one, two = encoding([(0, 1)]), encoding([(0, 1)], special=(0, 1))
    units = word_units("a", None, one, two)
    assert units.names == ("[CLS]", "a", "[SEP]")
    assert (units.first, units.second) == ((0, 1, 2), (1, 2))


def test_ideographs_and_apostrophes():
    text = "don't 中文"
    spans = [(0, 3), (3, 4), (4, 5), (6, 7), (7, 8)]
    units = word_units(text, None, encoding(spans), encoding(spans))
    assert units.names == ("[CLS]", "don't", "中", "文", "[SEP]")


@pytest.mark.parametrize(
    "text", ["नमस्ते दुनिया", "வணக்கம் உலகம்", "مَرْحَبًا بِكَ", "שָׁלוֹם לָךְ", "cafe\u0301 de\u0301ja\u0300", "👨‍👩‍👧 👍🏽"]
)
def test_pieces_of_a_word_join_wherever_tokenizers_cut_its_marks_off(text):
    words = text.split(" ")
    starts = [0, len(words[0]) + 1]
    # One model has a token a character, marks alone among them; the other halves each word.
    letters = [(place, place + 1) for place in range(len(text)) if text[place] != " "]
    halves = [
        span
        for start, word in zip(starts, words, strict=True)
        for span in ((start, start + len(word) // 2), (start + len(word) // 2, start + len(word)))
    ]
    one, two = encoding(letters), encoding(halves)
    units = word_units(text, None, one, two)
    assert units.names == ("[CLS]", *words, "[SEP]")
    assert units.first == (0, *(1 + (place >= starts[1]) for place, _ in letters), 3)
    assert units.second == (0, 1, 1, 2, 2, 3)
    found, word = words_of(text, None, token_units(one))
    assert found == tuple(words)
    assert word == (-1, *(int(place >= starts[1]) for place, _ in letters), -1)


def test_ideographs_are_words_katakana_and_thai_stand_together():
    text = "東京タワーสวัสดี"
    letters = encoding([(place, place + 1) for place in range(len(text))])
    assert word_units(text, None, letters, letters).names == (
        "[CLS]",
        "東",
        "京",
        "タワー",
        "สวัสดี",
        "[SEP]",
    )
    # A token that reaches across makes one unit of them.
    long = encoding([(0, 5), (5, 11)])
    assert word_units(text, None, letters, long).names == ("[CLS]", "東京タワー", "สวัสดี", "[SEP]")


def test_words_of_tokens_and_their_membership():
    text = "Unbelievable tables"
    cut = encoding([(0, 2), (2, 12), (13, 18), (18, 19)])
    units = token_units(cut)
    words, word = words_of(text, None, units)
    assert words == ("Unbelievable", "tables")
    assert word == (-1, 0, 0, 1, 1, -1)
    ones = membership((0, 1, 1), 4, 3)
    np.testing.assert_array_equal(ones, [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]])
    pair = Units(("a", "b"), ((0, 1), (0, 1)), (0, 1), (0, 1), (0, 1))
    assert words_of("a", "b", pair) == (("a", "b"), (0, 1))


def test_every_token_of_real_tokenizers_has_a_unit_that_holds_it():
    from tests.compare.models import TEXTS, model

    one, two = model(words=first_words()), model(words=second_words())
    different = 0
    for text in [*TEXTS, "  x  ", "...", "un-un 't was"]:
        first, second = one.tokenize([text])[0], two.tokenize([text])[0]
        different += not same_tokens(first, second)
        units = word_units(text, None, first, second)
        for cut, groups in ((first, units.first), (second, units.second)):
            assert len(groups) == len(cut)
            assert list(groups) == sorted(groups)
            for span, group in zip(cut.offsets, groups, strict=True):
                start, end = units.offsets[group]
                assert start <= span[0] <= span[1] <= end
        assert set(units.first) == set(units.second) == set(range(len(units)))
    assert different >= 3
