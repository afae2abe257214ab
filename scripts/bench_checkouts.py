#!/usr/bin/env python3
"""Time this checkout against another one, in turns: attribution, exploration and comparison of the same sentences.

usage: scripts/bench_checkouts.py OTHER_CHECKOUT [--tasks compare explore rollout flow] [--rounds 5] [--out FILE]

A process of its own runs each checkout. Each task is run once to compile and warm up, then once a round, first here,
then there. Figures are CPU seconds of all threads (user and system) and the largest memory of each process; a ratio
above 1 says that this checkout is faster. The models are `minilm` (`jaxflow fetch minilm`) and itself with noise on
its weights, which stands for a fine-tuned model. Sentences: those of `tests/sentences.py` and the demo.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
TASKS = ("compare", "explore", "rollout", "flow")
# Sentences of an attribution, and of what looks at two models.
MANY, FEW = 600, 60


@dataclass
class Checkout:
    """One checkout in a process of its own, and the CPU seconds of its runs by task."""

    folder: Path
    process: subprocess.Popen[str] = field(init=False)
    seconds: dict[str, list[float]] = field(default_factory=dict, init=False)
    mebibytes: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--child", str(HERE)]
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self.folder
        )

    def run(self, task: str) -> float:
        """Run a task once and return its CPU seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(task, file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        self.mebibytes = answer["mebibytes"]
        return answer["cpu"]


def main() -> None:
    """Compare two checkouts, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("other", type=Path, help="the other checkout's folder")
    _ = parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    _ = parser.add_argument("--rounds", type=int, default=5)
    _ = parser.add_argument("--out", type=Path, help="where figures are written, as JSON")
    _ = parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _serve(options.other)
        return
    figures: dict[str, Any] = {}
    for task in options.tasks:
        # New processes for each task, so that the memory is that task's own.
        checkouts = [Checkout(HERE), Checkout(options.other.resolve())]
        for checkout in checkouts:
            _ = checkout.run(task)
        rounds = [[checkout.run(task) for checkout in checkouts] for _ in range(options.rounds)]
        for checkout in checkouts:
            _ = checkout.process.communicate()
        figures[task] = {
            "cpu_seconds": [statistics.median(seconds) for seconds in zip(*rounds, strict=True)],
            "times_faster": statistics.median(other / here for here, other in rounds),
            "mebibytes": [checkout.mebibytes for checkout in checkouts],
        }
        print(task, json.dumps(figures[task]), flush=True)
    if options.out:
        from provenance import provenance

        _ = options.out.write_text(json.dumps(provenance("jax", "numpy") | {"figures": figures}, indent=1) + "\n")


def _serve(root: Path) -> None:
    """Run the tasks whose names come in, one a line, and answer with what each took."""
    tasks = _tasks(root)
    for line in sys.stdin:
        start = time.process_time()
        _ = tasks[line.strip()]()
        cpu = time.process_time() - start
        # Linux counts in KiB.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"cpu": cpu, "mebibytes": round(peak)}), flush=True)


def _tasks(root: Path) -> dict[str, Callable[[], Any]]:
    import jaxflow as jf

    load = getattr(jf, "load_model", None) or jf.load_encoder  # pyright: ignore[reportAttributeAccessIssue]
    module = next(name for name in ("pages", "report") if (Path(jf.__file__).parent / name).is_dir())
    explore = importlib.import_module(f"jaxflow.{module}.explore").explore
    sentences = [*_lines(root / "tests/sentences.py"), *_lines(root / "scripts/demo_sentences.txt")]
    model = load("minilm")
    other = _perturbed(model)
    few = (sentences * FEW)[:FEW]
    many = (sentences * MANY)[:MANY]
    return {
        "compare": lambda: jf.compare_models(model, other, few),
        "explore": lambda: explore(model, few, other=other),
        "rollout": lambda: jf.attribute(model, many, methods=("rollout",), queries=0),
        "flow": lambda: jf.attribute(model, many, methods=("rollout", "flow"), queries=0),
    }


def _lines(path: Path) -> list[str]:
    """The sentences of a file: lines that end as sentences do."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith((".", "?", "!"))]


def _perturbed(model: Any) -> Any:
    import dataclasses

    import jax
    import jax.numpy as jnp
    import numpy as np

    draws = np.random.default_rng(0)

    def moved(leaf: jax.Array) -> jax.Array:
        return leaf + jnp.asarray(draws.normal(0, 0.1 * float(leaf.std()), leaf.shape), leaf.dtype)

    return dataclasses.replace(model, module=jax.tree.map(moved, model.module))


if __name__ == "__main__":
    main()
