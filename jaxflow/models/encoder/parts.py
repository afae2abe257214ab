"""Building blocks of the encoders: affine maps, normalisation, activations, dropout.

Parameters may be float32 or bfloat16. Only the operands of matrix products take the parameters' type; products
accumulate in float32, and everything between them (residual stream, norms, softmax) is float32.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from jaxflow.models.config import EncoderConfig
from jaxflow.models.rules import Ruled

Activation = Callable[[Float[Array, "..."]], Float[Array, "..."]]


def _exact_gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    # By erf, as in the reference: erfc, which JAX's own uses, takes four times as long on a processor.
    # The half is added last: 1 + erf would be rounded to 1's precision first, with a tenth more error around zero.
    half = 0.5 * x
    return half + half * jax.lax.erf(x * math.sqrt(0.5))


def _tanh_gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jax.nn.gelu(x, approximate=True)


# The names are those of the checkpoints' `hidden_act`.
ACTIVATIONS: dict[str, Activation] = {
    "gelu": _exact_gelu,
    "gelu_python": _exact_gelu,
    "gelu_new": _tanh_gelu,
    "gelu_fast": _tanh_gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "tanh": jnp.tanh,
    "linear": lambda x: x,
}


def precision(dtype: jnp.dtype) -> jax.lax.Precision:
    """Precision of a product of that type: float32 stays float32, even on devices that would round it."""
    return jax.lax.Precision.HIGHEST if dtype == jnp.float32 else jax.lax.Precision.DEFAULT


class Linear(Ruled):
    """Affine map over one or several axes: `inputs` axes of x are contracted, `outputs` axes take their place."""

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...], rngs: nnx.Rngs, *, bias: bool = True):
        self.kernel = nnx.Param(0.02 * jax.random.normal(rngs.params(), (*inputs, *outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs)) if bias else None
        self.contracted = len(inputs)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Float32, of x's shape with the contracted axes replaced."""
        y = self.affine(x)
        if self.bias is None:
            return y
        bias = self.bias[...].astype(jnp.float32)
        return self.rules.share(y, bias, lambda: self.products(x, bias))

    def products(self, x: Float[Array, "..."], vector: Float[Array, "..."]) -> Float[Array, "..."]:
        """The products of a vector with the outputs, their bias left out; they cost one output."""
        kernel = self.kernel[...].astype(jnp.float32)
        return self._product(x, jnp.tensordot(kernel, vector, vector.ndim, precision="highest"))

    def affine(self, x: Float[Array, "..."], *slot: int) -> Float[Array, "..."]:
        """The same, without a share of the bias for anyone (see `Rules.share`).

        With a slot only that one of the first output axis, such as the values of queries, keys and values.
        """
        y = self.rules.linear(self._product, x, self.kernel[...][(slice(None),) * self.contracted + slot])
        return y if self.bias is None else y + self.bias[...][slot].astype(jnp.float32)

    def _product(self, x: Float[Array, "..."], kernel: Float[Array, "..."]) -> Float[Array, "..."]:
        # The last axes of x against the first of the kernel.
        axes = (tuple(range(x.ndim - self.contracted, x.ndim)), tuple(range(self.contracted)))
        return jax.lax.dot_general(
            x.astype(kernel.dtype),
            kernel,
            (axes, ((), ())),
            precision=precision(kernel.dtype),
            preferred_element_type=jnp.float32,
        )


class Norm(Ruled):
    """Layer normalisation over the last axis, or with `rms` division by the root of the mean square.

    Attributes:
        scale: of each entry, less the offset.
        bias: of each entry; None for none, as with `rms`.
        rms: whether it takes no mean off.
        epsilon: added to the variance.
        offset: added to the scale.
    """

    def __init__(self, width: int, epsilon: float, *, rms: bool = False, bias: bool = True, offset: float = 0.0):
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width)) if bias and not rms else None
        self.rms = rms
        self.epsilon = epsilon
        self.offset = offset

    def __call__(self, x: Float[Array, "*axes width"]) -> Float[Array, "*axes width"]:
        """Float32, of the same shape."""
        return self.rules.norm(self._normal, x)

    def _normal(self, x: Float[Array, "*axes width"]) -> Float[Array, "*axes width"]:
        centred, variance = self._centred(x)
        normal = centred * self.rules.constant(jax.lax.rsqrt(variance + self.epsilon))
        scaled = normal * self.scales()
        if self.bias is None:
            return scaled
        bias = self.bias[...].astype(jnp.float32)
        return self.rules.share(scaled + bias, bias, lambda: (scaled * bias).sum(axis=-1))

    def scales(self) -> Float[Array, " width"]:
        """What each entry is multiplied by."""
        return self.scale[...].astype(jnp.float32) + self.offset

    def deviation(self, x: Float[Array, "*axes width"]) -> Float[Array, "*axes"]:
        """What the norm divides by, `sqrt(variance + epsilon)`."""
        return jnp.sqrt(self._centred(x)[1] + self.epsilon)[..., 0]

    def _centred(self, x: Float[Array, "*axes width"]) -> tuple[Float[Array, "*axes width"], Float[Array, "*axes 1"]]:
        """The entries less their mean, and their variance; with `rms` as they are, and their mean square."""
        # Two passes, as the reference: the mean of squares less the squared mean would cancel.
        centred = x if self.rms else x - x.mean(axis=-1, keepdims=True)
        return centred, jnp.square(centred).mean(axis=-1, keepdims=True)


def norm_of(config: EncoderConfig, width: int) -> Norm:
    """A norm of the configuration's kind."""
    return Norm(width, config.epsilon, rms=config.rms, bias=config.norm_bias, offset=config.norm_offset)


def around_block(pre_norm: bool) -> tuple[Callable[[Norm, Array], Array], Callable[[Norm, Array], Array]]:
    """A norm's function before its block and behind the sum: it is applied at one, skipped at the other."""
    apply, skip = (lambda norm, x: norm(x)), (lambda norm, x: x)
    return (apply, skip) if pre_norm else (skip, apply)


class Table(nnx.Module):
    """Rows looked up by index."""

    def __init__(self, rows: int, width: int, rngs: nnx.Rngs):
        self.table = nnx.Param(0.02 * jax.random.normal(rngs.params(), (rows, width)))

    def __call__(self, index: Array) -> Float[Array, "..."]:
        """Float32 rows, in the index's shape with the width behind it; NaN for an index that the table lacks.

        JAX would silently take the last row instead.
        """
        return self.table[...].at[index].get(mode="fill", fill_value=jnp.nan).astype(jnp.float32)


def dropout(x: Float[Array, "..."], rate: float, key: Key[Array, ""] | None) -> Float[Array, "..."]:
    """Zeroes entries with probability `rate` and scales up the rest; does nothing without a key."""
    if key is None or rate == 0:
        return x
    kept = jax.random.bernoulli(key, 1 - rate, x.shape)
    # Scaled up, so that the expected value stays the same.
    return jnp.where(kept, x / (1 - rate), jnp.zeros_like(x))


def split(key: Key[Array, ""] | None, number: int) -> list[Key[Array, ""] | None]:
    """`number` independent keys, or as many times None."""
    return [None] * number if key is None else list(jax.random.split(key, number))


def root(width: int, terms: int) -> float:
    """The scale of attention scores that sum `terms` products over `width` entries."""
    return 1 / math.sqrt(width * terms)
