"""The SST-2 experiment on data and a model made here."""

import gzip
import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from experiments._pieces import pieces_of
from experiments._words import spans_of, to_words, words_of_tokens
from experiments.finetune.sst2 import DEV, TRAIN, read_labelled
from experiments.sst2.__main__ import main
from experiments.sst2.data import judged_texts, leaves
from experiments.sst2.measure import inputs_of, relevances, scores
from jaxflow import load_model
from tests.tiny_text_model import model_folder

# Of few tokens each, so that there is one shape to compile.
GOOD, BAD = (
    ["the key s", "key is on a", "key to key", "is on the key"],
    ["a table s", "table is on", "the un key", "on to on"],
)
TREES = "(3 (2 Key) (3 (2 is) (4 (2 on) (4 a))))\n(1 (1 (2 the) (0 un)) (2 key))\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sst")
    rows = [f"{text} \t{label}" for _ in range(3) for label, texts in enumerate((BAD, GOOD)) for text in texts]
    for name in (TRAIN, DEV):
        with gzip.open(folder / name, "wt") as sink:
            sink.write("\n".join(["sentence\tlabel", *rows]) + "\n")
    with gzip.open(folder / "sst_trees_dev.txt.gz", "wt") as sink:
        sink.write(TREES)
    return folder


def test_a_tree_gives_its_words_and_their_labels():
    found = leaves("(3 (2 (2 A) (1 co-writer\\/director)) (3 (2 -LRB-) (4 good)))")
    assert found.words == ("A", "co-writer/director", "(", "good")
    assert found.sentiments == (2, 1, 2, 4)


def test_texts_find_their_trees(data):
    dev = read_labelled(data / DEV)
    assert len(dev) == 24
    assert sum(dev.classes) == 12
    trees = judged_texts(dev.texts, data)
    assert {dev.texts[place] for place in trees} == {"key is on a", "the un key"}
    assert all(trees[place].text.lower() == dev.texts[place] for place in trees)


def test_sub_words_make_words():
    encoder = load_model(model_folder())
    text = "the unbelievable keys , zz"
    (encoding,) = encoder.tokenize([text])
    word = words_of_tokens(encoding, spans_of(text))
    pieces = [[encoding.tokens[token].removeprefix("##") for token in np.flatnonzero(word == i)] for i in range(5)]
    assert ["".join(parts) for parts in pieces] == text.split()
    assert len(pieces[1]) == 3
    assert word[0] == word[-1] == -1
    values = np.arange(2.0 * len(encoding)).reshape(2, -1)
    sums, tops = to_words(values, word, 5), to_words(values, word, 5, "max")
    for row in range(2):
        for i in range(5):
            assert sums[row, i] == values[row, word == i].sum()
            assert tops[row, i] == values[row, word == i].max()
    assert np.isnan(to_words(values, np.where(word == 3, -1, word), 5)[:, 3]).all()


def test_a_model_that_is_named_is_the_tables_whatever_was_trained(data, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    named = ["table", "--data", str(data), "--out", str(tmp_path), "--model", str(model_folder()), "--quick"]
    assert main(named) == 2
    assert "must tell two classes apart" in capsys.readouterr().err


@pytest.mark.slow
def test_quick_run_trains_and_measures(data, tmp_path, capsys):
    common = ["--data", str(data), "--out", str(tmp_path), "--model", str(model_folder()), "--quick"]
    assert main(["train", *common, "--rate", "0.01"]) == 0
    training = json.loads((tmp_path / "training.json").read_text())
    assert training["steps"] >= 2
    assert 0 <= training["measures"]["accuracy"] <= 1
    assert training["commit"]
    table = [word for word in common if word not in ("--model", str(model_folder()))]
    assert main(["table", *table]) == 0
    assert "| flow |" in capsys.readouterr().out
    record = json.loads((tmp_path / "table3.json").read_text())
    assert record["certified"] == 1
    assert record["settings"]["layers"] == [1, 3]
    # The paper's measure is 0 in theory for a model of this form.
    assert record["unresolved"]["authors, gradient"] > 0.9
    assert record["unresolved"]["authors, gradient norm"] == 0
    assert record["human"]["sentences"] > 0
    _check_a_cell(record, data, tmp_path)
    # A second run reads the pieces and says the same.
    assert main(["table", *table]) == 0
    again = json.loads((tmp_path / "table3.json").read_text())
    assert again["right_words"] == record["right_words"]


def _check_a_cell(record, data, out):
    """Against SciPy: mean over sentences of Spearman's coefficient, words only."""
    encoder = load_model(out / "model")
    texts = read_labelled(data / DEV).texts[:12]
    pieces = pieces_of(encoder, texts, out, print)
    assert len(list(pieces.folder.glob("*.npz"))) == 8
    found, inputs = relevances(encoder, texts, (1, 3), pieces), inputs_of(encoder, texts)
    norm = scores(encoder, inputs, pieces).values["right", "gradient norm"]
    words = inputs.positions("words")
    values = [
        spearmanr(found.first[i, 2, 1, words[i]], norm[i, words[i]]).statistic for i in range(12) if words[i].sum() > 1
    ]
    cell = record["right_words"]["gradient norm"]["flow"]["3"]
    assert cell["mean"] == pytest.approx(np.mean(values), rel=1e-5)
    assert cell["undefined"] == 12 - len(values)
    shares = found.first / found.first.sum(axis=-1, keepdims=True)
    assert (found.highest >= shares - 1e-6).all()


def test_bad_input_is_one_line(data, tmp_path, capsys):
    arguments = ["table", "--data", str(data), "--out", str(tmp_path), "--model", str(model_folder())]
    assert main(arguments) == 2
    assert "must tell two classes apart" in capsys.readouterr().err
    arguments = ["train", "--data", str(tmp_path), "--out", str(tmp_path), "--model", str(model_folder())]
    assert main(arguments) == 2
    assert "does not exist" in capsys.readouterr().err
