"""What a student learns from, computed once: the teacher's states and logits of many beginnings, kept in files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.verb_number.beginnings import Beginning
from experiments.verb_number.teacher import Projection, projection_of, see
from jaxflow.models import TextEncoder

# Beginnings that the projection is made from.
PROJECTED = 2500


@dataclass(frozen=True)
class Targets:
    """Targets of some beginnings.

    Attributes:
        rows: which of the beginnings, those that have no states left out.
        starts: of each, where its places begin in `hidden`.
        hidden: `layer place width`, float16, all beginnings' places one after the other.
        logits: `beginning label`.
    """

    rows: np.ndarray
    starts: np.ndarray
    hidden: np.ndarray
    logits: np.ndarray


def targets(
    teacher: TextEncoder,
    found: Sequence[Beginning],
    parts: Sequence[np.ndarray],
    folder: Path,
    width: int,
    report: Callable[[str], None],
) -> list[Targets]:
    """The targets of each part of the beginnings; parts that an earlier run finished are read.

    Args:
        teacher: fine-tuned.
        found: the beginnings.
        parts: rows of `found`.
        folder: where files go: 1.5 kB a word.
        width: of the states' projection.
        report: called with a line a part.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "projection.npz").is_file():
        projection_of(teacher, [found[row] for row in parts[0][:PROJECTED]], width).save(folder / "projection.npz")
    projection = Projection.load(folder / "projection.npz")
    made = []
    for number, rows in enumerate(parts):
        path = folder / f"part{number}.npz"
        if not path.is_file():
            part = _of_part(teacher, [found[row] for row in rows], rows, projection)
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, **vars(part))
            _ = partial.replace(path)
            numbers = np.array([found[row].number for row in part.rows])
            right = (part.logits.argmax(1) == numbers).mean()
            report(f"targets, part {number + 1} of {len(parts)}: the teacher is right on {right:.4f} of {len(rows)}")
        with np.load(path) as stored:
            made.append(Targets(**{name: stored[name] for name in stored.files}))
    return made


def _of_part(teacher: TextEncoder, found: list[Beginning], rows: np.ndarray, projection: Projection) -> Targets:
    lengths = np.array([len(b.words) + 2 for b in found])
    starts = np.cumsum(lengths) - lengths
    layers, _, width = projection.maps.shape
    hidden = np.zeros((layers, int(lengths.sum()), width), np.float16)
    logits, whole = np.zeros((len(found), 2), np.float32), np.zeros(len(found), bool)
    for seen in see(teacher, found, projection):
        logits[seen.rows] = seen.logits
        for row, states in zip(seen.rows.tolist(), seen.hidden, strict=True):
            whole[row] = states.shape[1] == lengths[row]
            hidden[:, starts[row] : starts[row] + states.shape[1]] = states
    return Targets(rows[whole], starts[whole], hidden, logits[whole])
