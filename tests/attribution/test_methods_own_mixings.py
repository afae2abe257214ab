"""Methods that carry a mixing of their own: one pass serves all of them, and each is what it is under that mixing."""

import dataclasses
import json
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Flow, Raw, Rollout
from jaxflow.attribution.registry import is_flow, method_json
from jaxflow.cli.main import main
from jaxflow.mixing import Attention, AttentionGradient
from jaxflow.pages.explore import explore
from jaxflow.running import Mixed, run_readers
from jaxflow.running.readers import KeptGraph
from jaxflow.sweep import shards
from tests.extending.method import Widest
from tests.extending.mixing import ValueNorms
from tests.models.model_from_outside import CausalModel, causal_model
from tests.tiny_text_model import model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

# Of different lengths, so that batches are padded.
TEXTS = ("the key to the cabinets is on the table", "is", "unbelievable tables on the table", "keys")
CLASS = "attention-gradient"


@pytest.fixture(scope="module")
def model():
    return jf.load_model(model_folder())


@dataclass(frozen=True)
class WidestOf(Widest):
    """A user's own method with a mixing by its name."""

    name: str = "widest of the class"
    mixing: str = CLASS


def test_each_method_is_what_it_is_under_its_mixing(model):
    methods = (
        *("rollout", "flow", "raw@attention-gradient", "rollout@attention-gradient", "flow@attention-gradient"),
        Raw("norms", ValueNorms()),
        Flow("exact", name="flow of max", mixing=Attention("max", 0.25)),
        WidestOf(),
    )
    ask = partial(jf.attribute, model, TEXTS, queries=None)
    together = ask(methods=methods, target="good")
    assert list(together.relevance) == [*methods[:5], "norms", "flow of max", "widest of the class"]
    plain = ("raw", "rollout", "flow", Widest())
    of_class = ask(methods=plain, mixing=CLASS, target="good")
    apart = {
        "rollout": (ask(methods=plain), "rollout"),
        "flow": (ask(methods=plain), "flow"),
        **{f"{name}@{CLASS}": (of_class, name) for name in ("raw", "rollout", "flow")},
        "widest of the class": (of_class, "widest"),
        "norms": (ask(methods="raw", mixing=ValueNorms()), "raw"),
        "flow of max": (ask(methods="flow", mixing=Attention("max", 0.25)), "flow"),
    }
    for name, (result, alone) in apart.items():
        for found, expected in zip(together.relevance[name], result.relevance[alone], strict=True):
            # The programs differ, so that their sums are rounded differently.
            np.testing.assert_allclose(found, expected, atol=2e-5 * expected.max(), err_msg=name)
    # A question whose own mixing needs gradients has room for methods that need none.
    (around,) = jf.attribute(
        model, TEXTS[0], methods=["flow", Rollout(mixing="attention")], mixing=CLASS, target="good"
    )
    np.testing.assert_allclose(
        around.relevance["rollout@attention"][:, 0], apart["rollout"][0][0].relevance["rollout"][:, 0], atol=2e-6
    )
    np.testing.assert_allclose(around.relevance["flow"][:, 0], of_class[0].relevance["flow"][:, 0], atol=2e-5)


def test_another_class_changes_only_the_methods_of_the_class(model):
    results = [
        jf.attribute(model, TEXTS[0], methods=["rollout", "flow@attention-gradient"], target=target)[0].relevance
        for target in ("good", "bad")
    ]
    np.testing.assert_array_equal(results[0]["rollout"], results[1]["rollout"])
    assert np.abs(results[0]["flow@attention-gradient"] - results[1]["flow@attention-gradient"]).max() > 1e-3


@dataclass
class Counts:
    """How often functions were traced."""

    calls: dict[str, int] = dataclasses.field(default_factory=dict)

    def counted(self, name: str, function: Any) -> Any:
        """The function, counted under the name."""

        def call(*arguments, **named):
            self.calls[name] = self.calls.get(name, 0) + 1
            return function(*arguments, **named)

        return call


@pytest.mark.parametrize("mixings", [("attention", CLASS), (CLASS, AttentionGradient(0.1))])
def test_one_pass_serves_all_mixings_and_a_view_all_readers_of_one(model, monkeypatch, mixings):
    counts = []
    for readers in (1, 3):
        counts.append(Counts())
        with monkeypatch.context() as patched:
            for kind in (Attention, AttentionGradient):
                counted = counts[-1].counted(kind.__name__, kind.capacities)
                patched.setattr(kind, "capacities", counted)
            patched.setattr(type(model.module), "logits", counts[-1].counted("logits", type(model.module).logits))
            # Another share than in other tests, as a program that is there already would not be traced.
            methods = [
                Rollout(
                    f"rollout {mixing} {number}",
                    Attention(residual=0.37) if mixing == "attention" else AttentionGradient(own=0.37 + 0.01 * place),
                )
                for place, mixing in enumerate(mixings)
                for number in range(readers)
            ]
            _ = jf.attribute(model, TEXTS[1], methods=methods, mixing=methods[0].mixing)
    # As many readers as one likes: a mixing's capacities are computed once, and so are the head's numbers.
    assert counts[0].calls == counts[1].calls
    assert counts[0].calls["logits"] == 1


def test_readers_run_with_mixings_of_their_own(model):
    encodings = model.tokenize(TEXTS)
    (plain, norms), *_ = run_readers(model, encodings, [KeptGraph(), Mixed(KeptGraph(), ValueNorms())])
    tokens = len(encodings[0])
    expected = jf.build_graph(model, TEXTS[:1], ValueNorms())
    np.testing.assert_allclose(norms.weights[:, :tokens, :tokens], expected.weights[0], rtol=1e-5)
    np.testing.assert_allclose(norms.own[:, :tokens], expected.own[0], rtol=1e-5)
    np.testing.assert_array_equal(plain.own[:, :tokens], np.float32(0.5))
    with pytest.raises(InputError, match="`target` must say what is explained, for the mixing 'attention-gradient'"):
        run_readers(model, encodings, [KeptGraph(), Mixed(KeptGraph(), AttentionGradient())])


def test_names_say_the_mixing():
    assert Flow(mixing=CLASS).name == "flow@attention-gradient"
    assert Flow(mixing=CLASS) == jf.Question("flow@attention-gradient").method_values[0]
    assert Raw(mixing=ValueNorms()).name == "raw@value-norms"
    assert Rollout("mine", CLASS).name == "mine"
    assert Flow().name == "flow"
    # Another mixing, another name; one of a user's own stays.
    assert replace(Flow(mixing=CLASS), mixing="attention").name == "flow@attention"
    assert replace(Flow(mixing=CLASS), mixing=None).name == "flow"
    assert replace(Flow(name="mine", mixing=CLASS), mixing=None).name == "mine"
    # The solver of the question counts for the name, and that of a value for the value.
    by_name, by_value = jf.Question(["flow@attention", Flow(mixing=CLASS)], flow="exact", tol=0.1).method_values
    assert (by_name.method, by_name.tol, by_value.method, by_value.tol) == ("exact", 0.1, "auto", 1e-6)


def test_a_question_of_such_methods_comes_back_from_its_json():
    questions = [
        jf.Question(("raw", "flow@attention-gradient"), target="good"),
        jf.Question((Flow("exact", mixing=AttentionGradient(0.25)), Rollout(mixing=Attention(np.ones((2, 3)))))),
        jf.Question("flow@tests.extending.mixing:ValueNorms", flow="exact"),
        jf.Question(WidestOf()),
    ]
    for question in questions:
        described = json.loads(json.dumps(question.as_json()))
        assert jf.Question.from_json(described).method_values == question.method_values
        assert jf.Question.from_json(described).as_json() == described
    described = [question.as_json()["methods"] for question in questions]
    assert described[0] == ["raw", "flow@attention-gradient"]
    assert [is_flow(each) for each in (*described[0], *described[1], *described[2])] == [False, True, True, False, True]
    # Values without a mixing are described as they were before any could carry one: old sweeps go on.
    assert method_json(Flow("exact")) == {
        "name": "flow",
        "class": "jaxflow.attribution.methods:Flow",
        "fields": {"method": "exact", "tol": 1e-6, "name": "flow"},
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": "flow@norm"}, "the mixing of 'flow@norm' must be one of 'attention', .*, got 'norm'"),
        ({"methods": "flow@"}, "the mixing of 'flow@' must be one of 'attention', .*, got ''"),
        ({"methods": "flows@attention"}, "`methods` must be one of 'raw', 'rollout', 'flow'.*, got 'flows"),
        ({"methods": "flow@no.such:Mixing"}, "the mixing of 'flow@no.such:Mixing' must .*cannot be imported"),
        ({"methods": ["flow@attention", "flow@attention"]}, "different names, got flow@attention, flow@attention"),
        ({"methods": WidestOf(mixing="norm")}, "the mixing of 'widest of the class' must be one of"),
        (
            {"methods": "raw@attention", "target": "good"},
            "`target` must be left out, got 'good' with .*, which needs no",
        ),
    ],
)
def test_what_does_not_fit_gets_one_line(changes, message):
    with pytest.raises(InputError, match=message) as error:
        jf.Question(**changes)
    assert "\n" not in str(error.value)


def test_a_model_that_cannot_give_it_is_refused_by_the_methods_name():
    class AttentionAlone(CausalModel):
        gives = frozenset({"attention"})

    whole = causal_model()
    model = AttentionAlone(whole.name, whole.module, whole.words)
    with pytest.raises(InputError, match="the mixing of 'raw@value-norms' must need only what the model gives"):
        jf.attribute(model, ["the keys"], methods=("raw", Raw(mixing=ValueNorms())))


def test_attention_that_is_not_finite_in_one_mixing_alone_is_refused(model):
    @dataclass(frozen=True)
    class Broken(ValueNorms):
        name: str = "broken"

        def capacities(self, layer, mask):
            weights, own = super().capacities(layer, mask)
            return weights + jnp.where(layer.index == 1, jnp.nan, 0), own

    with pytest.raises(InputError, match="what 'broken' makes of text 0 must be finite"):
        jf.attribute(model, TEXTS[:1], methods=("raw", Raw(mixing=Broken())))


def test_a_sweep_is_resumed_and_summarized_by_the_command_line(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shards, "SHARD_ROWS", 1)
    texts, out = tmp_path / "texts.txt", tmp_path / "results"
    texts.write_text("\n".join(TEXTS) + "\n")
    command = ["attribute", "--input", str(texts), "--model", str(model_folder()), "--out", str(out)]
    command += ["--methods", "rollout,flow@attention-gradient", "--target", "good"]
    assert main(command) == 0
    assert "flow@attention-gradient" in capsys.readouterr().out
    (out / "__about__" / "part-00002.json").unlink()
    assert main([*command]) == 0
    results = jf.open_sweep(out)
    assert results.complete
    expected = jf.attribute(model, TEXTS, jf.Question(("rollout", "flow@attention-gradient"), target="good"))
    for found, example in zip(results, expected, strict=True):
        for method in ("rollout", "flow@attention-gradient"):
            np.testing.assert_allclose(found.relevance[method], example.relevance[method], atol=1e-6)
        assert found.certified.all()
    assert "flow@attention-gradient" in results.table().column_names
    _ = capsys.readouterr()
    assert main([*command[:-4], "--methods", "rollout,flow"]) == 2
    assert "methods (there rollout,flow@attention-gradient, now rollout,flow)" in capsys.readouterr().err
    assert main(["summarize", str(out)]) == 0
    assert "flow@attention-gradient" in capsys.readouterr().out
    for name in ("report.html", "summary.html"):
        assert "flow@attention-gradient" in (out / "__about__" / name).read_text()


def test_they_are_compared_and_explored(model):
    asked = jf.Question(("rollout", "flow@attention-gradient"), queries=0, target="good")
    (expected,) = jf.attribute(model, TEXTS[0], asked)
    compared = jf.compare_models(model, model, TEXTS[:1], asked).texts[0]
    explored = explore(model, TEXTS[:1], asked).sides[0].examples[0]
    for name in ("rollout", "flow@attention-gradient"):
        np.testing.assert_allclose(compared.a.relevance[name][:, 0], expected.relevance[name][:, 0], atol=2e-5)
        np.testing.assert_array_equal(compared.a.relevance[name], compared.b.relevance[name])
        np.testing.assert_allclose(explored.relevance[name][:, 0], expected.relevance[name][:, 0], atol=2e-5)
