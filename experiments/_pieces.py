"""Measurements that can be interrupted: a folder of arrays, each computed once."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np

from jaxflow.models import TextEncoder

Report = Callable[[str], None]


class Pieces:
    """A folder of named arrays, each computed once."""

    def __init__(self, folder: Path, report: Report):
        self.folder, self.report = folder, report
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, name: str, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The arrays of that name, from the folder or, where it has none, computed and put there."""
        path = self.folder / f"{name}.npz"
        if not path.is_file():
            partial = path.with_suffix(".partial")
            with partial.open("wb") as sink:
                np.savez_compressed(sink, allow_pickle=False, **compute())
            _ = partial.replace(path)
            self.report(f"measured {name}")
        with np.load(path) as found:
            return dict(found)


def pieces_of(model: TextEncoder, texts: Sequence[str], out: Path, report: Report) -> Pieces:
    """The folder for that model and these texts; another model's or other texts' pieces are elsewhere."""
    digest = hashlib.sha256("\n".join(texts).encode())
    for leaf in jax.tree.leaves(model.module):
        digest.update(np.asarray(leaf).tobytes())
    return Pieces(out / "pieces" / digest.hexdigest()[:16], report)
