"""Targets that encoder-decoders write themselves: how many, and those without a word; of torch and of our own."""

import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.cli import main as cli
from jaxflow.inputs.rows import row_of
from jaxflow.sweep.shards import Cut, encode, settled_lengths
from tests.graph.encoder_decoder_oracle import products
from tests.models.test_torch_model import torch_model
from tests.models.test_torch_pairs import alone, parts_of
from tests.models.torch_architectures import BART, WORDS
from tests.models.torch_architectures import of as architecture

TEXTS = ["the key to the cabinets", "keys"]
START, END, UNKNOWN = (WORDS.convert_tokens_to_ids(token) for token in ("[CLS]", "[SEP]", "[UNK]"))
KINDS = ("torch", "own")
DATES = "experiments/source_target/weights"


@pytest.fixture(scope="module")
def bart(tmp_path_factory):
    """A random BART that writes what a bias on its logits makes it write, of both kinds, made when first asked for."""
    known = {}

    def of(kind, favoured=None, seed=5):
        if (favoured, seed) not in known:
            transformers.utils.logging.set_verbosity_error()
            transformers.utils.logging.disable_progress_bar()
            _ = torch.manual_seed(seed)
            ids = {"decoder_start_token_id": START, "eos_token_id": END, "forced_eos_token_id": None}
            config = transformers.BartConfig(**BART, **ids)
            model = transformers.BartForConditionalGeneration(config).eval()
            bias = model.final_logits_bias[0]
            # Without an end, so that the number of tokens alone ends what is written.
            bias[END] = -100
            if favoured is not None:
                bias[favoured] = 100
            folder = tmp_path_factory.mktemp("bart")
            model.save_pretrained(folder)
            _ = WORDS.save_pretrained(folder)
            known[favoured, seed] = torch_model(model, new_tokens=4), jf.load_model(folder), folder
        return known[favoured, seed][KINDS.index(kind)]

    of.folder = lambda: known[None, 5][2]
    return of


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("favoured", "options", "read"), [(END, {}, ["[SEP]"]), (UNKNOWN, {"new_tokens": 2}, ["[UNK]", "[UNK]"])]
)
def test_an_answer_without_a_word_is_explained_as_the_token_that_ended_it(bart, kind, favoured, options, read):
    model, torchs = bart(kind, favoured), bart("torch", favoured).model
    ask = {"queries": "answer", "methods": ("raw", "rollout"), **options}
    result = jf.attribute(model, TEXTS, **ask)
    assert [example.text for example in result] == TEXTS
    for example in result:
        assert example.targets == ("[CLS]", *read)
        # One token is explained, where torch itself predicts it.
        assert example.answer_tokens == (read[-1],)
        assert example.pair == read[-1]
        assert (example.queries.tolist(), example.answer.tolist()) == (
            [len(example.tokens) - 2],
            [len(example.tokens) - 1],
        )
        outputs = alone(torchs, example)
        assert int(outputs.logits[0, -2].argmax()) == WORDS.convert_tokens_to_ids(read[-1])
        encoder, decoder, cross = parts_of(outputs)
        expected = np.concatenate([each[-2] for each in products(encoder, decoder, cross)])
        np.testing.assert_allclose(example.relevance["rollout"][-1, 0], expected, atol=1e-5)
    # Of its own logit, by a pass of its own.
    (explained, _) = jf.attribute(model, TEXTS, **ask | {"mixing": "attention-gradient", "methods": "rollout"})
    assert explained.answer_tokens == (read[-1],)
    assert np.isfinite(explained.relevance["rollout"]).all()
    # Where no answer is asked for, nothing is read that was not read before.
    assert jf.generate(model, TEXTS, **options) == ["", ""]
    (last, _) = jf.attribute(model, TEXTS, methods="raw", **options)
    assert (last.targets, last.pair) == (("[CLS]", *(read if favoured == UNKNOWN else [])), "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_keeps_answers_without_a_word(bart, kind, tmp_path):
    model = bart(kind, END)
    ask = {"queries": "answer", "methods": "rollout"}
    store = jf.run_sweep(model, TEXTS, tmp_path / "out", **ask)
    for row, example in zip(store, jf.attribute(model, TEXTS, **ask), strict=True):
        assert (row.text, row.pair, row.tokens) == (example.text, example.pair, example.tokens)
        assert row.answer.tolist() == example.answer.tolist()
        np.testing.assert_allclose(row.relevance["rollout"], example.relevance["rollout"], atol=1e-6)


def test_a_given_answer_without_a_word_is_refused_in_one_line():
    _ = torch.manual_seed(0)
    config = {"vocab_size": 384, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    made = transformers.T5ForConditionalGeneration(transformers.T5Config(**config, decoder_start_token_id=0)).eval()
    model = torch_model(made, transformers.ByT5Tokenizer())
    ask = {"queries": "answer", "methods": "raw"}
    with pytest.raises(InputError, match=r"^text 1 must have an answer with a token that is no special one") as caught:
        _ = jf.attribute(model, ["a key", "keys"], pairs=["is", "<unk>"], **ask)
    assert len(str(caught.value).splitlines()) == 1
    # A sweep refuses the row, or skips it.
    rows = [row_of(1, "row 1", {"text": "a key", "to": "is"}, "text", "to")]
    rows.append(row_of(2, "row 2", {"text": "keys", "to": "<unk>"}, "text", "to"))
    question = jf.Question(**ask)
    lengths = settled_lengths(model, question, True, None, False, None)
    with pytest.raises(InputError, match=r"row 2 must have an answer with a token that is no special one"):
        _ = encode(model, Cut(0, tuple(rows), last=True), question, lengths, "stop")
    shard = encode(model, Cut(0, tuple(rows), last=True), question, lengths, "skip")
    assert (shard.ids, [row.id for row in shard.skipped]) == ((1,), [2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("queries", ["answer", "last"])
def test_at_most_so_many_targets_are_written_as_asked(bart, kind, queries, tmp_path):
    model = bart(kind)
    ask = {"queries": queries, "methods": "raw"}
    written = [jf.attribute(model, TEXTS, new_tokens=count, **ask) for count in (2, 7)]
    for short, long in zip(*written, strict=True):
        # The likeliest tokens, one after the other: fewer are the beginning of more.
        assert len(short.targets) == 3
        assert len(long.targets) == 8
        assert long.targets[:3] == short.targets
    # Where nothing is said, as many as the model was made for; a model takes 32 with the first one.
    settled = {"torch": 4, "own": 31}[kind]
    assert len(jf.attribute(model, TEXTS[:1], **ask)[0].targets) == 1 + settled
    stores = {
        count: jf.run_sweep(model, TEXTS, tmp_path / str(count), **ask, **({"new_tokens": count} if count else {}))
        for count in (2, None)
    }
    assert [row.targets for row in stores[2]] == [each.targets for each in written[0]]
    assert [len(row.targets) for row in stores[None]] == [1 + settled] * 2
    assert stores[2].manifest["lengths"]["new_tokens"] == 2
    with pytest.raises(InputError, match=r"differs in new_tokens \(there 2, now 3\)"):
        _ = jf.run_sweep(model, TEXTS, tmp_path / "2", new_tokens=3, **ask)
    with pytest.raises(InputError, match="`new_tokens` must be a whole number, 1 or more, got 0"):
        _ = jf.attribute(model, TEXTS, new_tokens=0, **ask)


def test_the_command_writes_so_many_targets(bart, tmp_path):
    expected = jf.attribute(bart("own"), TEXTS[:1], new_tokens=2, methods="raw")
    given = ["--model", str(bart.folder()), "--text", TEXTS[0], "--methods", "raw", "--new-tokens", "2", "--quiet"]
    assert cli.main(["attribute", *given, "--out", str(tmp_path / "out")]) == 0
    assert [row.targets for row in jf.open_sweep(tmp_path / "out")] == [each.targets for each in expected]


def test_a_model_that_writes_another_way_takes_no_number_of_tokens(bart):
    class Another:
        """An encoder-decoder whose `tokenize` alone writes."""

        def __init__(self, model):
            self._model = model

        def __getattr__(self, name):
            if name in ("write", "new_tokens"):
                raise AttributeError(name)
            return getattr(self._model, name)

    model = Another(bart("own"))
    assert len(jf.attribute(model, TEXTS[:1], methods="raw")[0].targets) == 32
    with pytest.raises(InputError, match="`new_tokens` must be left out where a model writes its targets another way"):
        _ = jf.attribute(model, TEXTS, methods="raw", new_tokens=2)


def test_models_that_write_different_targets_are_compared_over_given_ones(bart):
    ask = {"methods": "rollout"}
    with pytest.raises(InputError, match=r"text 0: `pairs` must hold the targets .*got '.*' and '.*'; pass") as caught:
        _ = jf.compare_models(bart("own"), bart("own", seed=6), TEXTS, **ask)
    assert len(str(caught.value).splitlines()) == 1
    encoder = torch_model(architecture("BERT").make())
    pairs = {"layers": [(1, 1)]}
    with pytest.raises(InputError, match=r"text 0: `pairs` must hold the targets .*got '.*' and none; pass"):
        _ = jf.compare_models(bart("own"), encoder, TEXTS, **pairs, **ask)


def test_targets_that_both_models_write_are_compared_as_given_ones():
    model, text = jf.load_model(DATES), "order 12 due the 3rd of March, 2011"
    for units in ("tokens", "words"):
        ask = {"units": units, "methods": "rollout"}
        (own,) = jf.compare_models(model, model, text, **ask)
        (given,) = jf.compare_models(model, model, text, pairs="2011-03-03", **ask)
        assert own.pair == "2011-03-03"
        assert (own.units, own.words, own.word) == (given.units, given.words, given.word)
        np.testing.assert_array_equal(own.a.relevance["rollout"], given.a.relevance["rollout"])
        assert np.abs(own.jensen_shannon).max() == 0
