"""Parameters in another layout than the module's, kept while the module's own stay the same."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias

import jax
from jaxtyping import Array

Parameters: TypeAlias = tuple[Array, ...]
# The tree definition of `jax.tree.flatten`; annotations cannot name JAX's own type.
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
    """The result of `make`, made anew only if one of the module's arrays was replaced since the last call.

    Args:
        module: the parameters as they are.
        kept: the model's `kept`; the result is put there.
        key: of this layout.
        make: lays the parameters out.
    """
    leaves = tuple(jax.tree.leaves(module))
    known = kept.get(key)
    # JAX never changes an array, so the same objects hold the same numbers; `source` keeps their ids from being reused.
    if isinstance(known, LaidOut) and list(map(id, known.source)) == list(map(id, leaves)):
        return known
    made = LaidOut(*make(), leaves)
    kept[key] = made
    return made
