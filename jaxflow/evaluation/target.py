"""The number of a classifier that is explained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxflow._checks import InputError, one_of, shown, shown_text
from jaxflow._typing import Given, Settled
from jaxflow.models import Model
from jaxflow.models.model import check_gives

HEADS = ("sequence_classification", "next_sentence", "next_token")


def _softmax(logits: np.ndarray) -> np.ndarray:
    # SciPy's functions take a while to import.
    from scipy.special import softmax

    return softmax(np.asarray(logits, np.float64), axis=-1)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return expit(np.asarray(logits, np.float64))


# In float64 on the host: differences of probabilities near 1 lose digits in float32.
ON_HOST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "identity": lambda logits: np.asarray(logits, np.float64),
}
ON_DEVICE: dict[str, Callable[[Array], Array]] = {
    "softmax": lambda logits: jax.nn.softmax(logits, axis=-1),
    "sigmoid": jax.nn.sigmoid,
    "identity": lambda logits: logits,
}


# A class by name or number, or one for each example.
Classes: TypeAlias = str | int | Sequence[str | int]


@dataclass(frozen=True)
class Target:
    """A class's probability or logit, or the difference of two classes'.

    Attributes:
        classes: `"predicted"`, the likeliest class of the text as it stands; a class by index or by label; or one
            of these for each example (the correct labels, say).
        quantity: `"probability"` (softmax; sigmoid for several labels at once) or `"logit"`.
        against: None, or a second class, given likewise, whose number is taken off: `Target(0, against=1)` is
            `p0 - p1`. `"runner_up"` is the likeliest of the other classes.
    """

    classes: Settled[Classes] = "predicted"
    quantity: str = "probability"
    against: Settled[Classes | None] = None

    def __post_init__(self) -> None:
        one_of("quantity", self.quantity, ("probability", "logit"))
        for name in ("classes", "against"):
            value = getattr(self, name)
            # Arrays and lists become tuples, so that a target is hashable.
            if hasattr(value, "tolist"):
                value = np.asarray(value).tolist()
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)

    @property
    def needs_logits(self) -> bool:
        """Whether the classes depend on the model's prediction."""
        return self.classes == "predicted" or self.against == "runner_up"


@dataclass(frozen=True)
class Explained:
    """A target for programs: hashable, with the classes of each example apart in arrays.

    Attributes:
        scale: how logits become numbers, see `scale_of`.
        predicts: whether the class is the likeliest one; else it is in the arrays.
        against: None, `"runner_up"` for the likeliest other class, or `"given"` for one in the arrays.
    """

    scale: str
    predicts: bool
    against: str | None

    def classes(self, logits: Float[Array, "row label"], given: "GivenClasses") -> "GivenClasses":
        """The class of each row, and the one that it is set against or None."""
        classes, against = given
        if self.predicts:
            classes = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        if self.against == "runner_up":
            assert classes is not None
            # row label: all classes but the first choice.
            others = jnp.arange(logits.shape[-1]) != classes[:, None]
            against = jnp.argmax(jnp.where(others, logits, -jnp.inf), axis=-1).astype(jnp.int32)
        return classes, against

    def settle(self, logits: Float[Array, "row label"], given: "GivenClasses") -> tuple["Explained", "GivenClasses"]:
        """The same number with its classes as these logits have them, whatever the text becomes; and its arrays."""
        classes, against = self.classes(logits, given)
        return Explained(self.scale, False, None if against is None else "given"), (classes, against)

    def value(self, logits: Float[Array, "row label"], given: "GivenClasses") -> Float[Array, " row"]:
        """The explained number of each row."""
        classes, against = self.classes(logits, given)
        assert classes is not None
        return target_value(ON_DEVICE[self.scale](logits), classes, against)


# Classes of each row that are known beforehand, and the classes that they are set against.
GivenClasses: TypeAlias = tuple[Int[Any, " row"] | None, Int[Any, " row"] | None]


def as_target(target: Given[Classes | Target]) -> Target:
    """A target, from one or from its classes alone."""
    return target if isinstance(target, Target) else Target(target)


def scale_of(model: Model, target: Target) -> str:
    """The scale that turns a classifier's logits into the target's numbers.

    Raises:
        InputError: the model does not classify texts, or it has no probabilities.
    """
    head = model.head
    if head.name not in HEADS:
        raise InputError(None, "have a head that classifies texts", f"the head {head.name!r}", place=model.name)
    if target.quantity == "logit":
        return "identity"
    if head.problem == "regression":
        got, way_out = "the numbers of a regression", "use Target(0, quantity='logit')"
        raise InputError(None, "give probabilities", got, way_out, place=model.name)
    return "sigmoid" if head.problem == "multi_label" else "softmax"


def resolve(
    model: Model, target: Target, examples: int, logits: Callable[[], np.ndarray]
) -> tuple[Int[np.ndarray, " example"], Int[np.ndarray, " example"] | None]:
    """The class of each example, and the one it is set against.

    Raises:
        InputError: there is no such class, or the classes are not one for each example.
    """
    # The model runs only where the classes depend on it.
    scores = logits() if target.needs_logits else None
    classes = _indices("classes", model, target.classes, "predicted", examples, scores)
    if target.against is None:
        return classes, None
    if scores is not None:
        # The runner-up is the likeliest class once the first is out.
        scores = np.where(np.arange(scores.shape[-1]) == classes[:, None], -np.inf, scores)
    against = _indices("against", model, target.against, "runner_up", examples, scores)
    check_different(classes, against)
    return classes, against


def explained_of(
    model: Model, target: Target, examples: int, *, gradients: bool = True
) -> tuple[Explained, GivenClasses]:
    """A target for programs, and the classes of examples that are known before the model runs.

    Args:
        model: a classifier.
        target: the number that is explained.
        examples: number of them.
        gradients: whether its gradient in the attention is taken, which the model must give.

    Raises:
        InputError: the model does not classify texts, has no such class, or the classes are not one an example.
    """
    if gradients:
        check_gives(model, "gradients", "the gradient of a class")
    predicts = isinstance(target.classes, str) and target.classes == "predicted"
    runner_up = isinstance(target.against, str) and target.against == "runner_up"
    scale = scale_of(model, target)
    # On a device a class that depends on the logits is chosen by the program, not here.
    classes = None if predicts else _indices("classes", model, target.classes, "predicted", examples, None)
    if target.against is None or runner_up:
        return Explained(scale, predicts, target.against), (classes, None)
    against = _indices("against", model, target.against, "runner_up", examples, None)
    if classes is not None:
        check_different(classes, against)
    return Explained(scale, predicts, "given"), (classes, against)


def check_different(classes: Int[np.ndarray, " example"], against: Int[np.ndarray, " example"]) -> None:
    """Refuse a class that is set against itself.

    Raises:
        InputError: naming the example.
    """
    if (against == classes).any():
        example = int((against == classes).argmax())
        got = f"{against[example]} for both in example {example}"
        raise InputError("against", "be another class than `classes`", got)


def target_value(numbers: Any, classes: Int[Any, "*row"], against: Int[Any, "*row"] | None) -> Any:
    """The explained number of each row, from all classes' numbers `*row label`; NumPy in, NumPy out."""
    module: Any = np if isinstance(numbers, np.ndarray) else jnp
    value = module.take_along_axis(numbers, classes[..., None], axis=-1)[..., 0]
    if against is None:
        return value
    return value - module.take_along_axis(numbers, against[..., None], axis=-1)[..., 0]


def _indices(
    name: str, model: Model, given: Given[Classes], word: str, examples: int, logits: np.ndarray | None
) -> Int[np.ndarray, " example"]:
    if isinstance(given, str) and given == word:
        assert logits is not None
        return logits.argmax(axis=-1).astype(np.int32)
    if isinstance(given, tuple) and len(given) != examples:
        raise InputError(name, f"name one class for each of {examples} examples", str(len(given)))
    entries = given if isinstance(given, tuple) else (given,) * examples
    labels, outputs = model.labels or (), model.head.outputs
    indices = []
    for entry in entries:
        # Names of a vocabulary take a while to make, and numbers need none.
        index = model.head.index_of(name, entry) if isinstance(entry, str) else entry
        # A class that is called by its number, as on the command line.
        index = int(index) if isinstance(index, str) and index.isdecimal() else index
        # `index_of` returns unknown names as they are, so this refuses them as well.
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < outputs:
            expected = f"be {word!r}, an index below {outputs} or a class of the model"
            raise InputError(
                name, expected, f"{shown(entry)}; its classes are {shown_text(', '.join(map(repr, labels)))}"
            )
        indices.append(index)
    return np.array(indices, np.int32)
