"""The families of encoders, one file each."""

from jaxflow.models.families.albert import ALBERT
from jaxflow.models.families.bert import BERT
from jaxflow.models.families.deberta import DEBERTA
from jaxflow.models.families.distilbert import DISTILBERT
from jaxflow.models.families.electra import ELECTRA
from jaxflow.models.families.mpnet import MPNET
from jaxflow.models.families.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from jaxflow.models.families.roberta_prelayernorm import ROBERTA_PRELAYERNORM
from jaxflow.models.family import Family

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        *(BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, ROBERTA_PRELAYERNORM),
        *(DISTILBERT, ELECTRA, ALBERT, MPNET, DEBERTA),
    )
}
