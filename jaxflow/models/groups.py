"""Texts that a model continues together: few at once, so that the memory of one group is bounded."""

from collections.abc import Iterator, Sequence
from itertools import groupby

# Texts of a group, at most. Each keeps keys and values of every layer for all of its tokens.
TOGETHER = 8


def groups_of(lengths: Sequence[int], *, most: int = TOGETHER, alike: bool) -> Iterator[list[int]]:
    """The places of texts that are continued together, the shortest texts first.

    Args:
        lengths: of each text, in tokens.
        most: texts of a group.
        alike: whether all texts of a group are of one length, for models that take no padding here.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for _, same in groupby(order, key=lambda place: lengths[place] if alike else None):
        places = list(same)
        yield from (places[start : start + most] for start in range(0, len(places), most))
