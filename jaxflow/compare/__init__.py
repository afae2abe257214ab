"""Two models on the same text: what differs in their attention, their heads, and the relevance of each word."""

from jaxflow.compare.distances import entropy, jensen_shannon, total_variation
from jaxflow.compare.paths import Arcs, influence, path_widths, total_influence
from jaxflow.compare.patterns import PATTERNS, head_patterns
from jaxflow.compare.plan import Settings
from jaxflow.compare.result import (
    ChangeSummary,
    ComparedText,
    Comparison,
    HeadChange,
    LayerChange,
    SideOfText,
    WordChange,
)
from jaxflow.compare.run import compare_models, compare_stream
from jaxflow.compare.similarity import correlation, head_products, linear_cka, match_heads
from jaxflow.compare.statistics import adjusted, block_interval, sign_flip
from jaxflow.compare.totals import Totals
from jaxflow.compare.units import Units

__all__ = [
    "PATTERNS",
    "Arcs",
    "ChangeSummary",
    "ComparedText",
    "Comparison",
    "HeadChange",
    "LayerChange",
    "Settings",
    "SideOfText",
    "Totals",
    "Units",
    "WordChange",
    "adjusted",
    "block_interval",
    "compare_models",
    "compare_stream",
    "correlation",
    "entropy",
    "head_patterns",
    "head_products",
    "influence",
    "jensen_shannon",
    "linear_cka",
    "match_heads",
    "path_widths",
    "sign_flip",
    "total_influence",
    "total_variation",
]
