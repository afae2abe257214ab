"""All trainings of a task: strengths are tried on some seeds and sentences that choose, the chosen one on all seeds."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from experiments._pieces import Pieces
from experiments.flow_training.data import TASKS, TRAINED, made
from experiments.flow_training.fit import Arm, Size, Trainer
from experiments.flow_training.measure import faithfulness, joined, right, some

TOWARDS = ("evidence", "random")
# Seeds of the sets, apart from those of the training sentences (`TRAINING + seed`).
CHOOSING, TESTING, TRAINING = 50, 100, 1000


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        task: of `TASKS`.
        terms: by name.
        strengths: that each arm has a try with.
        seeds: of weights, sentences and batches.
        trying: how many of the seeds try all strengths.
        tested: sentences of each test set, and of the set that chooses.
        explained: sentences of two test sets that are explained.
        size: of the model and its training.
    """

    task: str
    terms: tuple[str, ...]
    strengths: tuple[float, ...] = (0.1, 1.0, 10.0)
    seeds: int = 5
    trying: int = 1
    tested: int = 400
    explained: int = 50
    size: Size = field(default_factory=Size)

    @property
    def arms(self) -> list[Arm]:
        """The control, and each term towards the evidence and towards a random word, without strengths."""
        return [Arm(), *(Arm(term, towards) for term in self.terms for towards in TOWARDS)]


@dataclass(frozen=True)
class Measured:
    """An arm's models, one a seed.

    Attributes:
        strength: that was chosen; 0 of the control.
        tried: mean accuracy of each strength on the sentences that choose.
        right: by test set, whether each sentence's number was told, `seed sentence`.
        explained: by measure, `seed sentence`.
        seconds: of the processor, for all steps, by seed.
    """

    strength: float
    tried: dict[float, float]
    right: dict[str, np.ndarray]
    explained: dict[str, np.ndarray]
    seconds: np.ndarray


def run(plan: Plan, out: Path, report: Callable[[str], None]) -> dict[str, Measured]:
    """Train and measure every arm; what an earlier run into `out` finished is read again."""
    known = {name: value for name, value in asdict(plan).items() if name not in ("terms", "strengths", "seeds")}
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]
    runs = _Runs(plan, Pieces(out / "pieces" / f"{plan.task}-{digest}", report))
    return {arm.name: runs.measured(arm) for arm in plan.arms}


class _Runs:
    def __init__(self, plan: Plan, pieces: Pieces):
        task = TASKS[plan.task]
        self.plan, self.pieces, self.task = plan, pieces, task
        self.trainer = Trainer(plan.size)
        self.choosing = made(task.chosen, plan.tested, CHOOSING)
        self.tests = {
            name: made(kind, plan.tested, TESTING + number) for number, (name, kind) in enumerate(task.tests.items())
        }
        easy, hard = self.tests["as trained"], self.tests[task.hard]
        self.explained = joined(some(easy, plan.explained), some(hard, plan.explained))

    def measured(self, arm: Arm) -> Measured:
        strengths = (0.0,) if arm.term is None else self.plan.strengths
        tries = {
            strength: float(np.mean([self._run(arm, strength, seed)["choosing"] for seed in range(self.plan.trying)]))
            for strength in strengths
        }
        # The weaker one of equals.
        best = max(strengths, key=lambda strength: (tries[strength], -strength))
        runs = [self._run(arm, best, seed, explain=True) for seed in range(self.plan.seeds)]

        def column(prefix: str) -> dict[str, np.ndarray]:
            names = [name.removeprefix(prefix) for name in runs[0] if name.startswith(prefix)]
            return {name: np.stack([each[prefix + name] for each in runs]) for name in names}

        seconds = np.array([float(each["seconds"]) for each in runs])
        return Measured(best, tries, column("right: "), column("explained: "), seconds)

    def _run(self, arm: Arm, strength: float, seed: int, explain: bool = False) -> dict[str, np.ndarray]:
        """One training, and what is measured of it; explanations in a piece of their own, by the model trained anew."""
        arm = Arm(arm.term, arm.towards, strength)
        name = f"{arm.name} {strength:g} seed {seed}".replace(",", "").replace(" ", "-")
        # Explaining takes longer than some trainings: only what was chosen is explained.
        return self.pieces(name + ("-explained" if explain else ""), lambda: self._train(arm, seed, explain))

    def _train(self, arm: Arm, seed: int, explain: bool) -> dict[str, np.ndarray]:
        sentences = made(self.task.trained, self.plan.size.sentences, TRAINING + seed, TRAINED)
        model, seconds = self.trainer(arm, sentences, seed)
        found = {"seconds": np.array(seconds), "choosing": right(model, self.choosing)}
        if explain:
            found |= {f"right: {name}": right(model, test) for name, test in self.tests.items()}
            explained = faithfulness(model, self.explained)
            found |= {f"explained: {name}": values for name, values in explained.items()}
        return found
