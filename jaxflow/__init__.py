"""How much each input token contributed to each position of a Transformer, at each layer.

By three functionals of one graph of attention (Abnar & Zuidema 2020): raw attention, attention rollout, and attention
flow, a maximum flow with certified bounds.
"""

import importlib
from typing import TYPE_CHECKING, Any

# Small packages, which register what they do for results; and errors, which must know whether a process was forked.
import jaxflow.pages
import jaxflow.store  # noqa: F401
from jaxflow._checks import InputError

# For type checkers and editors, which never call `__getattr__`.
if TYPE_CHECKING:
    from jaxflow import mixing, references
    from jaxflow.attribution import Attribution, Example, Question, attribute, build_graph
    from jaxflow.attribution.in_hand import attribute_attention
    from jaxflow.attribution.trainable import trainable_graph
    from jaxflow.compare import Comparison, compare_models
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
    from jaxflow.models.torch.model import TorchModel
    from jaxflow.pages.explore import explore
    from jaxflow.pages.explore_in_hand import explore_attention
    from jaxflow.pages.figure import plot_relevance
    from jaxflow.pages.widget import ExplorerWidget
    from jaxflow.pages.write import write_page
    from jaxflow.store.results import open_sweep
    from jaxflow.sweep.attributor import Attributor
    from jaxflow.sweep.entry import run_sweep

__all__ = [
    "AttentionGraph",
    "Attribution",
    "Attributor",
    "Comparison",
    "Example",
    "ExplorerWidget",
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
    "trainable_graph",
    "widest_path",
    "write_page",
]

# The module of each name. All are imported at first use: with JAX, Flax and SciPy, the library takes a second.
_PLACES = {
    "Attribution": "jaxflow.attribution",
    "Example": "jaxflow.attribution",
    "Question": "jaxflow.attribution",
    "attribute": "jaxflow.attribution",
    "build_graph": "jaxflow.attribution",
    "attribute_attention": "jaxflow.attribution.in_hand",
    "trainable_graph": "jaxflow.attribution.trainable",
    "Comparison": "jaxflow.compare",
    "compare_models": "jaxflow.compare",
    "Token": "jaxflow.evaluation.token_target",
    "cut_capacity": "jaxflow.flow.device.cut",
    "JointSolution": "jaxflow.flow.joint",
    "joint_flow": "jaxflow.flow.joint",
    "FlowPath": "jaxflow.flow.paths",
    "flow_paths": "jaxflow.flow.paths",
    "ShapleySolution": "jaxflow.flow.shapley",
    "flow_shapley": "jaxflow.flow.shapley",
    "FlowSolution": "jaxflow.flow.solution",
    "attention_flow": "jaxflow.flow.solve",
    "widest_path": "jaxflow.flow.widest",
    "capacity_graph": "jaxflow.graph.capacities",
    "encoder_decoder_graph": "jaxflow.graph.encoder_decoder",
    "stack_generated": "jaxflow.graph.generated",
    "AttentionGraph": "jaxflow.graph.graph",
    "attention_graph": "jaxflow.graph.graph",
    "attention_rollout": "jaxflow.graph.rollout",
    "head_rollout": "jaxflow.graph.rollout",
    "raw_attention": "jaxflow.graph.rollout",
    "load_model": "jaxflow.models",
    "generate": "jaxflow.models.generation",
    "TorchModel": "jaxflow.models.torch.model",
    "explore": "jaxflow.pages.explore",
    "explore_attention": "jaxflow.pages.explore_in_hand",
    "plot_relevance": "jaxflow.pages.figure",
    "ExplorerWidget": "jaxflow.pages.widget",
    "write_page": "jaxflow.pages.write",
    "open_sweep": "jaxflow.store.results",
    "Attributor": "jaxflow.sweep.attributor",
    "run_sweep": "jaxflow.sweep.entry",
}


# Python calls this for names that the module does not have yet.
def __getattr__(name: str) -> Any:
    if name in _PLACES:
        value = getattr(importlib.import_module(_PLACES[name]), name)
        # From now on Python finds the name without asking.
        globals()[name] = value
        return value
    # Folders and modules, such as `jaxflow.evaluation`, are there without an import of their own.
    if not name.startswith("_"):
        module = f"{__name__}.{name}"
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            # Another module that is missing is what the reader must know.
            if error.name != module:
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
