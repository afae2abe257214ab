"""Mixings: ways to make capacities of a model's layers. One file a mixing; write your own as a value.

A mixing is a frozen, hashable value that names its needs of a model and computes a layer's capacities (`Mixing`). It
goes wherever a mixing's name goes: attribution, sweeps, comparisons, pages.

    @dataclass(frozen=True)
    class ValueNorms:
        name: str = "value-norms"
        needs: frozenset[str] = frozenset({"attention", "values"})

        def capacities(self, layer, mask):
            sizes = jnp.linalg.norm(layer.values @ layer.output, axis=-1)  # row head token
            weights = jnp.sum(layer.attention * sizes[..., None, :], axis=-3)
            weights = jnp.where(mask[..., :, None] & mask[..., None, :], weights, 0)
            return weights, jnp.max(weights, axis=-1)
"""

from jaxflow.mixing._names import MIXINGS, as_mixing, mixing_json
from jaxflow.mixing._own import as_own, wide_own, with_own_stream
from jaxflow.mixing._protocol import Capacities, Mixing, capacities_of
from jaxflow.mixing.alti import Alti
from jaxflow.mixing.attention import Attention
from jaxflow.mixing.attention_gradient import AttentionGradient
from jaxflow.mixing.attention_measured import AttentionMeasured
from jaxflow.mixing.chefer_relevance import CheferRelevance, CheferRules
from jaxflow.mixing.gradient import Gradient
from jaxflow.mixing.norms import Norms
from jaxflow.mixing.value_zeroing import ValueZeroing

__all__ = [
    "MIXINGS",
    "Alti",
    "Attention",
    "AttentionGradient",
    "AttentionMeasured",
    "Capacities",
    "CheferRelevance",
    "CheferRules",
    "Gradient",
    "Mixing",
    "Norms",
    "ValueZeroing",
    "as_mixing",
    "as_own",
    "capacities_of",
    "mixing_json",
    "wide_own",
    "with_own_stream",
]
