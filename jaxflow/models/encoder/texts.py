"""A loaded model: encoder, tokenizer and labels in one."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxflow._checks import InputError, as_flag, not_forked
from jaxflow._switches import broadcasting
from jaxflow._typing import ArrayLike, Given, Inputs, Pairs
from jaxflow._untyped import HubConfig, Tokenizer
from jaxflow.models import tokens
from jaxflow.models.answers import continues, tokenize_answers
from jaxflow.models.batch import EncoderOutput, TokenBatch
from jaxflow.models.config import EncoderConfig, HeadConfig
from jaxflow.models.encoder.module import Encoder
from jaxflow.models.encoder.on_cpu import compiler_options, layers_apart, runs_here
from jaxflow.models.encoder.parameters import Parameters
from jaxflow.models.fingerprint import array_fingerprint, config_text, text_fingerprint, tokenizer_fingerprint
from jaxflow.models.forward import ForwardOptions, forward_options
from jaxflow.models.model import GIVES, ModelDefaults
from jaxflow.models.packing import packing_of
from jaxflow.models.prediction import Prediction, next_tokens, pieces_of, predictions, speaks
from jaxflow.models.tokens import Encoding


@dataclass(frozen=True, repr=False)
class TextEncoder(ModelDefaults):
    """A model with its tokenizer.

    Attributes:
        name: that it was loaded by.
        config: of the encoder.
        module: the encoder itself, a pytree; pass it to a jitted function of your own as an argument.
        tokenizer: Hugging Face's fast tokenizer, or None if it was left out.
        max_length: most tokens a text may have, special tokens included.
        source: transformers' configuration.
        kept: programs and copies on other devices, which last as long as the model.
    """

    name: str
    config: EncoderConfig
    module: Encoder
    tokenizer: Tokenizer
    max_length: int
    source: HubConfig
    kept: dict[object, object] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, object]:
        # Compiled programs and copies on devices belong to this process: a copy makes its own when it is used.
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "kept"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, kept={})

    @property
    def head(self) -> HeadConfig:
        """The head on the encoder; of a next token the classes are the tokenizer's pieces."""
        return self._named_head[0]

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Unique names of the head's classes; None without classes."""
        return self._named_head[1]

    # Once: a vocabulary has many names.
    @cached_property
    def _named_head(self) -> tuple[HeadConfig, tuple[str, ...] | None]:
        head = self.config.head
        # Not in the module's configuration, which each call of a program compares.
        named = head.name == "next_token" and self.tokenizer is not None
        head = dataclasses.replace(head, labels=pieces_of(self.tokenizer, self.vocabulary)) if named else head
        return head, head.class_names()

    @property
    def gives(self) -> frozenset[str]:
        """All of `GIVES`, but for parts that some families cannot give.

        A convolution that changes the first layer's output leaves no norms and reruns.
        """
        return frozenset(GIVES) - ({"norms", "rerun"} if self.config.convolution is not None else set())

    @property
    def reader(self) -> Any:
        """What of transformers reads its inputs: the tokenizer, or None if it was left out."""
        return self.tokenizer

    @property
    def causal(self) -> bool:
        """Whether it is a decoder."""
        return self.config.causal

    @property
    def reads_at(self) -> int | None:
        """The token at which the head reads a text: a decoder's last, another's first."""
        if self.config.causal and self.head.name != "bare":
            return -1
        return None if self.head.mean or self.head.distilled or self.head.with_mean else super().reads_at

    @property
    def packs(self) -> bool:
        """The encoder honours `packing`."""
        return True

    @property
    def vocabulary(self) -> int:
        """How many tokens it knows."""
        return self.config.vocabulary

    @property
    def revision(self) -> str | None:
        """The commit of a model from the hub, by its folder in the hub's cache."""
        folder = Path(str(getattr(self.source, "name_or_path", "")))
        return folder.name if folder.parent.name == "snapshots" else None

    def fingerprint(self) -> dict[str, str]:
        """Hashes of its configuration, its weights and its tokenizer.

        Raises:
            InputError: the model was loaded without its tokenizer.
        """
        return {
            "config": text_fingerprint(f"{config_text(self.config)} {self.max_length}"),
            "weights": array_fingerprint(self.module),
            "tokenizer": tokenizer_fingerprint(self._tokenizer()),
        }

    def tokenize(
        self,
        texts: Inputs,
        pairs: Pairs = None,
        *,
        max_length: int | None = None,
        truncate: Given[bool] = False,
    ) -> list[Encoding]:
        """Tokens of each text (or pair of texts), without padding.

        Args:
            texts: a sequence of texts.
            pairs: a second text for each of them, for models that read two; a decoder's are answers to the texts.
            max_length: most tokens, special ones included; the model's own limit where that is less.
            truncate: cut longer texts rather than refuse them.

        Returns:
            One encoding a text.

        Raises:
            InputError: a text is empty, too long, without a known token, or with one that the model lacks; its index is
                named.
        """
        truncate = as_flag("truncate", truncate)
        tokenizer = self._tokenizer()
        limit = tokens.as_limit(tokenizer, self.max_length, max_length, paired=pairs is not None)
        if pairs is not None and continues(self.config.head, causal=self.causal):
            return tokenize_answers(tokenizer, texts, pairs, limit, truncate, self.config)
        return tokens.tokenize(tokenizer, texts, pairs, limit, truncate, self.config)

    def pad(self, encodings: Sequence[Encoding], length: int | None = None, *, side: str = "right") -> TokenBatch:
        """Encodings as one batch `(text, token)`, padded to `length` or to the longest.

        The heads that read the first token read it at position 0, so pad on the right unless the model was trained
        otherwise.

        Raises:
            InputError: `length` is less than the longest encoding's.
        """
        return tokens.pad(encodings, self.config.pad_id, length, side)

    def __call__(self, batch: TokenBatch, options: ForwardOptions | None = None, **changes: Any) -> EncoderOutput:
        """Run the encoder, compiled once for each batch shape; the arguments are those of `Encoder.__call__`.

        Within a jitted function of your own call `module`, passed in as an argument: this method would make the weights
        constants of your program. On a processor the layers run apart
        (`jaxflow.models.encoder.on_cpu`), outside any transformation of JAX's, and a batch with much padding on the
        right is packed (`jaxflow.models.packing`): only real tokens cost time, and hidden states are 0 on padding.
        A batch with attention of your own is never packed, since that may fall on padding.

        Raises:
            InputError: on a processor, a token has an id, a segment or a position that the model lacks; elsewhere such
                a token's embedding is NaN.
        """
        not_forked()
        options = forward_options(options, changes)
        if options.attention is None and options.attention_shift is None:
            # None where it does not pay, or the batch is traced.
            options = forward_options(options, {"packing": packing_of(batch)})
        if not runs_here(self.module, batch, options):
            return _run(self.module, batch, options)
        # Concrete tokens can be checked; elsewhere an unknown token gives NaN.
        tokens.check_batch(batch, self.config)
        # Made once and kept while the module's arrays stay the same.
        apart = layers_apart(self.module, self.kept)
        return _run_here()(apart.parameters, batch, options, shape=apart.shape)

    def _tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            way_out = "load it with `tokenizer=True`"
            raise InputError(None, "be loaded with its tokenizer", None, way_out, place=self.name)
        return self.tokenizer

    def speaks(self, encodings: Sequence[Encoding]) -> list[bool]:
        """Whether the head has a prediction for each text: all, none, or for a masked LM those with a mask."""
        return speaks(self.config.head, encodings, self.tokenizer)

    def predict(self, logits: ArrayLike, encodings: Sequence[Encoding] | None = None) -> list[Prediction]:
        """One prediction a text, from the head's numbers.

        Args:
            logits: the output's, as one batch `(text, ...)`.
            encodings: of the same texts; heads over tokens (masked LM, token classification, question
                answering, discriminator) need them.

        Raises:
            InputError: the model has no head, or `encodings` are needed and missing.
        """
        if self.config.head.name == "bare":
            raise InputError(None, "have a head", None, "load a model that was fine-tuned", place=self.name)
        if self.config.head.name == "next_token":
            return next_tokens(self.labels or (), np.asarray(logits))
        return predictions(self.config.head, np.asarray(logits), encodings, self.tokenizer)


@cache
def _run_here() -> Callable[..., EncoderOutput]:
    """As `_run`, for an encoder whose layers stand apart, with the compiler options for a processor."""

    def run(parameters: Parameters, batch: TokenBatch, options: ForwardOptions, *, shape: Any) -> EncoderOutput:
        return jax.tree.unflatten(shape, parameters)(batch, options)

    return jax.jit(run, static_argnames="shape", compiler_options=compiler_options())


@jax.jit
@broadcasting
def _run(module: Encoder, batch: TokenBatch, options: ForwardOptions) -> EncoderOutput:
    return module(batch, options)
