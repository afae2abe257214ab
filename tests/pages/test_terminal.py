import numpy as np

from jaxflow.pages.terminal import number, shortened, top_tokens, unknown_words, visible
from tests.pages.rows import HOSTILE, make_row

NOTHING = "flow: nothing flows here from any word"


def test_the_top_tokens_stand_in_aligned_columns():
    row = make_row("key 学学 unbel", label="yes")
    row["raw"][-1, 0] = [0.1, 0.5, 0.25, 0.05, 0.1]
    row["flow"][-1, 0] = [1, 0.5, 0.75, 0.5, 0.25]
    heading, about, names, *lines, last = top_tokens(row, 3)
    assert heading == "1  key 学学 unbel"
    assert "layer 3" in about
    assert "position 0 [CLS]" in about
    assert about.endswith("prediction: yes (0.750)")
    assert names.split() == ["raw", "rollout", "flow"]
    assert last == ""
    # The last one ties with a token that is not shown, here and in flow.
    assert [line[:22].split() for line in lines] == [
        ["1", "key", "0.5000"],
        ["2", "学学", "0.2500"],
        ["0", "[CLS]", "0.1000", "="],
    ]
    assert lines[0].endswith("[CLS]  1.0000")
    assert lines[1].endswith("学学   0.7500")
    assert lines[2].endswith("key    0.5000 =")
    # A wide character takes two columns, so its line is shorter by one character each.
    assert lines[1].index("0.2500") == lines[0].index("0.5000") - 2


def test_special_tokens_are_left_out_where_a_text_has_words():
    row = make_row("key table")
    row["raw"][-1, 0] = [0.9, 0.1, 0.3, 0.8]
    assert [line.split()[:2] for line in top_tokens(row, 2, special=False)[3:5]] == [["2", "table"], ["1", "key"]]
    assert [line.split()[:2] for line in top_tokens(row, 2)[3:5]] == [["0", "[CLS]"], ["3", "[SEP]"]]
    # As many lines as there are words; and all of a text that has none.
    assert len(top_tokens(row, 4, special=False)) == 3 + 2 + 1
    assert len(top_tokens(make_row(""), 4, special=False)) == 3 + 2 + 1


def test_tokens_and_predictions_are_shown_as_they_are_read():
    row = make_row("key café", label="Ġbriefly")
    row["tokens"] = ["<s>", "Ġkey", "ĠcafÃ©", "</s>"]
    _, about, _, *lines = top_tokens(row, 4)
    assert about.endswith("prediction: briefly (0.750)")
    assert {line.split()[1] for line in lines if line} == {"<s>", "key", "café", "</s>"}


def test_a_position_of_an_answer_names_the_token_that_it_predicted():
    row = make_row("key café table", label="yes", every_query=True)
    row["tokens"] = ["<s>", "Ġkey", "ĠcafÃ©", "Ġtable", "</s>"]

    def about(query, **parts):
        _, line, *_ = top_tokens(row | {"queries": np.array([query])} | parts, 1)
        return line.split(", for ")[1].split("; ")[0]

    assert about(1, answer=np.array([2, 3])) == "position 1 key, which predicted café"
    # A prompt's positions predicted nothing that is there, nor did the last one.
    assert about(0, answer=np.array([2, 3])) == "position 0 <s>"
    assert about(4, answer=np.array([2, 3])) == "position 4 </s>"
    # The first target was given.
    assert about(1, first_target=2) == "position 1 key"
    assert about(2, first_target=2) == "position 2 café, which predicted table"


def test_only_as_many_tokens_as_there_are():
    assert len(top_tokens(make_row("one"), 10)) == 3 + 3 + 1


def test_no_character_of_a_text_steers_the_terminal():
    lines = top_tokens(make_row(HOSTILE, HOSTILE, label=HOSTILE), 50, width=500)
    for line in lines:
        assert line.isprintable() or set(line) - {"\u200d"} <= {c for c in line if c.isprintable()}
        assert not any(character in line for character in "\x00\x1b\u202e\u202c\u200f\u2028\n")
    assert visible("\x1b[31m\u202e") == "\\x1b[31m\\u202e"
    assert visible("né 学 \U0001f469\u200d\U0001f467") == "né 学 \U0001f469\u200d\U0001f467"


def test_color_only_where_asked_for():
    row = make_row("one")
    assert not any("\x1b" in line for line in top_tokens(row, 2))
    assert any("\x1b[1m" in line for line in top_tokens(row, 2, color=True))


def test_long_texts_are_cut_to_the_terminal():
    heading = top_tokens(make_row("word " * 100), 2, width=60)[0]
    assert len(heading) == 60
    assert heading.endswith("…")


def test_marks_take_no_column_and_stay_with_their_letter():
    row = make_row("keys dogs")
    # Two letters, one with a vowel above and a tone mark; Unicode gives the vowel no class of combination.
    row["tokens"][2] = "ที่น"
    row["raw"][-1, 0] = [0.1, 0.5, 0.25, 0.05]
    one, other = top_tokens(row, 2)[3:5]
    assert other.index("0.2500") == one.index("0.5000") + 2
    heading = top_tokens(make_row("e\u0301" * 100), 2, width=60)[0]
    assert heading.endswith("e\u0301…")
    assert len(heading) <= 60


def test_unknown_words_are_named_as_they_were_written():
    rows = [make_row("Key Zyx key", "Qwe Zyx"), make_row("zyx")]
    for row in rows:
        row["tokens"] = [token if token in ("key", "[CLS]", "[SEP]") else "<unk>" for token in row["tokens"]]
    assert unknown_words(rows, "<unk>") == ["Zyx", "Qwe", "zyx"]
    assert unknown_words(rows, "[UNK]") == []
    # A special token that is the unknown one was not read from the text.
    assert unknown_words(rows, "[SEP]") == []


def test_long_words_and_texts_do_not_flood_the_terminal():
    assert shortened("A" * 200_000) == "A" * 40 + "... (200,000 characters)"
    assert shortened("\x1b" * 41) == "\\x1b" * 40 + "... (41 characters)"
    assert shortened("A" * 40) == "A" * 40
    row = make_row("x" * 100_000, "y" * 100_000, label="z" * 100_000)
    assert max(map(len, top_tokens(row, 10))) < 500


def test_a_flow_that_ties_says_so_and_what_says_more():
    row = make_row("the keys")
    row["flow"][-1, 0] = [1, 1 - 1e-9, 1, 0.25]
    row["flow:saturated"] = np.zeros(row["flow"].shape, bool)
    assert not any("apart" in line for line in top_tokens(row, 2))
    row["flow:saturated"][-1, 0] = [True, True, True, False]
    *_, first, second, note, _ = top_tokens(row, 2)
    assert first.endswith("0 [CLS]  1.0000 =")
    assert second.endswith("2 keys   1.0000 =")
    assert note.strip() == "flow tells 1 of 4 tokens apart here; see rollout"
    row["flow@attention-gradient"] = np.full(row["flow"].shape, 3e-5)
    row["flow@attention-gradient:saturated"] = row["flow:saturated"] & (np.arange(4) == 2)
    lines = top_tokens(row, 2, carried="carried by: keys\u202e (0.9)")
    assert lines[2] == "   carried by: keys\\u202e (0.9)"
    assert [line.strip() for line in lines[-3:-1]] == [
        "flow tells 1 of 4 tokens apart here; see flow@attention-gradient",
        "flow@attention-gradient tells 3 of 4 tokens apart here",
    ]
    # Small values keep their digits, and very large ones have no more of them.
    assert lines[4].endswith("0 [CLS]  3.0e-05 =")
    shown = [number(value) for value in (0.0, 1e-3, 999_999.0, 1.4534e18, -2e6, float(np.finfo(np.float32).max))]
    assert shown == ["0.0000", "0.0010", "999999.0000", "1.453e+18", "-2.000e+06", "3.403e+38"]


def test_what_speaks_against_the_explained_number_is_among_the_top_tokens():
    row = make_row("one two")
    values = np.zeros_like(row["raw"])
    values[-1, 0, :3] = 0.1, -4.0, 0.2
    _, _, _, first, second, *_ = top_tokens({**row, "raw": values, "rollout": values, "flow": values}, 2)
    assert first.split()[0] == "1"
    assert "-4.0" in first
    assert second.split()[0] == "2"


def test_a_flow_whose_words_are_nearly_alike_says_within_what():
    row = make_row("the keys")
    row["flow"][-1, 0] = [1, 0.5285, 0.5282, 0.61]
    row["flow:saturated"] = np.zeros(row["flow"].shape, bool)
    words = np.asarray(row["source"]) >= 0
    assert words.tolist() == [False, True, True, False]
    *_, note, _ = top_tokens(row, 2)
    assert note.strip() == "flow: all words lie within 0.06 % here; see rollout"
    # A word that stands out, words that tie, and one word alone need no such line.
    for values in ([1, 0.5, 0.4, 0.6], [1, 0.5, 0.5, 0.6]):
        row["flow"][-1, 0] = values
        assert not any("within" in line for line in top_tokens(row, 2))
    row["flow"][-1, 0] = [1, 0, 0, 0]
    for saturated in (False, [True, False, False, False]):
        row["flow:saturated"][-1, 0] = saturated
        assert [line.strip() for line in top_tokens(row, 2) if "flow" in line][1:] == [NOTHING]
    # Where most are saturated, that is said instead.
    row["flow"][-1, 0] = [1, 0.5285, 0.5282, 0.61]
    row["flow:saturated"][-1, 0] = [True, True, True, False]
    assert not any("within" in line for line in top_tokens(row, 2))
