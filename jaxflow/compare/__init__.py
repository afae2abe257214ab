"""Two models on the same text: what differs in their attention, their heads, and the relevance of each word."""

from jaxflow.compare.class_attention import ClassAttention, class_attention
from jaxflow.compare.conllu import Sentence, read_conllu
from jaxflow.compare.distances import entropy, jensen_shannon, total_variation
from jaxflow.compare.findings import findings
from jaxflow.compare.importance import HeadImportance, head_importance
from jaxflow.compare.paths import Arcs, influence, path_widths, total_influence
from jaxflow.compare.patterns import PATTERNS, head_patterns
from jaxflow.compare.plan import Settings
from jaxflow.compare.relations import HeadRelations, head_relations
from jaxflow.compare.result import (
    ChangeSummary,
    ComparedText,
    Comparison,
    HeadChange,
    LayerChange,
    SideOfText,
    WordChange,
)
from jaxflow.compare.roles import HeadRoles, head_roles, role_changes
from jaxflow.compare.run import compare_models, compare_stream
from jaxflow.compare.similarity import correlation, head_products, linear_cka, match_heads
from jaxflow.compare.statistics import adjusted, block_interval, sign_flip
from jaxflow.compare.totals import Totals
from jaxflow.compare.units import Units

__all__ = [
    "PATTERNS",
    "Arcs",
    "ChangeSummary",
    "ClassAttention",
    "ComparedText",
    "Comparison",
    "HeadChange",
    "HeadImportance",
    "HeadRelations",
    "HeadRoles",
    "LayerChange",
    "Sentence",
    "Settings",
    "SideOfText",
    "Totals",
    "Units",
    "WordChange",
    "adjusted",
    "block_interval",
    "class_attention",
    "compare_models",
    "compare_stream",
    "correlation",
    "entropy",
    "findings",
    "head_importance",
    "head_patterns",
    "head_products",
    "head_relations",
    "head_roles",
    "influence",
    "jensen_shannon",
    "linear_cka",
    "match_heads",
    "path_widths",
    "read_conllu",
    "role_changes",
    "sign_flip",
    "total_influence",
    "total_variation",
]
