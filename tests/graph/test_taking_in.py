"""Attention from elsewhere: the same numbers mean the same in every form, and what is no attention gets one line."""

import itertools
from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxflow as jf
from jaxflow._checks import InputError
from tests.problems import softmax_attention

# As many texts as layers: nothing but the form says which axis is which.
SQUARE = softmax_attention(1, (3, 3, 2, 4, 4)).astype(np.float32)

FORMS = {
    "array": lambda layer: layer,
    "jax": jnp.asarray,
    "torch": lambda layer: torch.tensor(layer, requires_grad=True),
    "lists": lambda layer: layer.tolist(),
    "lists of arrays": list,
    "tuples of torch": lambda layer: tuple(map(torch.tensor, layer)),
}

WHOLE = {
    "array": lambda attention: attention,
    "jax": jnp.asarray,
    "torch": torch.tensor,
    "float64": np.float64,
}


@pytest.mark.parametrize("axes", [(3,), (2,), (), (3, 3)], ids=str)
def test_every_form_of_the_same_attention_gives_the_same_graph(axes):
    attention = np.broadcast_to(SQUARE[: axes[0] if axes else 1], (*axes[1:], *SQUARE[: axes[0] if axes else 1].shape))
    attention = attention if axes else attention[0]
    layers = np.moveaxis(attention, -4, 0)
    expected = np.asarray(jf.attention_graph(attention).weights)
    for form in WHOLE.values():
        np.testing.assert_array_equal(jf.attention_graph(form(attention)).weights, expected)
    # Lists of arrays of rank 4 in each other are what `generate` returns, and are refused.
    forms = {name: form for name, form in FORMS.items() if len(axes) < 2 or " of " not in name}
    for form, kind in itertools.product(forms.values(), (list, tuple, deque)):
        np.testing.assert_array_equal(jf.attention_graph(kind(map(form, layers))).weights, expected)
    for mixed in itertools.islice(itertools.permutations(forms.values(), 3), 0, None, 7):
        given = [form(layer) for form, layer in zip(mixed, layers, strict=True)]
        np.testing.assert_array_equal(jf.attention_graph(given).weights, expected)


@pytest.mark.parametrize("kind", [">f4", ">f8", np.longdouble, np.ma.masked_array])
def test_numbers_in_formats_that_jax_lacks(kind):
    attention = np.ma.masked_array(SQUARE) if kind is np.ma.masked_array else SQUARE.astype(kind)
    expected = np.asarray(jf.attention_graph(SQUARE, residual=[0.1, 0.5, 0.9], heads=[1.0, 2.0]).capacity)
    for given in (attention, list(np.moveaxis(attention, 1, 0))):
        residual, heads = np.array([0.1, 0.5, 0.9], kind if isinstance(kind, str) else None), np.array([1, 2], ">i4")
        mask = np.ones((3, 4), ">i8")
        found = jf.attention_graph(given, mask, residual=residual, heads=heads).capacity
        np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("kind", [bool, np.int64, np.uint8])
def test_whole_numbers_are_attention_too(kind):
    one_each = np.roll(np.eye(4), 1, axis=1)[None, None].astype(kind)
    for hold in (np.asarray, jnp.asarray, torch.tensor, np.ndarray.tolist):
        graph = jf.attention_graph(hold(one_each), np.ones(4), residual=0.0)
        np.testing.assert_array_equal(graph.capacity[0], one_each[0, 0])


def test_attention_of_a_model_in_training_says_so():
    dropped = SQUARE * (np.random.default_rng(0).random(SQUARE.shape) > 0.1) / 0.9
    with pytest.raises(InputError, match=r"rows that sum to 1, .*call model\.eval\(\) first"):
        jf.attention_graph(dropped)


def test_one_text_of_a_deep_model_stays_one_text():
    layers = list(SQUARE[:, :1])
    assert jf.attention_graph([layer.tolist() for layer in layers]).weights.shape == (1, 3, 4, 4)
    assert jf.attention_graph(layers).weights.shape == (1, 3, 4, 4)


def test_layers_of_different_formats_are_put_together_in_the_widest():
    half = [torch.tensor(SQUARE[:, 0]).bfloat16(), SQUARE[:, 1].astype(np.float16), jnp.asarray(SQUARE[:, 2])]
    np.testing.assert_allclose(
        jf.raw_attention(jf.attention_graph(half)), jf.raw_attention(jf.attention_graph(SQUARE)), atol=4e-3
    )
    np.testing.assert_allclose(jf.raw_attention(jf.attention_graph(half[:2]))[:, 0], SQUARE[:, 0].mean(1), atol=4e-3)


def test_a_mask_that_would_fit_the_other_order_says_how_lists_are_read():
    attention = softmax_attention(2, (2, 3, 2, 4, 4))
    with pytest.raises(InputError, match=r"`mask` must have shape \(3, 4\), got \(2, 4\).*one entry a layer"):
        jf.attention_graph(attention.tolist(), mask=np.ones((2, 4)))


PROMPT, STEP = torch.full((1, 2, 5, 5), 0.2), torch.full((1, 2, 1, 6), 1 / 6)

EAGER = r'attn_implementation="eager" and call it with output_attentions=True'

WHOLE_TEXT = "run one forward pass over prompt and answer"


def output(**parts):
    """What a model returns: transformers' outputs hold their parts as attributes."""
    return type("Output", (), parts)()


class Broken:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("the device\nis gone")


@pytest.mark.parametrize(
    ("attentions", "message"),
    [
        (None, f"got None; .*{EAGER}"),
        ((), rf"got \(\); .*{EAGER}"),
        ([], EAGER),
        ((None, None), f"got None for layer 1 of 2; .*{EAGER}"),
        ((PROMPT, None, PROMPT), f"None for layer 2 of 3; .*{EAGER}"),
        (((None, None), (None, None)), EAGER),
        (((),), EAGER),
        (((PROMPT, PROMPT), (STEP, STEP)), WHOLE_TEXT),
        (((PROMPT, PROMPT),), WHOLE_TEXT),
        ([[PROMPT.numpy(), PROMPT.numpy()]], WHOLE_TEXT),
        ((STEP, STEP), f"as many queries as keys, got 1 queries and 6 keys; .*{WHOLE_TEXT}"),
        (torch.stack([STEP, STEP], 1), WHOLE_TEXT),
        ((PROMPT, STEP), f"same shape in every layer, got .*{WHOLE_TEXT}"),
        (output(attentions=(PROMPT, PROMPT)), "got Output; pass its attentions: output.attentions"),
        (output(attentions=((PROMPT, PROMPT), (STEP, STEP))), WHOLE_TEXT),
        (output(attentions=()), EAGER),
        (output(attentions=None), EAGER),
        (output(encoder_attentions=None, decoder_attentions=None), EAGER),
        (
            output(encoder_attentions=(PROMPT,), decoder_attentions=(PROMPT,)),
            r"got Output; pass .*output\.encoder_attentions or output\.decoder_attentions",
        ),
        ((torch.zeros(1, 5, 8), (PROMPT, PROMPT)), r"all outputs of a model; .*output\.attentions"),
        (Broken(), r"must be an array of numbers, got an error when it is read \(the device is gone\)"),
        (np.ma.masked_array(PROMPT[None].numpy(), PROMPT[None].numpy() > 0), "not be a masked array"),
        ([[[[0.5, 0.5], [1.0]]]], "lists of equal length"),
        (PROMPT[None].to_sparse(), r"be dense, got a sparse one \(torch.sparse_coo\).*to_dense"),
        ((PROMPT.to_sparse(), PROMPT), "be dense"),
        (torch.empty((1, 2, 5, 5), device="meta"), "must be an array of numbers"),
        (PROMPT[None] * 1j, "real numbers, got complex64"),
        ({"attentions": 1}, "must be an array of numbers"),
    ],
)
def test_what_is_no_attention_gets_one_line(attentions, message):
    with pytest.raises(InputError, match=message) as caught:
        jf.attention_graph(attentions)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": np.array([1, 1j])}, "`heads` must hold real numbers"),
        ({"heads": torch.ones(2).to_sparse()}, "`heads` must be dense"),
        ({"heads": "Mean"}, "must be one of"),
        ({"residual": True}, r"`residual` must be a number in \[0, 1\], got True"),
        ({"residual": [True, 0.5, 0.5]}, "`residual` must be a number"),
        ({"residual": np.array([True, False, True])}, "`residual` must be a number"),
        ({"residual": 0.5 + 0j}, "`residual` must be a number"),
        ({"residual": np.complex64(0.5)}, "`residual` must be a number"),
        ({"residual": "0.5"}, "`residual` must be a number"),
        ({"residual": None}, "`residual` must be a number"),
        ({"normalize": "yes"}, "`normalize` must be True or False, got 'yes'"),
        ({"normalize": 1}, "`normalize` must be True or False, got 1"),
        ({"normalize": None}, "`normalize` must be True or False"),
        ({"mask": torch.ones(3, 4).to_sparse()}, "`mask` must be dense"),
    ],
)
def test_arguments_of_the_wrong_kind(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        jf.attention_graph(SQUARE, **arguments)
    assert "\n" not in str(caught.value)


def test_kinds_are_refused_inside_a_transformation_too():
    with pytest.raises(InputError, match="real numbers, got complex64"):
        jax.jit(jf.attention_graph)(jnp.asarray(SQUARE, jnp.complex64))
    with pytest.raises(InputError, match="`residual` must be a number"):
        jax.jit(lambda r: jf.attention_graph(SQUARE, residual=r))(True)
    with pytest.raises(InputError, match="`heads` must hold real"):
        jax.jit(lambda h: jf.attention_graph(SQUARE, heads=h))(jnp.ones(2, jnp.complex64))


@pytest.mark.parametrize("scale", [1e300, 1e39, 1e-39, 1e-300])
def test_weights_of_heads_beyond_single_precision_keep_their_proportions(scale):
    expected = jf.attention_graph(SQUARE, heads=[1.0, 3.0]).weights
    found = jf.attention_graph(SQUARE, heads=np.array([1.0, 3.0]) * scale).weights
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("hold", [np.asarray, jnp.asarray, np.float64, list])
def test_attention_of_16_bits_cast_up_is_held_to_16_bits(kind, hold):
    attention = softmax_attention(3, (2, 1, 40, 40), sharpness=0.1)
    # Rounded down, as a kernel that sums in 16 bits may leave it: sums are .993 and less.
    cast = torch.tensor(attention * 0.993).to(kind).float().numpy()
    assert np.abs(cast.sum(-1) - 1).max() > 1e-3
    graph = jf.attention_graph(hold(cast))
    np.testing.assert_allclose(jf.raw_attention(graph), attention.mean(1), atol=2e-4)


def test_one_weight_more_precise_than_16_bits_and_the_row_must_sum_to_1():
    cast = torch.tensor(softmax_attention(3, (2, 1, 40, 40)) * 0.99).bfloat16().float().numpy()
    jf.attention_graph(cast)
    cast[1, 0, 3, 4] += 1e-5
    with pytest.raises(InputError, match=r"sum to 1, got 0\.\d+ at layer 2.*0.02 where a layer holds only .*bfloat16"):
        jf.attention_graph(cast)
    with pytest.raises(InputError, match=r"sum to 1, got 0\.\d+ at layer 2"):
        jf.attention_graph(jnp.asarray(cast))
    with pytest.raises(InputError, match=r"sum to 1, got 1.03"):
        jf.attention_graph(torch.full((1, 1, 2, 2), 1.03 / 2).bfloat16().float())


@pytest.mark.parametrize("hold", [np.float32, np.float64, jnp.float32])
@pytest.mark.parametrize("scale", [1e-30, 1e-38, 1e-39, 3e-42])
def test_the_least_head_keeps_its_proportions_however_small(hold, scale):
    # Two heads on two tokens each, with next to nothing for the others.
    least = np.array([[1, 3, 2, 4], [4, 1, 1, 2], [5, 5, 1, 1], [1, 9, 1, 1]]) * scale
    attention = np.empty((1, 2, 4, 4))
    attention[0, 0] = least + np.array([0.5, 0.5, 0, 0])
    attention[0, 1] = least + np.array([0, 0, 0.5, 0.5])
    graph = jf.attention_graph(hold(attention), heads="min", residual=0.0)
    expected = least / least.sum(-1, keepdims=True)
    # A number so small has few bits left.
    np.testing.assert_allclose(graph.capacity[0], expected, atol=1e-6 + 2e-45 / scale)


def test_the_least_head_is_differentiated_as_ever():
    attention = jnp.asarray(SQUARE[0])

    def entry(attention):
        return jf.attention_graph(attention, heads="min", residual=0.0).weights[1, 2, 0]

    gradient = np.asarray(jax.grad(entry)(attention))[1, :, 2]
    least, owner = SQUARE[0, 1, :, 2].min(0), SQUARE[0, 1, :, 2].argmin(0)
    total = least.sum(dtype=np.float64)
    expected = np.zeros((2, 4))
    expected[owner, range(4)] = (np.eye(4)[0] - least[0] / total) / total
    np.testing.assert_allclose(gradient, expected, rtol=1e-4)
