"""What the trainings come to: means with intervals, and differences from the control and from random words."""

from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.flow_training.runs import Measured

RESAMPLES = 4999


def interval(values: Float[np.ndarray, "seed sentence"], resamples: int = RESAMPLES) -> dict[str, Any]:
    """The mean and its 95 % interval, seeds and sentences both drawn anew (all seeds saw the same sentences)."""
    values = np.asarray(values, np.float64)
    of_seeds, of_sentences = _draws(*values.shape, resamples)
    means = np.einsum("rs,st,rt->r", of_seeds, values, of_sentences, optimize=True)
    return {"mean": values.mean(), "interval": np.quantile(means, (0.025, 0.975)), "by seed": values.mean(1)}


@cache
def _draws(seeds: int, sentences: int, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each draw takes a seed or a sentence, as shares: a mean is then a product."""
    draws = np.random.default_rng(0)
    counts = (draws.multinomial(size, np.full(size, 1 / size), resamples) / size for size in (seeds, sentences))
    of_seeds, of_sentences = counts
    return of_seeds, of_sentences


def rows(measured: dict[str, Measured], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Every arm's record: its measures, and paired differences from control, attention alone, and its random words."""
    control = measured["control"]
    # Of seeds run in the same order on the same machine; compiling is left out.
    base = np.median(control.seconds)
    record: dict[str, Any] = {}
    for name, arm in measured.items():
        # What an arm is held against, example by example.
        others = {"control": control, "attention": measured.get("attention, evidence")}
        if name.endswith(", evidence"):
            others["random"] = measured.get(name.replace(", evidence", ", random"))
        record[name] = {
            "strength": arm.strength,
            "tried": arm.tried,
            "step's time, of the control's": np.median(arm.seconds) / base,
        }
        for kind in ("right", "explained"):
            record[name][kind] = {}
            for measure, values in getattr(arm, kind).items():
                cell = interval(values, resamples)
                for against, other in others.items():
                    if other is not None and other is not arm:
                        less = values.astype(np.float64) - getattr(other, kind)[measure]
                        cell[f"less {against}"] = interval(less, resamples)
                record[name][kind][measure] = cell
    return record


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
