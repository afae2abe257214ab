"""T5 and BART in JAX, against transformers' on the same weights."""

import json

import jax
import numpy as np
import pytest
import torch
import transformers
from flax import nnx
from safetensors.numpy import load_file, save_file

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.cli import main as cli
from jaxflow.models import ForwardOptions
from jaxflow.models.encoder_decoder.export import export_pair_weights
from jaxflow.pages.explorer import explorer_data
from tests.models.test_torch_model import torch_model
from tests.models.torch_architectures import BART, T5, WORDS
from tests.pages.test_page import Page

TEXTS = ["the key to the cabinets is on", "keys", "is the table on the key?", "on to the"]
TARGETS = ["is the key", "on table the keys", "keys", "the"]
START = {"decoder_start_token_id": 0}
KINDS = {
    "T5": ("T5ForConditionalGeneration", "T5Config", T5 | START | {"relative_attention_num_buckets": 8}),
    "T5 gated": (
        "T5ForConditionalGeneration",
        "T5Config",
        T5 | START | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_decoder_layers": 1},
    ),
    "T5 bare": (
        "T5Model",
        "T5Config",
        T5 | START | {"relative_attention_max_distance": 6, "relative_attention_num_buckets": 8},
    ),
    "BART": (
        "BartForConditionalGeneration",
        "BartConfig",
        BART | {"init_std": 0.1, "scale_embedding": True, "decoder_ffn_dim": 20},
    ),
    "BART bare": ("BartModel", "BartConfig", BART | {"decoder_layers": 1}),
}


def made(kind, folder):
    """A model of transformers with random weights, norms and biases too, saved with its tokenizer."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    _ = torch.manual_seed(5)
    name, config, changes = KINDS[kind]
    model = getattr(transformers, name)(getattr(transformers, config)(**changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.normal_()
    model.save_pretrained(folder)
    _ = WORDS.save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A model of each kind, of transformers and ours, made when it is first asked for."""
    known = {}

    def of(kind):
        if kind not in known:
            folder = tmp_path_factory.mktemp("model")
            known[kind] = torch_model(made(kind, folder)), jf.load_model(folder), folder
        return known[kind]

    return of


@pytest.mark.parametrize(
    "kind", [each if each == "T5" else pytest.param(each, marks=pytest.mark.slow) for each in KINDS]
)
def test_attention_and_logits_are_transformers(both, kind):
    theirs, ours, _ = both(kind)
    assert (ours.encoder_layers, ours.layers, ours.heads) == (theirs.encoder_layers, theirs.layers, theirs.heads)
    encodings = ours.tokenize(TEXTS, TARGETS)
    # The same tokens, the decoder's first one included.
    assert encodings == theirs.tokenize(TEXTS, TARGETS)
    # One batch of different lengths, padded beyond the last position; and texts alone, which transformers reads.
    batch = ours.pad(encodings, 40)
    hidden, _ = ours.module.run(batch, lambda carry, layer: carry, None, ForwardOptions())
    recorded = theirs.record(batch, (), frozenset({"logits"}))

    graph = jf.build_graph(ours, TEXTS, pairs=TARGETS)
    expected = jf.build_graph(theirs, TEXTS, pairs=TARGETS)
    np.testing.assert_allclose(graph.weights, expected.weights, atol=1e-5)
    np.testing.assert_array_equal(graph.own, expected.own)
    if ours.head.name == "next_token":
        np.testing.assert_allclose(ours.module.logits(hidden, batch), recorded.scores, atol=1e-4)


@pytest.mark.parametrize("kind", ["T5", pytest.param("BART", marks=pytest.mark.slow)])
def test_every_head_and_its_gradient_are_transformers(both, kind):
    theirs, ours, _ = both(kind)
    asked = {"pairs": TARGETS, "mixing": jf.mixing.Attention(heads="max"), "methods": ("raw", "rollout")}
    results = [jf.attribute(model, TEXTS, **asked) for model in (ours, theirs)]
    assert results[0].layer_names == results[1].layer_names
    for our, their in zip(*results, strict=True):
        assert (our.tokens, our.first_target) == (their.tokens, their.first_target)
        assert our.prediction == their.prediction
        for name, expected in their.relevance.items():
            np.testing.assert_allclose(our.relevance[name], expected, atol=1e-5, err_msg=name)
    mixing = jf.mixing.AttentionGradient(own="identity")
    weights, expected = (jf.build_graph(model, TEXTS, mixing, pairs=TARGETS).weights for model in (ours, theirs))
    # Gradients are of any size: relative to the largest.
    scale = float(np.abs(expected).max())
    assert scale > 0
    np.testing.assert_allclose(weights / scale, expected / scale, atol=1e-5)


@pytest.mark.parametrize("kind", ["T5", pytest.param("BART", marks=pytest.mark.slow)])
def test_targets_are_written_as_transformers_writes_them(both, kind):
    theirs, ours, _ = both(kind)
    # Without the token that transformers forces at the end, which no pass gives.
    theirs.model.generation_config.forced_eos_token_id = None
    assert [each.tokens for each in ours.tokenize(TEXTS[:2])] == [each.tokens for each in theirs.tokenize(TEXTS[:2])]
    # As texts, in the order in which they came, of as many tokens as asked for.
    written = jf.generate(ours, TEXTS, new_tokens=5)
    assert written == jf.generate(theirs, TEXTS, new_tokens=5)
    assert len(written) == len(TEXTS)
    assert jf.generate(ours, TEXTS[0], new_tokens=5) == written[:1]
    assert written != jf.generate(ours, TEXTS, new_tokens=1)


@pytest.mark.parametrize("kind", ["T5", pytest.param("BART bare", marks=pytest.mark.slow)])
def test_the_explorer_shows_sources_and_targets_as_one_sequence(both, tmp_path, kind):
    theirs, ours, _ = both(kind)
    attributed = jf.attribute(ours, TEXTS, pairs=TARGETS, methods="rollout", queries=None)
    for model in (ours, theirs):
        exploration = jf.explore(model, TEXTS, pairs=TARGETS, methods=("raw", "rollout"))
        for shown, example, target in zip(exploration.sides[0].examples, attributed, TARGETS, strict=True):
            assert shown.tokens == example.tokens
            assert shown.prediction == example.prediction
            np.testing.assert_allclose(shown.relevance["rollout"], example.relevance["rollout"], atol=1e-5)
            assert target in (shown.pair or "")
        # The last target predicts; a source's own stream passes the decoder's layers whole, which shows nothing.
        assert explorer_data(exploration)["last"]
    jf.write_page(exploration, tmp_path / "explorer.html")
    with pytest.raises(InputError, match=r"`other` must be left out beside an encoder-decoder"):
        jf.explore(ours, TEXTS, other=theirs, pairs=TARGETS)


def test_the_command_explores_it(both, tmp_path, capsys):
    _, ours, folder = both("T5")
    given = ["--model", str(folder), "--text", TEXTS[0], "--pair", TARGETS[0]]
    assert cli.main(["explore", *given, "--out", str(tmp_path / "page.html")]) == 0
    assert "1 text" in capsys.readouterr().out
    shown = Page((tmp_path / "page.html").read_text("utf-8")).data()
    assert shown["methods"] == ["raw", "rollout", "flow"]
    assert shown["sentences"][0]["sides"][0]["tokens"] == list(ours.tokenize(TEXTS[:1], TARGETS[:1])[0].tokens)


def test_a_model_without_a_head_writes_nothing(both):
    for model in both("T5 bare")[:2]:
        with pytest.raises(InputError, match=r"`model` must be a decoder or an encoder-dec.*head") as caught:
            _ = jf.generate(model, TEXTS)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_half_precision_is_near(both):
    _, ours, folder = both("T5")
    half = jf.load_model(folder, dtype="bfloat16")
    first, second = (jf.attribute(model, TEXTS, pairs=TARGETS, methods="rollout") for model in (ours, half))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one.relevance["rollout"], other.relevance["rollout"], atol=0.1)


@pytest.mark.parametrize(
    "kind", ["T5", *(pytest.param(each, marks=pytest.mark.slow) for each in KINDS if each != "T5")]
)
def test_exported_weights_are_those_that_transformers_wrote(both, kind):
    _, ours, folder = both(kind)
    # Bare checkpoints have no prefix, and a head that repeats the word embeddings is not written again.
    stored = {key.removeprefix("model."): each for key, each in load_file(folder / "model.safetensors").items()}
    exported = export_pair_weights(ours.module)
    assert len(exported) == len(jax.tree.leaves(unstacked(ours.module)))
    for key, array in exported.items():
        np.testing.assert_array_equal(array, stored[key.removeprefix("model.")], err_msg=key)


def unstacked(module):
    """A module's parameters, one array for each layer where layers are stacked."""
    flat = nnx.to_flat_state(nnx.state(module))
    return [list(value.get_value()) if "layers" in path else value.get_value() for path, value in flat]


def test_a_checkpoint_is_loaded_totally(both, tmp_path):
    _, _, folder = both("T5")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        _ = (tmp_path / name).write_bytes((folder / name).read_bytes())
    tensors = load_file(folder / "model.safetensors")
    lost = "decoder.block.1.layer.1.EncDecAttention.q.weight"
    for changed, message in (
        ({key: each for key, each in tensors.items() if key != lost}, f"got no '{lost}'"),
        (tensors | {"decoder.block.7.odd": np.zeros(1, np.float32)}, "got 1 more, such as 'decoder.block.7.odd'"),
        (tensors | {lost: tensors[lost][:-1]}, "of 256 numbers, got shape"),
    ):
        save_file(changed, tmp_path / "model.safetensors")
        with pytest.raises(InputError, match=message) as caught:
            _ = jf.load_model(tmp_path)
        assert len(str(caught.value).splitlines()) == 1
    save_file(tensors, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text())
    _ = (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["T5ForTokenClassification"]}))
    with pytest.raises(InputError, match=r"architectures.*T5ForTokenClassification.*jaxflow\.TorchModel"):
        _ = jf.load_model(tmp_path)
