"""What the trainings come to: means with intervals, and differences from the control and from random words."""

from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.flow_training.runs import Measured

RESAMPLES = 4999


def interval(values: Float[np.ndarray, "seed sentence"], resamples: int = RESAMPLES) -> dict[str, Any]:
    """The mean and its 95 % interval, seeds and sentences both drawn anew (all seeds saw the same sentences)."""
    values = np.asarray(values, np.float64)
    draws = np.random.default_rng(0)
    seeds, sentences = values.shape
    # How often each draw takes a seed or a sentence: a mean is then a product.
    of_seeds = draws.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
    of_sentences = draws.multinomial(sentences, np.full(sentences, 1 / sentences), resamples) / sentences
    means = np.einsum("rs,st,rt->r", of_seeds, values, of_sentences, optimize=True)
    return {"mean": values.mean(), "interval": np.quantile(means, (0.025, 0.975)), "by seed": values.mean(1)}


def rows(measured: dict[str, Measured], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Every arm's record: each measure, and paired differences from the control and from the arm's random words."""
    control = measured["control"]
    # Of seeds run in the same order on the same machine; compiling is left out.
    base = np.median(control.seconds)
    record: dict[str, Any] = {}
    for name, arm in measured.items():
        other = measured.get(name.replace(", evidence", ", random")) if name.endswith(", evidence") else None
        record[name] = {
            "strength": arm.strength,
            "tried": arm.tried,
            "step's time, of the control's": np.median(arm.seconds) / base,
        }
        for kind in ("right", "explained"):
            record[name][kind] = {
                measure: _cell(
                    values, getattr(control, kind)[measure], other and getattr(other, kind)[measure], resamples
                )
                for measure, values in getattr(arm, kind).items()
            }
    return record


def _cell(values: np.ndarray, control: np.ndarray, random: np.ndarray | None, resamples: int) -> dict[str, Any]:
    cell = interval(values, resamples)
    if values is not control:
        cell["less control"] = interval(values * 1.0 - control, resamples)
    if random is not None:
        cell["less random"] = interval(values * 1.0 - random, resamples)
    return cell


def markdown(record: dict[str, Any]) -> str:
    """A table of means, with what differs from the control in bold."""
    control = record["control"]
    tests, measures = list(control["right"]), list(control["explained"])
    lines = [
        f"| trained with | strength | {' | '.join(tests + measures)} | step |",
        "| --- " * (len(tests) + len(measures) + 3) + "|",
    ]
    for name, arm in record.items():
        cells = [_shown(arm["right"][test]) for test in tests] + [_shown(arm["explained"][each]) for each in measures]
        time = arm["step's time, of the control's"]
        lines.append(f"| {name} | {arm['strength']:g} | {' | '.join(cells)} | {time:.1f} |")
    return "\n".join(lines)


def _shown(cell: dict[str, Any]) -> str:
    text = f"{cell['mean']:.2f}".replace("0.", ".", 1)
    low, high = cell.get("less control", {"interval": (0, 0)})["interval"]
    return f"**{text}**" if low > 0 or high < 0 else text
