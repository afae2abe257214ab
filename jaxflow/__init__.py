"""How much each input token contributed to each position of a Transformer, at each layer.

By three functionals of one graph of attention (Abnar & Zuidema 2020): raw attention, attention rollout, and attention
flow, a maximum flow with certified bounds.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxflow import mixing, references
from jaxflow._checks import InputError
from jaxflow.attribution import Attribution, Example, Question, attribute, build_graph
from jaxflow.evaluation.token_target import Token
from jaxflow.flow.device.cut import cut_capacity
from jaxflow.flow.joint import JointSolution, joint_flow
from jaxflow.flow.paths import FlowPath, flow_paths
from jaxflow.flow.shapley import ShapleySolution, flow_shapley
from jaxflow.flow.solution import FlowSolution
from jaxflow.flow.solve import attention_flow
from jaxflow.flow.widest import widest_path
from jaxflow.graph.capacities import capacity_graph
from jaxflow.graph.encoder_decoder import encoder_decoder_graph
from jaxflow.graph.generated import stack_generated
from jaxflow.graph.graph import AttentionGraph, attention_graph
from jaxflow.graph.rollout import attention_rollout, head_rollout, raw_attention
from jaxflow.models import load_model
from jaxflow.models.generation import generate
from jaxflow.pages.figure import plot_relevance
from jaxflow.store.results import open_sweep
from jaxflow.sweep.entry import run_sweep

# For type checkers and editors, which never call `__getattr__`.
if TYPE_CHECKING:
    from jaxflow.attribution.in_hand import attribute_attention
    from jaxflow.compare import Comparison, compare_models
    from jaxflow.models.torch import TorchModel
    from jaxflow.pages.explore import explore
    from jaxflow.pages.explore_in_hand import explore_attention
    from jaxflow.pages.write import write_page
    from jaxflow.sweep.attributor import Attributor

__all__ = [
    "AttentionGraph",
    "Attribution",
    "Attributor",
    "Comparison",
    "Example",
    "FlowPath",
    "FlowSolution",
    "InputError",
    "JointSolution",
    "Question",
    "ShapleySolution",
    "Token",
    "TorchModel",
    "attention_flow",
    "attention_graph",
    "attention_rollout",
    "attribute",
    "attribute_attention",
    "build_graph",
    "capacity_graph",
    "compare_models",
    "cut_capacity",
    "encoder_decoder_graph",
    "explore",
    "explore_attention",
    "flow_paths",
    "flow_shapley",
    "generate",
    "head_rollout",
    "joint_flow",
    "load_model",
    "mixing",
    "open_sweep",
    "plot_relevance",
    "raw_attention",
    "references",
    "run_sweep",
    "stack_generated",
    "widest_path",
    "write_page",
]

# Imported at first use, as their own imports take a while. `__dir__` lists them, so that completion finds them.
_LATER = {
    "Attributor": "jaxflow.sweep.attributor",
    "Comparison": "jaxflow.compare",
    "compare_models": "jaxflow.compare",
    "TorchModel": "jaxflow.models.torch",
    "attribute_attention": "jaxflow.attribution.in_hand",
    "explore": "jaxflow.pages.explore",
    "explore_attention": "jaxflow.pages.explore_in_hand",
    "write_page": "jaxflow.pages.write",
}


# Python calls this for names that the module does not have yet.
def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
