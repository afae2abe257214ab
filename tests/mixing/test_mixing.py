"""Mixings as values: what they take, what they refuse, and one written outside the package that needs values."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Raw, Rollout
from jaxflow.attribution.streams import Streams
from jaxflow.evaluation import Target
from jaxflow.evaluation.target import explained_of
from jaxflow.heads.class_attention import ClassGradient, class_attention
from jaxflow.mixing import MIXINGS, Attention, AttentionGradient, Gradient, Mixing, as_mixing, mixing_json
from jaxflow.running import run_readers
from jaxflow.running.readers import KeptGraph, Logits
from tests.tiny_text_model import LAYERS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = ["the key to the cabinets", "is", "unbelievable tables on the table", "keys"]
HEADS = 2
EVERY = tuple(range(1, LAYERS + 1))


@pytest.fixture(scope="module")
def encoder():
    return jf.load_model(str(model_folder()))


@dataclasses.dataclass(frozen=True)
class Norms:
    """|sum over heads of a f(x)|, with f the value behind the output projection; own streams of a size of their own."""

    own: float = 0.25
    name: str = "norms"
    needs: frozenset[str] = frozenset({"attention", "values"})

    def capacities(self, layer, mask):
        moved = jnp.einsum("rhkd,hdw->rhkw", layer.values, layer.output)
        sums = jnp.einsum("rhqk,rhkw->rqkw", layer.attention, moved)
        weights = jnp.where(mask[:, :, None] & mask[:, None, :], jnp.linalg.norm(sums, axis=-1), 0)
        return weights, jnp.where(mask, self.own * jnp.linalg.norm(layer.inputs, axis=-1), 0)


def norms_by_hand(encoder, encoding):
    """Weights and own streams of one text from what the model itself returns."""
    out = encoder(encoder.pad([encoding]), return_values=True)
    attention, values = np.float64(out.attention[0]), np.float64(out.values[0])
    # Each head's values behind its part of the output projection: layer head key width.
    moved = np.einsum("lhkd,lhdw->lhkw", values, np.float64(encoder.module.output_projections()))
    weights = np.linalg.norm(np.einsum("lhqk,lhkw->lqkw", attention, moved), axis=-1)
    return weights, 0.25 * np.linalg.norm(np.float64(out.hidden_states[0])[:-1], axis=-1)


def test_a_mixing_of_ones_own_that_needs_values(encoder):
    assert isinstance(Norms(), Mixing)
    encodings = encoder.tokenize(TEXTS)
    results = run_readers(encoder, encodings, [KeptGraph(), Streams((Raw(), Rollout()), EVERY)], mixing=Norms())
    for encoding, (graph, streams) in zip(encodings, results, strict=True):
        weights, own = norms_by_hand(encoder, encoding)
        tokens, padding = len(encoding), slice(len(encoding), None)
        real = (slice(None), slice(tokens), slice(tokens))
        np.testing.assert_allclose(graph.weights[real], weights, rtol=2e-5)
        np.testing.assert_allclose(graph.own[:, :tokens], own, rtol=2e-5)
        assert not graph.weights[:, padding].any()
        assert not graph.weights[..., padding].any()
        assert not graph.own[:, padding].any()
        assert not np.asarray(graph.row_stochastic)
        # What streams is what the graph gives.
        np.testing.assert_allclose(streams["raw"][real], weights / weights.sum(-1, keepdims=True), rtol=2e-5)
        rolled, capacity = np.eye(tokens), weights + own[:, :, None] * np.eye(tokens)
        for layer in range(LAYERS):
            rolled = capacity[layer] @ rolled
            np.testing.assert_allclose(streams["rollout"][layer, :tokens, :tokens], rolled, rtol=1e-4)
        flow = jf.attention_flow(graph, queries=0, method="exact")
        assert flow.certified.all()
        assert (flow.value <= capacity.sum(-1)[:, None, :1] * (1 + 1e-5)).all()


@pytest.mark.parametrize(
    ("classes", "residual"), [("predicted", 0.5), ("good", 0.2)], ids=["predicted by each text", "one class"]
)
def test_a_mixing_that_needs_gradients_gives_the_graph_of_the_class(encoder, classes, residual):
    target = Target(classes, quantity="logit")
    encodings = encoder.tokenize(TEXTS)
    number, (given, _) = explained_of(encoder, target, len(TEXTS))

    def arrays(numbers, rows, length):
        chosen = None if given is None else np.resize(given[numbers], rows)
        return (None, None, None, (None, None), (chosen, None))

    readers = [KeptGraph(), Streams((Raw(), Rollout()), EVERY), Logits(), ClassGradient(*reader_of(encoder))]
    results = run_readers(encoder, encodings, readers, arrays=arrays, mixing=AttentionGradient(residual), target=number)
    expected = class_attention(encoder, TEXTS, target=target)
    whole = expected.graph(residual)
    # The other readers see what they see under any other mixing.
    plain = run_readers(
        encoder, encodings, [Logits(), ClassGradient(*reader_of(encoder))], arrays=lambda *_: (None, (None, None))
    )
    rollout = np.asarray(jf.attention_rollout(whole))
    for index, (graph, streams, logits, gated) in enumerate(results):
        tokens = len(encodings[index])
        real = (slice(None), slice(tokens), slice(tokens))
        np.testing.assert_allclose(graph.weights[real], whole.weights[index][real], atol=2e-5)
        np.testing.assert_array_equal(graph.own[:, :tokens], np.float32(residual))
        np.testing.assert_allclose(streams["rollout"][real], rollout[index][real], atol=2e-5)
        np.testing.assert_allclose(streams["raw"][real], jf.raw_attention(whole)[index][real], atol=2e-5)
        np.testing.assert_allclose(logits, plain[index][0], atol=1e-5)
        np.testing.assert_allclose(gated.gates, plain[index][1].gates, atol=1e-6)


def reader_of(encoder):
    return explained_of(encoder, Target(), len(TEXTS))[0], False


def test_mixings_by_name_and_value(encoder):
    assert as_mixing("attention", encoder) == Attention()
    assert as_mixing("attention-gradient", encoder) == AttentionGradient()
    assert all(as_mixing(name).name == name for name in MIXINGS)
    mixing = Attention(heads=np.array([[1, 2], [0, 1], [3, 4]]), residual=np.float32(0.25))
    assert hash(mixing) == hash(Attention(heads=[[1.0, 2], (0, 1), [3, 4]], residual=0.25))
    assert as_mixing(mixing, encoder) is mixing
    written = json.loads(json.dumps(mixing_json(mixing)))
    assert written == {"name": "attention", "heads": [[1, 2], [0, 1], [3, 4]], "residual": 0.25}
    name = written.pop("name")
    assert MIXINGS[name](**written) == mixing
    assert mixing_json(Norms()) == {"name": "norms", "own": 0.25}


def test_weights_of_heads_are_those_of_the_graph(encoder):
    encodings = encoder.tokenize(TEXTS)
    for heads in ([1.0, 3.0], [[1, 0], [0.5, 2], [3, 1]], [1e-300, 3e-300]):
        results = run_readers(encoder, encodings, [KeptGraph()], mixing=Attention(heads, 0.1))
        for encoding, (graph,) in zip(encodings, results, strict=True):
            batch = encoder.pad([encoding])
            expected = jf.attention_graph(encoder(batch).attention, batch.mask, heads=heads, residual=0.1)
            tokens = len(encoding)
            np.testing.assert_allclose(graph.weights[:, :tokens, :tokens], expected.weights[0], atol=2e-6)


class Unhashable(Norms):
    __hash__ = None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: as_mixing(Norms(needs=frozenset({"rerun", "gradients"}))),
            "`mixing` must need reruns or gradients, not both, got 'norms', which needs both; ",
        ),
        (lambda: as_mixing("norm"), "`mixing` must be one of 'attention', .*'attention-gradient'.*, got 'norm'"),
        (lambda: as_mixing(None), "`mixing` must be one of 'attention', .*, or a value of jaxflow.mixing, got None"),
        (lambda: as_mixing(Attention), r"got the class Attention; pass `mixing=Attention\(\)`"),
        (lambda: Attention(heads="median"), "`heads` must be one of 'mean', 'max', 'min', got 'median'"),
        (lambda: Attention(heads=None), "`heads` must be one of 'mean', .*, or weights, got None"),
        (lambda: Attention(heads=[1, -1]), "`heads` must be finite and not negative where they are weights, got -1.0"),
        (lambda: Attention(heads=[[1, 1], [0, 0]]), "`heads` must leave at least one head in every layer"),
        (lambda: Attention(heads=np.ones((2, 3, 4))), r"`heads` must have shape \(head,\) or \(layer, head\)"),
        (lambda: Attention(residual=1.5), r"`residual` must lie in \[0, 1\], got 1.5"),
        (lambda: Attention(residual=[0.1, 0.2]), "`residual` must be one number"),
        (lambda: AttentionGradient(own="half"), "`own` must be a share in .0, 1., or 'wide' or 'identity' or 'none'"),
        (lambda: Gradient(own="measured"), "`own` must be a share .*, got 'measured'"),
        (lambda: Gradient(own=-0.5), r"`own` must lie in \[0, 1\], got -0.5"),
    ],
)
def test_what_is_no_mixing_gets_one_line(make, message):
    with pytest.raises(InputError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_mixing_that_does_not_fit_a_model_is_refused(encoder):
    with pytest.raises(InputError, match=r"`heads` must have shape \(2,\) or \(3, 2\) where .*, got \(4,\)"):
        as_mixing(Attention(heads=np.ones(4)), encoder)

    class Attending(type(encoder)):
        """A model that gives attention alone."""

        gives = property(lambda self: frozenset({"attention"}))

    fields = {field.name: getattr(encoder, field.name) for field in dataclasses.fields(encoder) if field.init}
    for mixing, missing in ((Norms(), "values"), ("attention-gradient", "gradients")):
        with pytest.raises(InputError, match=f"`mixing` must need only what the model gives, .* needs {missing}; "):
            as_mixing(mixing, Attending(**fields))
    with pytest.raises(InputError, match="`mixing` must be hashable"):
        as_mixing(Unhashable())
