"""One graph of sources and targets, against products and maximum flows written out in NumPy and OR-Tools."""

import jax
import numpy as np
import pytest
import torch

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.graph.encoder_decoder import layer_name
from tests.flow.oracles import all_pairs
from tests.graph.encoder_decoder_oracle import by_hand, products
from tests.problems import softmax_attention

BATCH, ENCODER, DECODER, HEADS, SOURCES, TARGETS = 3, 2, 2, 2, 4, 3
SOURCE_MASK = np.arange(SOURCES) < np.array([4, 2, 3])[:, None]
TARGET_MASK = np.arange(TARGETS) < np.array([2, 3, 3])[:, None]


def problem(decoder_heads=HEADS):
    """The three attentions of a batch of different texts, `example layer head query key`."""
    encoder = softmax_attention(1, (BATCH, ENCODER, HEADS, SOURCES, SOURCES), mask=SOURCE_MASK)
    decoder = softmax_attention(2, (BATCH, DECODER, decoder_heads, TARGETS, TARGETS), mask=TARGET_MASK, causal=True)
    scores = np.random.default_rng(3).normal(size=(BATCH, DECODER, decoder_heads, TARGETS, SOURCES)) * 3
    scores = np.where(SOURCE_MASK[:, None, None, None], scores, -1e30)
    cross = np.exp(scores - scores.max(-1, keepdims=True))
    cross /= cross.sum(-1, keepdims=True)
    return tuple(part.astype(np.float32) for part in (encoder, decoder, cross))


def cut(parts, example):
    """One example's attention without padding."""
    encoder, decoder, cross = tuple(part[example] for part in parts)
    sources, targets = SOURCE_MASK[example], TARGET_MASK[example]
    return (
        encoder[:, :, sources][..., sources],
        decoder[:, :, targets][..., targets],
        cross[:, :, targets][..., sources],
    )


@pytest.fixture(scope="module")
def made():
    parts = problem()
    return parts, jf.encoder_decoder_graph(*parts, SOURCE_MASK, torch.tensor(TARGET_MASK).long())


def test_capacities_are_those_of_each_part_in_its_place(made):
    parts, graph = made
    assert graph.num_layers == ENCODER + 2 * DECODER
    assert np.asarray(graph.row_stochastic).all()
    mask = np.concatenate([SOURCE_MASK, TARGET_MASK], -1)
    np.testing.assert_array_equal(graph.mask, mask)
    for example in range(BATCH):
        capacity = np.asarray(graph.capacity[example])
        here = capacity[:, mask[example]][..., mask[example]]
        np.testing.assert_allclose(here, by_hand(*cut(parts, example)), atol=1e-6)
        assert np.asarray(graph.weights[example])[:, ~mask[example]].max(initial=0) == 0
    # In encoder layers no target moves, and in the others no source.
    weights, own = np.asarray(graph.weights), np.asarray(graph.own)
    assert weights[:, :ENCODER, SOURCES:].max() == weights[:, ENCODER:, :SOURCES].max() == 0
    np.testing.assert_array_equal(own[:, :ENCODER, SOURCES:][TARGET_MASK[:, None].repeat(ENCODER, 1)], 1)


def test_rollout_is_the_product_of_each_kind_of_attention(made):
    parts, graph = made
    rollout = np.asarray(jf.attention_rollout(graph))[:, -1]
    for example in range(BATCH):
        sources, targets = SOURCE_MASK[example], TARGET_MASK[example]
        of_sources, of_targets = products(*cut(parts, example))
        rows = rollout[example, SOURCES:][targets]
        np.testing.assert_allclose(rows[:, :SOURCES][:, sources], of_sources, atol=1e-6)
        np.testing.assert_allclose(rows[:, SOURCES:][:, targets], of_targets, atol=1e-6)


def test_raw_attention_of_a_cross_layer_is_its_cross_attention(made):
    parts, graph = made
    raw = np.asarray(jf.raw_attention(graph))
    for example in range(BATCH):
        _, decoder, cross = cut(parts, example)
        sources, targets = SOURCE_MASK[example], TARGET_MASK[example]
        for layer in range(DECODER):
            rows = raw[example, ENCODER + 2 * layer + 1, SOURCES:][targets]
            np.testing.assert_allclose(rows[:, :SOURCES][:, sources], cross[layer].mean(0), atol=1e-6)
            rows = raw[example, ENCODER + 2 * layer, SOURCES:][targets]
            np.testing.assert_allclose(rows[:, SOURCES:][:, targets], decoder[layer].mean(0), atol=1e-6)


def test_flow_is_that_of_the_whole_graph(made):
    parts, graph = made
    depth = ENCODER + 2 * DECODER
    layers = (1, ENCODER, ENCODER + 1, depth)
    flow = jf.attention_flow(graph, layers=layers)
    assert np.asarray(flow.certified).all()
    mask = np.concatenate([SOURCE_MASK, TARGET_MASK], -1)
    joint = jf.joint_flow(graph, layers=depth)
    for example in range(BATCH):
        capacity = by_hand(*cut(parts, example))
        here = mask[example]
        for place, layer in enumerate(layers):
            ours = np.asarray(flow.value[example, place])[here][:, here]
            np.testing.assert_allclose(ours, all_pairs(capacity, layer), atol=2e-6)
        # All inputs together get what leaves a position, which the rows bound by 1.
        np.testing.assert_allclose(np.asarray(joint.value)[example, 0, here], 1, atol=1e-5)


def test_a_target_gets_nothing_from_later_targets_and_a_source_nothing_from_targets(made):
    _, graph = made
    for relevance in (
        jf.attention_rollout(graph)[1, -1],
        jf.attention_flow(graph, layers=graph.num_layers).value[1, 0],
    ):
        values = np.asarray(relevance)
        assert values[:SOURCES, SOURCES:].max() == 0
        assert np.triu(values[SOURCES:, SOURCES:], 1).max() == 0
        assert (values[SOURCES:, :SOURCES][:, SOURCE_MASK[1]] > 0).all()


@pytest.mark.parametrize("heads", ["mean", "max", "min"])
def test_sides_with_different_numbers_of_heads(heads):
    encoder, decoder, cross = problem(decoder_heads=3)
    graph = jf.encoder_decoder_graph(encoder, decoder, cross, SOURCE_MASK, TARGET_MASK, heads=heads, residual=0.2)
    fused = [getattr(np, heads)(part, axis=2, keepdims=True) for part in (encoder, decoder, cross)]
    for example in range(BATCH):
        here = np.concatenate([SOURCE_MASK[example], TARGET_MASK[example]])
        capacity = np.asarray(graph.capacity[example])[:, here][..., here]
        np.testing.assert_allclose(capacity, by_hand(*cut(fused, example), residual=0.2), atol=1e-6)


def test_an_example_alone_layers_as_tuples_and_derivatives():
    parts = [part[2][..., :TARGETS] if index == 2 else part[2] for index, part in enumerate(problem())]
    encoder, decoder, cross = parts[0][:, :, :TARGETS, :TARGETS], parts[1], parts[2]
    encoder = encoder / encoder.sum(-1, keepdims=True)
    graph = jf.encoder_decoder_graph(*(tuple(map(torch.tensor, part)) for part in (encoder, decoder, cross)))
    np.testing.assert_allclose(graph.capacity, by_hand(encoder, decoder, cross), atol=1e-6)

    def last(shift):
        graph = jf.encoder_decoder_graph(encoder, decoder, cross, residual=shift)
        return jf.attention_rollout(graph)[-1, -1, 0]

    slope = jax.grad(last)(0.5)
    assert float(slope) == pytest.approx(float((last(0.501) - last(0.499)) / 0.002), rel=1e-2)


def test_layers_have_names():
    assert [layer_name(layer, 2) for layer in range(1, 7)] == [
        "encoder 1",
        "encoder 2",
        "decoder 1 self",
        "decoder 1 cross",
        "decoder 2 self",
        "decoder 2 cross",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {0: ()},
            r'`encoder_attentions` must hold the attention of every layer, got \(\).*attn_implementation="eager"',
        ),
        ({1: None}, "`decoder_attentions` must hold the attention of every layer, got None"),
        ({2: (None, None)}, "`cross_attentions` must hold the attention of every layer"),
        ({1: problem()[1][:2], 4: TARGET_MASK[:2]}, r"`decoder_attentions` must have the encoder's batch \(3,\)"),
        ({2: problem()[2][:, :1]}, r"`cross_attentions` must have shape \(3, 2, 2, 3, 4\).*use_cache=False"),
        ({2: problem()[2] * 2}, "`cross_attentions` must have rows that sum to 1, got 2 at example 0, layer 1, head 1"),
        ({2: -problem()[2]}, "`cross_attentions` must be not negative"),
        ({0: problem()[0] * np.nan}, "`encoder_attentions` must be finite"),
        ({3: SOURCE_MASK[:, 1:]}, r"`source_mask` must have shape \(3, 4\), got \(3, 3\)"),
        ({4: ~TARGET_MASK}, "`target_mask` must"),
        ({5: "sum"}, "`heads` must"),
        ({6: 2}, "`residual` must"),
    ],
)
def test_what_does_not_fit_gets_one_line(change, message):
    arguments = [*problem(), SOURCE_MASK, TARGET_MASK, "mean", 0.5]
    for place, value in change.items():
        arguments[place] = value
    with pytest.raises(InputError, match=message) as caught:
        _ = jf.encoder_decoder_graph(*arguments)
    assert len(str(caught.value).splitlines()) == 1
