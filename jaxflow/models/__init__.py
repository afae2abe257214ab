"""Encoders of the BERT family: loading, tokenising, running.

Flax is used here and nowhere else in the package.
"""

from jaxflow.models.batch import EncoderOutput, LayerNorms, LayerOutput, NormOutput, TokenBatch
from jaxflow.models.builtin import fetch
from jaxflow.models.config import EncoderConfig, HeadConfig
from jaxflow.models.create import new_encoder, with_head
from jaxflow.models.encoder.images import ImageEncoder
from jaxflow.models.encoder.module import Encoder
from jaxflow.models.encoder.texts import TextEncoder
from jaxflow.models.fingerprint import array_fingerprint, text_fingerprint
from jaxflow.models.forward import ForwardOptions
from jaxflow.models.load import load_model
from jaxflow.models.model import GIVES, EmbedsTokens, FollowsRules, Model, ModelDefaults, Module, Visit, as_model
from jaxflow.models.prediction import Prediction
from jaxflow.models.recording import Recording, RecordsBatches
from jaxflow.models.rules import Proportional, Rules
from jaxflow.models.save import save_encoder
from jaxflow.models.supported import supported_models, supported_table
from jaxflow.models.tokens import Encoding, pad

__all__ = [
    "GIVES",
    "EmbedsTokens",
    "Encoder",
    "EncoderConfig",
    "EncoderOutput",
    "Encoding",
    "FollowsRules",
    "ForwardOptions",
    "HeadConfig",
    "ImageEncoder",
    "LayerNorms",
    "LayerOutput",
    "Model",
    "ModelDefaults",
    "Module",
    "NormOutput",
    "Prediction",
    "Proportional",
    "Recording",
    "RecordsBatches",
    "Rules",
    "TextEncoder",
    "TokenBatch",
    "Visit",
    "array_fingerprint",
    "as_model",
    "fetch",
    "load_model",
    "new_encoder",
    "pad",
    "save_encoder",
    "supported_models",
    "supported_table",
    "text_fingerprint",
    "with_head",
]
