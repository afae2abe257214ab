"""How a mixing becomes what the forward pass is told about fusing heads."""

import jax.numpy as jnp

from jaxflow._checks import InputError
from jaxflow.graph import attention
from jaxflow.mixing import Attention, Mixing
from jaxflow.models import Model
from jaxflow.running import Fusion, plain_fusion


def fusion_of(mixing: Mixing, model: Model) -> tuple[str, Fusion]:
    """The name of the way in which heads are fused, and the rest of it."""
    if not isinstance(mixing, Attention):
        raise InputError("mixing", "be one that needs attention alone", repr(mixing.name))
    residual = jnp.asarray(mixing.residual, jnp.float32)
    if isinstance(mixing.heads, str):
        return mixing.heads, plain_fusion(residual)
    shape = (model.layers, model.heads)
    weights = attention.as_head_weights(mixing.heads, (*shape, 1, 1))
    return "weights", plain_fusion(residual, jnp.broadcast_to(weights, shape))
