"""PyTorch models as they stand: against NumPy and OR-Tools on torch's own attention, and against native encoders."""

import copy
import inspect
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.compare import head_importance
from jaxflow.sweep import runner, shards
from tests.attribution.test_attention_in_hand import by_hand
from tests.models.torch_architectures import ARCHITECTURES, WORDS, of
from tests.sweep.sweeping import interrupted_after
from tests.tiny_text_model import model_folder

TEXTS = ("the key to the cabinets is on", "keys", "is the table on the key?", "the key to")
FAST = ("BERT", "ModernBERT", "XLNet", "GPT-2", "Llama")
DOCS = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
TABLE = [row for row in DOCS.split("<!-- PyTorch -->\n")[1].splitlines()[2:] if row.startswith("| ")]


@pytest.fixture(autouse=True)
def quiet():
    transformers.utils.logging.set_verbosity_error()


def torch_model(model, tokenizer=WORDS, **options):
    """Eager attention is switched on with a warning, which has a test of its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*eager attention is switched on", UserWarning)
        return jf.TorchModel(model, tokenizer, **options)


def alone(model, text, tokenizer=WORDS):
    """Torch's outputs for one text by itself."""
    inputs = tokenizer(text, return_tensors="pt")
    taken = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    return model(**taken, output_attentions=True)


def described(architecture):
    """The model, or None where it is refused; and its row of the table in the documentation."""
    made = architecture.make()
    try:
        ours = torch_model(made)
    except InputError as error:
        if len(str(error).splitlines()) != 1:
            raise
        return None, f"| {architecture.title} | no | | {'; '.join(filter(None, (error.got, error.way_out)))} |"
    kind = "encoder-decoder" if ours.encoder_layers else "decoder" if ours.causal else "encoder"
    parts = [part for part in ("gradients", "values", "norms") if part in ours.gives]
    return (
        ours,
        f"| {architecture.title} | yes | {', '.join(parts)} | {kind}{', no head' * (ours.head.name == 'bare')} |",
    )


@pytest.mark.parametrize(
    "architecture",
    # Those of sources and targets have a test of their own, beside this file.
    [
        pytest.param(each, id=each.title, marks=() if each.title in FAST else pytest.mark.slow)
        for each in ARCHITECTURES
        if each.kind != "AutoModelForSeq2SeqLM" and each.title != "BART without a head"
    ],
)
def test_an_architecture_gives_what_torch_gives_or_says_why_not(architecture):
    ours, row = described(architecture)
    assert row in TABLE
    if ours is None:
        return
    result = jf.attribute(ours, TEXTS, queries=None)
    assert result.certified_share == 1
    for text, example in zip(TEXTS, result, strict=True):
        # Texts of different lengths in one batch, each with the numbers that it has alone.
        outputs = alone(ours.model, text)
        attention = torch.stack(outputs.attentions, 1)[0].detach().numpy()
        for name, expected in by_hand(attention, np.ones(attention.shape[-1], bool)).items():
            np.testing.assert_allclose(example.relevance[name], expected, atol=3e-6, err_msg=name)
        if ours.labels is not None:
            # Of a classifier the only row, of a decoder the last token's.
            logits = outputs.logits.reshape(-1, outputs.logits.shape[-1])[-1]
            chances = torch.softmax(logits, -1).detach().numpy()
            assert example.prediction == ours.labels[int(chances.argmax())]
            known = [float(chances[ours.labels.index(label)]) for label in example.scores]
            np.testing.assert_allclose(list(example.scores.values()), known, atol=1e-5)


@pytest.mark.parametrize("title", ["OPT, narrow embeddings", "I-BERT"])
def test_gradients_are_torchs_where_states_are_cut_or_embeddings_come_with_a_scale(title):
    ours = torch_model(of(title).make())
    result = jf.attribute(ours, TEXTS, methods="raw", mixing="attention-gradient", queries=None)
    for text, example in zip(TEXTS, result, strict=True):
        outputs = alone(ours.model, text)
        logits = outputs.logits.reshape(-1, outputs.logits.shape[-1])[-1]
        slopes = torch.autograd.grad(logits.max(), outputs.attentions)
        layers = [
            (each * slope)[0].clamp(min=0).mean(0) for each, slope in zip(outputs.attentions, slopes, strict=True)
        ]
        expected = torch.stack([each / each.sum(-1, keepdim=True).clamp(min=1e-30) for each in layers])
        np.testing.assert_allclose(example.relevance["raw"], expected.detach().numpy(), atol=3e-6)


def test_the_table_in_the_documentation_has_a_row_an_architecture():
    rows = [row.split(" |")[0][2:] for row in TABLE]
    assert rows == [each.title for each in ARCHITECTURES]
    assert sum(" | yes | " in row for row in TABLE) >= 40


def torch_and_native():
    """A model of transformers and the native one, of the same weights."""
    folder = model_folder()
    made = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    return torch_model(made, transformers.AutoTokenizer.from_pretrained(folder)), jf.load_model(folder)


@pytest.fixture(scope="module")
def pair():
    return torch_and_native()


@pytest.fixture(scope="module")
def exact(pair):
    """Torch's in double precision, which tells by how much both are wrong."""
    return torch_model(copy.deepcopy(pair[0].model).double(), pair[0].tokenizer)


@pytest.mark.parametrize(
    "asked",
    [
        {"queries": None},
        {"queries": "classifier", "layers": [3, 1], "mixing": jf.mixing.Attention(heads="max", residual=0.2)},
        {"mixing": "attention-gradient"},
        {"methods": ("random", "position", "column-sums", "widest-path")},
        {"mixing": "norms"},
        {"mixing": "alti", "pairs": TEXTS[::-1]},
        {"mixing": "attention-gradient", "target": "bad", "methods": ("rollout", "raw")},
    ],
    ids=["all", "changed", "gradient", "references", "norms", "pairs", "class"],
)
def test_a_model_of_transformers_is_the_native_one(pair, exact, asked):
    results = [jf.attribute(model, TEXTS, **asked) for model in (*pair, exact)]
    for ours, other, right in zip(*results, strict=True):
        assert (ours.tokens, ours.offsets, ours.source) == (other.tokens, other.offsets, other.source)
        assert ours.prediction == other.prediction
        for found in (ours, other):
            np.testing.assert_allclose(list(found.scores.values()), list(right.scores.values()), atol=1e-5)
            for name, expected in right.relevance.items():
                np.testing.assert_allclose(found.relevance[name], expected, atol=1e-5, err_msg=name)


def test_a_compiled_model_is_taken_as_it_was():
    made = of("BERT").make()
    ours, plain = torch_model(torch.compile(made, backend="eager")), torch_model(made)
    assert (ours.labels, ours.gives) == (plain.labels, plain.gives)
    for one, other in zip(*(jf.attribute(each, TEXTS[:1], methods="raw") for each in (ours, plain)), strict=True):
        np.testing.assert_array_equal(one.relevance["raw"], other.relevance["raw"])


def test_a_sweep_goes_on_with_the_same_weights_alone(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)
    texts = [f"{text} {number}" for number in range(3) for text in TEXTS]
    whole = jf.run_sweep(pair[0], texts, tmp_path / "whole", methods="rollout")
    # Stopped in the middle, and resumed by a model made anew.
    with pytest.raises(runner.Stopped, match="the same call continues"):
        _ = jf.run_sweep(
            pair[0], texts, tmp_path / "part", methods="rollout", batch_size=1, progress=interrupted_after(3)
        )
    folder = model_folder()
    again = transformers.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    again = jf.TorchModel(again, pair[0].tokenizer)
    part = jf.run_sweep(again, texts, tmp_path / "part", methods="rollout", batch_size=4)
    assert len(part) == len(whole) == len(texts)
    for index in range(len(texts)):
        np.testing.assert_allclose(part[index].relevance["rollout"], whole[index].relevance["rollout"], atol=1e-6)
    with torch.no_grad():
        next(again.model.parameters()).add_(0.1)
    with pytest.raises(InputError, match="weights"):
        _ = jf.run_sweep(again, texts, tmp_path / "part", methods="rollout", batch_size=4)


@pytest.fixture(scope="module")
def gpt():
    return torch_model(of("GPT-2").make())


def test_a_decoder_explains_its_next_token(gpt):
    # Of the likeliest token, and of one that is named.
    for target in (None, "table"):
        result = jf.attribute(
            gpt,
            TEXTS,
            queries="last",
            mixing=jf.mixing.AttentionGradient(own=0.5),
            target=target,
            methods=("raw", "rollout"),
        )
        for text, example in zip(TEXTS, result, strict=True):
            outputs = alone(gpt.model, text)
            logits = outputs.logits[0, -1]
            number = logits.max() if target is None else logits[gpt.tokenizer.convert_tokens_to_ids(target)]
            slopes = torch.autograd.grad(number, outputs.attentions)
            owed = torch.stack([slope * each for slope, each in zip(slopes, outputs.attentions, strict=True)])[:, 0]
            weights = owed.clamp(min=0).mean(1).detach().numpy().astype(np.float64)
            total = weights.sum(-1, keepdims=True)
            shares = np.where(total > 0, weights / np.where(total > 0, total, 1), np.eye(weights.shape[-1]))
            capacity = 0.5 * shares + 0.5 * np.eye(weights.shape[-1])
            assert example.queries.tolist() == [len(example.tokens) - 1]
            np.testing.assert_allclose(example.relevance["raw"][:, 0], shares[:, -1], atol=1e-5)
            np.testing.assert_allclose(example.relevance["rollout"][-1, 0], (capacity[1] @ capacity[0])[-1], atol=1e-5)


def test_a_decoder_on_a_page(gpt, tmp_path):
    result = jf.attribute(gpt, TEXTS, queries="last")
    assert all(len(example.scores) == 10 for example in result)
    assert "cabinets" in jf.write_page(result, tmp_path / "report.html").read_text()
    page = jf.write_page(jf.explore(gpt, TEXTS), tmp_path / "explorer.html")
    # Not the whole vocabulary a text.
    assert page.stat().st_size < 2_000_000


def test_frozen_parameters_have_gradients_in_attention_too(pair):
    _ = pair[0].model.requires_grad_(False)
    expected = jf.attribute(pair[1], TEXTS, mixing="attention-gradient", methods="rollout")
    result = jf.attribute(pair[0], TEXTS, mixing="attention-gradient", methods="rollout")
    for ours, other in zip(result, expected, strict=True):
        np.testing.assert_allclose(ours.relevance["rollout"], other.relevance["rollout"], atol=1e-5)
    assert not any(parameter.requires_grad for parameter in pair[0].model.parameters())
    _ = pair[0].model.requires_grad_(True)


def test_a_model_of_sixteen_bits(pair):
    made = transformers.AutoModelForSequenceClassification.from_pretrained(
        model_folder(), attn_implementation="eager", dtype=torch.bfloat16
    )
    half = jf.TorchModel(made, pair[0].tokenizer)
    for text, example in zip(TEXTS, jf.attribute(half, TEXTS, methods="raw", queries=None), strict=True):
        attention = torch.stack(alone(made, text, half.tokenizer).attentions, 1)[0].float().detach().numpy()
        expected = by_hand(attention, np.ones(attention.shape[-1], bool))["raw"]
        # The sums of products of sixteen bits depend on how many texts run together.
        np.testing.assert_allclose(example.relevance["raw"], expected, atol=0.01)


def test_a_model_in_training_is_left_in_training(pair):
    made = pair[0].model
    _ = made.train()
    dropout = made.bert.encoder.layer[0].attention.self.dropout
    _ = dropout.eval()
    first, second = (jf.attribute(pair[0], TEXTS[:1], methods="raw")[0].relevance["raw"] for _ in range(2))
    # Without dropout, and put back as it was.
    np.testing.assert_array_equal(first, second)
    assert made.training
    assert not dropout.training
    _ = made.eval()


def test_a_device_without_memory_gets_half_a_batch(pair, monkeypatch):
    whole = jf.attribute(pair[0], TEXTS * 2, methods="rollout")
    forward, rows = pair[0].model.forward, []

    def small(input_ids, attention_mask, token_type_ids, **options):
        rows.append(len(input_ids))
        if len(input_ids) > 1:
            raise torch.OutOfMemoryError("no memory")
        return forward(input_ids, attention_mask, token_type_ids, **options)

    small.__signature__ = inspect.signature(forward)
    monkeypatch.setattr(pair[0].model, "forward", small)
    result = jf.attribute(pair[0], TEXTS * 2, methods="rollout")
    assert 2 in rows
    for ours, other in zip(result, whole, strict=True):
        np.testing.assert_allclose(ours.relevance["rollout"], other.relevance["rollout"], atol=1e-6)


def test_eager_attention_is_switched_on_and_said():
    made = of("GPT-2").make()
    assert made.config._attn_implementation == "sdpa"
    with pytest.warns(UserWarning, match="GPT2LMHeadModel: eager attention is switched on instead of sdpa"):
        _ = jf.TorchModel(made, WORDS)
    assert made.config._attn_implementation == "eager"
    # A second time there is nothing to say.
    assert jf.TorchModel(made, WORDS, name="mine").name == "mine"


def refused(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_no_model_gets_one_line(pair):
    theirs, _ = pair
    refused(lambda: jf.TorchModel("minilm", WORDS), "`model` must be a PyTorch model of transformers, got str")
    refused(lambda: jf.TorchModel(torch.nn.Linear(2, 2), WORDS), "got Linear; pass what AutoModel")
    refused(lambda: jf.TorchModel(theirs.model, None), "`processor` must be a fast tokenizer, or hold one, got None")
    refused(lambda: jf.attribute(theirs, TEXTS, mixing="attention-gradient", target="unknown"), "its classes are 'bad'")
    refused(lambda: jf.attribute(theirs, ["the " * 40]), r"`texts\[0\]` must have at most 24 tokens")
    refused(lambda: jf.attribute(theirs, TEXTS, methods="gradient-input"), "which needs embeddings")
    refused(
        lambda: jf.attribute(theirs, TEXTS, methods="occlusion"),
        r"`methods` must need one pass over the model, got 'occlusion' with .*; leave it out",
    )
    for wrong in ("8", 0, 2.0, True):
        refused(
            lambda wrong=wrong: jf.TorchModel(theirs.model, WORDS, max_length=wrong), "`max_length` must be a whole"
        )
    # Programs that run a model several times cannot read a recording.
    refused(lambda: head_importance(theirs, TEXTS, method="ablation"), "`model` must run in JAX for")


def test_a_limit_of_few_tokens_leaves_what_is_known_of_the_model(pair):
    limited = jf.TorchModel(pair[0].model, pair[0].tokenizer, max_length=1)
    assert (limited.max_length, limited.causal, limited.reads_at) == (1, pair[0].causal, pair[0].reads_at)
    refused(lambda: jf.attribute(limited, TEXTS), r"`texts\[0\]` must have at most 1 tokens")


def test_without_torch_the_extra_is_named():
    program = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Without())
import jaxflow as jf
try:
    jf.TorchModel
except jf.InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "`torch` must be installed for running a PyTorch model; install it with: pip install" in done.stdout
