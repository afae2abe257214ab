"""References against torch's autograd, against evaluation's own scores, and by what they must not depend on."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.evaluation import Target, occlusion_scores
from jaxflow.evaluation.target import Explained
from jaxflow.heads.class_attention import class_attention
from jaxflow.references import ColumnSums, GradientInput, IntegratedGradients, Occlusion, Position, Random
from jaxflow.summary.summary import summarize
from tests.tiny_text_model import LABELS, LAYERS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

# Of different lengths, so that a batch has padding; of like lengths, so that one program does for them.
TEXTS = ["the key to the cabinets", "is on the table", "tables is", "to the keys on the table"]
NAMES = ("gradient-input", "integrated-gradients", "occlusion", "column-sums", "random", "position")
GOOD = LABELS.index("good")


@pytest.fixture(scope="module")
def model():
    return jf.load_model(str(model_folder()))


@pytest.fixture(scope="module")
def twin():
    """The same model in torch, in double precision."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder())
    return model.double().eval()


@pytest.fixture(scope="module")
def result(model):
    return jf.attribute(model, TEXTS, methods=NAMES, target="good", queries=[1, 0], layers=[LAYERS, 1])


def torch_gradient(twin, words, label):
    """The logits at replaced word embeddings, `row token width`, and their gradients in these."""
    words = words.clone().requires_grad_()
    # Positions and segments are added inside, as to the embeddings that ids look up.
    logits = twin(inputs_embeds=words).logits[:, label]
    (gradient,) = torch.autograd.grad(logits.sum(), words)
    return logits.detach(), gradient


def words_of(twin, encoding):
    return twin.get_input_embeddings()(torch.tensor([encoding.input_ids])).detach()


def test_gradient_times_input_is_autograds(model, twin, result):
    for encoding, example in zip(model.tokenize(TEXTS), result, strict=True):
        words = words_of(twin, encoding)
        _, gradient = torch_gradient(twin, words, GOOD)
        expected = (gradient * words)[0].sum(-1).numpy()
        # The same row at both layers and both queries.
        np.testing.assert_allclose(
            example.relevance["gradient-input"], np.tile(expected, (2, 2, 1)), atol=1e-5 * np.abs(expected).max()
        )


def test_integrated_gradients_are_the_integral_and_complete(model, twin, result):
    for encoding, example in zip(model.tokenize(TEXTS), result, strict=True):
        words = words_of(twin, encoding)
        # Many more steps, by another rule: the middle of each of 400 parts.
        line = (torch.arange(400)[:, None, None] + 0.5) / 400 * words
        expected = (torch_gradient(twin, line, GOOD)[1].mean(0) * words[0]).sum(-1).numpy()
        rows = example.relevance["integrated-gradients"]
        assert (rows == rows[0, 0]).all()
        np.testing.assert_allclose(rows[0, 0], expected, atol=1e-3 * np.abs(expected).max())
        whole, _ = torch_gradient(twin, words, GOOD)
        nothing, _ = torch_gradient(twin, 0 * words, GOOD)
        assert abs(rows[0, 0].sum() - (whole - nothing).item()) < 1e-3 * np.abs(expected).sum()


def test_a_baseline_may_be_a_token(model, twin):
    (encoding,) = model.tokenize(TEXTS[:1])
    methods = [IntegratedGradients(baseline=each, name=str(each)) for each in ("[MASK]", "blank", 4)]
    (example,) = jf.attribute(model, TEXTS[:1], methods=methods, target="good")
    words, mask = words_of(twin, encoding), twin.get_input_embeddings().weight.detach()[4]
    whole, at_masks = (torch_gradient(twin, each, GOOD)[0].item() for each in (words, mask.expand(words.shape)))
    # 4 is [MASK]; "blank" is [UNK] where there is one.
    np.testing.assert_array_equal(example.relevance["[MASK]"], example.relevance["4"])
    assert np.abs(example.relevance["blank"] - example.relevance["4"]).max() > 1e-3
    assert abs(example.relevance["4"][0, 0].sum() - (whole - at_masks)) < 1e-3
    with pytest.raises(InputError, match="`blank` must be a token"):
        jf.attribute(model, TEXTS[:1], methods=IntegratedGradients(baseline="no such token"))


def test_occlusion_is_evaluations(model, result):
    expected = occlusion_scores(model, TEXTS, target=Target("good", quantity="logit"))
    for row, example in enumerate(result):
        tokens = len(example.tokens)
        np.testing.assert_allclose(example.relevance["occlusion"][1, 1], expected.signed[row, :tokens], atol=2e-5)


def test_a_target_that_depends_on_the_prediction_is_settled_by_the_text_as_it_stands():
    whole, changed = jnp.float32([[3, 1, 2], [0, 5, 1]]), jnp.float32([[1, 2, 7], [6, 4, 0]])
    target, classes = Explained("identity", True, "runner_up").settle(whole, (None, None))
    # Of the first row class 0 less class 2, of the second class 1 less class 2, whatever is likeliest now.
    np.testing.assert_array_equal(target.value(changed, classes), [1 - 7, 4 - 0])
    np.testing.assert_array_equal(Explained("identity", True, "runner_up").value(changed, (None, None)), [5, 2])


def test_column_sums_are_sums_of_the_classs_weights(model, result):
    expected = class_attention(model, TEXTS, target="good").weights
    for row, example in enumerate(result):
        tokens = len(example.tokens)
        for place, layer in enumerate((LAYERS, 1)):
            sums = expected[row, :layer].sum((0, 1))[:tokens]
            np.testing.assert_allclose(example.relevance["column-sums"][place], [sums, sums], rtol=1e-5)


def test_chance_and_place_depend_on_the_text_alone(model, result):
    alone = jf.attribute(model, TEXTS, methods=("random", "position"), batch_size=1)
    rows = []
    for example, one in zip(result, alone, strict=True):
        # In other batches, of other padded lengths, beside other methods: the same to the last bit.
        np.testing.assert_array_equal(example.relevance["random"][0], np.tile(one.relevance["random"][0], (2, 1)))
        tokens = len(one.tokens)
        np.testing.assert_allclose(example.relevance["position"][1, 1], np.arange(1, tokens + 1) / tokens, rtol=1e-6)
        rows.append(one.relevance["random"][0, 0])
    # Numbers of any two tokens and texts differ, and spread over 0 to 1.
    numbers = np.concatenate(rows)
    assert len(set(numbers.tolist())) == len(numbers)
    assert 0 <= numbers.min() < 0.2
    assert 0.8 < numbers.max() < 1
    methods = (Random(seed=1), Position(most="first"))
    other = jf.attribute(model, TEXTS[0], methods=methods)[0].relevance
    assert (other["random"] != rows[0]).all()
    np.testing.assert_allclose(other["position"][0, 0], np.arange(len(rows[0]), 0, -1) / len(rows[0]), rtol=1e-6)


def test_they_go_through_sweeps_and_summaries(model, tmp_path):
    question = jf.Question(("rollout", *NAMES), target="good")
    swept = jf.run_sweep(model, TEXTS, tmp_path / "out", question)
    for example, kept in zip(jf.attribute(model, TEXTS, question), swept, strict=True):
        for name in NAMES:
            np.testing.assert_allclose(kept.relevance[name], example.relevance[name], atol=1e-5)
    assert jf.Question.from_json(swept.manifest["question"]) == question
    summary = summarize(swept)
    assert set(summary.methods) == {"rollout", *NAMES}
    # Signed relevance is spread by its sizes: over one token at least, and over no more than there are.
    for name in NAMES:
        spread = summary.measures[name]["effective_tokens"]
        assert np.all((np.asarray(spread) >= 1) & (np.asarray(spread) <= max(len(example.tokens) for example in swept)))
    values = (GradientInput(), IntegratedGradients(8), Occlusion("[MASK]"), ColumnSums(), Random(2), Position("first"))
    asked = jf.Question(values)
    assert jf.Question.from_json(asked.as_json()) == asked


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IntegratedGradients(steps=0), "`steps` must be a whole number, 1 or more, got 0"),
        (lambda: IntegratedGradients(baseline=None), "`baseline` must be 'zero', 'blank', a token"),
        (lambda: Random(seed=-1), "`seed` must be a whole number"),
        (lambda: Position(most="middle"), "`most` must be one of 'last', 'first', got 'middle'"),
        (lambda: jf.Question("occlusions"), "`methods` must be one of 'raw', .*'occlusion'"),
    ],
)
def test_what_is_none_of_them_gets_one_line(make, message):
    with pytest.raises(InputError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_model_without_embeddings_is_refused_in_one_line(model):
    class Attending(type(model)):
        gives = property(lambda self: frozenset({"attention"}))

    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model) if field.init}
    with pytest.raises(InputError, match=r"`methods` must need only .*'gradient-input', which needs embeddings"):
        jf.attribute(Attending(**fields), TEXTS, methods="gradient-input")
    assert jf.attribute(Attending(**fields), TEXTS, methods=("occlusion", "random"))[0].relevance["occlusion"].any()
