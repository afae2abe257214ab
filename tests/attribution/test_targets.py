"""What is explained, against torch's autograd: a class, a difference of classes, a token against a foil."""

import json
import re

import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow._parser import Parser
from jaxflow.attribution.defaults import DEFAULT_METHODS, PLAIN, by_default
from jaxflow.cli.options import add_question, question_of
from jaxflow.evaluation.token_target import written_target
from jaxflow.mixing import AttentionGradient
from jaxflow.models import new_encoder
from tests.models.conftest import bert_config, make_tokenizer, save
from tests.tiny_text_model import LABELS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

MASKED = ["the key [MASK] on the table", "she [MASK]"]
WEIGHTS = AttentionGradient(own="none")


@pytest.fixture(scope="module")
def classifier():
    return jf.load_model(str(model_folder()))


@pytest.fixture(scope="module")
def masked_lm(tmp_path_factory):
    """A tiny masked language model, as we have it and in torch."""
    torch.manual_seed(2)
    model = transformers.BertForMaskedLM(bert_config())
    model.config._attn_implementation = "eager"
    folder = save(tmp_path_factory.mktemp("masked"), model, make_tokenizer())
    return jf.load_model(folder), model.double()


def column_sums(model, texts, **question):
    """Column sums of every layer's weights, one row a text."""
    result = jf.attribute(model, texts, methods="column-sums", **question)
    return [example.relevance["column-sums"][-1, 0] for example in result]


def torch_sums(twin, encoding, number):
    """Sums of `relu(gradient * attention)`, mean over heads, over queries and layers."""
    output = twin(input_ids=torch.tensor([encoding.input_ids]), output_attentions=True)
    gradients = torch.autograd.grad(number(output.logits[0]), output.attentions)
    products = [(a * g).clamp(min=0)[0].mean(0) for a, g in zip(output.attentions, gradients, strict=True)]
    return torch.stack(products).sum((0, 1)).detach().numpy()


def test_a_token_against_a_foil_is_autograds_difference(masked_lm):
    model, twin = masked_lm
    vocabulary = make_tokenizer().get_vocab()
    encodings = model.tokenize(MASKED)
    mask = vocabulary["[MASK]"]
    places = [list(encoding.input_ids).index(mask) for encoding in encodings]
    # The pair alone stands at each text's mask token, wherever that is.
    for target in (("is", "are"), jf.Token("is", against="are"), jf.Token(vocabulary["is"], vocabulary["are"])):
        for encoding, place, sums in zip(encodings, places, column_sums(model, MASKED, target=target), strict=True):
            expected = torch_sums(
                twin, encoding, lambda logits, at=place: logits[at, vocabulary["is"]] - logits[at, vocabulary["are"]]
            )
            np.testing.assert_allclose(sums, expected, atol=1e-5 * expected.max())
    # At a position of its own, without a foil.
    for encoding, sums in zip(encodings, column_sums(model, MASKED, target=jf.Token("lost", at=1)), strict=True):
        expected = torch_sums(twin, encoding, lambda logits: logits[1, vocabulary["lost"]])
        np.testing.assert_allclose(sums, expected, atol=1e-5 * expected.max())
    # Nothing said: the likeliest token at the mask.
    for encoding, place, sums in zip(encodings, places, column_sums(model, MASKED), strict=True):
        expected = torch_sums(twin, encoding, lambda logits, at=place: logits[at].max())
        np.testing.assert_allclose(sums, expected, atol=1e-5 * expected.max())


def test_the_command_line_explains_no_token_unless_it_is_asked_to(masked_lm, classifier):
    question = jf.Question(DEFAULT_METHODS)
    # Texts need no mask token then.
    assert by_default(question, [masked_lm[0]]).methods == PLAIN
    assert by_default(question, [classifier]).methods == DEFAULT_METHODS


def test_a_difference_of_classes_changes_sign_with_its_order(classifier):
    texts = ["the key to the cabinets", "tables"]
    ask = {"methods": ("gradient-input", "occlusion"), "queries": 0}
    forth = jf.attribute(classifier, texts, target=("good", "bad"), **ask)
    back = jf.attribute(classifier, texts, target=[LABELS.index("bad"), "good"], **ask)
    first, second = (jf.attribute(classifier, texts, target=label, **ask) for label in ("good", "bad"))
    for row in range(len(texts)):
        for name in ask["methods"]:
            values = forth[row].relevance[name]
            np.testing.assert_allclose(values, -back[row].relevance[name], atol=1e-6)
            # Both are linear in the explained number.
            apart = first[row].relevance[name] - second[row].relevance[name]
            np.testing.assert_allclose(values, apart, atol=2e-5 * np.abs(apart).max())


TARGETS = [
    None,
    "good",
    1,
    ("good", "bad"),
    (0, "good"),
    jf.Token("is", "are"),
    jf.Token(7, at=3),
    jf.Token("is", 5, 0),
]


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_targets_come_back_from_json(target):
    question = jf.Question(mixing=WEIGHTS, target=target)
    assert jf.Question.from_json(json.loads(json.dumps(question.as_json()))) == question
    assert len({json.dumps(jf.Question(mixing=WEIGHTS, target=each).as_json()["target"]) for each in TARGETS}) == len(
        TARGETS
    )


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("good", "good"),
        ("good--bad", ("good", "bad")),
        # Dashes of a name are its own; so are pairs of dashes that part no two names.
        ("non-toxic--very-toxic", ("non-toxic", "very-toxic")),
        ("a--b--c", "a--b--c"),
        ("1--0", ("1", "0")),
        ("predicted", None),
        ("is@3", jf.Token("is", at=3)),
        ("is--are@12", jf.Token("is", "are", at=12)),
        ("me@home", "me@home"),
    ],
)
def test_the_command_line_writes_them_plainly(written, target):
    parser, default = Parser(), jf.Question(mixing="attention-gradient")
    add_question(parser, default)
    assert question_of(parser.parse_args(["--target", written]), default).target == target


def test_a_class_may_be_called_by_its_number_in_words(classifier):
    texts = ["the key"]
    (one,), (other,) = (column_sums(classifier, texts, target=each) for each in ("1", 1))
    np.testing.assert_array_equal(one, other)


def test_a_string_is_read_as_the_command_line_reads_it(classifier):
    for written, meant in (("good--bad", ("good", "bad")), ("1--0", ("1", "0")), ("--", "--"), ("a--", "a--")):
        assert jf.Question(mixing=WEIGHTS, target=written).target == meant
    assert jf.Question(mixing=WEIGHTS, target="is--are@3").target == jf.Token("is", "are", at=3)
    texts = ["the key to the cabinets"]
    (one,), (other,) = (column_sums(classifier, texts, target=each) for each in ("good--bad", ("good", "bad")))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("question", "asking"),
    [
        ({"methods": ("raw", "decompx")}, "the method 'decompx'"),
        ({"methods": ("raw", "flow@attention-gradient")}, "the method 'flow@attention-gradient'"),
        ({"methods": "raw", "mixing": WEIGHTS}, "the mixing 'attention-gradient'"),
    ],
)
def test_a_model_without_a_head_says_what_asks_for_one(question, asking):
    bare = new_encoder(bert_config(), make_tokenizer())
    with pytest.raises(InputError, match="must have a head that classifies texts or tokens") as error:
        jf.attribute(bare, "the key", **question)
    assert f"got the head 'bare' for {asking}; leave that out" in str(error.value)


def test_a_target_that_nothing_explains_is_left_out_first():
    with pytest.raises(
        InputError, match=r"`target` must be left out, got .good. with .*; leave it out; or, of a model"
    ):
        jf.Question("raw", target="good")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (1.5, "`target` must be None, 'predicted', a class by its name or number, a pair"),
        (True, "`target` must be None, 'predicted'"),
        (("good",), r"`target` must be .* a pair of classes, or a jaxflow.Token, got \('good',\)"),
        (("good", "bad", "good"), "`target` must be .* a pair of classes"),
        (("good", "predicted"), "`target` must be two classes where it is a difference"),
        (("good", "fine"), "`target` must be 'predicted', an index below 3 or a class of the model, got 'fine'"),
        (("good", LABELS.index("good")), "`target` must be a difference of two, got 'good' less 1"),
        (jf.Token("is"), "`target` must be no token where the model's head is sequence_classification"),
    ],
)
def test_what_is_no_target_of_a_classifier_gets_one_line(classifier, target, message):
    with pytest.raises(InputError, match=message) as error:
        jf.attribute(classifier, "the key", mixing=WEIGHTS, target=target)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("texts", "target", "message"),
    [
        (
            "the key [MASK]",
            "cupboards",
            "`target` must be one token of the model's vocabulary, got 'cupboards', which is",
        ),
        ("the key [MASK]", ("is", "is"), "`target` must be a difference of two, got 'is' less 'is'"),
        ("the key [MASK]", 10_000, "`target` must be 'predicted', a number below 27"),
        (
            [MASKED[0], "the key"],
            "is",
            "text 1: `target` must stand at the text's one mask token, got a text with 0; say",
        ),
        ([MASKED[0], "[MASK] [MASK]"], "is", "text 1: `target` must stand .* got a text with 2; say"),
        (
            [MASKED[0], "he"],
            jf.Token("is", at=3),
            "text 1: `target` must stand at a position of the text, from 0 to 2, got 3",
        ),
    ],
)
def test_what_is_no_target_of_a_masked_language_model_gets_one_line(masked_lm, texts, target, message):
    with pytest.raises(InputError, match=message) as error:
        jf.attribute(masked_lm[0], texts, methods="column-sums", target=target)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def token_classifier(tmp_path_factory):
    model = transformers.BertForTokenClassification(bert_config())
    return jf.load_model(save(tmp_path_factory.mktemp("tokens"), model, make_tokenizer()))


@pytest.mark.parametrize(
    ("model", "names", "expected"),
    [
        ("token_classifier", ("LABEL_0", "LABEL_1"), "say which token is explained where the head is token_classif"),
        ("masked_lm", ("is", "table"), "stand at the text's one mask token, got a text with 0"),
    ],
)
def test_the_way_out_for_a_target_without_a_place_works(request, model, names, expected):
    """Of both kinds of heads over tokens, in Python and on the command line."""
    found = request.getfixturevalue(model)
    found = found[0] if isinstance(found, tuple) else found
    for target in (None, names[0], names):
        with pytest.raises(InputError, match=f"text 0: `target` must {expected}") as caught:
            jf.attribute(found, ["the key"], mixing="attention-gradient", target=target)
        way_out = re.search(r"jaxflow\.Token\((.*), at=(\d+)\), or (\S+) on the command line", str(caught.value))
        assert way_out is not None
        given = jf.Token(*re.findall("'([^']+)'", way_out[1]), at=int(way_out[2]))
        assert given == written_target(way_out[3])
        (example,) = jf.attribute(found, ["the key"], mixing="attention-gradient", target=given, methods="raw")
        assert example.tokens[given.at] == "the"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jf.Token("is", at=-1), "`at` must be a position, 0 or more, or None for the mask token, got -1"),
        (lambda: jf.Token(None), "`token` must be a token's or class's name or number, got None"),
        (lambda: jf.Token("is", against=0.5), "`against` must be a token's or class's name or number, got 0.5"),
        (lambda: jf.Token("predicted", "is"), "`target` must be two names or numbers where it is a difference"),
    ],
)
def test_what_is_no_token_gets_one_line(make, message):
    with pytest.raises(InputError, match=message):
        make()
