"""Scores from the gradient in the word embeddings, as they are looked up: before positions, segments and norm."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxflow._checks import InputError, as_flag, shown
from jaxflow._pytree import pytree
from jaxflow._typing import AnyArray, ArrayLike, Given
from jaxflow.evaluation.batches import BATCH_TOKENS, at_length, check_finite, for_every_row, run_examples, whole_logits
from jaxflow.evaluation.inputs import Texts, TokenInputs, blank_id, token_inputs
from jaxflow.evaluation.scores import TokenScores
from jaxflow.evaluation.target import ON_DEVICE, Classes, Target, as_target, resolve, scale_of, target_value
from jaxflow.models import EmbedsTokens, ForwardOptions, Model, Module, TokenBatch
from jaxflow.models.model import check_gives
from jaxflow.running import Call, Inputs, logits_of

Embedded = Float[Array, "row token embedding"]
# Word embeddings -> the explained number of each row, and its gradient.
Slope = Callable[[Embedded], tuple[Float[Array, " row"], Embedded]]

# A float32 sum below this share of its terms' sizes is rounding alone: gradients are right to about 1e-5.
RESOLUTION = 1e-5


@pytree
class Slopes:
    """The scores of a gradient method.

    Attributes:
        value: the explained number.
        signed: the score of each token.
        size: the score if no terms of its sum cancelled; a score far below it is rounding alone.
    """

    value: Float[Array, " row"]
    signed: Float[Array, "row token"]
    size: Float[Array, "row token"]


@runtime_checkable
class GradientMethod(Protocol):
    """A way to score tokens by the gradient: a frozen, hashable value that `gradient_scores` takes."""

    @property
    def absolute(self) -> bool:
        """Whether the sign of a score is taken away in `values`."""
        ...

    @property
    def baseline(self) -> str | int | ArrayLike | None:
        """The embedding that stands for nothing (see `IntegratedGradients`), or None where none is needed."""
        ...

    def __call__(self, slope: Slope, words: Embedded, start: Embedded) -> "Slopes":
        """Scores at `words`; `start` is `words` with the baseline put in, where there is one."""
        ...


@dataclass(frozen=True)
class Gradient:
    """`|sum_d d(value) / d e[d]|`: the plain gradient, summed over the embedding with its signs, then absolute.

    Abnar & Zuidema (2020) with `Target(0, against=1)`. It is the derivative along the vector of ones. Where word
    embeddings reach the model through layer norms alone, as in BERT and its kin, and in pre-norm models with a last
    norm, nothing changes along that vector: a layer norm takes a constant off again. Then the sum is 0, what is
    computed is rounding, and `TokenScores.unresolved` says so; take `GradientNorm()` or `GradientTimesInput()`.
    """

    absolute: Given[bool] = True
    baseline = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "absolute", as_flag("absolute", self.absolute))

    def __call__(self, slope: Slope, words: Embedded, start: Embedded) -> Slopes:
        """The gradient's sum over the embedding."""
        value, gradient = slope(words)
        return _summed(value, gradient)


@dataclass(frozen=True)
class GradientNorm:
    """The L2 norm of the gradient: the fastest that the value can change with this token's embedding."""

    # A norm has no sign.
    absolute = False
    baseline = None

    def __call__(self, slope: Slope, words: Embedded, start: Embedded) -> Slopes:
        """The gradient's norm."""
        value, gradient = slope(words)
        # row token; the terms are squares, so nothing cancels and size and score are one.
        norm = jnp.sqrt(jnp.sum(gradient * gradient, axis=-1))
        return Slopes(value, norm, norm)


@dataclass(frozen=True)
class GradientTimesInput:
    """Gradient times input, `sum_d e[d] d(value) / d e[d]`: first-order effect of the embedding going to 0; signed."""

    absolute: Given[bool] = False
    baseline = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "absolute", as_flag("absolute", self.absolute))

    def __call__(self, slope: Slope, words: Embedded, start: Embedded) -> Slopes:
        """The product, summed over the embedding."""
        value, gradient = slope(words)
        return _summed(value, gradient * words)


@dataclass(frozen=True)
class IntegratedGradients:
    """The gradient averaged along the straight line from a baseline, times the way; signed (Sundararajan et al. 2017).

    An example's scores sum to `value(text) - value(baseline)` but for the error of integration, which the result
    reports as `completeness_error`.

    Attributes:
        steps: gradients along the line, at the points of Gauss and Legendre.
        baseline: `"zero"`, `"blank"` (the embedding of the tokenizer's unknown or mask token), a token or its id, or
            an embedding as numbers. It stands at every chosen position; the others keep their words.
        absolute: whether the sign of a score is taken away in `values`.
    """

    steps: int = 32
    baseline: Given[str | int | ArrayLike] = "zero"
    absolute: Given[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "absolute", as_flag("absolute", self.absolute))
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise InputError("steps", "be a whole number, 1 or more", shown(self.steps))
        if self.baseline is None:
            raise InputError("baseline", "be 'zero', 'blank', a token, an id or an embedding", "None")
        if np.ndim(self.baseline) == 1:
            # Numbers in a tuple, so that the method can be a static argument.
            object.__setattr__(self, "baseline", tuple(map(float, np.asarray(self.baseline))))

    def __call__(self, slope: Slope, words: Embedded, start: Embedded) -> Slopes:
        """The integral by Gauss and Legendre, one gradient in memory at a time."""
        # Exact for polynomials of degree 2 * steps - 1, on [-1, 1].
        points, weights = np.polynomial.legendre.leggauss(self.steps)
        way = words - start

        # A loop, not a batch: memory does not grow with the number of points.
        def step(total: Embedded, at: tuple[Array, Array]) -> tuple[Embedded, None]:
            point, weight = at
            return total + weight * slope(start + point * way)[1], None

        # From [-1, 1] to [0, 1].
        line = jnp.asarray((points + 1) / 2, words.dtype), jnp.asarray(weights / 2, words.dtype)
        mean, _ = jax.lax.scan(step, jnp.zeros_like(words), line)
        # Mean slope times way, `row token embedding`: the terms of each token's score.
        return _summed(slope(words)[0], mean * way)


def gradient_scores(
    model: Model,
    texts: Texts,
    method: Given[GradientMethod] = Gradient(),
    *,
    target: Given[Classes | Target] = "predicted",
    positions: str | ArrayLike = "tokens",
    batch_tokens: int = BATCH_TOKENS,
) -> TokenScores:
    """Score each token by the gradient of the explained number in its word embedding.

    Args:
        model: a model that classifies texts.
        texts: anything that `token_inputs` takes.
        method: `Gradient()` (the paper's), `GradientNorm()`, `GradientTimesInput()`, `IntegratedGradients()` or one
            of your own.
        target: a `Target`, or its classes: `"predicted"`, an index or label, or one for each example. The paper's is
            `Target(0, against=1)`.
        positions: which are scored, see `TokenInputs.positions`; the others are 0.
        batch_tokens: rows times length of a batch, about; bounds memory.

    Returns:
        Scores `example token`, float32 as the model. Cost: about three forward passes an example (times `steps`).

    Raises:
        InputError: the model does not classify texts, or an argument does not fit, see `token_inputs`, `Target`.
    """
    inputs, target = token_inputs(model, texts), as_target(target)
    if not isinstance(method, GradientMethod) or isinstance(method, type):
        raise InputError("method", "be a gradient method such as Gradient()", shown(method))
    scale, chosen = scale_of(model, target), inputs.positions(positions)
    check_gives(model, "embeddings", "gradient_scores")
    baseline = _baseline(model, method)
    # The classes are settled on the text as it stands, before any embedding is changed.
    classes = resolve(model, target, len(inputs), lambda: whole_logits(model, inputs, batch_tokens))
    program = EmbeddingScores(method, scale)

    def call(batch: TokenBatch, rows: np.ndarray) -> Call:
        # Each row's class, the one that it is set against, and the positions that the baseline takes.
        first, against = (None if each is None else jnp.asarray(for_every_row(each[rows], batch)) for each in classes)
        replaced = at_length(for_every_row(chosen[rows], batch), batch.mask.shape[-1])
        return Call(program, Inputs(batch, (first, against, jnp.asarray(replaced)), baseline))

    results = run_examples(model, inputs, call, batch_tokens)
    return _token_scores(inputs, chosen, classes[0], results, absolute=method.absolute)


def _token_scores(
    inputs: TokenInputs,
    chosen: Bool[np.ndarray, "example token"],
    classes: Int[np.ndarray, " example"],
    results: Sequence[tuple[Slopes, np.floating | None]],
    *,
    absolute: bool,
) -> TokenScores:
    """The scores of all examples from each one's slopes and its explained number at the baseline."""
    signed, size = np.zeros(inputs.mask.shape, np.float32), np.zeros(inputs.mask.shape, np.float32)
    # A batch's padding may differ from the examples': copy as far as both reach.
    for row, (slopes, _) in enumerate(results):
        width = min(len(slopes.signed), inputs.mask.shape[1])
        signed[row, :width], size[row, :width] = slopes.signed[:width], slopes.size[:width]
    check_finite(signed, "the gradient of example")
    signed = np.where(chosen, signed, np.float32(0))
    value = np.array([slopes.value for slopes, _ in results], np.float32)
    at_baseline = [number for _, number in results if number is not None]
    # Completeness: an example's scores sum to the number at the text less the number at the baseline.
    error = np.abs(signed.sum(axis=-1) - (value - np.array(at_baseline, np.float32))) if at_baseline else None
    return TokenScores(
        values=np.abs(signed) if absolute else signed,
        signed=signed,
        mask=inputs.mask,
        value=value,
        classes=classes,
        unresolved=chosen & (np.abs(signed) <= RESOLUTION * size),
        completeness_error=error,
    )


@dataclass(frozen=True)
class EmbeddingScores:
    """The program of a gradient method: scores, and the explained numbers at the baseline.

    Its examples' arrays: classes `row`, the classes that they are set against (or None), and which positions the
    baseline replaces, `row token`; shared is the baseline's embedding, or None.

    Attributes:
        method: a gradient method.
        scale: from logits to the explained number, see `target.scale_of`.
    """

    method: GradientMethod
    scale: str

    def __call__(self, module: Module, inputs: Inputs) -> tuple[Slopes, Float[Array, " row"] | None]:
        """The scores of a batch; as many forward and backward passes as the method asks for."""
        classes, against, replaced = inputs.examples

        def number(logits: Float[Array, "row label"]) -> Float[Array, " row"]:
            return target_value(ON_DEVICE[self.scale](logits), classes, against)

        return embedding_scores(module, inputs, self.method, number, replaced, inputs.shared)


def embedding_scores(
    module: Module,
    inputs: Inputs,
    method: GradientMethod,
    number: Callable[[Array], Float[Array, " row"]],
    replaced: Bool[Array, "row token"],
    baseline: int | AnyArray | None,
) -> tuple[Slopes, Float[Array, " row"] | None]:
    """A gradient method's scores of a batch, in a program, and the explained numbers at its baseline.

    Args:
        module: the model's layers and head.
        inputs: the batch; only its tokens and their packing are read.
        method: a gradient method.
        number: the explained number of each row, from the head's numbers.
        replaced: positions that the baseline takes.
        baseline: its embedding, or the id of its token; None where the method has none, or its baseline is 0.
    """
    assert isinstance(module, EmbedsTokens)
    batch = inputs.batch

    def numbers(words: Embedded) -> Float[Array, " row"]:
        return number(logits_of(module, batch, ForwardOptions(embeddings=words, packing=inputs.packing)))

    def slope(words: Embedded) -> tuple[Float[Array, " row"], Embedded]:
        # Rows don't touch each other, so the gradient of their sum holds each row's own.
        value, pull = jax.vjp(numbers, words)
        return value, pull(jnp.ones_like(value))[0]

    words = module.embed(batch.input_ids)
    if isinstance(baseline, int):
        baseline = module.embed(jnp.asarray([baseline]))[0]
    if method.baseline is None:
        return method(slope, words, words), None
    # row token embedding: the baseline at chosen positions, the words elsewhere.
    nothing = jnp.zeros((), words.dtype) if baseline is None else baseline.astype(words.dtype)
    start = jnp.where(replaced[..., None], nothing, words)
    # One more forward pass, for completeness.
    return method(slope, words, start), numbers(start)


def _summed(value: Float[Array, " row"], terms: Embedded) -> Slopes:
    return Slopes(value, terms.sum(axis=-1), jnp.abs(terms).sum(axis=-1))


def _baseline(model: Model, method: GradientMethod) -> Float[Array, " embedding"] | None:
    """The embedding of the baseline."""
    given = method.baseline
    if given is None:
        return None
    assert isinstance(model.module, EmbedsTokens)
    # The embedding's width, by looking up one token.
    width = model.module.embed(jnp.zeros(1, jnp.int32)).shape[-1]
    if isinstance(given, str) and given == "zero":
        return jnp.zeros(width, jnp.float32)
    if isinstance(given, tuple):
        if len(given) != width:
            raise InputError("baseline", f"have the embedding's {width} numbers", str(len(given)))
        return jnp.asarray(given, jnp.float32)
    token = baseline_id(model, given)
    return model.module.embed(jnp.asarray([token]))[0].astype(jnp.float32)


def baseline_id(model: Model, baseline: str | int | ArrayLike) -> int | None:
    """The token whose embedding is a baseline; None for zeros.

    Raises:
        InputError: there is no such token.
    """
    if isinstance(baseline, str) and baseline == "zero":
        return None
    return blank_id(model, None if isinstance(baseline, str) and baseline == "blank" else baseline)
