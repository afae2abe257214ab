"""The convolution that runs beside an encoder's first layer (DeBERTa-v2's larger models)."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxflow.models.config import EncoderConfig
from jaxflow.models.encoder.parts import ACTIVATIONS, Norm, precision
from jaxflow.models.rules import Ruled


class Convolution(Ruled):
    """A convolution over positions of the first layer's input, added to its output and normalised."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        size, groups, self.activation = config.convolution or (1, 1, "tanh")
        # torch's layout: width_out, width_in of a group, position.
        self.kernel = nnx.Param(0.02 * jax.random.normal(rngs.params(), (config.width, config.width // groups, size)))
        self.bias = nnx.Param(jnp.zeros(config.width))
        self.norm = Norm(config.width, config.epsilon)
        self.groups = groups

    def __call__(
        self,
        before: Float[Array, "*batch token width"],
        after: Float[Array, "*batch token width"],
        mask: Bool[Array, "*batch token"],
    ) -> Float[Array, "*batch token width"]:
        """The layer's new output, 0 on padding; `before` and `after` are its input and its output."""
        kernel = self.kernel[...]
        size = kernel.shape[-1]
        # The convolution takes one batch axis: text token width.
        flat = before.reshape(-1, *before.shape[-2:]).astype(kernel.dtype)
        y = jax.lax.conv_general_dilated(
            flat,
            kernel,
            window_strides=(1,),
            # As many zeros on either side as keep the length, for odd kernel sizes.
            padding=[((size - 1) // 2, (size - 1) // 2)],
            dimension_numbers=("NWC", "OIW", "NWC"),
            feature_group_count=self.groups,
            precision=precision(kernel.dtype),
            preferred_element_type=jnp.float32,
        )
        bias = self.bias[...].astype(jnp.float32)
        y = y.reshape(before.shape)
        y = self.rules.share(y + bias, bias, lambda: (y * bias).sum(axis=-1))
        real = mask[..., None].astype(y.dtype)
        # Padding is cleared before the sum and after the norm, whose bias would fill it again.
        return self.norm(after + self.rules.activation(ACTIVATIONS[self.activation], y * real)) * real
