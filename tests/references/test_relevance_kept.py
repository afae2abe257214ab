"""DecompX and AttnLRP where methods go: sweeps that are resumed, pages, and models that give no relevance."""

import dataclasses

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.models import load_model
from jaxflow.references import DecompX
from tests.tiny_text_model import model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

NAMES = ("decompx", "decompx-norms", "attn-lrp")
TEXTS = ["the key to the cabinets", "tables", "is it on the table?", "the un-key"]


@pytest.fixture(scope="module")
def model():
    return load_model(model_folder())


@pytest.mark.slow
def test_sweep_is_resumed_and_shown(model, tmp_path):
    question = jf.Question(NAMES, target="good", queries=(0, 1), layers=(1, 3))
    _ = jf.run_sweep(model, TEXTS, tmp_path / "out", question)
    # As if it had been killed before its shard was written.
    (shard,) = (tmp_path / "out").rglob("*.parquet")
    (record,) = (path for path in (tmp_path / "out").rglob("*.json") if path.name != "manifest.json")
    shard.unlink()
    record.unlink()
    swept = jf.run_sweep(model, TEXTS, tmp_path / "out", question)
    assert shard.exists()
    result = jf.attribute(model, TEXTS, question)
    for example, kept in zip(result, swept, strict=True):
        for name in NAMES:
            np.testing.assert_allclose(kept.relevance[name], example.relevance[name], atol=1e-5)
    assert jf.Question.from_json(swept.manifest["question"]) == question
    jf.write_page(result, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert all(name in page for name in NAMES)


class Attending:
    """Beside a model's own class: it gives attention alone."""

    @property
    def gives(self):
        return frozenset({"attention"})


@pytest.mark.parametrize("name", NAMES)
def test_a_model_without_rules_is_refused_in_one_line(model, name):
    kind = type("Attending", (Attending, type(model)), {})
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model) if field.init}
    with pytest.raises(InputError, match=rf"`methods` must need only .*'{name}', which needs .*relevance") as error:
        jf.attribute(kind(**fields), TEXTS, methods=name)
    assert "\n" not in str(error.value)


def test_a_model_without_rules_gets_no_relevance_of_attention(model):
    kind = type("Attending", (Attending, type(model)), {})
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model) if field.init}
    with pytest.raises(InputError, match="'chefer-relevance', which needs gradients, relevance"):
        jf.attribute(kind(**fields), TEXTS, mixing="chefer-relevance")


def test_values_make_questions_that_are_json():
    methods = (DecompX(name="parts"), "attn-lrp")
    asked = jf.Question(methods)
    assert jf.Question.from_json(asked.as_json()) == asked
