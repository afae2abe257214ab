"""Relevance against the model's behaviour and known evidence: blank-out, gradients, ranks, faithfulness, intervals."""

from jaxflow.evaluation.faithfulness import Faithfulness, faithfulness
from jaxflow.evaluation.gradients import (
    Gradient,
    GradientMethod,
    GradientNorm,
    GradientTimesInput,
    IntegratedGradients,
    gradient_scores,
)
from jaxflow.evaluation.ground_truth import GroundTruth, ground_truth
from jaxflow.evaluation.inputs import TokenInputs, padded, token_inputs
from jaxflow.evaluation.occlusion import occlusion_scores
from jaxflow.evaluation.scores import TokenScores
from jaxflow.evaluation.target import Target
from jaxflow.statistics.agreement import Agreement, Kendall, RankMeasure, Spearman, rank_agreement
from jaxflow.statistics.intervals import Interval, mean_interval
from jaxflow.statistics.ranks import ranks

__all__ = [
    "Agreement",
    "Faithfulness",
    "Gradient",
    "GradientMethod",
    "GradientNorm",
    "GradientTimesInput",
    "GroundTruth",
    "IntegratedGradients",
    "Interval",
    "Kendall",
    "RankMeasure",
    "Spearman",
    "Target",
    "TokenInputs",
    "TokenScores",
    "faithfulness",
    "gradient_scores",
    "ground_truth",
    "mean_interval",
    "occlusion_scores",
    "padded",
    "rank_agreement",
    "ranks",
    "token_inputs",
]
