"""What the tasks read, where answers stand in windows, and SQuAD's measures."""

import gzip
import json
from itertools import pairwise

import numpy as np
import pytest

from experiments.finetune.answers import best_span, exact, f1, normalised
from experiments.finetune.classification import measures
from experiments.finetune.files import text_of
from experiments.finetune.paraphrase import COLUMNS, read_columns
from experiments.finetune.snli import names, read_pairs
from experiments.finetune.squad import FILE, read_squad
from experiments.finetune.sst2 import read_labelled
from experiments.finetune.task import spread
from experiments.finetune.windows import encoded, passage_of, room, tokens_of, window_around, windows_over
from jaxflow import InputError, load_model
from tests.experiments.test_told_figures import NUMBER, RECORDS, section, table
from tests.tiny_text_model import model_folder


def test_normalisation_is_the_official_one():
    assert normalised(" The  U.S.-led An apple, a day! ") == "usled apple day"
    assert normalised("theatre") == "theatre"
    assert exact("the Nile", ["Nile.", "river"]) == 1
    assert exact("Nile river", ["Nile", "river"]) == 0


@pytest.mark.parametrize(
    ("answer", "gold", "wanted"),
    [
        ("red brick house", ["a red house"], 2 * (2 / 3) * 1 / (2 / 3 + 1)),
        ("red red brick", ["red brick brick"], 2 / 3),
        ("blue", ["red", "the blue"], 1),
        ("blue", ["red"], 0),
        ("the", [""], 1),
        ("", ["red"], 0),
    ],
)
def test_overlap_by_hand(answer, gold, wanted):
    assert f1(answer, gold) == pytest.approx(wanted)


def test_the_best_span_is_that_of_a_direct_loop():
    rng = np.random.default_rng(0)
    for _ in range(20):
        logits = rng.normal(size=(50, 2)).astype(np.float32)
        first, last = 4, 47
        loop = [(s, e) for s in range(first, last + 1) for e in range(s, min(last, s + 29) + 1)]
        start, end = max(loop, key=lambda span: logits[span[0], 0] + logits[span[1], 1])
        assert best_span(logits, first, last)[:2] == (start, end)
    # A start and an end that are further apart than an answer is long.
    logits = np.zeros((60, 2), np.float32)
    logits[2, 0] = logits[55, 1] = 5
    start, end, score = best_span(logits, 0, 59)
    assert end - start < 30
    assert score == 5


def test_windows_hold_answers_and_cover_passages():
    encoder = load_model(model_folder())
    rng = np.random.default_rng(0)
    vocabulary = ["the", "key", "unbelievable", "table,", "cabinets", "on", "is."]
    whole = 0
    for _ in range(60):
        text = " ".join(rng.choice(vocabulary, int(rng.integers(1, 30))))
        passage, question = passage_of(encoder, text), "is the key on"
        size = room(encoder, question, 20)
        assert size == 20 - 3 - 4
        assert passage.before[-1] == len(encoder.tokenizer(text, add_special_tokens=False)["input_ids"])
        first, last = sorted(rng.integers(0, len(passage.spans), 2))
        last = min(last, first + 2)
        answer = passage.window(first, last + 1)
        window = window_around(passage, answer, size, rng)
        (encoding,) = encoded(encoder, [question], [passage], [window], 20)
        assert len(encoding) <= 20
        found = tokens_of(encoding, window, answer)
        assert found is not None
        start, end = (window[0] + encoding.offsets[found[side]][side] for side in (0, 1))
        assert (start, end) == answer
        whole += window == passage.window(0, len(passage.spans))

        windows = windows_over(passage, size, 6)
        assert windows[0][0] == 0
        assert windows[-1][1] == len(text)
        for before, after in pairwise(windows):
            assert before[0] < after[0] < before[1] < after[1]
        for one in windows:
            (encoding,) = encoded(encoder, [question], [passage], [one], 20)
            # Nothing was cut off.
            assert encoding.offsets[-2][1] == one[1] - one[0]
    assert 5 < whole < 55


def test_an_answer_outside_a_window_is_not_in_it():
    encoder = load_model(model_folder())
    passage = passage_of(encoder, "the key is on the table")
    (encoding,) = encoded(encoder, ["is the key"], [passage], [(4, 13)], 24)
    assert tokens_of(encoding, (4, 13), (8, 13)) == (6, 7)
    assert tokens_of(encoding, (4, 13), (0, 7)) is None
    assert tokens_of(encoding, (4, 13), (11, 17)) is None


def test_accuracy_and_f1_by_hand():
    logits = np.array([[2, 0], [0, 2], [0, 1], [3, 0]], np.float32)
    found = measures(logits, np.array([0, 1, 0, 1]), ("no", "yes"))
    assert found["accuracy"] == 0.5
    assert found["f1"] == 0.5
    assert found["confusion"] == {"no": {"no": 1, "yes": 1}, "yes": {"no": 1, "yes": 1}}
    wanted = [np.log(1 + np.exp(margin)) for margin in (-2, -2, 1, 3)]
    assert found["loss"] == pytest.approx(np.mean(wanted), rel=1e-5)


def test_examples_are_spread_evenly():
    assert spread(10, None).tolist() == list(range(10))
    assert spread(10, 99).tolist() == list(range(10))
    assert spread(100, 4).tolist() == [0, 33, 66, 99]


def test_snli_without_gold_label_is_left_out(tmp_path):
    columns = (["neutral", "-", "", "entailment"], ["a b", "c", "d", "e"], ["f", "g", "h", "i j "])
    for name, column in zip(names("dev"), columns, strict=True):
        (tmp_path / name).write_bytes(gzip.compress(("\n".join(column) + "\n").encode()))
    pairs, without = read_pairs(tmp_path, "dev")
    assert (pairs.texts, pairs.pairs, pairs.classes) == (("a b", "e"), ("f", "i j"), (1, 0))
    assert without == 2
    (tmp_path / names("dev")[0]).write_bytes(gzip.compress(b"neutral\nperhaps\n\nneutral\n"))
    with pytest.raises(InputError, match="got 'perhaps'"):
        _ = read_pairs(tmp_path, "dev")
    (tmp_path / names("dev")[0]).write_bytes(gzip.compress(b"neutral\n"))
    with pytest.raises(InputError, match="as many lines"):
        _ = read_pairs(tmp_path, "dev")


def test_paraphrases_by_columns(tmp_path):
    path = tmp_path / "train.tsv"
    heading = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    _ = path.write_text(heading + '\n1\t7\t8\tsaid "no\tno" he said\n0\t9\t9\tonly one\n\n0\t1\t2\tx\ty\r\n')
    columns = ("#1 String", "#2 String", "Quality")
    found, broken = read_columns(path, columns)
    assert (found.texts, found.pairs, found.classes) == (('said "no', "x"), ('no" he said', "y"), (1, 0))
    assert broken == 1
    with pytest.raises(InputError, match=r"`columns` must name three columns, got 'question1'; there are: .*#1 String"):
        _ = read_columns(path, COLUMNS)
    _ = path.write_text(heading + "\nyes\t7\t8\ta\tb\n")
    with pytest.raises(InputError, match=r"'Quality' in line 2 of .* must be 0 or 1, got 'yes'"):
        _ = read_columns(path, columns)


def test_broken_files_are_named(tmp_path):
    (tmp_path / "a.tsv.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="must be a file of text in UTF-8 that can be read"):
        _ = text_of(tmp_path / "a.tsv.gz")
    (tmp_path / "b.tsv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="must be a file of text in UTF-8 that can be read"):
        _ = text_of(tmp_path / "b.tsv")
    _ = (tmp_path / "c.tsv").write_text("sentence\tlabel\nfine\t1\nbad\t2\n")
    with pytest.raises(InputError, match=r"line 3 of .* must hold a text, a tab, and 0 or 1"):
        _ = read_labelled(tmp_path / "c.tsv")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[", "must have the form of SQuAD 2.0, got another"),
        ('{"data": 3}', "must have the form of SQuAD 2.0, got another"),
        ('{"data": [{"title": "a", "paragraphs": []}]}', "two articles"),
        (
            json.dumps(
                {
                    "data": [
                        {
                            "title": "a",
                            "paragraphs": [
                                {
                                    "context": "the key",
                                    "qas": [
                                        {"id": "7", "question": "?", "answers": [{"text": "key", "answer_start": 2}]}
                                    ],
                                }
                            ],
                        }
                    ]
                }
            ),
            "question 7: 'key' is not what stands at 2",
        ),
    ],
)
def test_broken_squad_is_one_line(tmp_path, content, said):
    (tmp_path / FILE).write_bytes(gzip.compress(content.encode()))
    with pytest.raises(InputError, match=said):
        _ = read_squad(tmp_path / FILE)


def test_how_right_fine_tunes_are():
    """Each number that the experiments' README tells of a fine-tune is one of its record's, to three digits."""
    rows = table(section("finetune"), "task", "on what was held out")
    for name, told, *_, pace in rows:
        found = json.loads((RECORDS / name.partition("(")[2].rstrip(")")).read_text("utf-8"))
        values = [each for each in found["measures"].values() if isinstance(each, float)]
        for number in map(float, NUMBER.findall(told)):
            assert min(abs(number - value) for value in values) <= 0.0005, (name, number)
        assert abs(float(pace) - found["tokens"] / found["processor_seconds"]) <= 0.5
    assert len(rows) > 4
