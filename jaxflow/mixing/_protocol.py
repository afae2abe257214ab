"""The mixing's contract."""

from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxflow._checks import InputError
from jaxflow.graph.encoder_decoder import passed_whole
from jaxflow.models import LayerOutput

# A layer's weights `row query key` and own streams `row query`.
Capacities: TypeAlias = tuple[Float[Array, "*row token token"], Float[Array, "*row token"]]


@runtime_checkable
class Mixing(Protocol):
    """A way to make a layer's capacities: a frozen, hashable value, as programs are compiled for it.

    A mixing that fits some models only may also have `check(model)`, which raises an `InputError` for others. One whose
    own streams must never bind a flow has `wide`, which is true: in the place of its own streams come the same for all
    positions and layers of a text, wide enough for that, once the weights of all layers are known.
    """

    @property
    def name(self) -> str:
        """Its name on the command line, in manifests and on pages."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """Needs of the model, of `Model.gives`.

        `"values"` fills `LayerOutput.inputs`, `values`, `output` and `attended`, `"norms"` its `norms`, `"rerun"` its
        `rerun` (not together with gradients); `"gradients"` fills `gradient`, the derivative of the number that is
        explained in the attention of all heads. It costs a backward pass and three times the memory of the attention
        of all layers and heads. `"relevance"`, with gradients, fills `relevance` by `CheferRules`, at twice the cost.
        """
        ...

    def capacities(self, layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Capacities:
        """A layer's weights and own streams, in pure JAX.

        Args:
            layer: the output of one layer; padding's rows hold anything.
            mask: true on real tokens.

        Returns:
            Weights from each position to each below it, `row query key`, and own streams, `row query`: not negative,
            finite, of any size, and 0 on padding's rows and columns.
        """
        ...


def capacities_of(mixing: Mixing, layer: LayerOutput, mask: Bool[Array, "*row token"]) -> Capacities:
    """A layer's weights and own streams by a mixing, where streams that the layer does not move pass it whole.

    Raises:
        InputError: the mixing gives arrays of other shapes.
    """
    weights, own = _checked(mixing, mixing.capacities(layer, mask), mask.shape)
    return (weights, own) if layer.moves is None else passed_whole(weights, own, layer.moves, mask)


def _checked(mixing: Mixing, given: Any, shape: tuple[int, ...]) -> Capacities:
    """What a mixing gave, its shapes checked: JAX would name neither the mixing nor what was wrong."""
    expected = [(*shape, shape[-1]), shape]
    shapes = [jnp.shape(part) for part in given] if isinstance(given, tuple | list) else [jnp.shape(given)]
    if shapes != expected:
        wanted = f"give weights of shape {expected[0]} and own streams of shape {expected[1]}"
        got = " and ".join(map(str, shapes))
        raise InputError("mixing", wanted, f"{got} from {mixing.name!r}", "sum over heads, and return the pair of them")
    weights, own = given
    return weights, own
