"""Arcs as lists, largest first: for graphs in which few arcs carry what flows, as those of local attention.

There a list up to some capacity is short however long the text is, while rows of a matrix grow with it.
"""

from typing import NamedTuple, no_type_check

import numpy as np

from jaxflow.flow.exact._bits import kernel

# More arcs are not listed: 32 bytes each.
_MOST_ARCS = 1 << 26
# Arcs below this part of the largest are left out where there would be many more; what they could carry is added to
# every bound.
_MANY_ARCS, _SMALLEST = 1 << 25, 1e-26
# Lists serve where at most this part of the arcs is above `_SMALL` times the largest of its row.
_FEW, _SMALL = 0.4, 1e-5
_LARGEST = 2.0**960


class Arcs(NamedTuple):
    """The arcs of one example by rows and by columns, in each the largest first.

    Node (m, i) is numbered `m * tokens + i`. Arcs (m + 1, i) -> (m, j) stand in row `m * tokens + i` and in column
    `m * tokens + j`: lines `begin[line]` to `begin[line + 1]`.
    """

    tokens: int
    row: np.ndarray  # int64 (layer * token + 1,): where each row begins
    head: np.ndarray  # int32 (arc,): j
    out: np.ndarray  # float64 (arc,): capacity
    column: np.ndarray  # int64 (layer * token + 1,): where each column begins
    tail: np.ndarray  # int32 (arc,): i
    into: np.ndarray  # float64 (arc,): capacity
    rest: np.ndarray  # float64 (arc,): this and what follows in the column, with what is left out of it
    left_out: np.ndarray  # float64 (layer * token,): sum of a column's arcs that are not listed


def list_arcs(capacity: np.ndarray) -> Arcs | None:
    """Lists of the arcs of `capacity` (layer, token, token); None where few large arcs do not carry the flow."""
    layers, tokens, _ = capacity.shape
    # Sums over all layers would overflow where those of one are near the largest number.
    if _large_part(capacity, max(1, tokens // 64), _SMALL) > _FEW or float(capacity.max()) > _LARGEST:
        return None
    floor, row, column = 0.0, np.zeros(layers * tokens + 1, np.int64), np.zeros(layers * tokens + 1, np.int64)
    left_out = np.zeros(layers * tokens)
    _count(capacity, floor, row, column, left_out)
    if row[-1] > _MANY_ARCS:
        floor = _SMALLEST * float(capacity.max())
        _count(capacity, floor, row, column, left_out)
    if row[-1] > _MOST_ARCS:
        return None
    head, tail, out, into = (np.empty(row[-1], dtype) for dtype in (np.int32, np.int32, np.float64, np.float64))
    _fill(capacity, floor, row, head, out, column, tail, into)
    _sort(row, head, out)
    _sort(column, tail, into)
    return Arcs(tokens, row, head, out, column, tail, into, _rests(column, into, left_out), left_out)


@kernel
@no_type_check
def _large_part(capacity, step, small):
    """Part of the arcs of every `step`-th row that are above `small` times the row's largest."""
    layers, tokens, _ = capacity.shape
    large, rows = 0, 0
    for m in range(layers):
        for i in range(0, tokens, step):
            most = 0.0
            for j in range(tokens):
                most = max(most, capacity[m, i, j])
            rows += 1
            for j in range(tokens):
                large += capacity[m, i, j] > small * most
    return large / (rows * tokens)


@kernel
@no_type_check
def _count(capacity, floor, row, column, left_out):
    """Where lines begin, and the sum of what each column leaves out."""
    layers, tokens, _ = capacity.shape
    row[:] = 0
    column[:] = 0
    left_out[:] = 0
    for m in range(layers):
        for i in range(tokens):
            for j in range(tokens):
                if capacity[m, i, j] > floor:
                    row[m * tokens + i + 1] += 1
                    column[m * tokens + j + 1] += 1
                else:
                    left_out[m * tokens + j] += capacity[m, i, j]
    for line in range(layers * tokens):
        row[line + 1] += row[line]
        column[line + 1] += column[line]


@kernel
@no_type_check
def _fill(capacity, floor, row, head, out, column, tail, into):
    layers, tokens, _ = capacity.shape
    place = column.copy()
    for m in range(layers):
        for i in range(tokens):
            at = row[m * tokens + i]
            for j in range(tokens):
                if capacity[m, i, j] > floor:
                    head[at], out[at] = j, capacity[m, i, j]
                    at += 1
                    below = place[m * tokens + j]
                    tail[below], into[below] = i, capacity[m, i, j]
                    place[m * tokens + j] = below + 1


@kernel
@no_type_check
def _sort(begin, end, capacity):
    """Sort each line's arcs by falling capacity, in place."""
    for line in range(len(begin) - 1):
        first, last = begin[line], begin[line + 1]
        order = np.argsort(-capacity[first:last])
        end[first:last] = end[first:last][order]
        capacity[first:last] = capacity[first:last][order]


@kernel
@no_type_check
def _rests(column, into, left_out):
    rest = np.empty(len(into))
    for line in range(len(column) - 1):
        total = left_out[line]
        for at in range(column[line + 1] - 1, column[line] - 1, -1):
            total += into[at]
            rest[at] = total
    return rest
