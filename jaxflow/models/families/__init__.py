"""The families of encoders, one file each."""

from jaxflow.models.families.bert import BERT
from jaxflow.models.family import Family

FAMILIES: dict[str, Family] = {family.model_type: family for family in (BERT,)}
