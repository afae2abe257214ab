"""`TorchModel`: any PyTorch model of transformers that reads texts or images, as it stands."""

import warnings
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float

from jaxflow._checks import InputError, as_count, as_count_or_none, as_flag, missing_extra
from jaxflow._typing import Given, Inputs, Pairs
from jaxflow._untyped import HubModel, Processor, Tokenizer
from jaxflow.models import tokens
from jaxflow.models.answers import continues, tokenize_answers
from jaxflow.models.batch import TokenBatch
from jaxflow.models.checkpoint.huggingface import quiet_transformers
from jaxflow.models.config import UNLIMITED, HeadConfig
from jaxflow.models.fingerprint import text_fingerprint, tokenizer_fingerprint
from jaxflow.models.generation import NEW_TOKENS
from jaxflow.models.images import ImageBatch, ImageReader, Pooled, check_alone
from jaxflow.models.model import ModelDefaults
from jaxflow.models.prediction import Prediction, next_tokens, predictions, speaks
from jaxflow.models.recording import Number, Recording, cotangent, no_rows, recording
from jaxflow.models.targets import PairTokens
from jaxflow.models.tokens import Encoding

try:
    from jaxflow.models.torch.forward import TorchCaller, TorchPass
    from jaxflow.models.torch.generate import generated
    from jaxflow.models.torch.head import head_of, weights_fingerprint
    from jaxflow.models.torch.images import TorchImages, is_vision, torch_images
    from jaxflow.models.torch.pairs import PairCaller, TorchPairs, head_of_pairs, is_encoder_decoder, probe_pairs
    from jaxflow.models.torch.probe import probe, refuse_other_inputs, token_sizes
    from jaxflow.models.torch.rooms import Rooms, alike
    from jaxflow.models.torch.targets import TorchTargets
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
    """A PyTorch model of transformers with its tokenizer or image processor, which goes wherever a model goes.

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

    def __init__(
        self,
        model: HubModel,
        processor: Processor,
        *,
        name: str | None = None,
        max_length: Given[int | None] = None,
        new_tokens: Given[int] = NEW_TOKENS,
        registers: Given[bool] = False,
    ) -> None:
        """A model as it stands.

        Args:
            model: of transformers: an encoder, a decoder, or both, with its head; or a vision model of patches.
            processor: its tokenizer, a fast one, or a processor that holds one; an encoder-decoder's may be slow. Of a
                vision model its image processor.
            name: on pages; None is the name that it was loaded by.
            max_length: most tokens of a text; None is the limit of the model and its tokenizer.
            new_tokens: most tokens that an encoder-decoder writes, where it is given no targets as `pairs`.
            registers: whether a vision model's register tokens are among those of results. Without them a position's
                row sums to less than 1: what is missing began in registers, which are no part of the image.

        Raises:
            InputError: it is no such model, or gives no attention that makes a graph of layers, and why.
            UserWarning: eager attention was switched on.
        """
        registers = as_flag("registers", registers)
        # What torch.compile gives holds the model; compiled code gives attention no hooks.
        model = getattr(model, "_orig_mod", model)
        if not hasattr(model, "config") or not hasattr(model, "set_attn_implementation"):
            way_out = "pass what AutoModel.from_pretrained gives"
            raise InputError("model", "be a PyTorch model of transformers", type(model).__name__, way_out)
        max_length, new_tokens = as_count_or_none("max_length", max_length), as_count("new_tokens", new_tokens)
        self.model: HubModel = model
        # A vision model has none.
        self.tokenizer: Tokenizer = None
        self.kept: dict[object, object] = {}
        self.name = name or str(getattr(model.config, "_name_or_path", "") or type(model).__name__)
        self._pairs: TorchPairs | None = None
        self._images: TorchImages | None = None
        if is_vision(model):
            _switch_to_eager(model, self.name)
            self._settle_images(processor, registers)
            return
        refuse_other_inputs(model, self.name)
        pairs = is_encoder_decoder(model)
        self.tokenizer = _tokenizer_of(processor, slow=pairs)
        _switch_to_eager(model, self.name)
        self.vocabulary, self.segments, positions = token_sizes(model, self.name)
        limits = (positions, getattr(self.tokenizer, "model_max_length", None))
        self.max_length = min([UNLIMITED, *(each for each in limits if each is not None)])
        # As long as the model itself allows: of one token nothing could be seen.
        self._probed = self._probed_ids()
        self.max_length = min(self.max_length, max_length or UNLIMITED)
        if pairs:
            self._settle_pairs(new_tokens)
            return
        self._settle(head_of(model, self.tokenizer, self.vocabulary))
        if self.head.name == "next_token" and not self.causal:
            # A language model that sees what follows (XLNet's, say) predicts no next token.
            self._settle(HeadConfig())

    def _settle(self, head: HeadConfig) -> None:
        """Run it once with a head, and keep what it was seen to give."""
        self.head = head
        self._caller = TorchCaller(self.model, head, self.segments > 1)
        self._probe = probe(self._caller, self._probed, self.name)

    def _settle_pairs(self, new_tokens: int) -> None:
        """As `_settle`, for an encoder-decoder."""
        self.head = head_of_pairs(self.model, self.tokenizer, self.vocabulary, self.name)
        caller = PairCaller(self.model)
        targets = TorchTargets(self.model, self.max_length)
        write = targets.write if self.head.name == "next_token" else None
        cut = PairTokens(self.tokenizer, self, self.max_length, targets.first, write, new_tokens)
        self._probe = probe_pairs(caller, self._probed, self.name)
        self._pairs = TorchPairs(cut, caller, self._probe)
        # Sources and targets are one sequence, and either may have as many.
        self.max_length = min(2 * self.max_length, UNLIMITED)

    def _settle_images(self, processor: Processor, registers: bool) -> None:
        """As `_settle`, for a vision model."""
        self._images = torch_images(self.model, processor, self.name, registers=registers)
        self.head, self._probe = self._images.head, self._images.probe
        self.vocabulary, self.segments, self.max_length = 1, 0, len(self._images.reader.layout.names)

    @property
    def images(self) -> ImageReader | None:
        """How it reads images; None for a model of texts."""
        return None if self._images is None else self._images.reader

    @property
    def pooled(self) -> Pooled | None:
        """The mean that a vision model's head reads; None where it reads one position."""
        return None if self._images is None else self._images.pooled

    @property
    def encoder_layers(self) -> int:
        """How many of its layers are an encoder's below a decoder; 0 for a model of one sequence."""
        return 0 if self._pairs is None else self._pairs.probe.encoder_layers

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
        seen = {
            "attention": True,
            "gradients": self._probe.gradients,
            "values": parts is not None,
            "norms": parts is not None and parts.has_norms,
        }
        return frozenset(name for name, given in seen.items() if given)

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
        self, texts: Inputs, pairs: Pairs = None, *, max_length: int | None = None, truncate: Given[bool] = False
    ) -> list[Encoding]:
        """Tokens of each text, or pair of texts, as `TextEncoder.tokenize` gives them; a decoder's pairs are answers.

        A vision model takes images instead: paths of files or folders, pictures of PIL, arrays `height width channel`.
        To an encoder-decoder texts are sources and pairs targets, which it writes itself where there are none.

        Raises:
            InputError: a text cannot be read; its index is named.
        """
        truncate = as_flag("truncate", truncate)
        if self._images is not None:
            check_alone(pairs, max_length, truncate)
            return self._images.reader.encode(texts)
        if self._pairs is not None:
            return self._pairs.tokenize(texts, pairs, max_length=max_length, truncate=truncate)
        limit = tokens.as_limit(self.tokenizer, self.max_length, max_length, paired=pairs is not None)
        if pairs is not None and continues(self.head, causal=self.causal):
            return tokenize_answers(self.tokenizer, texts, pairs, limit, truncate, self)
        return tokens.tokenize(self.tokenizer, texts, pairs, limit, truncate, self)

    def pad(self, encodings: Sequence[Encoding], length: int | None = None) -> TokenBatch:
        """Encodings as one batch, padded on the right; the model never sees the padding."""
        return tokens.pad(encodings, 0, length) if self._images is None else self._images.reader.pad(encodings, length)

    def fingerprint(self) -> dict[str, str]:
        """Hashes of its configuration, its weights and its tokenizer."""
        known = {name: value for name, value in self.model.config.to_dict().items() if name not in _PASSING}
        return {
            "config": text_fingerprint(f"{type(self.model).__name__} {sorted(known.items())} {self.max_length}"),
            "weights": weights_fingerprint(self.model),
            "tokenizer": tokenizer_fingerprint(self.tokenizer)
            if self._images is None
            else self._images.reader.fingerprint(),
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

    @property
    def new_tokens(self) -> int:
        """Most targets that an encoder-decoder writes, where nothing else is said."""
        return NEW_TOKENS if self._pairs is None else self._pairs.tokenize.new_tokens

    def write(
        self,
        texts: Inputs,
        tokens: int,
        *,
        max_length: int | None = None,
        truncate: bool = False,
        answers: bool = False,
    ) -> list[Encoding]:
        """The targets of an encoder-decoder that it writes itself; see `Writes.write`."""
        assert self._pairs is not None
        written = self._pairs.tokenize.written
        return written(texts, tokens, max_length=max_length, truncate=truncate, answers=answers)

    def record(self, batch: TokenBatch, numbers: Sequence[Number], needs: frozenset[str]) -> Recording:
        """Run a batch, texts of one length together."""
        if self._images is not None:
            assert isinstance(batch, ImageBatch)
            return self._images.record(batch, numbers, needs)
        if self._pairs is not None:
            return self._pairs.record(batch, numbers, needs)
        ids, mask, segments = (np.asarray(part) for part in (batch.input_ids, batch.mask, batch.segments))
        # A text ends at its last real token; tokens before may be hidden by the mask.
        ends = mask.shape[1] - np.argmax(mask[:, ::-1], axis=1)
        parts = self._probe.parts if needs & {"values", "norms"} else None
        rooms = Rooms(self._probe.layers, self._probe.heads, mask, self.head.name in EACH_TOKEN)
        passes: list[tuple[np.ndarray, TorchPass]] = []
        for rows in alike(ends, self._probe.together):
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


def _switch_to_eager(model: HubModel, name: str) -> None:
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


def _tokenizer_of(processor: Processor, *, slow: bool) -> Tokenizer:
    """The tokenizer of a processor; a slow one, which knows no places in the text, only where that is allowed."""
    tokenizer = getattr(processor, "tokenizer", processor)
    if not getattr(tokenizer, "is_fast", False) and not (slow and hasattr(tokenizer, "convert_ids_to_tokens")):
        got, way_out = type(processor).__name__, "load it with AutoTokenizer.from_pretrained(name, use_fast=True)"
        raise InputError("processor", "be a fast tokenizer, or hold one", got, way_out)
    return tokenizer
