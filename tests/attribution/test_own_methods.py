"""Methods from outside the package, of each way to read: in results, sweeps, summaries, comparisons and pages."""

import sys
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Question, Scores
from jaxflow.cli import main as cli
from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import explorer_data
from jaxflow.running import at_layers, layer_places, layer_room, put_layer
from jaxflow.summary.summary import summarize
from tests.tiny_text_model import LAYERS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = ["the key to the cabinets", "is", "unbelievable tables on the table"]


@dataclass(frozen=True)
class ValueNormsReader:
    """Norms of the last head's value vectors, the same for every query: `row layer query token`."""

    layers: tuple
    scale: float
    needs_logits: bool = False

    def start(self, inputs):
        return layer_room(inputs, int(layer_places(self.layers, inputs.depth).max()) + 1, inputs.mask.shape[-1])

    def step(self, inputs, carry, layer):
        place = jnp.asarray(layer_places(self.layers, inputs.depth))[layer.index]
        norms = jnp.linalg.norm(layer.output.values[:, -1], axis=-1) * self.scale
        return put_layer(carry, jnp.where(inputs.mask, norms, 0), place)

    def finish(self, inputs, carry, outputs):
        order = layer_places(self.layers, inputs.depth)[[layer - 1 for layer in self.layers]]
        queries = inputs.mask.shape[-1] if inputs.examples is None else inputs.examples.shape[-1]
        found = at_layers(carry, order)[:, :, None]
        return jnp.broadcast_to(found, (*found.shape[:2], queries, found.shape[-1]))


@dataclass(frozen=True)
class ValueNorms:
    """A relevance method: it reads the model and no graph."""

    scale: float = 1.0
    name: str = "value norms"

    def reader(self, layers):
        return ValueNormsReader(layers, self.scale)


@dataclass(frozen=True)
class LastLayer:
    """Takes the graph, and keeps its numbers in float64."""

    name: str = "last.layer"
    storage: str = "float64"

    def __call__(self, graph, queries, layers):
        values = np.asarray(jf.raw_attention(graph))[:, -1:]
        rows = np.take_along_axis(values, np.asarray(queries)[:, None, :, None], axis=-2)
        return Scores(np.repeat(rows, len(layers), axis=1) / 3)


METHODS = ["raw", ValueNorms(), LastLayer()]
OWN = "tests.attribution.test_own_methods"


@pytest.fixture(scope="module")
def model():
    return jf.load_model(str(model_folder()))


def norms_by_hand(model, text):
    encodings = model.tokenize([text])
    return np.linalg.norm(np.asarray(model(model.pad(encodings), return_values=True).values)[0, :, -1], axis=-1)


@pytest.fixture(scope="module")
def result(model):
    return jf.attribute(model, TEXTS, methods=METHODS, queries=[0, 2], layers=[3, 1])


def test_each_way_of_reading_gives_what_it_says(model, result):
    for text, example in zip(TEXTS, result, strict=True):
        assert list(example.relevance) == ["raw", "value norms", "last.layer"]
        expected = norms_by_hand(model, text)[[2, 0]][:, None].repeat(2, axis=1)
        np.testing.assert_allclose(example.relevance["value norms"], expected, rtol=2e-5)
        assert [values.dtype for values in example.relevance.values()] == [np.float32, np.float32, np.float64]
        np.testing.assert_allclose(example.relevance["last.layer"][1] * 3, example.relevance["raw"][0], atol=1e-6)


def test_positions_have_names(model):
    for queries, place in (("last", -1), ("classifier", 0)):
        named = jf.attribute(model, TEXTS, methods="rollout", queries=queries)
        for one, whole in zip(named, jf.attribute(model, TEXTS, methods="rollout", queries=None), strict=True):
            assert one.queries.tolist() == [range(len(one.tokens))[place]]
            np.testing.assert_allclose(one.relevance["rollout"][:, 0], whole.relevance["rollout"][:, place], atol=1e-6)


def test_a_sweep_keeps_them_and_goes_on_with_the_same_values_alone(model, result, tmp_path):
    question = Question(METHODS, queries=[0, 2], layers=[3, 1])
    results = jf.run_sweep(model, TEXTS, tmp_path / "out", question)
    for kept, example in zip(results, result, strict=True):
        assert list(kept.relevance) == list(example.relevance)
        for name, values in example.relevance.items():
            assert kept.relevance[name].dtype == values.dtype
            np.testing.assert_allclose(kept.relevance[name], values, atol=1e-6)
    assert Question.from_json(results.manifest["question"]) == question
    assert len(jf.run_sweep(model, TEXTS, tmp_path / "out", question)) == len(TEXTS)
    named = ["raw", f"{OWN}:ValueNorms", f"{OWN}:LastLayer"]
    assert len(jf.run_sweep(model, TEXTS, tmp_path / "out", question, methods=named)) == len(TEXTS)
    for other in (["raw", ValueNorms(2.0), LastLayer()], ["raw", ValueNorms(), LastLayer(storage="float32")]):
        with pytest.raises(InputError, match="which differs in methods"):
            jf.run_sweep(model, TEXTS, tmp_path / "out", question, methods=other)
    summary = summarize(results)
    assert summary.methods == ("raw", "value norms", "last.layer")
    assert summary.measures["value norms"].keys() == {"entropy", "effective_tokens", "effective_rank", "tied_tokens"}


def test_they_are_compared_between_models(model):
    found = jf.compare_models(model, model, TEXTS, methods=METHODS, queries=[0])
    for text, compared in zip(TEXTS, found.texts, strict=True):
        assert not any(values.any() for values in compared.change.values())
        expected = norms_by_hand(model, text)[:, None]
        np.testing.assert_allclose(compared.a.relevance["value norms"], expected, rtol=2e-5)


def test_they_are_on_the_explorers_page(model):
    exploration = explore(model, TEXTS[:1], methods=METHODS, queries=[1])
    (side,) = exploration.sides
    np.testing.assert_allclose(
        side.examples[0].relevance["value norms"][:, 0], norms_by_hand(model, TEXTS[0]), rtol=2e-5
    )
    assert side.examples[0].relevance["raw"].shape[1] == len(side.examples[0].tokens)
    assert explorer_data(exploration)["methods"] == ["raw", "rollout", "value norms", "last.layer"]


def test_the_command_line_takes_them_by_where_they_stand(tmp_path, capsys, monkeypatch):
    module = "from tests.attribution.test_own_methods import ValueNorms\nDOUBLE = ValueNorms(2.0, 'double')\n"
    (tmp_path / "my_methods.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    arguments = ["attribute", "--model", str(model_folder()), "--text", TEXTS[0], "--out", "out", "--methods"]
    assert cli.main([*arguments, "raw,my_methods:DOUBLE"]) == 0
    shown = capsys.readouterr().out
    assert "double" in shown
    (row,) = jf.open_sweep("out").rows()
    assert row["double"].shape == (LAYERS, 1, len(row["tokens"]))
    assert cli.main(["summarize", "out"]) == 0
    assert "entropy, double" in capsys.readouterr().out
    assert cli.main([*arguments, "my_methods:TRIPLE"]) == 2
    said = capsys.readouterr().err
    assert said == (
        "jaxflow: --methods must be a known name, or name a value as package.module:NAME, got 'my_methods:TRIPLE', "
        "and the module has no value of this name\n"
    )
