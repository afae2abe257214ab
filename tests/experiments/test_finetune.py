"""Fine-tuning on data that the project makes, from a tiny model."""

import json

import jax
import numpy as np
import pytest
import torch
import transformers
from flax import nnx

from experiments.finetune.__main__ import main
from experiments.finetune.batches import Epochs, logits_of
from experiments.finetune.classification import classification_loss
from experiments.finetune.fit import Recipe, fit
from experiments.finetune.made import BAD, GOOD, THINGS, WORDS, make_squad
from experiments.finetune.squad import FILE, SQUAD, answers, read_squad
from experiments.finetune.task import Sizes
from experiments.finetune.windows import passage_of
from jaxflow import load_model
from jaxflow.models import with_head
from tests.tiny_text_model import model_folder, tokenizer

TEXTS = ["the key s", "key is on a", "key to key", "is on the key", "a table s", "table is on", "the un key", "on to"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A bare encoder that knows the words of the made data."""
    folder = tmp_path_factory.mktemp("tiny")
    words = tokenizer(*WORDS)
    words.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def test_every_example_comes_once_an_epoch():
    encoder = load_model(model_folder())
    texts = [" ".join(["key"] * (1 + place % 9)) + f" {place}" for place in range(37)]
    encodings, targets = encoder.tokenize(texts), np.arange(37)
    epochs = Epochs(encoder, encodings, targets, tokens=48, seed=3)
    again = Epochs(encoder, encodings, targets, tokens=48, seed=3)
    orders, tokens = [], 0
    for epoch in range(2):
        seen = []
        for step in range(epoch * epochs.steps, (epoch + 1) * epochs.steps):
            batch, classes = epochs(step)
            assert (np.asarray(batch.input_ids) == np.asarray(again(step)[0].input_ids)).all()
            assert batch.mask.size <= 48 or len(classes) == 1
            for row, place in enumerate(classes):
                assert np.asarray(batch.input_ids)[row, : len(encodings[place])].tolist() == list(
                    encodings[place].input_ids
                )
            seen += classes.tolist()
            tokens += batch.mask.size
        assert set(seen) == set(range(37))
        assert len(seen) < 37 + 4 * 6
        orders.append(seen)
    assert orders[0] != orders[1]
    assert epochs.tokens(2 * epochs.steps) == tokens


@pytest.mark.slow
def test_stopped_and_resumed_is_as_never_stopped(tmp_path):
    encoder = with_head(load_model(model_folder()), "sequence_classification", labels=("no", "yes"))
    before = jax.tree.map(np.array, nnx.state(encoder.module))
    batches = Epochs(encoder, encoder.tokenize(TEXTS), np.array([1] * 4 + [0] * 4, np.int32), tokens=32, seed=0)
    recipe = Recipe(9, rate=1e-2, warmup=2)
    said = []

    def stopping(step):
        if step == 5:
            raise KeyboardInterrupt
        return batches(step)

    def run(batches, folder):
        return fit(encoder.module, classification_loss, batches, recipe, tmp_path / folder, report=said.append)

    whole = run(batches, "whole")
    with pytest.raises(KeyboardInterrupt):
        _ = run(stopping, "stopped")
    resumed = run(batches, "stopped")
    assert any("going on from step 5 of 9" in line for line in said)
    moved = []
    for one, two, old in zip(
        *map(jax.tree.leaves, (nnx.state(whole.module), nnx.state(resumed.module), before)), strict=True
    ):
        np.testing.assert_array_equal(one, two)
        moved.append(np.abs(np.asarray(one) - old).max())
    assert max(moved) > 1e-3
    # The losses and the time of what ran before the stop are not lost.
    np.testing.assert_array_equal(whole.losses, resumed.losses)
    assert np.isfinite(resumed.losses).all()
    assert resumed.seconds > 0
    # The module that was handed in is as it was.
    for now, old in zip(jax.tree.leaves(nnx.state(encoder.module)), jax.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(now, old)


@pytest.mark.parametrize(
    ("task", "architecture", "settings"),
    [
        ("sst2", "BertForSequenceClassification", ["--epochs", "20", "--tokens", "128", "--rate", "0.003"]),
        ("squad", "BertForQuestionAnswering", ["--epochs", "4", "--tokens", "320", "--rate", "0.01"]),
    ],
)
def test_quick_run_leaves_a_folder_that_transformers_loads(tiny, tmp_path, capsys, task, architecture, settings):
    arguments = [task, "--quick", "--model", str(tiny), "--out", str(tmp_path / "run"), *settings]
    assert main(arguments) == 0
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    losses = [loss for _, loss in record["losses"]]
    assert losses[-1] < losses[0]
    assert record["steps"] == record["losses"][-1][0]
    assert record["tokens_a_second"] > 0
    assert str(tmp_path) not in json.dumps(record)
    if task == "sst2":
        # Six adjectives decide; held-out phrases are those trained on.
        assert record["measures"]["accuracy"] == 1
        assert record["data"]["held_out"] == 32

    encoder = load_model(tmp_path / "run" / "model")
    model = getattr(transformers, architecture).from_pretrained(tmp_path / "run" / "model").eval()
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    texts, pairs = (
        (["a very ugly key", "the lamp is fine ."], None)
        if task == "sst2"
        else (["which thing is on the shelf ?"], ["the key is on the table . the cup is on the shelf ."])
    )
    with torch.no_grad():
        found = model(**words(texts, pairs, padding=True, return_tensors="pt", return_token_type_ids=True))
    theirs = found.logits if task == "sst2" else torch.stack([found.start_logits, found.end_logits], -1)
    for row, ours in enumerate(logits_of(encoder, encoder.tokenize(texts, pairs))):
        np.testing.assert_allclose(ours, theirs[row, : len(ours)], atol=1e-4)
    if task == "sst2":
        assert [model.config.id2label[int(row.argmax())] for row in theirs] == ["negative", "positive"]

    # The same command reads what there is; another run does not go into the same folder.
    _ = capsys.readouterr()
    assert main(arguments) == 0
    assert "was trained before" in capsys.readouterr().out
    assert main([*arguments, "--seed", "1"]) == 2
    assert "with another seed (0, not 1)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("task", ["snli", "paraphrase"])
def test_quick_run_of_pairs(tiny, tmp_path, task):
    arguments = [task, "--quick", "--model", str(tiny), "--out", str(tmp_path), "--epochs", "8", "--tokens", "160"]
    assert main([*arguments, "--rate", "0.005"]) == 0
    record = json.loads((tmp_path / "training.json").read_text())
    confusion = np.array([list(row.values()) for row in record["measures"]["confusion"].values()])
    assert confusion.sum() == record["data"]["held_out"]
    assert record["measures"]["accuracy"] == pytest.approx(confusion.trace() / confusion.sum(), rel=1e-5)
    losses = [loss for _, loss in record["losses"]]
    assert losses[-1] < losses[0]
    if task == "snli":
        assert record["data"]["without_gold_label"] == 2
        assert record["measures"]["accuracy"] > record["measures"]["always_the_most_frequent"]


def test_answers_are_found_in_whole_passages(tiny, tmp_path):
    """A model that points at a thing by its word alone answers from whichever window holds it."""
    make_squad(tmp_path)
    train, held, facts = read_squad(tmp_path / FILE)
    assert (len(train), len(held), facts["unanswerable_left_out"]) == (36, 12, 24)
    encoder = with_head(load_model(tiny), SQUAD.head)
    prepared = SQUAD.prepare(encoder, tmp_path, Sizes())
    for question, encoding, (start, end, first, last) in zip(
        train, prepared.encodings, prepared.targets.tolist(), strict=True
    ):
        assert encoding.tokens[start : end + 1] == tuple(question.gold[0].split())
        assert {encoding.source[place] for place in range(first, last + 1)} == {1}
        assert encoding.source[first - 1] == encoding.source[last + 1] == -1
    passages = {question.context: passage_of(encoder, question.context) for question in held}
    for question, answer in zip(held, answers(encoder, held, passages), strict=True):
        assert answer
        assert answer in question.context


def test_bad_input_is_one_line(tiny, tmp_path, capsys):
    def said(*arguments):
        assert main([*arguments, "--model", str(tiny)]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        return message

    out = ["--out", str(tmp_path / "run")]
    assert "--data must name" in said("snli", *out)
    for task in ("sst2", "snli", "squad", "paraphrase"):
        assert "does not exist" in said(task, "--data", str(tmp_path), "--out", str(tmp_path / task))
    assert "`epochs` must be more than 0, got 0" in said("sst2", "--data", str(tmp_path), *out, "--epochs", "0")
    (tmp_path / "file").touch()
    assert "name another" in said("sst2", "--quick", "--out", str(tmp_path / "file"))


def test_made_words_are_all_known(tiny):
    encoder = load_model(tiny)
    (encoding,) = encoder.tokenize([" ".join((*GOOD, *BAD, *THINGS))])
    assert encoding.tokens[1:-1] == (*GOOD, *BAD, *THINGS)
