"""A model that JAX does not run: what it did with a batch is computed by NumPy, in a file as a user would write it."""

from dataclasses import dataclass, field

import numpy as np

from jaxflow.models import Encoding, HeadConfig, ModelDefaults, Recording, pad
from jaxflow.models.recording import no_rows, recording
from tests.models.model_from_outside import DEPTH, HEAD, HEADS, LIMIT, CausalModel, numpy_attention


@dataclass(frozen=True, eq=False)
class RecordedModel(ModelDefaults):
    """The causal model's words and numbers, without JAX and without gradients."""

    inner: CausalModel
    name: str = "recorded"
    module: Recording = field(default_factory=lambda: no_rows(DEPTH, HEADS))
    max_length: int = LIMIT
    head: HeadConfig = HEAD
    kept: dict[object, object] = field(default_factory=dict)

    causal = True
    reads_at = -1

    def tokenize(self, texts, pairs=None, *, max_length=None, truncate=False) -> list[Encoding]:
        return self.inner.tokenize(texts, pairs, max_length=max_length, truncate=truncate)

    def pad(self, encodings, length=None):
        return pad(encodings, 0, length)

    def fingerprint(self):
        return self.inner.fingerprint()

    def record(self, batch, numbers, needs):
        """Attention `row layer head token token` and the head's numbers, text by text; padding is 0."""
        ids, lengths = np.asarray(batch.input_ids), np.asarray(batch.mask).sum(-1)
        rows, tokens = ids.shape
        attention = np.zeros((rows, DEPTH, HEADS, tokens, tokens), np.float32)
        logits = np.zeros((rows, HEAD.outputs), np.float32)
        for row, length in enumerate(lengths):
            attention[row, :, :, :length, :length], logits[row] = numpy_attention(self.inner, ids[row, :length])
        return recording(attention, None, logits)
