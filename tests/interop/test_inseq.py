"""inseq's JSON: written for its `load`, and read from its `save`."""

import json
import warnings

import numpy as np
import pytest
import torch

import jaxflow as jf
from jaxflow.interop import read_inseq, write_inseq
from tests.models.torch_architectures import WORDS, of

# What inseq 0.7 saves of two prompts of its method `dummy` with one score a token, but for the scores.
LAYOUT = {
    "attributes": {"info", "sequence_attributions", "step_attributions"},
    "sequence": {
        "attr_pos_end",
        "attr_pos_start",
        "sequence_scores",
        "source",
        "source_attributions",
        "step_scores",
        "target",
        "target_attributions",
    },
}


@pytest.fixture(scope="module")
def answers():
    torch.manual_seed(3)
    with warnings.catch_warnings(action="ignore"):
        model = jf.TorchModel(of("GPT-2").make(), WORDS)
    texts, pairs = ["the key to", "table"], ["the table is on", "is"]
    return jf.attribute(model, texts, pairs=pairs, queries="answer", methods=("raw", "rollout"))


@pytest.fixture(scope="module")
def translation():
    torch.manual_seed(3)
    with warnings.catch_warnings(action="ignore"):
        model = jf.TorchModel(of("BART").make(), WORDS)
    return jf.attribute(model, ["the key to the table"], pairs=["is on"], queries="answer", methods="rollout")


def test_the_file_has_the_layout_of_inseq(answers, tmp_path):
    whole = json.loads(write_inseq(answers, tmp_path / "out.json").read_text())
    assert whole["__instance_type__"] == ["inseq.data.attribution", "FeatureAttributionOutput"]
    assert set(whole["attributes"]) == LAYOUT["attributes"]
    for sequence in whole["attributes"]["sequence_attributions"]:
        assert sequence["__instance_type__"] == ["inseq.data.attribution", "CoarseFeatureAttributionSequenceOutput"]
        assert set(sequence["attributes"]) == LAYOUT["sequence"]
        token = sequence["attributes"]["target"][0]
        assert token["__instance_type__"] == ["inseq.utils.typing", "TokenWithId"]
        assert set(token["attributes"]) == {"id", "token"}
    info = whole["attributes"]["info"]
    assert (info["attribution_method"], info["attr_pos_start"], info["attr_pos_end"]) == ("rollout", 3, 9)
    # Of a decoder inseq's generated text holds the prompt.
    assert info["generated_texts"] == [example.text + example.pair for example in answers]


@pytest.mark.parametrize("name", ["answers", "translation"])
@pytest.mark.parametrize("layer", [0, -1])
def test_what_was_written_is_read(request, tmp_path, name, layer):
    result = request.getfixturevalue(name)
    found = read_inseq(write_inseq(result, tmp_path / "out.json", "rollout", layer=layer))
    assert found.model == result.model
    for before, after in zip(result, found, strict=True):
        assert after.tokens == before.tokens
        assert after.answer_tokens == before.answer_tokens
        assert after.first_target == before.first_target
        np.testing.assert_array_equal(after.queries, before.queries)
        np.testing.assert_array_equal(after.relevance["rollout"][0], before.relevance["rollout"][layer])
    page = jf.write_page(found, tmp_path / "page.html")
    assert found[0].answer_tokens[0] in page.read_text()


def test_a_classifier_s_prediction_is_the_target(tmp_path):
    model = jf.load_model("verb-number")
    result = jf.attribute(model, ["The keys to the cabinet"], methods="rollout")
    found = read_inseq(write_inseq(result, tmp_path / "out.json"))
    (before,), (after,) = result, found
    assert after.targets == (before.prediction,)
    np.testing.assert_array_equal(after.relevance["rollout"][0, 0, :-1], before.relevance["rollout"][-1, 0])


@pytest.mark.parametrize("text", ["{", "[]", '{"attributes": {}}', None])
def test_what_is_no_such_file_is_named(tmp_path, text):
    path = tmp_path / "out.json"
    if text is not None:
        _ = path.write_text(text)
    with pytest.raises(jf.InputError, match="`path` must be inseq's JSON"):
        read_inseq(path)


def test_inseq_loads_it_and_what_it_saves_is_read(answers, translation, tmp_path):
    inseq = pytest.importorskip("inseq")
    for result in (answers, translation):
        path = write_inseq(result, tmp_path / "ours.json", "rollout")
        loaded = inseq.FeatureAttributionOutput.load(path)
        for example, sequence in zip(result, loaded.sequence_attributions, strict=True):
            assert [each.token for each in sequence.target[sequence.attr_pos_start :]] == list(example.answer_tokens)
            found = [each for each in (sequence.source_attributions, sequence.target_attributions) if each is not None]
            columns = np.nan_to_num(torch.cat(found).numpy())
            np.testing.assert_array_equal(columns.T, example.relevance["rollout"][-1])
            assert example.answer_tokens[0] in sequence.show(display=False, return_html=True)
        loaded.save(tmp_path / "theirs.json", overwrite=True)
        ours = read_inseq(tmp_path / "theirs.json")
        for before, after in zip(result, ours, strict=True):
            np.testing.assert_array_equal(after.relevance["rollout"][0], before.relevance["rollout"][-1])
