"""`TorchModel`: any PyTorch model of transformers that reads texts, as it stands."""

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxflow._checks import InputError, missing_extra
from jaxflow.models import tokens
from jaxflow.models.answers import continues, tokenize_answers
from jaxflow.models.batch import TokenBatch
from jaxflow.models.config import UNLIMITED, HeadConfig
from jaxflow.models.fingerprint import text_fingerprint, tokenizer_fingerprint
from jaxflow.models.huggingface import quiet_transformers
from jaxflow.models.model import ModelDefaults
from jaxflow.models.prediction import Prediction, next_tokens, predictions, speaks
from jaxflow.models.recording import Number, Recording, cotangent, no_rows, recording
from jaxflow.models.tokens import Encoding

try:
    from jaxflow.models.torch_generate import generated
    from jaxflow.models.torch_head import head_of, weights_fingerprint
    from jaxflow.models.torch_parts import LayerParts
    from jaxflow.models.torch_pass import TorchCaller, TorchPass, array_of, gradients_of
    from jaxflow.models.torch_probe import probe, refuse_other_inputs, token_sizes
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise missing_extra("torch", "torch", "running a PyTorch model") from error

# Heads whose numbers stand for tokens.
EACH_TOKEN = ("token_classification", "question_answering", "masked_lm")
# The model's own attention kernel that keeps the probabilities.
EAGER = "eager"
PROBED = "the quick brown fox jumps over the lazy dog"
PROBED_TOKENS = 6


class TorchModel(ModelDefaults):
    """A PyTorch model of transformers with its tokenizer, which goes wherever a model of `load_model` goes.

        model = jf.TorchModel(AutoModel.from_pretrained(name), AutoTokenizer.from_pretrained(name))
        jf.write_page(jf.attribute(model, texts), "report.html")

    It runs where it is (`model.to("cuda")`) and in its own format, while JAX works on the batch before: attribution,
    comparison, pages and sweeps are those of any model. Texts of one length run together, so that nothing is padded and
    a text has the numbers that it has alone. Eager attention is switched on, since fused kernels give no probabilities.
    What it gives is found by running it once over a few tokens. Cost: torch's pass with attention stored, and the
    attention of all heads of a batch once more in memory; with gradients a backward pass.

    Attributes:
        name: on pages and in manifests.
        model: of transformers.
        tokenizer: of the model.
        max_length: most tokens that a text may have, special ones included.
        vocabulary: how many tokens it knows.
        segments: how many segments it knows; 0 for none.
        head: on its layers; a causal language model's says the next token.
        kept: programs.
    """

    def __init__(self, model: Any, processor: Any, *, name: str | None = None, max_length: int | None = None) -> None:
        """A model as it stands.

        Args:
            model: of transformers: an encoder, or a decoder, with its head.
            processor: its tokenizer, a fast one, or a processor that holds one.
            name: on pages; None is the name that it was loaded by.
            max_length: most tokens of a text; None is the limit of the model and its tokenizer.

        Raises:
            InputError: it is no such model, or gives no attention that makes a graph of layers, and why.
            UserWarning: eager attention was switched on.
        """
        if not hasattr(model, "config") or not hasattr(model, "set_attn_implementation"):
            way_out = "pass what AutoModel.from_pretrained gives"
            raise InputError("model", "be a PyTorch model of transformers", type(model).__name__, way_out)
        self.model, self.tokenizer = model, _tokenizer_of(processor)
        self.name = name or str(getattr(model.config, "_name_or_path", "") or type(model).__name__)
        self.kept: dict[object, object] = {}
        refuse_other_inputs(model, self.name)
        _switch_to_eager(model, self.name)
        self.vocabulary, self.segments, positions = token_sizes(model)
        limits = (max_length, positions, getattr(self.tokenizer, "model_max_length", None))
        self.max_length = min([UNLIMITED, *(each for each in limits if each is not None)])
        self._settle(head_of(model, self.tokenizer, self.vocabulary))
        if self.head.name == "next_token" and not self.causal:
            # A language model that sees what follows (XLNet's, say) predicts no next token.
            self._settle(HeadConfig())

    def _settle(self, head: HeadConfig) -> None:
        """Run it once with a head, and keep what it was seen to give."""
        self.head = head
        self._caller = TorchCaller(self.model, head, self.segments > 1)
        self._probe = probe(self._caller, self._probed_ids(), self.name)

    @cached_property
    def _nothing(self) -> Recording:
        parts = self._probe.parts
        return no_rows(self._probe.layers, self._probe.heads, None if parts is None else parts.weights())

    @property
    def module(self) -> Recording:
        """A recording of nothing: JAX holds none of its parameters."""
        return self._nothing

    @property
    def gives(self) -> frozenset[str]:
        """Attention, and what else it was seen to give.

        Gradients where its head's numbers can be differentiated in attention; values and norms where the parts of its
        layers are known by name, and put together give what the layers give.
        """
        parts = self._probe.parts
        found = {
            "attention": True,
            "gradients": self._probe.gradients,
            "values": parts is not None,
            "norms": parts is not None and parts.has_norms,
        }
        return frozenset(name for name, given in found.items() if given)

    @property
    def causal(self) -> bool:
        """Whether no position was seen to attend to a later one."""
        return self._probe.causal

    @property
    def reads_at(self) -> int | None:
        """The one token that its head was seen to read."""
        return self._probe.reads_at

    @cached_property
    def _class_names(self) -> tuple[str, ...] | None:
        return self.head.class_names()

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Unique names of the head's classes; of a causal language model its vocabulary."""
        return self._class_names

    def tokenize(
        self, texts: Any, pairs: Any = None, *, max_length: int | None = None, truncate: bool = False
    ) -> list[Encoding]:
        """Tokens of each text, or pair of texts, as `TextEncoder.tokenize` gives them; a decoder's pairs are answers.

        Raises:
            InputError: a text cannot be read; its index is named.
        """
        limit = tokens.as_limit(self.tokenizer, self.max_length, max_length, paired=pairs is not None)
        if pairs is not None and continues(self.head, causal=self.causal):
            return tokenize_answers(self.tokenizer, texts, pairs, limit, truncate, self)
        return tokens.tokenize(self.tokenizer, texts, pairs, limit, truncate, self)

    def pad(self, encodings: Sequence[Encoding], length: int | None = None) -> TokenBatch:
        """Encodings as one batch, padded on the right; the model never sees the padding."""
        return tokens.pad(encodings, 0, length)

    def fingerprint(self) -> dict[str, str]:
        """Hashes of its configuration, its weights and its tokenizer."""
        known = {name: value for name, value in self.model.config.to_dict().items() if name not in _PASSING}
        return {
            "config": text_fingerprint(f"{type(self.model).__name__} {sorted(known.items())} {self.max_length}"),
            "weights": weights_fingerprint(self.model),
            "tokenizer": tokenizer_fingerprint(self.tokenizer),
        }

    def speaks(self, encodings: Sequence[Encoding]) -> list[bool]:
        """Whether the head has a prediction for each text."""
        return speaks(self.head, encodings, self.tokenizer)

    def predict(
        self, logits: Float[np.ndarray, "..."], encodings: Sequence[Encoding] | None = None
    ) -> list[Prediction]:
        """One prediction a text; of a causal language model the likeliest next token, and the chances of a few."""
        if self.head.name == "next_token":
            assert self.labels is not None
            return next_tokens(self.labels, np.asarray(logits))
        return predictions(self.head, np.asarray(logits), encodings, self.tokenizer)

    def generate(self, encodings: Sequence[Encoding], tokens: int) -> list[tuple[int, ...]]:
        """The likeliest next tokens of each prompt, by the model's own `generate`, prompts of one length together."""
        return generated(self.model, self.tokenizer, encodings, tokens, self.max_length, together=self._probe.together)

    def record(self, batch: TokenBatch, numbers: Sequence[Number], needs: frozenset[str]) -> Recording:
        """Run a batch, texts of one length together."""
        ids, mask, segments = (np.asarray(part) for part in (batch.input_ids, batch.mask, batch.segments))
        # A text ends at its last real token; tokens before may be hidden by the mask.
        ends = mask.shape[1] - np.argmax(mask[:, ::-1], axis=1)
        parts = self._probe.parts if needs & {"values", "norms"} else None
        rooms = _Rooms(self._probe.layers, self._probe.heads, mask, self.head.name in EACH_TOKEN)
        passes: list[tuple[np.ndarray, TorchPass]] = []
        for rows in _alike(ends, self._probe.together):
            end = int(ends[rows[0]])
            seen = self._caller(
                ids[rows, :end], mask[rows, :end], segments[rows, :end], differentiable=bool(numbers), parts=parts
            )
            rooms.put(rows, seen, scored="logits" in needs)
            if parts is not None:
                rooms.put_inside(rows, seen, parts)
            # Kept for the backward passes alone.
            passes += [(rows, seen)] if numbers else []
        scores = np.zeros((len(mask), 1), np.float32) if rooms.scores is None else rooms.scores
        cotangents = [cotangent(number, scores) for number in numbers]
        gradients = [rooms.gradients(passes, each) for each in cotangents]
        return recording(rooms.attention, rooms.hidden, scores, cotangents, gradients, **rooms.inside)

    def _probed_ids(self) -> tuple[int, ...]:
        ids = [int(number) for number in self.tokenizer(PROBED)["input_ids"] if number < self.vocabulary]
        # A tokenizer that knows none of the words, or one for all, still gives some tokens.
        ids = ids or [0]
        return tuple((ids * PROBED_TOKENS)[: min(PROBED_TOKENS, self.max_length)])


# Parts of a configuration that say where it came from and how it runs, not what it is.
_PASSING = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "_attn_implementation", "use_cache")


class _Rooms:
    """Room for a batch's arrays, which passes fill row by row."""

    def __init__(self, layers: int, heads: int, mask: np.ndarray, each_token: bool) -> None:
        # Whether the head's numbers stand for tokens.
        self.mask, self.each_token = mask, each_token
        rows, length = mask.shape
        self.attention = np.zeros((rows, layers, heads, length, length), np.float32)
        self.hidden: np.ndarray | None = None
        self.scores: np.ndarray | None = None
        self.inside: dict[str, np.ndarray] = {}

    def put(self, rows: np.ndarray, seen: TorchPass, *, scored: bool) -> None:
        """One pass into its rows."""
        real = self.mask[rows]
        self._put_pairs(self.attention, rows, [array_of(each) for each in seen.attentions], real)
        if seen.hidden is not None:
            count, length = self.mask.shape
            if self.hidden is None:
                width = seen.hidden[0].shape[-1]
                self.hidden = np.zeros((count, len(seen.hidden), length, width), np.float32)
            for layer, states in enumerate(seen.hidden):
                self.hidden[rows, layer, : states.shape[1]] = array_of(states)
        if scored and seen.logits is not None:
            logits = array_of(seen.logits)
            if self.scores is None:
                room = (self.mask.shape[1], *logits.shape[2:]) if self.each_token else logits.shape[1:]
                self.scores = np.zeros((len(self.mask), *room), np.float32)
            self.scores[(rows, slice(logits.shape[1])) if self.each_token else rows] = logits

    def put_inside(self, rows: np.ndarray, seen: TorchPass, parts: LayerParts) -> None:
        """What was seen of the layers' parts into its rows."""
        assert seen.inside is not None
        self._put_tokens("embedded", rows, (), array_of(seen.embedded), 1)
        for layer in range(len(parts.layers)):
            self._put_tokens("values", rows, (layer,), array_of(parts.values(seen.inside, layer)), 2)
            self._put_tokens("attended", rows, (layer,), array_of(parts.attended(seen.inside, layer)), 1)
            if parts.has_norms:
                self._put_tokens("deviations", rows, (layer,), array_of(parts.deviations(seen.inside, layer)), 2)

    def _put_tokens(self, name: str, rows: np.ndarray, layer: tuple[int, ...], values: np.ndarray, axis: int) -> None:
        """Values of tokens, which stand on an axis, into a room `row (layer) ...`; 1 on padding, as deviations are."""
        count, length = self.mask.shape
        room = (*values.shape[1:axis], length, *values.shape[axis + 1 :])
        layers = (self.attention.shape[1],) if layer else ()
        whole = self.inside.setdefault(name, np.full((count, *layers, *room), 1, np.float32))
        place = (slice(None),) * (axis - 1) + (slice(values.shape[axis]),)
        for row, value in zip(rows, values, strict=True):
            whole[(row, *layer, *place)] = value

    def gradients(self, passes: Sequence[tuple[np.ndarray, TorchPass]], slopes: np.ndarray) -> np.ndarray:
        """The derivative in attention of a number whose derivative in the head's numbers is known."""
        room = np.zeros_like(self.attention)
        for rows, seen in passes:
            given = slopes[rows]
            given = given[:, : seen.logits.shape[1]] if self.each_token else given
            self._put_pairs(room, rows, gradients_of(seen.logits, given, seen.attentions), self.mask[rows])
        return room

    def _put_pairs(self, room: np.ndarray, rows: np.ndarray, layers: Sequence[np.ndarray], real: np.ndarray) -> None:
        for layer, values in enumerate(layers):
            end = values.shape[-1]
            pairs = real[:, None, :end, None] & real[:, None, None, :end]
            room[rows, layer, :, :end, :end] = np.where(pairs, values, 0)


def _alike(ends: np.ndarray, together: bool) -> list[np.ndarray]:
    """Rows of texts that end at the same place; one at a time where the model takes one alone."""
    groups = [np.flatnonzero(ends == end) for end in np.unique(ends)]
    return groups if together else [rows[each : each + 1] for rows in groups for each in range(len(rows))]


def _switch_to_eager(model: Any, name: str) -> None:
    before = getattr(model.config, "_attn_implementation", EAGER)
    if before == EAGER:
        return
    # Transformers logs that a class cannot switch, and leaves it as it is; its attention would be wrong without a word.
    with quiet_transformers():
        model.set_attn_implementation(EAGER)
    if model.config._attn_implementation != EAGER:
        way_out = 'load it with `attn_implementation="eager"`'
        raise InputError("model", "have eager attention", f"{before}, which it cannot switch", way_out, place=name)
    message = f"{name}: eager attention is switched on instead of {before}, whose kernels give no attention"
    warnings.warn(message, stacklevel=3)


def _tokenizer_of(processor: Any) -> Any:
    tokenizer = getattr(processor, "tokenizer", processor)
    if not getattr(tokenizer, "is_fast", False):
        got, way_out = type(processor).__name__, "load it with AutoTokenizer.from_pretrained(name, use_fast=True)"
        raise InputError("processor", "be a fast tokenizer, or hold one", got, way_out)
    return tokenizer
