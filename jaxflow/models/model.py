"""What the library asks of a model. Any class that has these parts goes through all of it; none need be ours.

A model has two sides. `Module` is the side that runs on devices: a pytree of parameters whose layers and head are pure
JAX, handed to compiled programs as an argument. `Model` is the side on the host: it reads texts and names things.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from jaxflow._checks import InputError, shown
from jaxflow.models.batch import LayerOutput, TokenBatch
from jaxflow.models.config import HeadConfig
from jaxflow.models.forward import ForwardOptions
from jaxflow.models.prediction import Prediction, predictions, speaks
from jaxflow.models.tokens import Encoding

CarryT = TypeVar("CarryT")
# Called once a layer, first to last: (carry, layer) -> carry. A carry is a pytree of arrays of unchanging shapes.
Visit: TypeAlias = Callable[[CarryT, LayerOutput], CarryT]
# What a model may give of each layer, see `Model.gives`.
GIVES = ("attention", "values", "gradients", "embeddings")
# Heads that say one thing of a text, which they read at one token.
WHOLE_TEXTS = ("sequence_classification", "next_sentence", "multiple_choice")


@runtime_checkable
class Module(Protocol):
    """A model's layers and head: a pytree of JAX arrays, in pure JAX.

    Programs are compiled for what is static of it (`depth`, `heads`, sizes), which must be hashable.
    """

    @property
    def depth(self) -> int:
        """How many layers there are."""
        ...

    @property
    def heads(self) -> int:
        """How many attention heads each layer has."""
        ...

    def run(
        self, batch: TokenBatch, visit: Visit[CarryT], carry: CarryT, options: ForwardOptions
    ) -> tuple[Float[Array, "*batch token width"], CarryT]:
        """Run the layers, each handed to `visit` as it comes.

        Args:
            batch: padded inputs; padding must not change what is given of real tokens.
            visit: watches one layer. What it doesn't look at costs nothing: the compiler drops it.
            carry: the carry before the first layer.
            options: only these matter here: `attention_shift` where the model gives "gradients" (added to the
                probabilities that a layer uses), `embeddings` where it gives "embeddings", and `packing` where it
                `packs`. Others are for training.

        Returns:
            The last layer's hidden states, and the carry behind it.
        """
        ...

    def logits(self, hidden: Float[Array, "*batch token width"], batch: TokenBatch) -> Float[Array, "..."]:
        """The head's numbers, from the last layer's hidden states."""
        ...


@runtime_checkable
class EmbedsTokens(Module, Protocol):
    """A module whose word embeddings can be replaced: that of a model that gives "embeddings"."""

    def embed(self, input_ids: Int[Array, "*batch token"]) -> Float[Array, "*batch token embedding"]:
        """Word embeddings, without positions: what `ForwardOptions.embeddings` stands in for."""
        ...


@runtime_checkable
class Model(Protocol):
    """A model as the library sees it: `TextEncoder` is one, and so is any class with these parts.

    `ModelDefaults` has all of it that has a default.
    """

    @property
    def name(self) -> str:
        """What manifests and pages call it."""
        ...

    @property
    def module(self) -> Module:
        """Its layers and head. Everything runs where the module's arrays are."""
        ...

    @property
    def max_length(self) -> int:
        """Most tokens that a text may have, special ones included."""
        ...

    @property
    def kept(self) -> dict[object, object]:
        """What was made for it and lasts as long as it does (programs, copies on other devices); empty at first."""
        ...

    def tokenize(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        max_length: int | None = None,
        truncate: bool = False,
    ) -> list[Encoding]:
        """Tokens of each text (or pair of texts), without padding.

        Raises:
            InputError: a text cannot be read; its index is named.
        """
        ...

    def pad(self, encodings: Sequence[Encoding], length: int | None = None) -> TokenBatch:
        """Encodings as one batch `text token`, padded on the right to `length` or to the longest."""
        ...

    def fingerprint(self) -> dict[str, str]:
        """Hashes of what it is, by part (`"weights"`, `"tokenizer"`): a sweep is resumed only where all are the same.

        `array_fingerprint(model.module)` is one of a module's weights.
        """
        ...

    @property
    def gives(self) -> frozenset[str]:
        """What it gives, of `GIVES`.

        `"attention"`: `LayerOutput.attention`, without which nothing goes. `"values"`: `inputs`, `values` and `output`
        as well. `"gradients"`: `attention_shift` is honoured, and derivatives in it are right. `"embeddings"`: the
        module is an `EmbedsTokens`.
        """
        ...

    @property
    def causal(self) -> bool:
        """Whether a position attends only to itself and to those before it."""
        ...

    @property
    def packs(self) -> bool:
        """Whether its module honours `packing`: runs all but attention on real tokens alone."""
        ...

    @property
    def head(self) -> HeadConfig:
        """What stands on the layers; `HeadConfig()` is nothing."""
        ...

    @property
    def reads_at(self) -> int | None:
        """Where the head reads a text: 0 is its first token, -1 its last; None for every token, or no head."""
        ...

    @property
    def layers(self) -> int:
        """How many layers a text goes through."""
        ...

    @property
    def heads(self) -> int:
        """How many attention heads each layer has."""
        ...

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the head's classes, each its own; None where it has no classes."""
        ...

    def speaks(self, encodings: Sequence[Encoding]) -> list[bool]:
        """Whether the head says something of each text."""
        ...

    def predict(
        self, logits: Float[np.ndarray, "..."], encodings: Sequence[Encoding] | None = None
    ) -> list[Prediction]:
        """What the head's numbers say, one prediction a text."""
        ...


@runtime_checkable
class _ModuleAndHead(Protocol):
    """What the defaults follow from. Not `Model` itself: to check for that one reads the very defaults."""

    @property
    def module(self) -> Module: ...

    @property
    def head(self) -> HeadConfig: ...


class ModelDefaults:
    """The parts of a `Model` that follow from its module and its head; inherit from it and override what differs.

    @dataclass(frozen=True)
    class MyModel(ModelDefaults):
        name: str
        module: MyModule
        max_length: int
        head: HeadConfig = HeadConfig("sequence_classification", outputs=2, labels=("no", "yes"))
        kept: dict[object, object] = field(default_factory=dict, compare=False)

        def tokenize(self, texts, pairs=None, *, max_length=None, truncate=False): ...
        def pad(self, encodings, length=None):
            return jaxflow.models.pad(encodings, 0, length)
        def fingerprint(self):
            return {"weights": jaxflow.models.array_fingerprint(self.module)}
    """

    @property
    def gives(self) -> frozenset[str]:
        """Attention alone."""
        return frozenset({"attention"})

    @property
    def causal(self) -> bool:
        """Positions attend to all others."""
        return False

    @property
    def packs(self) -> bool:
        """The module runs on padded batches as they are."""
        return False

    @property
    def reads_at(self: _ModuleAndHead) -> int | None:
        """The first token, for heads that speak of whole texts."""
        return 0 if self.head.name in WHOLE_TEXTS else None

    @property
    def layers(self: _ModuleAndHead) -> int:
        """The module's."""
        return self.module.depth

    @property
    def heads(self: _ModuleAndHead) -> int:
        """The module's."""
        return self.module.heads

    @property
    def labels(self: _ModuleAndHead) -> tuple[str, ...] | None:
        """The head's."""
        return self.head.class_names()

    def speaks(self: _ModuleAndHead, encodings: Sequence[Encoding]) -> list[bool]:
        """Of every text, where there is a head."""
        return speaks(self.head, encodings, None)

    def predict(
        self: _ModuleAndHead, logits: Float[np.ndarray, "..."], encodings: Sequence[Encoding] | None = None
    ) -> list[Prediction]:
        """What the head's kind of numbers says."""
        return predictions(self.head, np.asarray(logits), encodings, None)


def as_model(argument: str, value: object) -> Model:
    """Take in a model, checked.

    Args:
        argument: what errors call it.
        value: what came.

    Raises:
        InputError: it lacks a part of the protocol, which is named.
    """
    if isinstance(value, Model) and not _missing(value.module, Module):
        _check_parts(argument, value)
        return value
    if isinstance(value, str | PathLike):
        raise InputError(argument, "be a model", shown(value), "load it with `jaxflow.load_model`")
    # Of a model whose module lacks parts, some of the model's own follow from these.
    module = getattr(value, "module", None)
    missing = [] if module is None else [f"module.{name}" for name in _missing(module, Module)]
    missing = missing or _missing(value, Model)
    got = f"{type(value).__name__} without {', '.join(missing)}"
    raise InputError(argument, "be a model, see jaxflow.models.Model", got, "pass what load_model gives, or add these")


def check_gives(model: Model, part: str, purpose: str) -> None:
    """Refuse a model that does not give what something needs.

    Args:
        model: the model.
        part: of `GIVES`.
        purpose: what needs it, in words.

    Raises:
        InputError: it does not.
    """
    if part not in model.gives:
        given = ", ".join(map(repr, sorted(model.gives)))
        raise InputError("model", f"give {part!r} for {purpose}", f"{model.name}, which gives {given}")


def _check_parts(argument: str, model: Model) -> None:
    """Refuse a model that has every part, one of which cannot be."""
    leaves = jax.tree.leaves(model.module)
    if not leaves or not all(isinstance(leaf, jax.Array) for leaf in leaves):
        kinds = ", ".join(sorted({type(leaf).__name__ for leaf in leaves})) or "none"
        way_out = "register its class as a pytree, its parameters as jax.Array"
        raise InputError(argument, "have a `module` whose leaves are JAX arrays", f"leaves of {kinds}", way_out)
    unknown = sorted(model.gives - set(GIVES))
    if unknown or "attention" not in model.gives:
        expected = f"give 'attention', and of the others any of {', '.join(map(repr, GIVES[1:]))}"
        raise InputError(argument, expected, f"gives = {sorted(model.gives)}")


def _missing(value: object, protocol: type) -> list[str]:
    """The parts of a protocol that a value lacks."""
    names = {name for each in protocol.__mro__ for name in vars(each) if not name.startswith("_")}
    return sorted(name for name in names if not hasattr(value, name))
