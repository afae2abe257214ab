"""Mistakes of those who write a part of their own: each is refused in one line that names the part and the way out."""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Scores
from tests.models.model_from_outside import causal_model
from tests.tiny_text_model import model_folder

# Of different lengths, so that the batch is padded.
TEXTS = ["the key is on the table", "the keys"]
MODEL = causal_model()


@pytest.fixture(scope="module")
def model():
    return jf.load_model(model_folder())


@dataclass(frozen=True)
class Given:
    """A mixing that gives what a function of the fused attention and the mask gives."""

    function: Any
    name: str = "mine"
    needs: frozenset[str] = frozenset({"attention"})

    def capacities(self, layer, mask):
        pairs = mask[..., :, None] & mask[..., None, :]
        return self.function(jnp.where(pairs, layer.attention.mean(-3), 0), jnp.where(mask, 1.0, 0.0))


class WithoutNeeds:
    name = "mine"

    def capacities(self, layer, mask):
        return layer.attention.mean(-3), jnp.where(mask, 1.0, 0.0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda weights, own: weights, r"must give weights of shape .* and own streams .*, got \(.*\) from 'mine'; "),
        (lambda weights, own: (own, weights), "must give weights of shape .*, got .* from 'mine'; "),
        (lambda weights, own: (-weights, own), "that are not negative, got negative ones from 'mine' for text 0; "),
        # Not seen on the diagonal of the capacities, where the own streams lie above it.
        (
            lambda weights, own: (jnp.where(weights > 0, weights - 0.1, 0), own),
            "that are not negative, got negative ones",
        ),
        (lambda weights, own: (weights + 0.1, own), "0 on padding's rows and columns, got others from 'mine' for text"),
        (lambda weights, own: (weights, own + 1.0), "0 on padding's rows and columns, got others from 'mine' for text"),
        (lambda weights, own: (weights / 0, own), "what 'mine' makes of text 0 must be finite, got NaN or infinity; "),
    ],
)
@pytest.mark.parametrize("ask", [jf.attribute, jf.build_graph])
def test_a_mixing_that_gives_no_capacities_is_refused(model, ask, function, message):
    with pytest.raises(InputError, match=message) as refused:
        ask(model, TEXTS, mixing=Given(function))
    assert "\n" not in str(refused.value)


def test_what_a_mixing_lacks_is_named():
    with pytest.raises(InputError, match=r"`mixing` must be one of 'attention'.* object at .*, which has no needs"):
        jf.Question(mixing=WithoutNeeds())


@dataclass(frozen=True)
class OfGraph:
    """A method that gives what a function of the graph gives."""

    function: Any
    name: str = "mine"

    def __call__(self, graph, queries, layers):
        return self.function(graph)


@dataclass(frozen=True)
class OfLayers:
    """A method that streams, and mistakes its own carry for relevance."""

    name: str = "mine"

    def start(self, mask):
        return jnp.zeros(mask.shape)

    def step(self, carry, attention, capacity):
        return carry, carry


@dataclass(frozen=True)
class LengthsReader:
    """A reader that gives one number an example."""

    needs_logits: bool = False

    def start(self, inputs):
        return jnp.zeros(inputs.mask.shape[0])

    def step(self, inputs, carry, layer):
        return carry + 1

    def finish(self, inputs, carry, outputs):
        return carry


@dataclass(frozen=True)
class OfReader:
    name: str = "mine"

    def reader(self, layers):
        return LengthsReader()


class Nameless:
    def __call__(self, graph, queries, layers):
        return Scores(graph.weights)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (OfGraph(lambda graph: graph.weights), "must return jaxflow.attribution.Scores, got ArrayImpl from 'mine'; "),
        # All positions' rows, where one position was asked for: of these the wrong one would be taken.
        (
            OfGraph(lambda graph: Scores(graph.weights)),
            r"\(row, layer, query, token\), here of shape .* from 'mine' at",
        ),
        (OfLayers(), r"must give relevance of shape .* from `step`, got shape .* from 'mine'; "),
        (OfReader(), r"must give relevance \(row, layer, query, token\), got shape .* from 'mine' at 3 layers"),
        (Nameless(), "must have a `name`, and `__call__`, .*, got .*Nameless object"),
    ],
)
def test_a_method_that_gives_no_relevance_is_refused(model, method, message):
    with pytest.raises(InputError, match=f"`methods` .*{message}") as refused:
        jf.attribute(model, TEXTS, methods=("rollout", method))
    assert "\n" not in str(refused.value)


def test_a_solver_and_a_model_are_named_like_methods(model):
    name = "tests.extending.solver:WidestPath"
    by_name, by_value = (jf.Question(flow=flow) for flow in (name, jf.Question(flow=name).flow))
    assert by_name == by_value
    assert jf.Question.from_json(by_name.as_json()) == by_name
    assert jf.load_model(f"{__name__}:MODEL") is MODEL
    with pytest.raises(InputError, match=r"`name_or_path` must be a known name, or name a value as .*no value of this"):
        jf.load_model(f"{__name__}:MODELS")
    with pytest.raises(InputError, match=r"`name_or_path` must be a model, see jaxflow.models.Model, got list"):
        jf.load_model(f"{__name__}:TEXTS")
    with pytest.raises(InputError, match=r"`flow` must be one of 'auto'.*got <tests"):
        jf.Question(flow="tests.test_extending_mistakes:WithoutNeeds")


def test_a_folder_with_a_colon_in_its_name_is_a_folder(tmp_path):
    (tmp_path / "a:b").symlink_to(model_folder())
    assert jf.load_model(str(tmp_path / "a:b")).layers == jf.load_model(model_folder()).layers
    assert replace(jf.Question(), flow="exact").flow == "exact"
