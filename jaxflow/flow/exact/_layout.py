"""How an example is laid out for the solver: positions renumbered, capacities scaled; made once for all threads."""

import threading
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

_LARGEST = 2.0**1000
# Examples that are kept for threads which come to them later.
_KEPT = 2
Made = TypeVar("Made")


class Layout(NamedTuple):
    """An example as its threads read it."""

    place: np.ndarray  # int64 (token,): a position's number in the solver, in the user's order
    capacity: np.ndarray  # float64 (layer, number, number)
    scale: float  # what capacities were divided by
    chains: Any  # `_chains.Chains`


def layout_of(capacities: np.ndarray, matters: np.ndarray, *, chains: bool) -> Layout:
    """Lay an example out.

    Args:
        capacities: `layer token token`.
        matters: positions that have a part in it; padding has none, and only takes memory from the caches.
        chains: whether flows along chains will be tried.
    """
    from jaxflow.flow.exact import _bits, _chains

    # By falling column sums, so that low bits are large arcs.
    order = order_of(capacities)
    order = order[matters[order]]
    place = np.zeros(capacities.shape[-1], np.int64)
    place[order] = np.arange(len(order))
    capacity, scale = scaled(_bits.renumbered(capacities, order))
    return Layout(place, capacity, scale, _chains.chains_of(capacity) if chains else _chains.no_chains())


def order_of(capacities: np.ndarray) -> np.ndarray:
    """Positions by falling sum of what goes into them: the solver tries low numbers first."""
    with np.errstate(over="ignore"):
        return np.argsort(-capacities.sum((0, 1)), kind="stable")


def scaled(capacity: np.ndarray) -> tuple[np.ndarray, float]:
    """Capacities whose sums cannot overflow, and the power of two that they were divided by."""
    # Sums of the largest doubles overflow. Dividing by a power of two is exact but for what then is below 1e-308,
    # which is nothing beside a capacity of 1e300.
    if float(capacity.max(initial=0)) < _LARGEST:
        return capacity, 1.0
    return capacity * 2.0**-100, 2.0**100


class Shared(Generic[Made]):
    """Makes something of an example once, for whichever threads ask for it; the last few are kept."""

    def __init__(self, make: Callable[[int], Made]):
        self._make, self._lock = make, threading.Lock()
        self._kept: dict[int, tuple[threading.Lock, list[Made]]] = {}

    def __call__(self, example: int) -> Made:
        """What was made of an example; others are not waited for."""
        with self._lock:
            if example not in self._kept:
                while len(self._kept) >= _KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[example] = (threading.Lock(), [])
            lock, made = self._kept[example]
        with lock:
            if not made:
                made.append(self._make(example))
            return made[0]
