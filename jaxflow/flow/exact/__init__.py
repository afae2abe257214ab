"""The exact solver: every value with a flow that attains it and a cut that bounds it, on the CPU in float64."""

from jaxflow.flow.exact.solver import STAGES, ExactFlow, arc_flow, max_flow
from jaxflow.flow.exact.verify import FlowCheck, check_flow, cut_capacity

__all__ = ["STAGES", "ExactFlow", "FlowCheck", "arc_flow", "check_flow", "cut_capacity", "max_flow"]
