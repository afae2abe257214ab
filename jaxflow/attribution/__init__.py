"""From texts to relevance: the question, the methods as values, and `attribute`, which runs them over texts."""

from jaxflow.attribution.build import build_graph
from jaxflow.attribution.corrected import Corrected
from jaxflow.attribution.flow_methods import JointFlow, WidestPath
from jaxflow.attribution.items import EncodedText
from jaxflow.attribution.methods import Flow, Method, ProgramMethod, Raw, Rollout, Scores
from jaxflow.attribution.question import Question
from jaxflow.attribution.result import Attribution, Example
from jaxflow.attribution.run import attribute, attribute_shards

__all__ = [
    "Attribution",
    "Corrected",
    "EncodedText",
    "Example",
    "Flow",
    "JointFlow",
    "Method",
    "ProgramMethod",
    "Question",
    "Raw",
    "Rollout",
    "Scores",
    "WidestPath",
    "attribute",
    "attribute_shards",
    "build_graph",
]
