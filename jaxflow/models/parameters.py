"""Parameters laid out in another way than the module holds them, kept while the module's own stay the same."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias

import jax
from jaxtyping import Array

Parameters: TypeAlias = tuple[Array, ...]
# What `jax.tree.flatten` gives beside the leaves; JAX's own type for it is none that annotations may name.
TreeShape: TypeAlias = Hashable


@dataclass(frozen=True, eq=False)
class LaidOut:
    """A module's parameters as a program takes them.

    Attributes:
        parameters: the leaves.
        shape: the tree that `jax.tree.unflatten` makes a module of them with.
        source: the leaves of the module that they were made from.
    """

    parameters: Parameters
    shape: TreeShape
    source: tuple[Array, ...]


def laid_out(
    module: object,
    kept: dict[object, object],
    key: object,
    make: Callable[[], tuple[Parameters, TreeShape]],
) -> LaidOut:
    """What `make` gives, made anew only where one of the module's arrays was replaced since the last call.

    Args:
        module: the parameters as they are.
        kept: of the model; what was made is put there.
        key: of this way to lay them out.
        make: lays them out.
    """
    leaves = tuple(jax.tree.leaves(module))
    known = kept.get(key)
    # Arrays never change, so the very same ones hold the same numbers.
    if isinstance(known, LaidOut) and list(map(id, known.source)) == list(map(id, leaves)):
        return known
    made = LaidOut(*make(), leaves)
    kept[key] = made
    return made
