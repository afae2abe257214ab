"""The model on the host: texts as sources, pairs as targets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import jax.numpy as jnp
import numpy as np

from jaxflow._typing import ArrayLike, Given, Inputs, Pairs
from jaxflow._untyped import Tokenizer
from jaxflow.models.answers import Continuation
from jaxflow.models.batch import TokenBatch
from jaxflow.models.config import UNLIMITED, HeadConfig
from jaxflow.models.encoder_decoder.config import PairConfig
from jaxflow.models.encoder_decoder.module import PairModule
from jaxflow.models.fingerprint import array_fingerprint, text_fingerprint, tokenizer_fingerprint
from jaxflow.models.generation import NEW_TOKENS, continued
from jaxflow.models.model import ModelDefaults
from jaxflow.models.prediction import Prediction, next_tokens
from jaxflow.models.targets import Ids, PairTokens
from jaxflow.models.tokens import Encoding, pad
from jaxflow.models.two_streams import SOURCE, TARGET


@dataclass(frozen=True, repr=False)
class PairModel(ModelDefaults):
    """An encoder-decoder with its tokenizer.

    Attributes:
        name: that it was loaded by.
        config: of the module.
        module: the encoder-decoder itself, a pytree.
        tokenizer: of transformers.
        limit: most sources of a text, and most targets.
        kept: programs.
    """

    name: str
    config: PairConfig
    module: PairModule
    tokenizer: Tokenizer
    limit: int
    kept: dict[object, object] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def max_length(self) -> int:
        """Most sources and targets together."""
        return min(2 * self.limit, UNLIMITED)

    @property
    def encoder_layers(self) -> int:
        """How many layers are the encoder's; each of the decoder's is two."""
        return self.config.encoder_layers

    @property
    def head(self) -> HeadConfig:
        """The next target, or none."""
        return self.config.head

    @cached_property
    def _class_names(self) -> tuple[str, ...] | None:
        return self.head.class_names()

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The vocabulary, where there is a head."""
        return self._class_names

    @property
    def reads_at(self) -> int | None:
        """The last target."""
        return -1 if self._writes else None

    @property
    def gives(self) -> frozenset[str]:
        """Attention, and its gradients where there is a head."""
        return frozenset({"attention", "gradients"} if self._writes else {"attention"})

    @property
    def vocabulary(self) -> int:
        """How many tokens it knows."""
        return self.config.vocabulary

    @property
    def segments(self) -> int:
        """It has none of its own."""
        return 0

    @property
    def _writes(self) -> bool:
        return self.head.name == "next_token"

    def tokenize(
        self, texts: Inputs, pairs: Pairs = None, *, max_length: int | None = None, truncate: Given[bool] = False
    ) -> list[Encoding]:
        """Sources and targets; without pairs it writes the targets itself, always the likeliest next token."""
        return self._cut(texts, pairs, max_length=max_length, truncate=truncate)

    @property
    def new_tokens(self) -> int:
        """Most targets that it writes, where nothing else is said."""
        return self._cut.new_tokens

    def write(
        self,
        texts: Inputs,
        tokens: int,
        *,
        max_length: int | None = None,
        truncate: bool = False,
        answers: bool = False,
    ) -> list[Encoding]:
        """The targets that it writes to each text; see `Writes.write`."""
        return self._cut.written(texts, tokens, max_length=max_length, truncate=truncate, answers=answers)

    @cached_property
    def _cut(self) -> PairTokens:
        write = self._written if self._writes else None
        return PairTokens(self.tokenizer, self, self.limit, lambda labels: self.config.start, write, NEW_TOKENS)

    def pad(self, encodings: Sequence[Encoding], length: int | None = None) -> TokenBatch:
        """Encodings as one batch, padded on the right."""
        return pad(encodings, self.config.pad_id, length)

    def fingerprint(self) -> dict[str, str]:
        """Hashes of its configuration, its weights and its tokenizer."""
        return {
            "config": text_fingerprint(repr(self.config)),
            "weights": array_fingerprint(self.module),
            "tokenizer": tokenizer_fingerprint(self.tokenizer),
        }

    def predict(self, logits: ArrayLike, encodings: Sequence[Encoding] | None = None) -> list[Prediction]:
        """The likeliest next target of each text, and the chances of a few."""
        assert self.labels is not None
        return next_tokens(self.labels, np.asarray(logits))

    def _written(self, rows: list[Ids], tokens: int) -> list[Continuation]:
        """The decoder's first token and the likeliest ones after it; sources are of one length."""
        most = min(tokens, self.limit - 1)
        if most < 1:
            return [Continuation((self.config.start,), None)] * len(rows)
        ids = np.array([(*row, self.config.start) for row in rows], np.int32)
        segments = np.full(ids.shape, SOURCE, np.int32)
        segments[:, -1] = TARGET
        batch = TokenBatch(*map(jnp.asarray, (ids, np.ones(ids.shape, bool), segments)))
        written = continued(self, batch, [most] * len(rows), self.config.ends)
        return [Continuation((self.config.start, *each.ids), each.end) for each in written]
