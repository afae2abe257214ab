"""The min-sum product: its rounding error at any length, and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow._target import for_tpu
from jaxflow.flow.device.minsum import min_sum, min_sum_down, min_sum_up
from jaxflow.flow.device.minsum_kernel import tiled_min_sum


def in_float64(left, right):
    return np.minimum(np.float64(left)[..., :, :, None], np.float64(right)[..., None, :, :]).sum(-2)


def operands(seed, queries, middle, tokens, batch=()):
    rng = np.random.default_rng(seed)
    # Entries over many orders of magnitude, ties and zeros among them.
    left = 10 ** rng.uniform(-12, 0, (*batch, queries, middle)) * (rng.random((*batch, queries, middle)) < 0.9)
    right = 10 ** rng.uniform(-12, 0, (*batch, middle, tokens))
    right = np.where(rng.random(right.shape) < 0.1, left[..., :1, :].swapaxes(-1, -2), right)
    return jnp.asarray(left, jnp.float32), jnp.asarray(right, jnp.float32)


@pytest.mark.parametrize("middle", [1, 15, 16, 17, 100, 3000])
def test_outward_rounding_brackets_the_product_closely(middle):
    left, right = operands(middle, 7, middle, 9, batch=(3,))
    exact = in_float64(left, right)
    up, down = np.float64(min_sum_up(left, right)), np.float64(min_sum_down(left, right))
    assert np.all(down <= exact)
    assert np.all(exact <= up)
    np.testing.assert_allclose(up, exact, rtol=1e-6)
    np.testing.assert_allclose(down, exact, rtol=1e-6)


def test_derivatives_follow_the_smaller_operand_both_ways():
    left, right = operands(1, 5, 20, 6)
    rng = np.random.default_rng(2)
    tangents = [jnp.asarray(rng.normal(size=x.shape), jnp.float32) for x in (left, right)]
    _, forward = jax.jvp(min_sum, (left, right), tuple(tangents))
    smaller = np.asarray(left)[:, :, None] < np.asarray(right)[None]
    tied = np.asarray(left)[:, :, None] == np.asarray(right)[None]
    share = smaller + 0.5 * tied
    expected = (share * np.asarray(tangents[0])[:, :, None] + (1 - share) * np.asarray(tangents[1])[None]).sum(1)
    np.testing.assert_allclose(forward, expected, atol=1e-5)
    weights = jnp.asarray(rng.normal(size=forward.shape), jnp.float32)
    _, pull = jax.vjp(min_sum, left, right)
    backward = sum(jnp.vdot(g, t) for g, t in zip(pull(weights), tangents, strict=True))
    np.testing.assert_allclose(backward, jnp.vdot(weights, forward), rtol=1e-4)


def test_it_maps_over_a_batch():
    left, right = operands(3, 4, 18, 5, batch=(6,))
    np.testing.assert_array_equal(jax.vmap(min_sum)(left, right), min_sum(left, right))


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize(("queries", "middle", "tokens"), [(1, 1, 1), (5, 17, 70), (130, 300, 140)])
def test_the_kernel_gives_the_same_numbers(platform, queries, middle, tokens):
    left, right = operands(middle, queries, middle, tokens, batch=(2,))
    plain = jax.jit(min_sum)(left, right)
    tiled = tiled_min_sum(left, right, platform, interpret=True)
    np.testing.assert_array_equal(tiled, plain)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_the_kernel_is_lowered_for_its_device(platform):
    """Without one: what is left to prove there is that it is fast. Batches by `vmap` as well."""
    left, right = operands(4, 20, 40, 30, batch=(3,))
    product = jax.jit(jax.vmap(lambda left, right: tiled_min_sum(left, right, platform)))
    text = product.trace(left, right).lower(lowering_platforms=(platform,)).as_text()
    assert {"tpu": "tpu_custom_call", "cuda": "triton"}[platform] in text


def test_programs_for_a_tpu_have_the_kernel():
    left, right = operands(5, 20, 40, 30)
    with for_tpu(1):
        product = jax.jit(min_sum_up).trace(left, right)
    assert "tpu_custom_call" in product.lower(lowering_platforms=("tpu",)).as_text()
    # The same program has the plain version for every other device.
    np.testing.assert_array_equal(
        product.lower(lowering_platforms=("cpu",)).compile()(left, right), min_sum_up(left, right)
    )


def test_programs_over_several_devices_have_the_kernel_where_each_has_its_own_part():
    """Kernels cannot be parted by the compiler, which parts the plain version."""
    mesh = jax.sharding.AbstractMesh((4,), ("example",))
    left, right = operands(6, 20, 40, 30, batch=(4,))

    def alone(left, right):
        return min_sum(left, right)

    apart = jax.shard_map(alone, mesh=mesh, in_specs=jax.P("example"), out_specs=jax.P("example"), check_vma=False)
    with for_tpu(4):
        texts = [str(jax.make_jaxpr(function)(left, right)) for function in (alone, apart)]
    assert ["pallas_call" in text for text in texts] == [False, True]
