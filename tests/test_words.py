"""Words as Unicode cuts them (UAX 29): the rules by their numbers, scripts with marks, and any text at all."""

import unicodedata
from itertools import pairwise

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from jaxflow._words import readable, readable_scores, word_spans

SCRIPTS = {
    "Hindi": ["नमस्ते", "दुनिया", "क्षत्रिय"],
    "Tamil": ["வணக்கம்", "உலகம்"],
    "Bengali": ["আমার", "সোনার", "বাংলা"],
    "Arabic with vowels": ["مَرْحَبًا", "بِالعَالَم"],
    "Hebrew with points": ["שָׁלוֹם", "עֹולָם"],
    "letters with separate accents": ["cafe\u0301", "de\u0301ja\u0300", "Vie\u0323\u0302t"],
    "Korean": ["한국어", "단어"],
    "families, tints, flags, keycaps": ["👨‍👩‍👧‍👦", "👍🏽", "🇩🇪", "❤️"],
}

# One case a rule of the annex, in its order; "|" stands at each boundary, blanks are left out.
RULES = {
    "WB3c: joined emoji": ("👩‍🔬👩‍🔬", "👩‍🔬|👩‍🔬"),
    "WB4: marks and format characters belong to what is before": ("a\u0308\u00adb\u2060 c", "a\u0308\u00adb\u2060|c"),
    "WB5: letters": ("Ωмегаñ", "Ωмегаñ"),
    "WB6, WB7: apostrophes, points and colons between letters": (
        "can't l’eau e.g. 'tis dogs'",
        "can't|l’eau|e.g|.|'|tis|dogs|'",
    ),
    "WB7a to WB7c: Hebrew quotes": ('צה"ל ג\' "כן"', 'צה"ל|ג\'|"|כן|"'),
    "WB8: digits": ("2024", "2024"),
    "WB9, WB10: letters and digits": ("3a A3 x2y", "3a|A3|x2y"),
    "WB11, WB12: points and commas within numbers": ("3,14 1.000,5 7. 1:30", "3,14|1.000,5|7|.|1|:|30"),
    "WB13: katakana": ("タワーを", "タワー|を"),
    "WB13a, WB13b: low lines": ("snake_case _a", "snake_case|_a"),
    "WB15, WB16: flags by pairs": ("🇩🇪🇫🇷🇪🇸", "🇩🇪|🇫🇷|🇪🇸"),
    "WB999: ideographs and hiragana": ("東京に行く 中文", "東|京|に|行|く|中|文"),
    "no dictionary: what stands between blanks is a word": (
        "ภาษาไทย ดี สวัสดี123 ខ្មែរ မြန်မာ",
        "ภาษาไทย|ดี|สวัสดี|123|ខ្មែរ|မြန်မာ",
    ),
    "signs": ("a-b (c)! 5€", "a|-|b|(|c|)|!|5|€"),
    "a mark without a letter": (" \u0301a", "\u0301|a"),
}


def words_of(text):
    return [text[slice(*span)] for span in word_spans(text)]


@pytest.mark.parametrize("words", SCRIPTS.values(), ids=SCRIPTS)
def test_a_word_keeps_its_marks_and_joiners(words):
    for text in (" ".join(words), "\t".join(words) + "\n"):
        assert words_of(text) == words


@pytest.mark.parametrize(("text", "expected"), RULES.values(), ids=RULES)
def test_the_rules_of_the_annex(text, expected):
    assert words_of(text) == expected.split("|")


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("aक\u093f\u094d\u0301\u064e\u200d👩🏽'’.,_ \n"))))
def test_words_hold_everything_but_blanks_and_no_mark_leaves_its_letter(text):
    spans = word_spans(text)
    assert all(start < end for start, end in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    held = {place for start, end in spans for place in range(start, end)}
    assert all(text[place].isspace() for place in range(len(text)) if place not in held)
    for start, _ in spans:
        # WB4: between a mark and the character before it there is a boundary behind line ends only.
        if start and unicodedata.category(text[start]) in ("Mn", "Mc", "Me"):
            assert text[start - 1].isspace()


@given(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1))
def test_names_of_a_byte_level_vocabulary_are_read_as_the_words_they_stand_for(word):
    (name, _), *others = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(
        " " + word
    )
    assert not others
    # A word may have SentencePiece's mark for a blank at its ends.
    assert readable(name) == word or "▁" in word


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("▁keys", "keys"),
        ("▁", "␣"),
        ("Ġ", "␣"),
        ("ĊĊ", "↵↵"),
        ("##ly", "##ly"),
        ("[UNK]", "[UNK]"),
        ("<0x0A>", "<0x0A>"),
        # Half a letter in bytes, and letters of vocabularies that have no bytes.
        ("âĢ", "âĢ"),
        ("naïve", "naïve"),
        ("Ġorġ", "Ġorġ"),
        ("中", "中"),
        ("", ""),
    ],
)
def test_other_names_and_blanks(token, expected):
    assert readable(token) == expected


def test_probabilities_of_tokens_that_read_alike_are_added_up():
    assert readable_scores({"Ġthe": 0.5, "the": 0.25, "Ġa": 0.125}) == {"the": 0.75, "a": 0.125}
