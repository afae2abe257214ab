"""Encoder-decoders of transformers as they stand: against NumPy and OR-Tools on torch's own attention."""

import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.models.fingerprint import tokenizer_fingerprint
from tests.flow.oracles import all_pairs
from tests.graph.encoder_decoder_oracle import by_hand, products
from tests.models.test_torch_model import TABLE, described, torch_model
from tests.models.torch_architectures import ARCHITECTURES, WORDS, of

TEXTS = ["the key to the cabinets is on", "keys", "is the table on the key?", "on to the"]
TARGETS = ["is the key", "on table the keys", "keys", "the"]
FAST = ("T5", "BART")
PAIRED = [each for each in ARCHITECTURES if each.kind == "AutoModelForSeq2SeqLM" or each.title.startswith("BART ")]
SIDES = ("encoder", "decoder", "cross")


@pytest.fixture(autouse=True)
def quiet():
    transformers.utils.logging.set_verbosity_error()


def alone(model, example, *, gradient=False):
    """Torch's outputs for one text by itself, read by the ids of its tokens."""
    ids = WORDS.convert_tokens_to_ids(list(example.tokens))
    first = example.first_target
    sources, targets = torch.tensor([ids[:first]]), torch.tensor([ids[first:]])
    with torch.set_grad_enabled(gradient):
        return model(input_ids=sources, decoder_input_ids=targets, output_attentions=True, use_cache=False)


def parts_of(outputs):
    """The three attentions of one text, `layer head query key`."""
    return tuple(torch.stack(outputs[f"{side}_attentions"], 1)[0].detach().numpy() for side in SIDES)


@pytest.mark.parametrize(
    "architecture",
    [pytest.param(each, id=each.title, marks=() if each.title in FAST else pytest.mark.slow) for each in PAIRED],
)
def test_sources_and_targets_are_one_graph_of_torchs_attention(architecture):
    ours, row = described(architecture)
    assert row in TABLE
    if ours is None:
        return
    result = jf.attribute(ours, TEXTS, pairs=TARGETS)
    assert result.certified_share == 1
    assert result.layer_names[ours.layers] == "decoder 2 cross"
    for text, target, example in zip(TEXTS, TARGETS, result, strict=True):
        assert (example.text, example.pair) == (text, target)
        # What the tokenizer adds to the targets' front is read, and their end only predicted.
        assert example.targets[-1] != "[SEP]"
        assert example.queries.tolist() == [len(example.tokens) - 1]
        outputs = alone(ours.model, example)
        encoder, decoder, cross = parts_of(outputs)
        sources = encoder.shape[-1]
        expected = np.concatenate([each[-1] for each in products(encoder, decoder, cross)])
        np.testing.assert_allclose(example.relevance["rollout"][-1, 0], expected, atol=1e-5)
        np.testing.assert_allclose(example.relevance["raw"][-1, 0, :sources], cross[-1].mean(0)[-1], atol=1e-5)
        capacity = by_hand(encoder, decoder, cross)
        for layer in (len(encoder), len(capacity)):
            flow = all_pairs(capacity, layer)[-1]
            np.testing.assert_allclose(example.relevance["flow"][layer - 1, 0], flow, atol=3e-6)
        if ours.labels is not None:
            # What the last target predicts.
            chances = torch.softmax(outputs.logits[0, -1], -1).numpy()
            assert example.prediction == ours.labels[int(chances.argmax())]
            known = [chances[ours.labels.index(label)] for label in example.scores]
            np.testing.assert_allclose(list(example.scores.values()), known, atol=1e-5)


@pytest.fixture(scope="module")
def bart():
    return torch_model(of("BART").make(), new_tokens=4)


def by_gradient(outputs, number, example):
    """Capacities, layer by layer, of what raises a number, with own streams of 1; and their product from below."""
    taken = tuple(layer for side in SIDES for layer in outputs[f"{side}_attentions"])
    owed = [
        (slope * each).clamp(min=0)[0].mean(0).detach().numpy().astype(np.float64)
        for slope, each in zip(torch.autograd.grad(number, taken, retain_graph=True), taken, strict=True)
    ]
    encoder, decoder, cross = owed[:2], owed[2:4], owed[4:]
    sources, tokens = example.first_target, len(example.tokens)
    blocks = [(each, slice(sources), slice(sources)) for each in encoder]
    for own, across in zip(decoder, cross, strict=True):
        blocks.append((own, slice(sources, None), slice(sources, None)))
        blocks.append((across, slice(sources, None), slice(sources)))
    capacity = np.tile(np.eye(tokens), (len(blocks), 1, 1))
    rolled = np.eye(tokens)
    for layer, (block, rows, columns) in zip(capacity, blocks, strict=True):
        layer[rows, columns] += block
        rolled = layer @ rolled
    return capacity, rolled


def test_the_next_target_is_explained_through_all_three_attentions(bart):
    # Of the likeliest token, and of one that is named.
    for target in (None, "table"):
        result = jf.attribute(
            bart,
            TEXTS,
            pairs=TARGETS,
            mixing=jf.mixing.AttentionGradient(own="identity"),
            target=target,
            methods=("rollout", "flow"),
        )
        for example in result:
            outputs = alone(bart.model, example, gradient=True)
            logits = outputs.logits[0, -1]
            number = logits.max() if target is None else logits[WORDS.convert_tokens_to_ids(target)]
            capacity, rolled = by_gradient(outputs, number, example)
            np.testing.assert_allclose(example.relevance["rollout"][-1, 0], rolled[-1], atol=1e-5)
            flow = all_pairs(capacity, len(capacity))[-1]
            np.testing.assert_allclose(example.relevance["flow"][-1, 0], flow, atol=1e-5)


def test_wide_own_streams_bind_no_flow_where_a_stream_does_not_move(bart):
    wide = jf.attribute(bart, TEXTS, pairs=TARGETS, mixing="attention-gradient", methods="flow", layers=bart.layers)
    graph = jf.build_graph(bart, TEXTS, "attention-gradient", pairs=TARGETS)
    for index, example in enumerate(wide):
        capacity = np.asarray(graph.capacity[index], np.float64)
        # Own streams of any larger size give the same flow to other positions.
        diagonal = np.eye(capacity.shape[-1]) * 1e3 * capacity.max()
        flow = all_pairs(capacity + diagonal, len(capacity))[len(example.tokens) - 1, : len(example.tokens) - 1]
        np.testing.assert_allclose(example.relevance["flow"][0, 0, :-1], flow, atol=1e-5 * capacity.max())


def test_targets_are_written_where_none_are_given(bart):
    result = jf.attribute(bart, TEXTS, methods="rollout")
    for example in result:
        ids = torch.tensor([WORDS.convert_tokens_to_ids(list(example.sources))])
        made = [bart.model.config.decoder_start_token_id]
        # The likeliest token, again and again.
        while len(made) < len(example.targets):
            with torch.no_grad():
                logits = bart.model(input_ids=ids, decoder_input_ids=torch.tensor([made]), use_cache=False).logits
            made.append(int(logits[0, -1].argmax()))
        assert example.targets == tuple(WORDS.convert_ids_to_tokens(made))
        assert 1 < len(example.targets) <= 5
        assert example.pair == WORDS.decode(made[1:], skip_special_tokens=True).strip()
    given = jf.attribute(bart, TEXTS, pairs=TARGETS, methods="rollout")
    assert [each.pair for each in given] == TARGETS


def test_a_decoder_that_is_deeper_than_its_encoder_writes_its_targets():
    _ = torch.manual_seed(0)
    config = {"vocab_size": len(WORDS), "d_model": 16, "d_kv": 8, "d_ff": 24, "num_heads": 2}
    made = transformers.T5Config(**config, num_layers=1, num_decoder_layers=3, decoder_start_token_id=0)
    model = torch_model(transformers.T5ForConditionalGeneration(made).eval(), new_tokens=3)
    (example,) = jf.attribute(model, TEXTS[:1], methods="rollout")
    ids, read = (torch.tensor([WORDS.convert_tokens_to_ids(list(part))]) for part in (example.sources, example.targets))
    with torch.no_grad():
        likeliest = model.model(input_ids=ids, decoder_input_ids=read).logits[0].argmax(-1)
    assert read.shape[1] > 1
    assert read[0, 1:].tolist() == likeliest[:-1].tolist()


def test_every_target_is_explained_by_the_position_that_predicted_it(bart):
    whole = jf.attribute(bart, TEXTS, pairs=TARGETS, queries=None, methods=("raw", "rollout"))
    answered = jf.attribute(bart, TEXTS, pairs=TARGETS, queries="answer", methods=("raw", "rollout"))
    mixing = jf.mixing.AttentionGradient(own="identity")
    explained = jf.attribute(bart, TEXTS, pairs=TARGETS, queries="answer", mixing=mixing, methods="rollout")
    for all_, some, own in zip(whole, answered, explained, strict=True):
        assert [some.tokens[place] for place in some.answer] == [each for each in some.targets if each != "[CLS]"]
        assert (some.first_target, some.targets) == (own.first_target, own.targets) == (all_.first_target, all_.targets)
        for name, relevance in some.relevance.items():
            np.testing.assert_allclose(relevance, all_.relevance[name][:, some.answer - 1], atol=1e-6)
        # Class-specific, of each target its own logit at the position before.
        outputs = alone(bart.model, all_, gradient=True)
        for row, place in enumerate(some.answer):
            position = place - 1 - all_.first_target
            logit = outputs.logits[0, position, WORDS.convert_tokens_to_ids(all_.tokens[place])]
            _, rolled = by_gradient(outputs, logit, all_)
            np.testing.assert_allclose(own.relevance["rollout"][-1, row], rolled[place - 1], atol=1e-5)
    written = jf.attribute(bart, TEXTS, queries="answer", methods="rollout")
    assert all(len(each.answer) for each in written)


def test_the_start_and_the_end_of_targets_are_those_of_training():
    # mBART's targets end in the name of a language, which stands first in what the decoder reads.
    _ = torch.manual_seed(0)
    for title in ("BART", "mBART", "Marian", "Pegasus"):
        model = torch_model(of(title).make())
        (encoding,) = model.tokenize(["the key"], ["is on"])
        labels = WORDS("is on")["input_ids"]
        read = model.model.prepare_decoder_input_ids_from_labels(torch.tensor([labels]))[0].tolist()
        assert list(encoding.input_ids[4:]) == read


def test_a_tokenizer_without_places_finds_them_in_the_text(tmp_path):
    _ = torch.manual_seed(0)
    config = {"vocab_size": 384, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    made = transformers.T5Config(**config, decoder_start_token_id=0)
    tokenizer = transformers.ByT5Tokenizer()
    model = torch_model(transformers.T5ForConditionalGeneration(made).eval(), tokenizer)
    (example,) = jf.attribute(model, ["a key"], pairs=["le clé"], methods="rollout")
    assert example.sources == ("a", " ", "k", "e", "y", "</s>")
    assert example.targets[:6] == ("<pad>", "l", "e", " ", "c", "l")
    assert example.offsets[:6] == ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (-1, -1))
    with pytest.raises(InputError, match=r"`pairs\[0\]` must have at most 3 tokens"):
        _ = jf.attribute(model, ["a k"], pairs=["too long"], max_length=4)
    # A sweep knows it again by its vocabulary.
    rows = [{"text": "a key", "to": "le clé"}]
    for _ in range(2):
        store = jf.run_sweep(model, rows, tmp_path, column="text", pair_column="to", methods="rollout")
    np.testing.assert_allclose(next(iter(store)).relevance["rollout"], example.relevance["rollout"], atol=1e-6)
    known = tokenizer_fingerprint(tokenizer)
    assert known == tokenizer_fingerprint(transformers.ByT5Tokenizer())
    assert known != tokenizer_fingerprint(transformers.ByT5Tokenizer(extra_ids=7))


def test_frozen_parameters_and_training_are_left_as_they_are(bart):
    _ = bart.model.requires_grad_(False).train()
    frozen = jf.attribute(bart, TEXTS[:1], pairs=TARGETS[:1], mixing="attention-gradient", methods="raw")[0]
    assert bart.model.training
    _ = bart.model.requires_grad_(True).eval()
    free = jf.attribute(bart, TEXTS[:1], pairs=TARGETS[:1], mixing="attention-gradient", methods="raw")[0]
    np.testing.assert_array_equal(frozen.relevance["raw"], free.relevance["raw"])
    assert frozen.relevance["raw"].max() > 0


def test_a_sweep_of_pairs(bart, tmp_path):
    rows = [{"text": text, "to": target} for text, target in zip(TEXTS, TARGETS, strict=True)]
    store = jf.run_sweep(bart, rows, tmp_path / "results", column="text", pair_column="to", methods="rollout")
    expected = jf.attribute(bart, TEXTS, pairs=TARGETS, methods="rollout")
    assert store.manifest["encoder_layers"] == 2
    for ours, other in zip(store, expected, strict=True):
        assert (ours.targets, ours.queries.tolist()) == (other.targets, other.queries.tolist())
        np.testing.assert_allclose(ours.relevance["rollout"], other.relevance["rollout"], atol=1e-6)


def refused(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert len(str(caught.value).splitlines()) == 1


def test_what_an_encoder_decoder_cannot_do_gets_one_line(bart):
    bare = torch_model(of("BART without a head").make())
    refused(lambda: jf.attribute(bare, TEXTS), "`pairs` must hold the targets of each text.*as `pairs`")
    refused(lambda: jf.attribute(bart, TEXTS, pairs=["the"]), "`pairs` must have one text for each of the 4 `texts`")
    refused(lambda: jf.attribute(bart, TEXTS, pairs=["", *"abc"]), r"`pairs\[0\]` must be a text that is not empty")
    refused(lambda: jf.attribute(bart, ["the " * 40], pairs=["a"]), r"`texts\[0\]` must have at most 32 tokens")
    refused(lambda: jf.attribute(bart, TEXTS, mixing="norms"), "`mixing` must")
    refused(lambda: jf.attribute(bart, TEXTS, layers=7), "layers")
    refused(lambda: jf.explore(bare, TEXTS), "`pairs` must hold the targets of each text")
    for wrong in ("x", 0, -1, None):
        refused(lambda wrong=wrong: jf.TorchModel(bart.model, WORDS, new_tokens=wrong), "`new_tokens` must be a whole")
    refused(lambda: bart.write(TEXTS, 0), "`new_tokens` must be a whole number, 1 or more, got 0")
    whisper = of("Whisper").make()
    refused(lambda: jf.TorchModel(whisper, WORDS), "reads input_features.*jaxflow.attribute_attention.*target_tokens")
