"""Two models on the same text: what differs in their attention, their heads, and the relevance of each word."""

from jaxflow.compare.findings import findings
from jaxflow.compare.paths import Arcs, influence, path_widths, total_influence
from jaxflow.compare.plan import CompareOptions
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
from jaxflow.compare.totals import Totals
from jaxflow.compare.units import Units
from jaxflow.heads.class_attention import ClassAttention, class_attention
from jaxflow.heads.importance import HeadImportance, head_importance
from jaxflow.heads.patterns import PATTERNS, head_patterns
from jaxflow.heads.relations import HeadRelations, head_relations
from jaxflow.heads.roles import HeadRoles, head_roles, role_changes
from jaxflow.heads.similarity import correlation, head_products, linear_cka, match_heads
from jaxflow.inputs.conllu import Sentence, read_conllu
from jaxflow.statistics.distances import entropy, jensen_shannon, total_variation
from jaxflow.statistics.tests import adjusted, block_interval, sign_flip

__all__ = [
    "PATTERNS",
    "Arcs",
    "ChangeSummary",
    "ClassAttention",
    "CompareOptions",
    "ComparedText",
    "Comparison",
    "HeadChange",
    "HeadImportance",
    "HeadRelations",
    "HeadRoles",
    "LayerChange",
    "Sentence",
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
