"""The families of models that run in JAX, one file each."""

from jaxflow.models.checkpoint.family import Family
from jaxflow.models.families.albert import ALBERT
from jaxflow.models.families.bert import BERT
from jaxflow.models.families.deberta import DEBERTA
from jaxflow.models.families.dinov2 import DINOV2, DINOV2_WITH_REGISTERS
from jaxflow.models.families.distilbert import DISTILBERT
from jaxflow.models.families.electra import ELECTRA
from jaxflow.models.families.gpt2 import GPT2
from jaxflow.models.families.llama import GEMMA, LLAMA, MISTRAL, QWEN2, QWEN3
from jaxflow.models.families.modernbert import MODERNBERT
from jaxflow.models.families.mpnet import MPNET
from jaxflow.models.families.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from jaxflow.models.families.roberta_prelayernorm import ROBERTA_PRELAYERNORM
from jaxflow.models.families.vit import DEIT, VIT


def _by_type(*families: Family) -> dict[str, Family]:
    return {family.model_type: family for family in families}


ENCODERS = _by_type(
    *(BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, ROBERTA_PRELAYERNORM),
    *(DISTILBERT, ELECTRA, ALBERT, MPNET, DEBERTA),
)
DECODERS = _by_type(GPT2, LLAMA, QWEN2, QWEN3, MISTRAL, GEMMA)
VISION = _by_type(VIT, DEIT, DINOV2, DINOV2_WITH_REGISTERS)
FAMILIES = ENCODERS | _by_type(MODERNBERT) | DECODERS | VISION
