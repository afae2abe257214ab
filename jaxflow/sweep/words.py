"""What a run did, in words."""

from collections import Counter
from collections.abc import Callable, Sequence

from jaxflow._checks import InputError
from jaxflow._untyped import JsonObject
from jaxflow.running import Compiled
from jaxflow.sweep.progress import duration, rates
from jaxflow.sweep.tally import Summary

# Most rows that are named of those that were skipped.
SKIPPED = 5
STAGES = {"bounds": "bounds", "relaxed": "the relaxation", "closed_form": "closed forms"}


def summary_lines(summary: Summary, compiled: Sequence[Compiled] = ()) -> list[str]:
    """How much was done, how fast, and how much of it is proven."""
    others = {"were there before": summary.before, "by other processes": summary.elsewhere}
    rest = ", ".join(f"{count} {who}" for who, count in others.items() if count)
    count = summary.tally.examples
    first = f"{count} example{'s' * (count != 1)} in {duration(summary.seconds)}" + (f" ({rest})" if rest else "")
    if count:
        rate = f"{count / max(summary.seconds, 1e-9):.1f} examples/s"
        first += ": " + ", ".join([rate, *rates(summary.tally, summary.seconds)[:2]])
    lines = [first]
    if compiled:
        seconds = duration(sum(each.seconds for each in compiled))
        lines.append(f"programs compiled: {len(compiled)}, in {seconds}")
    if summary.certified is not None:
        lines.append(f"flows certified: {100 * summary.certified:.2f} %{_settled(summary.stages)}")
    return lines


def skipped_lines(summary: Summary, name: Callable[[str], str] = lambda argument: f"`{argument}`") -> list[str]:
    """Which rows were left out, and why; `name` writes an argument, as `InputError.in_words` has it."""
    rows = summary.skipped
    if not rows:
        return []
    lines = [f"rows skipped: {len(rows)}", *(f"  {_reason(row, name)}" for row in rows[:SKIPPED])]
    rest = len(rows) - SKIPPED
    return lines + ([f"  and {rest} more; jaxflow.open_sweep(...).skipped has them all"] if rest > 0 else [])


def _reason(row: JsonObject, name: Callable[[str], str]) -> str:
    # Records of earlier versions have Python's words alone.
    return InputError(**row["facts"]).in_words(name) if row.get("facts") else row["reason"]


def left_out_lines(reasons: Sequence[str]) -> list[str]:
    """Which parsed sentences were left out, and why."""
    if not reasons:
        return []
    rest = len(reasons) - SKIPPED
    lines = [f"parsed sentences left out: {len(reasons)}", *(f"  {reason}" for reason in reasons[:SKIPPED])]
    return lines + ([f"  and {rest} more"] if rest > 0 else [])


def _settled(stages: dict[str, int]) -> str:
    """By which stage flows were settled, where it is known."""
    total = sum(stages.values())
    counts: Counter[str] = Counter()
    # Stages that `STAGES` does not name are steps of one solver.
    for stage, count in stages.items():
        counts[STAGES.get(stage, "solving")] += count
    shares = [f"{100 * count / total:.2f} % by {word}" for word, count in counts.items() if count]
    return f" ({', '.join(shares)})" if shares else ""
