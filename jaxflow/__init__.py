"""How much each input token contributed to each position of a Transformer, at each layer.

By three functionals of one graph of attention (Abnar & Zuidema 2020): raw attention, attention rollout, and attention
flow, a maximum flow with certified bounds.
"""

from jaxflow._checks import InputError
from jaxflow.attribution import Attribution, Example, attribute
from jaxflow.flow.cut import cut_capacity
from jaxflow.flow.solution import FlowSolution
from jaxflow.flow.solve import attention_flow
from jaxflow.graph import AttentionGraph, attention_graph
from jaxflow.models import load_encoder
from jaxflow.report.figure import plot_relevance
from jaxflow.rollout import attention_rollout, head_rollout, raw_attention

__all__ = [
    "AttentionGraph",
    "Attribution",
    "Example",
    "FlowSolution",
    "InputError",
    "attention_flow",
    "attention_graph",
    "attention_rollout",
    "attribute",
    "cut_capacity",
    "head_rollout",
    "load_encoder",
    "plot_relevance",
    "raw_attention",
]
