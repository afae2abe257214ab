"""What is checked before a comparison of a file begins."""

import pytest

from jaxflow._checks import InputError
from jaxflow.attribution import Question
from jaxflow.inputs.files import open_source
from jaxflow.models import TextEncoder
from jaxflow.sweep.comparison import prepare
from tests.compare.models import model, second_words

# Both models cut it alike: 8 tokens of 6 words, special ones included; and a text that they cut in two ways.
ALIKE, APART = "tables tables is the", "the unbelievable keys to the table is on"


@pytest.fixture(scope="module")
def pair():
    return model(), model(words=second_words())


def prepared(pair, folder, texts, queries):
    path = folder / "texts.txt"
    _ = path.write_text("\n".join(texts))
    with open_source(str(path)) as source:
        return prepare(*pair, source, folder / "out", Question(methods="raw", queries=queries))


def test_each_text_is_cut_once(pair, tmp_path, monkeypatch):
    calls, cut = [], TextEncoder.tokenize
    monkeypatch.setattr(
        TextEncoder, "tokenize", lambda self, *given, **options: calls.append(given) or cut(self, *given, **options)
    )
    for queries in ((0,), (5,), None):
        calls.clear()
        found = prepared(pair, tmp_path, [ALIKE, APART, ALIKE], queries)
        assert (found.units, found.texts, len(calls)) == ("words", 3, 6)


def test_a_position_beyond_a_texts_words_is_refused_where_words_are_compared(pair, tmp_path):
    assert prepared(pair, tmp_path, [ALIKE], (6,)).units == "tokens"
    with pytest.raises(
        InputError, match=r"line 2 of texts\.txt: `queries` must be positions of words, from 0 to 5, got 6"
    ):
        _ = prepared(pair, tmp_path, [APART, ALIKE], (6,))
    with pytest.raises(
        InputError, match=r"line 1 of texts\.txt: `queries` must be positions of tokens, from 0 to 7, got 8"
    ):
        _ = prepared(pair, tmp_path, [ALIKE, APART], (8,))
