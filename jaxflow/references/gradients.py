"""References by gradients in the word embeddings: gradient x input, and integrated gradients."""

from dataclasses import dataclass

from jaxtyping import Array, Float

from jaxflow import evaluation
from jaxflow._typing import AtLayers, Given
from jaxflow.evaluation.gradients import GradientMethod, baseline_id, embedding_scores
from jaxflow.models import EmbedsTokens, Model, Module
from jaxflow.running import Inputs, Program, Target, logits_of, same_rows


@dataclass(frozen=True)
class GradientInput:
    """Gradient x input: what each word embedding adds to the explained number to first order; signed.

    The same row at each layer and query, as it explains the target alone. Word embeddings are as they are looked up:
    before positions, segments and norm. Cost: about three forward passes.
    """

    name: str = "gradient-input"

    needs = frozenset({"embeddings"})
    explains = True

    def program(self, model: Model, layers: tuple[int, ...], target: Target | None) -> Program:
        """One gradient."""
        assert target is not None
        return EmbeddingReference(evaluation.GradientTimesInput(), None, layers, target)


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients (Sundararajan et al. 2017): the mean gradient on the line from a baseline, times the way.

    Signed, and the same row at each layer and query, as it explains the target alone. A text's relevance sums to the
    explained number less the number at the baseline, but for the error of integration, which
    `evaluation.gradient_scores(...).completeness_error` reports. The class is that of the text as it stands. Cost:
    about three forward passes a step.

    Attributes:
        steps: gradients along the line, at the points of Gauss and Legendre.
        baseline: the embedding that stands for nothing, at every token of the text: "zero" (the default, as no token of
            a vocabulary means nothing), "blank" (the tokenizer's unknown or mask token), or a token or its id.
        name: its column.
    """

    steps: int = 32
    baseline: Given[str | int] = "zero"
    name: str = "integrated-gradients"

    needs = frozenset({"embeddings"})
    explains = True

    def __post_init__(self) -> None:
        # Evaluation's own value has the checks.
        _ = self._method

    def program(self, model: Model, layers: tuple[int, ...], target: Target | None) -> Program:
        """One gradient a step, and the class's settling."""
        assert target is not None
        return EmbeddingReference(self._method, baseline_id(model, self.baseline), layers, target)

    @property
    def _method(self) -> evaluation.IntegratedGradients:
        return evaluation.IntegratedGradients(self.steps, self.baseline)


@dataclass(frozen=True)
class EmbeddingReference:
    """The program of a method of `evaluation.gradient_scores`.

    Attributes:
        method: the gradient method.
        baseline: the token whose embedding is its baseline; None for zeros, or where it has none.
        layers: of the relevance.
        target: the explained number.
    """

    method: GradientMethod
    baseline: int | None
    layers: tuple[int, ...]
    target: Target

    def __call__(self, module: Module, inputs: Inputs) -> AtLayers:
        """The scores of each token, the same row at each layer and query."""
        assert isinstance(module, EmbedsTokens)
        batch, (queries, given) = inputs.batch, inputs.examples
        # Along the line the likeliest class may change; what is explained must not.
        target, classes = self.target.settle(logits_of(module, batch), given)

        def number(logits: Float[Array, "row ..."]) -> Float[Array, " row"]:
            return target.value(logits, classes)

        slopes, _ = embedding_scores(module, inputs, self.method, number, batch.mask, self.baseline)
        return same_rows(slopes.signed, queries, self.layers, batch.mask)
