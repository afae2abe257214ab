"""Gradients, rules of relevance and parts on two real models, against torch written from the formulas."""

import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow.evaluation.target import Explained
from jaxflow.mixing import AttentionGradient, CheferRelevance, Gradient
from jaxflow.models import fetch
from jaxflow.references.attn_lrp import embedding_relevance
from jaxflow.references.decompx import parts
from jaxflow.running import Forward, Inputs, Mixed
from jaxflow.running.readers import KeptGraph
from tests.models.conftest import torch_inputs
from tests.references.chefer_oracle import chefer_weights
from tests.references.decompx_oracle import decompx
from tests.references.lrp_oracle import attn_lrp

pytestmark = pytest.mark.slow

# Texts of different lengths, so that the batch is padded; each has a class that is explained.
TEXTS = ("the keys to the old cabinet near the door", "she", "the author of these books that everybody")
CLASSES = np.array([1, 0, 1])
MIXINGS = (AttentionGradient("none"), Gradient("none"))
TARGET = Explained("identity", predicts=False, against=None)
# Relative to the largest number of what is compared: float32 against float64.
NEAR = 1e-5


@cache
def real(name):
    """A model in torch in float64, ours, and a padded batch for each; MiniLM has a random classifier on it."""
    # Fetched where no test did so before: the order of the files is not ours.
    known = jf.load_model(fetch(name))
    folder, kind = Path(known.source.name_or_path), transformers.AutoModelForSequenceClassification
    torch.manual_seed(0)
    theirs = kind.from_pretrained(folder, attn_implementation="eager", num_labels=2).eval()
    if name == "minilm":
        # A bias of zeros, such as new ones, has no product with any part.
        for parameter in theirs.parameters():
            if parameter.ndim == 1 and not parameter.any():
                _ = torch.nn.init.normal_(parameter)
        folder = Path(tempfile.mkdtemp(prefix="jaxflow-real-"))
        theirs.save_pretrained(folder)
        known.tokenizer.save_pretrained(folder)
    ours = jf.load_model(folder)
    batch = ours.pad(ours.tokenize(TEXTS))
    lengths = np.asarray(batch.mask).sum(-1)
    inputs = torch_inputs(batch, ours.config.segments > 0)
    return SimpleNamespace(ours=ours, torch=theirs.double(), batch=batch, inputs=inputs, lengths=lengths)


@pytest.fixture(params=["verb-number", "minilm"])
def model(request):
    return real(request.param)


@jax.jit
def graphs(module, batch, classes):
    """The graph of each mixing, and of Chefer et al.'s."""
    mixings = (*MIXINGS, CheferRelevance(own="none"))
    readers = tuple(Mixed(KeptGraph(), mixing) for mixing in mixings)
    examples = (*(None for _ in readers), (classes, None))
    found = Forward(readers, mixings[0], TARGET)(module, Inputs(batch, examples, None))
    return [graph.weights for graph in found]


def number_of(logits, classes):
    return jnp.take_along_axis(logits, classes[:, None], -1)[:, 0]


def near(found, wanted, length, tolerance):
    """Each layer of a text within the tolerance of its largest weight; its padding 0."""
    for ours, theirs in zip(np.asarray(found), wanted, strict=True):
        theirs = theirs[:length, :length]
        np.testing.assert_allclose(ours[:length, :length], theirs, rtol=0, atol=tolerance * theirs.max())
        assert not ours[length:].any()
        assert not ours[:, length:].any()


def test_gradient_mixings_equal_autograds(model):
    output = model.torch(**model.inputs, output_attentions=True)
    number = output.logits[torch.arange(len(TEXTS)), torch.as_tensor(CLASSES)].sum()
    gradients = torch.autograd.grad(number, output.attentions)
    attention, gradient = (torch.stack(each, 1).detach().numpy() for each in (output.attentions, gradients))
    wanted = np.maximum(attention * gradient, 0).mean(2), np.maximum(gradient, 0).mean(2)
    for found, theirs in zip(graphs(model.ours.module, model.batch, CLASSES), wanted, strict=False):
        for text, length in enumerate(model.lengths):
            near(found[text], theirs[text], length, NEAR)


@pytest.mark.optimised
def test_chefers_relevance_equals_torch(model):
    theirs, _ = chefer_weights(model.torch, model.inputs, CLASSES)
    # The rules divide by sums that may be near 0. In real models float32 is off by up to 6e-2 of a layer's largest
    # weight in torch (MiniLM), and by up to 4e-2 in ours.
    single, _ = chefer_weights(model.torch.float(), model.inputs, CLASSES)
    _ = model.torch.double()
    found = np.asarray(graphs(model.ours.module, model.batch, CLASSES)[-1])
    mask = np.asarray(model.batch.mask)
    pairs = (mask[:, None, :, None] & mask[:, None, None, :]).astype(float)
    # layer: the largest weight, and the largest error of torch's and of ours.
    largest, rounding, error = (
        (each * pairs).max((0, 2, 3)) for each in (theirs, np.abs(single - theirs), np.abs(found - theirs))
    )
    # Relevance comes down from the layers above, and so does what it was rounded by there: one layer's rounding may be
    # small by chance, by processor.
    above = np.maximum.accumulate((rounding / largest)[::-1])[::-1]
    assert (error <= np.maximum(NEAR, 4 * above) * largest).all()
    assert not (found * (1 - pairs)).any()


def test_decompx_equals_the_papers_equations(model):
    @jax.jit
    def ours(module, batch):
        return parts(module, batch, lambda module, options: module(batch, options).logits)

    _, wanted, output = decompx(model.torch, model.inputs)
    found = np.asarray(ours(model.ours.module, model.batch))
    # Parts sum to the logits.
    np.testing.assert_allclose(found.sum(0), output.logits.detach(), atol=1e-4)
    for text, length in enumerate(model.lengths):
        theirs = wanted[text, :length].numpy()
        np.testing.assert_allclose(found[:length, text], theirs, rtol=0, atol=NEAR * np.abs(theirs).max())


def test_attn_lrp_equals_torch(model):
    @jax.jit
    def ours(module, batch, classes):
        return embedding_relevance(module, batch, lambda logits: number_of(logits, classes))

    wanted, sizes, _ = attn_lrp(model.torch, model.inputs, CLASSES)
    found = np.asarray(ours(model.ours.module, model.batch, CLASSES))
    for text, length in enumerate(model.lengths):
        # A score is a sum over the embedding, whose terms may cancel: rounding goes by their sizes.
        np.testing.assert_allclose(found[text, :length], wanted[text, :length], rtol=0, atol=NEAR * sizes[text].max())
        assert not found[text, length:].any()
