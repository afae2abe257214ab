"""Relevance against the model's behaviour and known evidence: blank-out, gradients, ranks, faithfulness, intervals."""

from jaxflow.evaluation.faithfulness import Faithfulness, FaithfulnessScores, faithfulness, faithfulness_scores
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
from jaxflow.evaluation.protocols import (
    PROTOCOLS,
    Aopc,
    Comprehensiveness,
    Curve,
    FaithfulnessProtocol,
    LogOdds,
    SaCo,
    SoftComprehensiveness,
    SoftSufficiency,
    Sufficiency,
)
from jaxflow.evaluation.removals import REMOVALS, Delete, Drop, Removal, Replace
from jaxflow.evaluation.scores import TokenScores
from jaxflow.evaluation.target import Target
from jaxflow.statistics.agreement import Agreement, Kendall, RankMeasure, Spearman, rank_agreement
from jaxflow.statistics.intervals import Interval, mean_interval
from jaxflow.statistics.ranks import ranks

__all__ = [
    "PROTOCOLS",
    "REMOVALS",
    "Agreement",
    "Aopc",
    "Comprehensiveness",
    "Curve",
    "Delete",
    "Drop",
    "Faithfulness",
    "FaithfulnessProtocol",
    "FaithfulnessScores",
    "Gradient",
    "GradientMethod",
    "GradientNorm",
    "GradientTimesInput",
    "GroundTruth",
    "IntegratedGradients",
    "Interval",
    "Kendall",
    "LogOdds",
    "RankMeasure",
    "Removal",
    "Replace",
    "SaCo",
    "SoftComprehensiveness",
    "SoftSufficiency",
    "Spearman",
    "Sufficiency",
    "Target",
    "TokenInputs",
    "TokenScores",
    "faithfulness",
    "faithfulness_scores",
    "gradient_scores",
    "ground_truth",
    "mean_interval",
    "occlusion_scores",
    "padded",
    "rank_agreement",
    "ranks",
    "token_inputs",
]
