"""The question: its checks, its documentation, its JSON and the options that are made of it."""

import argparse
import json
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow._parser import Parser
from jaxflow.attribution import Flow, Question, Scores
from jaxflow.attribution.question import Asked, as_question, field_docs
from jaxflow.cli.options import add_question, question_of
from jaxflow.compare import CompareOptions
from jaxflow.flow.device.relaxed import Relaxed
from tests.models.model_from_outside import causal_model


@dataclass(frozen=True)
class Halves:
    """Half of everything, as a method from outside; its values are found by their fields."""

    share: float = 0.5
    name: str = "halves"
    storage: str = "float64"

    def __call__(self, graph, queries, layers):
        shape = (*graph.mask.shape[:-1], len(layers), queries.shape[-1], graph.mask.shape[-1])
        return Scores(np.full(shape, self.share))


class OpenMethod:
    """Not a dataclass: what it is cannot be read from its fields."""

    name = "open"

    def __init__(self):
        self.held = object()

    def __call__(self, graph, queries, layers):
        raise AssertionError


QUARTER = Halves(0.25, "quarter")
QUESTIONS = [
    Question(),
    Question("rollout", queries=None, layers=[2, 1], tol=1e-3),
    Question(["raw", Flow("exact", name="exact flow")], queries="last", flow=Relaxed(passes=7)),
    Question(Halves(), queries=np.array([[0, 1], [2, 2]]), mixing=jf.mixing.Attention(np.ones((2, 3)), 0.25)),
    Question(["raw", "tests.attribution.test_question:QUARTER"], queries="classifier", flow="bounds"),
    Question(mixing="attention-gradient", target="good"),
    Question(mixing=jf.mixing.AttentionGradient(own=0.1), target=np.int64(1)),
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_comes_back_from_its_json(question):
    described = json.loads(json.dumps(question.as_json()))
    assert Question.from_json(described) == question
    assert described == Question.from_json(described).as_json()
    assert hash(Question.from_json(described)) == hash(question)


def test_questions_that_differ_have_json_that_differs():
    described = [json.dumps(question.as_json(), sort_keys=True) for question in QUESTIONS]
    described += [json.dumps(replace(QUESTIONS[4], methods=("raw", Halves(0.3, "quarter"))).as_json(), sort_keys=True)]
    assert len(set(described)) == len(described)


def test_editors_know_every_field_that_calls_take_by_name():
    assert list(Asked.__annotations__) == [each.name for each in fields(Question)]


def test_fields_by_name_stand_over_the_question():
    question = Question(queries=[3], flow="exact")
    assert as_question(question, {"queries": None}) == Question(queries=None, flow="exact")
    assert as_question(None, {}, question) == question
    assert as_question(None, {"flow": "bounds"}, question) == Question(queries=[3], flow="bounds")
    # The flow that the name stands for is the question's, whichever was set first.
    asked = replace(Question("flow"), flow="bounds", tol=0.5)
    (method,) = asked.method_values
    assert asked.method_values is asked.method_values
    assert method.tol == 0.5
    with pytest.raises(InputError, match="second texts as `pairs`"):
        as_question(["the key"], {})
    with pytest.raises(InputError, match="`methodz` must be left out: the question's fields are `methods`, "):
        as_question(question, {"methodz": "raw"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": "nowhere_at_all:METHOD"}, "cannot be imported .ModuleNotFoundError: No module named 'nowhere_at"),
        ({"methods": "tests.attribution.test_question:NOTHING"}, "has no value of this name"),
        ({"methods": "tests.attribution.test_question:json"}, "`methods` must be one of"),
        ({"methods": "a b:c"}, "as package.module:NAME, got 'a b:c'"),
        ({"mixing": "tests.attribution.test_question:Halves"}, "`mixing` must be"),
        ({"methods": Halves}, r"be names or values, got the class Halves; pass Halves\(\)"),
        ({"methods": Halves(storage="float16")}, "`storage` of float32 or float64, got 'float16'"),
        ({"methods": [Halves(), "raw", Halves(0.1)]}, "different names, got halves, raw, halves"),
        ({"methods": Halves(name="")}, "`name` of printable characters"),
        ({"methods": Halves(name="a\nb")}, "`name` of printable characters"),
        ({"methods": Halves(name=7)}, "`name` of printable characters"),
        ({"target": 1.5}, "`target` must be None, 'predicted', a class"),
        ({"target": "good"}, "`target` must be left out.*`methods='flow@attention-gradient'`"),
        ({"tol": float("nan")}, "`tol` must be a number"),
        ({"tol": True}, "`tol` must be a number"),
        ({"flow": Relaxed}, "`flow` must be a name or a solver's value"),
        ({"queries": []}, "`queries` must be None, an int"),
        ({"queries": [[[0]]]}, "`queries` must be None, an int"),
        ({"queries": True}, "`queries` must be None, an int"),
        ({"layers": "all"}, "`layers` must be None, an int"),
    ],
)
def test_each_field_is_checked_in_one_line(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        Question(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["text", "tokens", "queries", "certified", "certified_share", "id", "probabilities"])
def test_a_method_is_not_named_like_another_column(name):
    with pytest.raises(InputError, match=f"no other column of results, got '{name}'"):
        Question(Halves(name=name))


def test_a_method_whose_fields_cannot_be_described_has_no_json():
    question = Question(["raw", OpenMethod()])
    with pytest.raises(InputError, match="`methods` must have fields that can be described"):
        question.as_json()


@pytest.mark.parametrize("kind", [Question, jf.mixing.Attention, jf.mixing.AttentionGradient, CompareOptions])
def test_every_field_is_documented(kind):
    docs = field_docs(kind)
    assert list(docs) == [each.name for each in fields(kind) if each.init]
    assert all(len(about) > 10 for about in docs.values())


def parsed(*arguments, default=QUESTIONS[0]):
    parser = Parser()
    add_question(parser, default)
    return question_of(parser.parse_args(list(arguments)), default)


def test_the_command_line_asks_what_its_options_say():
    assert parsed() == Question()
    assert parsed(default=Question(queries=None)) == Question(queries=None)
    assert parsed("--queries", "all", "--layers", "2,3") == Question(queries=None, layers=(2, 3))
    assert parsed("--queries", "last", "--tol", "0.5") == Question(queries="last", tol=0.5)
    assert parsed("--methods", "raw,tests.attribution.test_question:QUARTER") == Question(["raw", QUARTER])
    assert parsed("--heads", "max", "--residual", "0.25") == Question(mixing=jf.mixing.Attention("max", 0.25))
    gradient = jf.mixing.AttentionGradient(own=0.25)
    assert parsed("--mixing", "attention-gradient", "--own", "0.25", "--target", "good") == Question(
        mixing=gradient, target="good"
    )
    assert parsed("--mixing", "gradient", "--own", "identity").mixing == jf.mixing.Gradient("identity")
    with pytest.raises(InputError, match="`heads` must go with a mixing that has it, got 'attention-gradient'"):
        parsed("--mixing", "attention-gradient", "--heads", "max")


def test_every_field_has_an_option_with_its_words(capsys):
    parser = argparse.ArgumentParser()
    add_question(parser, Question())
    shown = " ".join(parser.format_help().split())
    for name, about in field_docs(Question).items():
        assert f"--{name} " in shown
        assert about.partition(". ")[0].rstrip(".") in shown


def test_a_decoder_is_asked_about_its_last_token_unless_a_question_says_another():
    model = causal_model()
    texts = ["the key is on the table", "the keys"]
    assert [example.queries.tolist() for example in jf.attribute(model, texts, methods="raw")] == [[5], [1]]
    # What is passed is what is asked.
    for asked in (jf.Question(methods="raw"), jf.Question(methods="raw", queries=0)):
        assert [example.queries.tolist() for example in jf.attribute(model, texts, asked)] == [[0], [0]]
    assert jf.attribute(model, texts, methods="raw", queries=1)[0].queries.tolist() == [1]
