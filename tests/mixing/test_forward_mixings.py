"""Mixings that need no gradient, against an account in torch of Hugging Face's layers in float64."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow._target import for_tpu
from jaxflow.attribution import Flow, Raw, Rollout
from jaxflow.cli.main import main
from jaxflow.mixing import Alti, AttentionMeasured, Norms, ValueZeroing
from jaxflow.mixing.norms import VARIANTS
from jaxflow.models import ForwardOptions, fetch
from jaxflow.models.batch import used_length
from jaxflow.models.families import ENCODERS
from jaxflow.models.packing import pack
from jaxflow.sweep import shards
from tests.mixing.torch_mixings import measures, shares
from tests.models.conftest import batches, make_batch, tiny, torch_inputs  # noqa: F401
from tests.models.model_from_outside import causal_model
from tests.models.test_families import make
from tests.tiny_text_model import LAYERS, model_folder
from tests.torch_layers import torch_layers

pytestmark = pytest.mark.usefixtures("few_sizes")

FAST = ("bert", "roberta-prelayernorm")
CASES = [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in ENCODERS]
PLAIN = [Norms(variant=variant) for variant in VARIANTS] + [Alti(), ValueZeroing()]


@jax.jit
def measured(module, batch, packing=None):
    """By each mixing: its weights in their size, and its capacities as published; `layer row query key`."""

    def keep(carry, layer):
        sizes = [replace(mixing, rows="sizes").capacities(layer, batch.mask)[0] for mixing in PLAIN]
        return carry, (sizes, [mixing.capacities(layer, batch.mask) for mixing in (*PLAIN, AttentionMeasured())])

    return module.visit_layers(batch, keep, None, ForwardOptions(packing=packing))[-1]


def close(own, other, axes=-1):
    """Within 1e-5 of the largest number of each row, or of the whole layer."""
    other = np.asarray(other)
    largest = np.abs(other).max(axes, keepdims=True)
    error = np.abs(own - other) / np.where(largest == 0, 1, largest)
    assert error.max() <= 1e-5, error.max()


def check_layers(ours, model, batch, inputs, packing=None):
    """All mixings of all layers; padding is 0."""
    sizes, capacities = jax.tree.map(np.asarray, measured(ours.module, batch, packing))
    mask = torch.tensor(np.asarray(batch.mask))
    pairs = (mask[:, :, None] & mask[:, None, :]).numpy()
    for index, layer in enumerate(torch_layers(model, inputs)):
        theirs = measures(layer, mask)
        for mixing, size, (weights, own) in zip(PLAIN, sizes, capacities[:-1], strict=True):
            expected = theirs[mixing.name, getattr(mixing, "variant", "")]
            # States in float32 that differ by d are 1e-7 / d of d apart from those in float64, so that small distances
            # of states (d^2 / 2) cannot be as near in proportion as large ones.
            axes = None if mixing.name == "value-zeroing" else -1
            close(size[index], np.where(pairs, expected, 0), axes)
            close(weights[index], shares(expected, mask), axes)
            assert not own[index].any()
        weights, own = (part[index] for part in capacities[-1])
        diagonal = np.eye(pairs.shape[-1], dtype=bool)
        assert not weights[:, diagonal].any()
        close(weights + own[:, :, None] * diagonal, theirs["attention-measured", ""])


@pytest.mark.parametrize("model_type", CASES)
def test_mixings_equal_torch(tiny, tmp_path, model_type):  # noqa: F811
    model, ours = make(model_type, "bare", tmp_path, tiny)
    batch = make_batch("right", ours.config.pad_id, ours.config.segments)
    mask = np.asarray(batch.mask)
    inputs = torch_inputs(batch, ours.config.segments > 0)
    check_layers(ours, model, batch, inputs, pack(mask, int(mask.sum())) if model_type == "bert" else None)


def test_padding_on_the_left_changes_nothing(tiny, tmp_path):  # noqa: F811
    model, ours = make("bert", "bare", tmp_path, tiny)
    batch = make_batch("left", ours.config.pad_id, ours.config.segments)
    check_layers(ours, model, batch, torch_inputs(batch))


def test_a_loop_over_tokens_asks_no_other_device(tiny, tmp_path):  # noqa: F811
    _, ours = make("bert", "bare", tmp_path, tiny)
    batch = make_batch("right", ours.config.pad_id, ours.config.segments)
    # A length that the numbers tell is an all-reduce where the rows lie on several devices.
    assert used_length(batch.mask) == np.asarray(batch.mask).any(0).sum()
    with for_tpu(4):
        assert used_length(batch.mask) == batch.mask.shape[-1]
        sizes, _ = jax.jit(measured.__wrapped__)(ours.module, batch)
    np.testing.assert_allclose(sizes[-1], measured(ours.module, batch)[0][-1], atol=1e-6)


TEXTS = ("the key to the cabinets is on the table", "is", "unbelievable tables")
NAMES = ("attention-measured", "norms", "alti", "value-zeroing")


@pytest.fixture(scope="module")
def model():
    return jf.load_model(model_folder())


@pytest.fixture(scope="module")
def capacities():
    """Of each text and mixing the capacities of all layers, in torch."""
    folder = model_folder()
    theirs = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def of(text, name, variant=""):
        layers = torch_layers(theirs, tokenizer(text, return_tensors="pt"))
        mask = torch.ones(layers[0].inputs.shape[:2], dtype=bool)
        whole = [measures(layer, mask)[name, variant] for layer in layers]
        return np.stack([(each if name == "attention-measured" else shares(each, mask))[0] for each in whole])

    return of


def assert_relevance(relevance, capacity, *, measured):
    """Raw, rollout and flow of capacities as they follow from them; measured own streams are no part of raw."""
    raw, rollout, flow = relevance
    weights = capacity * (1 - np.eye(capacity.shape[-1])) if measured else capacity
    total = weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(raw, weights / np.where(total == 0, 1, total), atol=2e-5)
    rolled = np.eye(capacity.shape[-1])
    for layer, arcs in enumerate(capacity):
        rolled = arcs @ rolled
        np.testing.assert_allclose(rollout[layer], rolled, atol=2e-5)
    expected = jf.attention_flow(jf.capacity_graph(capacity, None), method="exact")
    np.testing.assert_allclose(flow, expected.value, atol=2e-5)


@pytest.mark.slow
def test_every_mixing_goes_with_every_functional_in_one_pass(model, capacities):
    methods = [
        replace(method, name=f"{method.name} {name}", mixing=name)
        for name in NAMES
        for method in (Raw(), Rollout(), Flow("exact"))
    ]
    result = jf.attribute(model, TEXTS, methods=methods, queries=None)
    for text, example in zip(TEXTS, result, strict=True):
        assert example.certified.all()
        for name in NAMES:
            capacity = capacities(text, name, "N-Enc" if name == "norms" else "")
            relevance = [example.relevance[f"{method} {name}"] for method in ("raw", "rollout", "flow")]
            assert_relevance(relevance, capacity, measured=name == "attention-measured")


def test_a_command_with_options_of_a_mixing_is_resumed_summarized_and_shown(capacities, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)
    texts, out = tmp_path / "texts.txt", tmp_path / "results"
    texts.write_text("\n".join(TEXTS) + "\n")
    command = ["attribute", "--input", str(texts), "--model", str(model_folder()), "--out", str(out), "--quiet"]
    command += ["--mixing", "norms", "--variant", "N-Res", "--queries", "all"]
    assert main(command) == 0
    (out / "__about__" / "part-00001.json").unlink()
    assert main(command) == 0
    results = jf.open_sweep(out)
    assert results.complete
    for text, example in zip(TEXTS, results, strict=True):
        relevance = [example.relevance[method] for method in ("raw", "rollout", "flow")]
        assert_relevance(relevance, capacities(text, "norms", "N-Res"), measured=False)
    words = "norms (own measured, rows auto, variant N-Res)"
    assert results.manifest["question"]["mixing"]["variant"] == "N-Res"
    _ = capsys.readouterr()
    assert main(["summarize", str(out)]) == 0
    assert f"mixing: {words}" in capsys.readouterr().out
    # The default methods have a flow over a mixing of its own.
    assert f'"{words}; attention-gradient (own wide)"' in (out / "__about__" / "report.html").read_text("utf-8")
    # Another variant is another question.
    assert main([*command[:-3], "N", *command[-2:]]) == 2
    assert "differs in variant (there N-Res, now 'N')" in capsys.readouterr().err
    for flags, words in (
        (("--own", "broad"), "--own must be a share in [0, 1], or 'measured' or 'wide', got 'broad'"),
        (("--own", "0.5", "--rows", "sizes"), "--rows must be 'shares' where own streams are a share"),
        (("--variant", "N-Max"), "--variant must be one of 'N', 'N-Res', 'N-ResLN', 'N-Enc', got 'N-Max'"),
        (("--heads", "max"), "--heads must go with a mixing that has it, got 'norms'"),
    ):
        assert main([*command[:-4], *command[-2:], *flags]) == 2
        assert words in capsys.readouterr().err


def test_rows_keep_their_size_or_not_whatever_the_own_stream(model):
    batch = model.pad(model.tokenize(TEXTS))
    sizes, kept, wide, share = (
        jf.build_graph(model, TEXTS, mixing)
        for mixing in (Alti(), Alti(rows="sizes"), Alti(own="wide"), Alti(own=0.25))
    )
    total = np.asarray(kept.weights).sum(-1, keepdims=True)
    np.testing.assert_allclose(sizes.weights, kept.weights / np.where(total == 0, 1, total), atol=1e-6)
    np.testing.assert_array_equal(kept.weights, wide.weights)
    np.testing.assert_allclose(share.weights, 0.75 * sizes.weights, atol=1e-6)
    assert not np.asarray(kept.own).any()
    np.testing.assert_array_equal(share.own, 0.25 * np.asarray(batch.mask)[:, None].repeat(LAYERS, 1))
    assert np.asarray(wide.own)[:, 0, 0].min() > 1
    assert np.asarray(sizes.row_stochastic).all()
    assert np.asarray(share.row_stochastic).all()


def distances_by_hand(layer, tokens):
    """Shares of the cosine distances of a layer's states to those in which nobody attends to one token."""
    columns = []
    for token in range(tokens):
        unseen = layer.rerun(attention=layer.attention.at[..., token].set(0))[0]
        whole, unseen = np.asarray(layer.hidden[0], np.float64), np.asarray(unseen, np.float64)
        columns.append(1 - (whole * unseen).sum(-1) / np.linalg.norm(whole, axis=-1) / np.linalg.norm(unseen, axis=-1))
    distance = np.stack(columns, -1)
    return distance / distance.sum(-1, keepdims=True)


def test_a_model_from_outside_is_asked_only_for_what_it_gives():
    causal = causal_model()
    texts = ["the key to the cabinets is on the table", "keys are"]
    raw = jf.attribute(causal, texts, methods="raw", mixing="value-zeroing", queries=None)
    for text, example in zip(texts, raw, strict=True):
        batch = causal.pad(causal.tokenize([text]))
        # Run by hand, outside of any program: a list grows as the layers come.
        _, layers = causal.module.run(batch, lambda kept, layer: [*kept, layer], [], ForwardOptions())
        for layer, rows in zip(layers, example.relevance["raw"], strict=True):
            np.testing.assert_allclose(rows, distances_by_hand(layer, len(example.tokens)), atol=1e-4)
    with pytest.raises(InputError) as refused:
        jf.attribute(causal, texts, mixing=Norms())
    assert "'norms', which needs norms" in str(refused.value)
    assert "'value-zeroing', 'attention-gradient', 'norms' of variant 'N' or 'N-Res')" in str(refused.value)
    assert "\n" not in str(refused.value)
    # The first two variants pass no norms.
    assert jf.attribute(causal, texts, methods="rollout", mixing=Norms("N-Res")) is not None


REAL = ("The keys to the cabinet are on the table.", "Yes.", "She said that the authors know the man near the window.")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["verb-number", "minilm"])
def test_mixings_of_real_models_equal_torch(name):
    # Fetched where no test did so before: the order of the files is not ours.
    ours = jf.load_model(fetch(name))
    kind = getattr(transformers, ours.source.architectures[0])
    theirs = kind.from_pretrained(ours.source.name_or_path, attn_implementation="eager").eval()
    texts = [" ".join(text.lower().strip(".").split()[:6]) for text in REAL] if name == "verb-number" else REAL
    batch = ours.pad(ours.tokenize(texts))
    check_layers(ours, theirs, batch, torch_inputs(batch, ours.config.segments > 0))
