"""From texts to relevance: the methods as values, and `attribute`, which runs them over texts."""

from jaxflow.attribution.methods import Flow, Method, Raw, Rollout, Scores
from jaxflow.attribution.result import Attribution, Example
from jaxflow.attribution.run import attribute

__all__ = ["Attribution", "Example", "Flow", "Method", "Raw", "Rollout", "Scores", "attribute"]
