"""From the corpus to a trained model: a teacher is fine-tuned, says what it sees, and the paper's encoder learns it.

Every stage is kept in a file and goes on from there; teacher and targets are shared by all seeds.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from experiments.finetune.fit import Batches, Fitted, Loss, Recipe, fit
from experiments.verb_number.batches import sampling_weights
from experiments.verb_number.beginnings import Beginning
from experiments.verb_number.corpus import Corpus
from experiments.verb_number.model import Architecture, make_model
from experiments.verb_number.student import Lessons, Student, distillation_loss, label_loss
from experiments.verb_number.targets import Targets, targets
from experiments.verb_number.teacher import fine_tuned, right, word_vectors
from experiments.verb_number.tokenizer import INSIDE, SPECIALS
from jaxflow.models import TextEncoder, load_model, save_encoder

# How often beginnings of these are drawn, where others' share is 1: manuals are many and alike.
SHARES = {"linux-doc-6.1": 0.5, "python3.11-doc": 0.5, "postgresql-doc-15": 0.5, "gimp-help-en": 0.5}
SHARES |= {"dict-foldoc": 0.8, "made": 0.35}
# Beginnings that the teacher is fine-tuned on, and held-out ones that it is judged by.
TAUGHT, HELD = 60_000, 1000
Report = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How a model is trained.

    Attributes:
        steps: of the student.
        tokens: of a batch, padding included.
        rate: the highest learning rate; it rises over `warmup` steps and falls to 0.
        warmup: steps of that rise.
        word_dropout: share of words that `<unk>` replaces.
        seed: of the student's weights, batches and dropout.
        teacher: a built-in name, folder or hub name of a pretrained encoder; "none" for labels alone.
        teacher_steps: in which it is fine-tuned.
        teacher_rate: the highest learning rate then.
        parts: that the student learns from, of the `of` parts of `part` beginnings each that are drawn.
        part: see `parts`.
        of: see `parts`; of what is drawn, misleading beginnings are the more, the fewer there are in all.
        start: built-in name or folder of a trained student to go on from, with its vocabulary; None makes a new one.
    """

    steps: int = 8600
    tokens: int = 1536
    rate: float = 1.5e-3
    warmup: int = 150
    word_dropout: float = 0.05
    seed: int = 0
    teacher: str = "minilm"
    teacher_steps: int = 600
    teacher_rate: float = 1.5e-4
    parts: int = 2
    part: int = 50_000
    of: int = 3
    start: str | None = None


@dataclass(frozen=True)
class Trained:
    """A trained model, how its training went, on how many tokens, and its teacher's accuracy on held-out beginnings."""

    model: TextEncoder
    course: Fitted
    tokens: int
    teacher_accuracy: float | None


def train(found: Corpus, size: Architecture, settings: Settings, out: Path, report: Report) -> Trained:
    """Train, or go on where an earlier run into the same folder was.

    Args:
        found: the corpus.
        size: of the student.
        settings: how.
        out: the folder; the teacher goes into `out/teacher`, checkpoints of the student into `out/seedN`.
        report: called with lines about progress.
    """
    parts = drawn_parts(found, settings)
    taught: list[Targets] = []
    vectors, accuracy = None, None
    if settings.teacher != "none":
        teacher = _teacher(found, settings, out / "teacher", report)
        accuracy = right(teacher, found.splits["validation"][:HELD])
        report(f"the teacher is right on {accuracy:.4f} of held-out beginnings")
        taught = targets(teacher, found.splits["train"], parts, out / "teacher" / "targets", size.width, report)
        parts = [part.rows for part in taught]
        if settings.start is None:
            vectors = word_vectors(teacher, found.vocabulary, len(SPECIALS), size.width, INSIDE)
    if settings.start is None:
        model = make_model(found.vocabulary, size, vectors, settings.seed)
    else:
        model = load_model(settings.start)
    chosen = [found.splits["train"][row] for row in np.concatenate(parts)]
    lessons = lessons_of(model, chosen, taught, settings)
    report(f"the student learns from {len(chosen)} beginnings, {settings.steps / lessons.steps:.1f} times each")
    loss = distillation_loss if taught else label_loss
    model, course = learnt(model, loss, lessons, settings, out / f"seed{settings.seed}", report)
    return Trained(model, course, lessons.tokens(settings.steps), accuracy)


def lessons_of(
    model: TextEncoder, found: Sequence[Beginning], taught: Sequence[Targets], settings: Settings
) -> Lessons:
    """What a student of these settings learns from."""
    return Lessons(model, found, taught, tokens=settings.tokens, word_dropout=settings.word_dropout, seed=settings.seed)


def learnt(
    model: TextEncoder, loss: Loss, batches: Batches, settings: Settings, folder: Path, report: Report
) -> tuple[TextEncoder, Fitted]:
    """The model when it has learnt from these batches, and how that went; it goes on where `folder` is filled.

    `loss` is of a `Student`: the encoder, and maps to a teacher's states.
    """
    student = Student(model.module, model.config.width, jax.random.key(settings.seed + 1))
    recipe = Recipe(settings.steps, rate=settings.rate, warmup=settings.warmup, seed=settings.seed)
    course = fit(student, loss, batches, recipe, folder / "checkpoints", every=300, report=report)
    return dataclasses.replace(model, module=course.module.encoder), course


def drawn_parts(found: Corpus, settings: Settings) -> list[np.ndarray]:
    """Rows of the training beginnings, part by part; no row comes twice."""
    train_split = found.splits["train"]
    weights = sampling_weights(train_split, found.singular, found.plural, 4.0)
    weights *= [SHARES.get(b.source, 1.0) for b in train_split]
    count = min(settings.part * settings.of, np.count_nonzero(weights))
    rows = np.random.default_rng(0).choice(len(train_split), count, replace=False, p=weights / weights.sum())
    return [rows[start :: settings.of] for start in range(settings.parts)]


def _teacher(found: Corpus, settings: Settings, folder: Path, report: Report) -> TextEncoder:
    if (folder / "model" / "config.json").is_file():
        return load_model(folder / "model")
    report(f"fine-tuning the teacher, {settings.teacher}")
    train_split = found.splits["train"]
    weights = sampling_weights(train_split, found.singular, found.plural, 3.0)
    rows = np.random.default_rng(0).choice(len(train_split), TAUGHT, p=weights / weights.sum())
    recipe = Recipe(settings.teacher_steps, rate=settings.teacher_rate, dropout=False)
    teacher = fine_tuned(
        load_model(settings.teacher),
        [train_split[row] for row in rows],
        recipe,
        folder / "checkpoints",
        report=report,
    )
    _ = save_encoder(teacher, folder / "model")
    return teacher
