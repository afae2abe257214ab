"""What the table is made of, measured piece by piece; pieces that an earlier run finished are read again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from experiments._pieces import Pieces
from jaxflow import attribute
from jaxflow.evaluation import (
    Gradient,
    GradientNorm,
    GradientTimesInput,
    Target,
    TokenInputs,
    gradient_scores,
    occlusion_scores,
    padded,
    token_inputs,
)
from jaxflow.models import TextEncoder

METHODS = ("raw", "rollout", "flow")
GRADIENTS = {"gradient": Gradient(), "gradient norm": GradientNorm(), "gradient x input": GradientTimesInput(True)}
# The authors' target is always the positive class's logit; the right one the class that was predicted.
TARGETS = {"authors": Target(1, quantity="logit"), "right": Target("predicted")}
# Sentences of a piece of the attribution.
PIECE = 64


@dataclass(frozen=True)
class Relevances:
    """Relevance by the three methods, padded with 0.

    Attributes:
        first: to the first position, [CLS].
        highest: the largest over all positions, each position's shares summing to 1.
        certified: share of each sentence's flows that are proven.
    """

    first: Float[np.ndarray, "example method layer token"]
    highest: Float[np.ndarray, "example method layer token"]
    certified: Float[np.ndarray, " example"]


@dataclass(frozen=True)
class Scores:
    """What the model's own behaviour says of each token, by name of target and measure."""

    values: dict[tuple[str, str], Float[np.ndarray, "example token"]]
    unresolved: dict[tuple[str, str], Bool[np.ndarray, "example token"]]


def relevances(model: TextEncoder, texts: tuple[str, ...], layers: tuple[int, ...], pieces: Pieces) -> Relevances:
    """Relevance to every position, of which the first and the largest are kept."""
    found = []
    for start in range(0, len(texts), PIECE):
        here = list(texts[start : start + PIECE])
        found.append(pieces(f"relevances-{start:05d}", lambda here=here: _relevance(model, here, layers)))
    rows = {name: [row for piece in found for row in _unpadded(piece, name)] for name in ("first", "highest")}
    return Relevances(
        padded(rows["first"])[0],
        padded(rows["highest"])[0],
        np.concatenate([piece["certified"] for piece in found]),
    )


def scores(model: TextEncoder, inputs: TokenInputs, pieces: Pieces, blank_out: bool = True) -> Scores:
    """Gradients for both targets, and blank-out, which takes as long as all the rest.

    With two classes whose probabilities sum to 1, blank-out is the same for either class.
    """
    values, unresolved = {}, {}

    def keep(target: str, name: str, compute: Callable[[], Any]) -> None:
        def arrays() -> dict[str, np.ndarray]:
            made = compute()
            return {"values": made.values, "unresolved": made.unresolved}

        piece = pieces(f"{target}-{name.replace(' ', '-')}", arrays)
        values[target, name], unresolved[target, name] = piece["values"], piece["unresolved"]

    for target, explained in TARGETS.items():
        for name, method in GRADIENTS.items():
            keep(target, name, lambda m=method, t=explained: gradient_scores(model, inputs, m, target=t))
    if not blank_out:
        return Scores(values, unresolved)
    keep("right", "blank-out", lambda: occlusion_scores(model, inputs, target="predicted", positions="tokens"))
    # The paper leaves the last position, which then scores 0.
    last = np.arange(inputs.mask.shape[1]) == inputs.lengths[:, None] - 1
    values["authors", "blank-out"] = np.where(last, 0, values["right", "blank-out"])
    unresolved["authors", "blank-out"] = np.where(last, False, unresolved["right", "blank-out"])
    return Scores(values, unresolved)


def scaled(values: Float[np.ndarray, "*row token"]) -> Float[np.ndarray, "*row token"]:
    """Rows by their largest number, so that a tolerance for ties means a part of it; ranks stay as they are."""
    top = np.abs(np.nan_to_num(values)).max(axis=-1, keepdims=True)
    return values / np.where(top > 0, top, 1)


def inputs_of(model: TextEncoder, texts: tuple[str, ...]) -> TokenInputs:
    """The texts as the measures read them."""
    return token_inputs(model, list(texts))


def _relevance(model: TextEncoder, texts: list[str], layers: tuple[int, ...]) -> dict[str, np.ndarray]:
    result = attribute(model, texts, methods=METHODS, queries=None, layers=layers, flow="exact")
    stacked = [np.stack([example.relevance[name] for name in METHODS]) for example in result]
    first, mask = padded([rows[:, :, 0] for rows in stacked])
    # The authors divide each position's flows by their sum, so that it weighs no more than others in the maximum.
    highest, _ = padded([(rows / rows.sum(axis=-1, keepdims=True)).max(axis=2) for rows in stacked])
    certified = np.array([np.asarray(example.certified).mean() for example in result])
    return {"first": first, "highest": highest, "certified": certified, "lengths": mask.sum(axis=-1)}


def _unpadded(piece: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    return [row[..., :length] for row, length in zip(piece[name], piece["lengths"], strict=True)]
