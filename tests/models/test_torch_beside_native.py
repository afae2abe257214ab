"""Models of PyTorch in pages, comparisons and evaluation, against native ones of the same weights."""

import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.evaluation import faithfulness_scores, occlusion_scores, padded
from tests.models.test_torch_model import TEXTS, torch_and_native, torch_model
from tests.tiny_text_model import model_folder


@pytest.fixture(scope="module")
def pair():
    return torch_and_native()


@pytest.mark.slow
def test_two_models_on_one_page_and_compared(pair, tmp_path):
    exploration = jf.explore(pair[0], TEXTS, other=pair[1], importance=True, roles=True, labels=["bad"] * len(TEXTS))
    ours, native = exploration.sides
    assert ours.roles == native.roles
    np.testing.assert_allclose(ours.measures["importance"], native.measures["importance"], atol=1e-5)
    np.testing.assert_allclose(ours.losses, native.losses, atol=1e-5)
    assert max(float(each.max()) for each in exploration.change) < 1e-4
    assert "cabinets" in jf.write_page(exploration, tmp_path / "explorer.html").read_text()
    comparison = jf.compare_models(pair[0], pair[1], TEXTS)
    for text in comparison.texts:
        for name, values in text.a.relevance.items():
            np.testing.assert_allclose(values, text.b.relevance[name], atol=1e-5)


@pytest.mark.slow
def test_two_torch_models_are_compared_as_the_native_ones(pair):
    folder = model_folder()
    torch.manual_seed(8)
    changed = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    asked = {"methods": ("raw", "flow"), "queries": (0, 1)}
    changed = torch_model(changed, pair[0].tokenizer)
    # The second model in torch beside the first in torch, and beside the native one.
    comparisons = [jf.compare_models(first, changed, TEXTS, **asked) for first in pair]
    for ours, native in zip(*(comparison.texts for comparison in comparisons), strict=True):
        np.testing.assert_allclose(ours.jensen_shannon, native.jensen_shannon, atol=1e-5)
        assert ours.distance > 0.01
        for name, change in native.change.items():
            np.testing.assert_allclose(ours.change[name], change, atol=1e-5)


@pytest.mark.slow
def test_relevance_of_a_torch_model_is_scored_as_that_of_the_native_one(pair):
    results = [jf.attribute(model, TEXTS, methods=("rollout", "flow"), layers=3) for model in pair]
    scored = []
    for model, result in zip(pair, results, strict=True):
        rows, _ = padded([np.stack([each.relevance[name][0, 0] for name in each.relevance]) for each in result])
        scored.append(faithfulness_scores(model, TEXTS, rows).scores)
        with pytest.raises(InputError, match=r"`relevance` must be one array.*`jaxflow\.evaluation\.padded`"):
            _ = faithfulness_scores(model, TEXTS, [each.relevance["flow"][0, 0] for each in result])
    assert scored[0].keys() == scored[1].keys()
    for name, values in scored[1].items():
        np.testing.assert_allclose(scored[0][name], values, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_blanks_are_put_into_a_model_of_transformers(pair):
    ours, native = (occlusion_scores(model, TEXTS).signed for model in pair)
    np.testing.assert_allclose(ours, native, atol=1e-5)
