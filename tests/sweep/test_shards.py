import dataclasses

import pytest

from jaxflow._checks import InputError
from jaxflow.attribution import Question
from jaxflow.inputs.rows import BadRow, Text
from jaxflow.inputs.source import InlineSource, as_source
from jaxflow.sweep import shards
from jaxflow.sweep.shards import Lengths, cuts, encode
from tests.tiny_text_model import LIMIT

TEXTS = ("The key to the cabinets is on the table.", "Unbelievable!", "no", "is it on the table", "keys")
PLAIN = Question()
WHOLE = Lengths(max_length=None, truncate=False)


def cut_of(encoder, texts, question=PLAIN, pairs=None):
    return list(cuts(InlineSource(tuple(texts), pairs).rows(), encoder, question))


def test_shards_are_so_many_rows_and_know_the_last(encoder, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)
    for count, sizes in [(5, [2, 2, 1]), (4, [2, 2]), (1, [1]), (0, [])]:
        found = cut_of(encoder, TEXTS[:count])
        assert [len(cut.rows) for cut in found] == sizes
        assert [cut.index for cut in found] == list(range(len(sizes)))
        assert [cut.last for cut in found] == [False] * (len(sizes) - 1) + [True] * bool(sizes)
        assert tuple(row.text for cut in found for row in cut.rows) == TEXTS[:count]


def test_shards_end_before_they_outgrow_memory(encoder, monkeypatch):
    # Three methods and three layers: nine numbers a token, and no more tokens than bytes and four.
    monkeypatch.setattr(shards, "SHARD_VALUES", 9 * 17)
    assert [len(cut.rows) for cut in cut_of(encoder, TEXTS)] == [1, 1, 1, 1, 1]
    monkeypatch.setattr(shards, "SHARD_VALUES", 9 * 23)
    assert [len(cut.rows) for cut in cut_of(encoder, TEXTS)] == [1, 2, 1, 1]
    # A text has no more tokens than the model takes, but its bytes are held as well.
    assert [len(cut.rows) for cut in cut_of(encoder, ["a" * 90] * 3)] == [1, 1, 1]
    monkeypatch.setattr(shards, "SHARD_VALUES", 9 * LIMIT * 2)
    assert [len(cut.rows) for cut in cut_of(encoder, ["a" * 90] * 3)] == [2, 1]
    assert [len(cut.rows) for cut in cut_of(encoder, ["a" * 400] * 3)] == [1, 1, 1]
    assert [len(cut.rows) for cut in cut_of(encoder, ["a"] * 3, Question(queries=None))] == [1, 1, 1]


def test_values_bound_what_a_text_really_has(encoder):
    for text in [*TEXTS, "a" * 500, "\u00e9\u4e16 " * 5, "( ) . ," * 3]:
        (encoding,) = encoder.tokenize([text], truncate=True)
        for question in (Question(), Question(queries=None, layers=(2,)), Question(methods=("raw",))):
            row = Text(1, text, None, "")
            bound = shards._most_values(row, encoder.max_length, encoder.config.layers, question)
            assert bound >= question.values(len(encoding), encoder.config.layers)


def test_each_change_of_the_rows_changes_the_hash(encoder):
    base = [("a", "b"), ("c", "d")]
    variants = [base, [("a", "b"), ("c", "e")], [("c", "d"), ("a", "b")], [("ab", ""), ("c", "d")], base[:1]]
    hashes = set()
    for variant in variants:
        rows = tuple(Text(number, text, pair, "x") for number, (text, pair) in enumerate(variant, 1))
        hashes |= {shards.Cut(0, rows, last).sha256() for last in (False, True)}
    assert len(hashes) == 2 * len(variants)
    moved = (Text(7, "a", "b", "x"), Text(8, "c", "d", "x"))
    assert shards.Cut(0, moved, True).sha256() not in hashes
    renamed = tuple(Text(number, text, pair, "another place") for number, (text, pair) in enumerate(base, 1))
    assert shards.Cut(3, renamed, True).sha256() in hashes


def test_every_text_is_tokenised_once_and_as_alone(encoder, monkeypatch):
    asked = []
    tokenize = type(encoder).tokenize

    def counted(self, texts, *arguments, **options):
        asked.extend(texts)
        return tokenize(self, texts, *arguments, **options)

    monkeypatch.setattr(type(encoder), "tokenize", counted)
    (cut,) = cut_of(encoder, TEXTS)
    shard = encode(encoder, cut, PLAIN, WHOLE, "stop")
    assert asked == list(TEXTS)
    assert shard.ids == (1, 2, 3, 4, 5)
    for text, found in zip(TEXTS, shard.texts, strict=True):
        assert found.text == text
        assert [found.encoding] == tokenize(encoder, [text])


def test_rows_that_cannot_be_used_stop_or_are_left_out_with_their_reason(encoder):
    question = Question(queries=(0, 4))
    rows = as_source(["the key is", " ", "no", "the " * LIMIT, "is it on the table", 7]).rows()
    (cut,) = cuts(rows, encoder, question)
    shard = encode(encoder, cut, question, WHOLE, "skip")
    assert shard.ids == (1, 5)
    assert [text.text for text in shard.texts] == ["the key is", "is it on the table"]
    reasons = {row.id: row.reason for row in shard.skipped}
    assert all(isinstance(row, BadRow) for row in shard.skipped)
    assert reasons.keys() == {2, 3, 4, 6}
    assert "row 2 of the texts must hold a text, got an empty one" in reasons[2]
    assert "row 3 of the texts: `queries` must be positions of tokens, from 0 to 3, got 4" in reasons[3]
    assert f"row 4 of the texts must have at most {LIMIT} tokens, got {LIMIT + 2};" in reasons[4]
    assert "got int" in reasons[6]
    with pytest.raises(InputError, match="row 2 of the texts must hold a text"):
        encode(encoder, cut, question, WHOLE, "stop")
    fine = dataclasses.replace(cut, rows=cut.rows[3:4])
    with pytest.raises(InputError, match="row 4 of the texts must have"):
        encode(encoder, fine, question, WHOLE, "stop")
    assert encode(encoder, fine, question, WHOLE | {"truncate": True}, "stop").ids == (4,)


def test_pairs_go_together(encoder):
    (cut,) = cut_of(encoder, ["is on", "the"], pairs=("the key", "the " * LIMIT))
    shard = encode(encoder, cut, PLAIN, WHOLE, "skip")
    assert shard.ids == (1,)
    assert shard.texts[0].pair == "the key"
    assert shard.texts[0].encoding.source == (-1, 0, 0, -1, 1, 1, -1)
