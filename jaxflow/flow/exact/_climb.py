"""The compiled part of the analytic centre: Newton's method on the heights of nodes, blocks of layers at a time."""

from typing import no_type_check

import numpy as np

from jaxflow.flow.exact._bits import kernel

_MOST_STEPS = 200


@kernel
@no_type_check
def climb(capacity, free, ground, query, flow, tol):
    """Newton's method on the heights; `flow` is a maximum flow's free part and becomes the centre's. The gap."""
    layers, tokens, _ = capacity.shape
    height, step = np.zeros((layers + 1, tokens)), np.zeros((layers + 1, tokens))
    needed, excess = np.zeros((layers + 1, tokens)), np.zeros((layers + 1, tokens))
    room, weight, tried = np.zeros(flow.shape), np.zeros(flow.shape), np.zeros((layers + 1, tokens))
    _leaves(flow, needed)
    dual = _flow_at(capacity, free, height, flow, room) + np.sum(height * needed)
    last = False
    for count in range(_MOST_STEPS):
        _leaves(flow, excess)
        excess -= needed
        for at in range(layers):
            for i in range(tokens):
                for j in range(tokens):
                    if free[at, i, j]:
                        f, g = flow[at, i, j], room[at, i, j]
                        # 1 / (1 / f^2 + 1 / g^2)
                        weight[at, i, j] = (f * g / np.hypot(f, g)) ** 2
        _newton_step(weight, ground, query, excess, step)
        squared = np.sum(step * excess)
        # Within tol: one more step, which squares the distance, and the end.
        if last or count == _MOST_STEPS - 1:
            break
        last = squared <= 2 * tol
        # Where the decrement is below 1/4 whole steps converge quadratically, and the objective's differences are all
        # rounding; else halved until it falls enough, which a step of 1 / (1 + decrement) always does.
        size, decrement = 1.0, np.sqrt(max(squared, 0.0))
        while True:
            tried[:] = height + size * step
            lower = _flow_at(capacity, free, tried, flow, room) + np.sum(tried * needed)
            if decrement < 0.25 or lower <= dual - 0.25 * size * squared or size * (1 + decrement) <= 1:
                break
            size /= 2
        height[:] = tried
        dual = lower
    return _conserved(free, weight, step, flow, room)


@kernel
@no_type_check
def _flow_at(capacity, free, height, flow, room):
    """Best flows for given heights, the room that they leave, and the sum of what each arc gains by its own.

    An arc from i to j of capacity u gains `log x + log(1 - x) + t x` by the share x of it that flows, with
    `t = (height of j - height of i) u`; the best is the root of `1 / x - 1 / (1 - x) + t = 0`.
    """
    layers, tokens, _ = capacity.shape
    total = 0.0
    for at in range(layers):
        for i in range(tokens):
            for j in range(tokens):
                if free[at, i, j]:
                    u = capacity[at, i, j]
                    t = (height[at, j] - height[at + 1, i]) * u
                    # Both shares by sums alone, so that neither is lost when it is small.
                    small = 2 / (2 + np.hypot(t, 2.0) + abs(t))
                    large = 1 / (1 + 2 / (np.hypot(t, 2.0) + abs(t)))
                    x, rest = (large, small) if t > 0 else (small, large)
                    flow[at, i, j] = u * x
                    room[at, i, j] = u * rest
                    total += np.log(x) + np.log(rest) + t * x
    return total


@kernel
@no_type_check
def _leaves(flow, out):
    """What leaves each node less what enters it; the sink, all of layer 0, is entry (0, 0)."""
    layers, tokens, _ = flow.shape
    out[:] = 0
    for at in range(layers):
        for i in range(tokens):
            for j in range(tokens):
                out[at + 1, i] += flow[at, i, j]
                out[at, j if at else 0] -= flow[at, i, j]


@kernel
@no_type_check
def _newton_step(weight, ground, query, excess, step):
    """Solve the Laplacian of the weights for the excess, layer by layer from the source down.

    A component's heights are free up to a constant: one node of it is grounded, by as much as its own diagonal. Nodes
    without a moving arc get 1 there, and stay where they are.
    """
    layers, tokens, _ = weight.shape
    diagonal = np.zeros((layers + 1, tokens))
    for at in range(layers):
        for i in range(tokens):
            for j in range(tokens):
                diagonal[at + 1, i] += weight[at, i, j]
                diagonal[at, j if at else 0] += weight[at, i, j]
    for at in range(layers + 1):
        for i in range(tokens):
            if diagonal[at, i] == 0:
                diagonal[at, i] = 1.0
            elif ground[at, i]:
                diagonal[at, i] *= 2
    # The source is the first block. Each block is eliminated into the next: S' = D' - W^T S^-1 W.
    shares, part = np.zeros((layers + 1, tokens, tokens)), np.zeros((layers + 1, tokens))
    scale = diagonal[layers, query]
    pushed = excess[layers, query] / scale
    part[layers, query] = pushed
    shares[layers, query] = weight[layers - 1, query] / scale
    block, right = np.zeros((tokens, tokens)), np.zeros(tokens)
    for at in range(layers - 1, 0, -1):
        # What the layer above leaves here; `above` is W of the arcs into this layer.
        above = np.ascontiguousarray(weight[at].T)
        block[:] = -np.dot(above, shares[at + 1])
        right[:] = excess[at] + np.dot(above, part[at + 1])
        for i in range(tokens):
            block[i, i] += diagonal[at, i]
        # All arcs of layer 1 lead to the sink: one column.
        columns = tokens if at > 1 else 1
        both = np.empty((tokens, columns + 1))
        for i in range(tokens):
            both[i, columns] = right[i]
            if at > 1:
                both[i, :columns] = weight[at - 1, i]
            else:
                both[i, 0] = np.sum(weight[0, i])
        solved = np.linalg.solve(block, both)
        shares[at, :, :columns] = solved[:, :columns]
        part[at] = solved[:, columns]
    step[:] = 0
    if layers == 1:
        # One node above the sink: its arcs never move, as all of them are full.
        return
    into = np.zeros(tokens)
    for i in range(tokens):
        into[i] = np.sum(weight[0, i])
    last = diagonal[0, 0] - np.dot(into, np.ascontiguousarray(shares[1, :, 0]))
    step[0, 0] = (excess[0, 0] + np.dot(into, part[1])) / last
    step[1] = part[1] + shares[1, :, 0] * step[0, 0]
    for at in range(2, layers + 1):
        step[at] = part[at] + np.dot(shares[at], step[at - 1])
    # All of layer 0 is one node.
    step[0] = step[0, 0]


@kernel
@no_type_check
def _conserved(free, weight, step, flow, room):
    """Correct flows by Newton's step so that they are conserved; the duality gap that is left.

    With the heights that the flow before was best for, the gap is a sum over arcs of
    `(d / f - log(1 + d / f)) + (-d / g - log(1 - d / g))`, with d the correction: none of its terms is negative, so
    nothing cancels.
    """
    layers, tokens, _ = flow.shape
    gap = 0.0
    for at in range(layers):
        for i in range(tokens):
            for j in range(tokens):
                if free[at, i, j]:
                    d = weight[at, i, j] * (step[at, j] - step[at + 1, i])
                    up, down = d / flow[at, i, j], -d / room[at, i, j]
                    if up <= -1 or down <= -1:
                        return np.inf
                    gap += up - np.log1p(up) + down - np.log1p(down)
                    flow[at, i, j] += d
    return gap
