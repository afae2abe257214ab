"""References: relevance of tokens that reads no graph, to hold the graph's against; methods like all others.

Most of them know neither layers nor positions to explain: they say what tokens did to the explained number. They give
the same row at each layer and query.
"""

from jaxflow.references.attn_lrp import AttnLrp
from jaxflow.references.column_sums import ColumnSums
from jaxflow.references.decompx import DecompX, DecompXNorms
from jaxflow.references.gradients import GradientInput, IntegratedGradients
from jaxflow.references.occlusion import Occlusion
from jaxflow.references.place import Position
from jaxflow.references.random import Random

__all__ = [
    "REFERENCES",
    "AttnLrp",
    "ColumnSums",
    "DecompX",
    "DecompXNorms",
    "GradientInput",
    "IntegratedGradients",
    "Occlusion",
    "Position",
    "Random",
]

# Those with names of their own on the command line; a new one is added here.
REFERENCES = (
    GradientInput(),
    IntegratedGradients(),
    Occlusion(),
    ColumnSums(),
    Random(),
    Position(),
    DecompX(),
    DecompX("even", name="decompx-even"),
    DecompXNorms(),
    AttnLrp(),
)
