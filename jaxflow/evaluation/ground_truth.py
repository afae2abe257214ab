"""Relevance against evidence that is known: does a method rank first what the answer depends on?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from jaxflow._checks import InputError, first_index
from jaxflow._typing import ArrayLike
from jaxflow.evaluation.inputs import one_array
from jaxflow.statistics.ranks import as_rows, as_tolerance, bounds, runs


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """How a relevance ranks known evidence; every measure is NaN for examples with no evidence, or nothing else.

    Attributes:
        hits: `example *rest`: share of the `evidence` tokens ranked first that are evidence; 1 is right.
        hit_at_1: `example *rest`: whether the first token is evidence.
        average_precision: `example *rest`: area under the precision-recall curve, as scikit-learn's
            `average_precision_score`; 1 is right.
        irrelevant: `example *rest`: share of the relevance, by absolute size, that lies on other tokens; 0 is right.
        evidence: number of evidence tokens of each example.
        tokens: number of tokens of each example that take part. `evidence / tokens` is what any order gives `hits` and
            `hit_at_1` on average.
    """

    hits: Float[np.ndarray, " example *rest"]
    hit_at_1: Float[np.ndarray, " example *rest"]
    average_precision: Float[np.ndarray, " example *rest"]
    irrelevant: Float[np.ndarray, " example *rest"]
    evidence: Int[np.ndarray, " example"]
    tokens: Int[np.ndarray, " example"]


def ground_truth(
    relevance: ArrayLike, evidence: ArrayLike, mask: ArrayLike | None = None, *, tol: float = 0.0
) -> GroundTruth:
    """Measures of a relevance against the tokens that an answer is known to depend on.

    Of tied tokens every order counts alike: hits are expected values over them, and precision is read where all of them
    are in. Relevance of 0 alone is spread evenly, so a method that says nothing gets what chance does.

    Args:
        relevance: `example *rest token`, padded as the texts are (see `padded`); larger is more relevant. Where signs
            mean for and against, pass absolute values.
        evidence: booleans `example token`, true on tokens that the answer depends on.
        mask: booleans `example token`, true on tokens that take part (words, say: `TokenInputs.positions`); None is
            all. Evidence must take part.
        tol: a value no more than `tol` above the next smaller one ties with it, as in `ranks`.

    Returns:
        One number for each row of relevance. Cost: sorting.

    Raises:
        InputError: the shapes don't fit, evidence takes no part, or a value that takes part is not finite.
    """
    tol = as_tolerance(tol)
    values, truth, chosen = _checked(relevance, evidence, mask)
    evidence_sizes, token_counts = truth.sum(axis=-1), chosen.sum(axis=-1)
    # Every row of an example has the same evidence and tokens: `example *rest token`, and `example *rest`.
    shape, middle = values.shape, (1,) * (values.ndim - 2)
    truth, chosen = (np.broadcast_to(each.reshape(len(each), *middle, -1), shape) for each in (truth, chosen))
    k, n = (np.broadcast_to(each.reshape(-1, *middle), shape[:-1]) for each in (evidence_sizes, token_counts))
    defined = (k > 0) & (k < n)
    # Ascending, tokens without a part last. `start` and `stop` bound the run of equals that each place lies in.
    order, first = runs(values, chosen, tol)
    start, stop = bounds(first)
    ordered = np.take_along_axis(truth, order, axis=-1)
    # Evidence among the first places, from none to all of them.
    up_to = np.concatenate([np.zeros((*shape[:-1], 1), np.int64), np.cumsum(ordered, axis=-1)], axis=-1)

    def top(size: np.ndarray) -> np.ndarray:
        """Expected evidence among so many tokens from the top, over all orders of equals."""
        place = np.maximum(n - size, 0)[..., None]
        low, high = (np.take_along_axis(each, place, axis=-1) for each in (start, stop))
        below, within = (np.take_along_axis(up_to, each, axis=-1)[..., 0] for each in (low, high))
        low, high = low[..., 0], high[..., 0]
        # All above the run, and of the run as many as there is room for.
        return k - within + (size - (n - high)) * (within - below) / (high - low)

    # Precision where a token and all its equals are in: evidence from its run up, over tokens from there up.
    above = k[..., None] - np.take_along_axis(up_to, start, axis=-1)
    precision = np.where(ordered, above / np.maximum(n[..., None] - start, 1), 0).sum(axis=-1) / np.maximum(k, 1)
    sizes = np.where(chosen, np.abs(values), 0)
    total = sizes.sum(axis=-1)
    even = np.where(total == 0, 1 - k / np.maximum(n, 1), 0)
    share = np.where(chosen & ~truth, sizes, 0).sum(axis=-1) / np.where(total == 0, 1, total) + even

    def where_defined(measure: np.ndarray) -> np.ndarray:
        return np.where(defined, measure, np.nan)

    return GroundTruth(
        hits=where_defined(top(np.maximum(k, 1)) / np.maximum(k, 1)),
        hit_at_1=where_defined(top(np.ones_like(k))),
        average_precision=where_defined(precision),
        irrelevant=where_defined(share),
        evidence=evidence_sizes,
        tokens=token_counts,
    )


def _checked(
    relevance: ArrayLike, evidence: ArrayLike, mask: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Relevance in float64, evidence and mask, of shapes that fit."""
    array, truth = one_array("relevance", relevance), one_array("evidence", evidence)
    if truth.dtype != np.bool_ or truth.ndim != 2:
        got = f"{truth.dtype} of shape {truth.shape}"
        raise InputError("evidence", "be booleans of shape (example, token)", got)
    examples, tokens = truth.shape
    if array.ndim < 2 or (array.shape[0], array.shape[-1]) != (examples, tokens) or not array.size:
        expected = f"be numbers of shape ({examples}, ..., {tokens}), padded as `evidence` is"
        raise InputError("relevance", expected, f"{array.dtype} of shape {array.shape}")
    chosen = np.ones(truth.shape, bool) if mask is None else np.asarray(mask)
    if chosen.dtype != np.bool_ or chosen.shape != truth.shape:
        got = f"{chosen.dtype} of shape {chosen.shape}"
        raise InputError("mask", f"be booleans of shape {truth.shape}, as `evidence` is", got)
    if (truth & ~chosen).any():
        example, token = first_index(truth & ~chosen)
        raise InputError("evidence", "be tokens that take part", f"token {token} of example {example}, which does not")
    rows = chosen.reshape(examples, *(1,) * (array.ndim - 2), tokens)
    values, _ = as_rows("relevance", array, rows)
    # What takes no part may hold anything.
    return np.where(rows, values, 0.0), truth, chosen
