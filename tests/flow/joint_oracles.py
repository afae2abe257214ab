"""Joint flow by other people's code: as integers, as linear programs, and as convex programs."""

import warnings

import cvxpy
import numpy as np
from scipy.optimize import linprog

from tests.flow.oracles import OrTools

EXACT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
TIGHT = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12, "max_iter": 300}


def super_sink(capacity):
    """Capacities `layer token token` with one more layer below, where all tokens lead to token 0."""
    tokens, largest = capacity.shape[-1], capacity.sum()
    below = np.zeros((1, tokens, tokens))
    below[0, :, 0] = largest
    return np.concatenate([below, capacity])


def joint_value(capacity, layer, query):
    return OrTools(super_sink(capacity), layer + 1)(query, 0)


def solve(problem):
    """Solve, and say how near the solution is: Clarabel warns where it comes less close than it was asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _ = problem.solve(solver=cvxpy.CLARABEL, **TIGHT)
    assert problem.status in (cvxpy.OPTIMAL, cvxpy.OPTIMAL_INACCURATE)
    return 2e-6 if problem.status == cvxpy.OPTIMAL else 1e-4


class FlowProgram:
    """The maximum flows from one position to all tokens, as a polytope of flows on arcs.

    `balance @ flow` is 0 for nodes between, and `shares @ flow` is what each token gets.
    """

    def __init__(self, capacity, query):
        layers, tokens, _ = capacity.shape
        below, i, j = np.nonzero(capacity)
        kept = (below < layers - 1) | (i == query)
        self.below, self.i, self.j = below[kept], i[kept], j[kept]
        self.capacity = capacity[self.below, self.i, self.j]
        count = len(self.capacity)
        self.balance = np.zeros(((layers - 1) * tokens, count))
        for arc, (at, tail, head) in enumerate(zip(self.below, self.i, self.j, strict=True)):
            if at < layers - 1:
                self.balance[at * tokens + tail, arc] += 1
            if at > 0:
                self.balance[(at - 1) * tokens + head, arc] -= 1
        self.shares = np.array([(self.below == 0) & (self.j == token) for token in range(tokens)], float)
        self.out = (self.below == layers - 1).astype(float)

    def extreme(self, weights, value=None):
        """The largest `weights @ flow`, of all flows or of those of a value."""
        rows, right = self.balance, np.zeros(len(self.balance))
        if value is not None:
            rows, right = np.vstack([rows, self.out]), np.append(right, value)
        # In parts of the largest capacity, as tolerances are absolute.
        scale = self.capacity.max()
        bounds = np.stack([np.zeros_like(self.capacity), self.capacity / scale], 1)
        found = linprog(-weights, A_eq=rows, b_eq=right / scale, bounds=bounds, method="highs", options=EXACT)
        assert found.status == 0, found.message
        return -found.fun * scale

    def moving(self, value):
        """Which arcs have more than one flow, over all flows of the value, and the flow of those that don't."""
        high = np.array([self.extreme(unit, value) for unit in np.eye(len(self.capacity))])
        low = np.array([-self.extreme(-unit, value) for unit in np.eye(len(self.capacity))])
        return high - low > 1e-7 * value, (low + high) / 2

    def analytic_shares(self, value):
        """Shares of the analytic centre, by Clarabel, and how near they are, in parts of the value."""
        free, fixed = self.moving(value)
        if not free.any():
            return self.shares @ fixed, 1e-7
        part = cvxpy.Variable(int(free.sum()))
        still = np.where(free, 0.0, fixed)
        limits = self.capacity[free]
        rows = np.vstack([self.balance, self.out])
        right = np.append(np.zeros(len(self.balance)), value) - rows @ still
        # Rows of nodes that nothing moves at hold as they stand.
        some = np.abs(rows[:, free]).sum(1) > 0
        # In parts of the capacities, and rows of one size, so that the solver sees numbers of one size.
        rows = rows[some][:, free] * limits
        size = np.abs(rows).max(1)
        problem = cvxpy.Problem(
            cvxpy.Maximize(cvxpy.sum(cvxpy.log(part)) + cvxpy.sum(cvxpy.log(1 - part))),
            [rows / size[:, None] @ part == right[some] / size],
        )
        near = solve(problem)
        return self.shares @ still + self.shares[:, free] @ (limits * part.value), near

    def even_shares(self, value):
        """Shares of the least sum of squares, by Clarabel, and how near they are."""
        flow = cvxpy.Variable(len(self.capacity))
        problem = cvxpy.Problem(
            cvxpy.Minimize(cvxpy.sum_squares(self.shares @ flow)),
            [self.balance @ flow == 0, self.out @ flow == value, flow >= 0, flow <= self.capacity],
        )
        near = solve(problem)
        return self.shares @ flow.value, near
