"""The model's contract: any class with these parts works throughout the library.

A model has two sides. `Module` is the side on devices: a pytree of parameters, its layers and head in pure JAX, which
compiled programs take as an argument. `Model` is the side on the host: it reads texts and names things.
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
from jaxflow.models.rules import Rules
from jaxflow.models.tokens import Encoding

CarryT = TypeVar("CarryT")
# Called once a layer, first to last: (carry, layer) -> carry. A carry is a pytree of arrays of unchanging shapes.
Visit: TypeAlias = Callable[[CarryT, LayerOutput], CarryT]
# The parts that a model may give, see `Model.gives`.
GIVES = ("attention", "values", "norms", "rerun", "gradients", "embeddings", "relevance")
# Heads that give one prediction a text, and read it at one token.
WHOLE_TEXTS = ("sequence_classification", "next_sentence", "multiple_choice")


@runtime_checkable
class Module(Protocol):
    """A model's layers and head: a pytree of JAX arrays, in pure JAX.

    Programs are compiled for its static parts (`depth`, `heads`, sizes), which must be hashable.
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
            batch: padded inputs; padding must not change the output on real tokens.
            visit: watches one layer. Parts that it does not read cost nothing: the compiler drops them.
            carry: the carry before the first layer.
            options: `attention_shift` (added to a layer's probabilities) counts if the model gives "gradients",
                `embeddings` if it gives "embeddings", `packing` if it `packs`. Others are for training.

        Returns:
            The last layer's hidden states, and the carry behind it.
        """
        ...

    def logits(self, hidden: Float[Array, "*batch token width"], batch: TokenBatch) -> Float[Array, "..."]:
        """The head's numbers, from the last layer's hidden states."""
        ...


@runtime_checkable
class EmbedsTokens(Module, Protocol):
    """A module whose word embeddings can be replaced, for models that give "embeddings"."""

    def embed(self, input_ids: Int[Array, "*batch token"]) -> Float[Array, "*batch token embedding"]:
        """Word embeddings, without positions; `ForwardOptions.embeddings` replaces them."""
        ...


@runtime_checkable
class FollowsRules(EmbedsTokens, Protocol):
    """A module whose derivatives can follow rules of relevance, for models that give "relevance"."""

    def under(self, rules: Rules) -> "FollowsRules":
        """The same module; every part of it takes the derivatives that the rules say, its head included."""
        ...

    def inputs(self, batch: TokenBatch) -> Float[Array, "*batch token width"]:
        """The first layer's input; `ForwardOptions.inputs` replaces it."""
        ...

    @property
    def held(self) -> int:
        """Numbers of one position that a layer or the head holds at once, for sizes of batches."""
        ...


@runtime_checkable
class Model(Protocol):
    """A model as the library sees it: `TextEncoder` is one, and so is any class with these parts.

    `ModelDefaults` holds the parts that have a default.
    """

    @property
    def name(self) -> str:
        """Its name in manifests and on pages."""
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
        """Programs and copies on other devices, which last as long as the model; empty at first."""
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
        """Hashes of its parts (`"weights"`, `"tokenizer"`): a sweep is resumed only if all are the same.

        `array_fingerprint(model.module)` is one of a module's weights.
        """
        ...

    @property
    def gives(self) -> frozenset[str]:
        """The parts of `GIVES` that it gives.

        `"attention"`: `LayerOutput.attention`, which all need. `"values"`: `inputs`, `values`, `output` and `attended`
        as well. `"norms"`: `norms`. `"rerun"`: `rerun`. `"gradients"`: `attention_shift` is honoured, and derivatives
        in it are right. `"embeddings"`: the module is an `EmbedsTokens`. `"relevance"`: it is a `FollowsRules`.
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
        """The head on its layers; `HeadConfig()` is none."""
        ...

    @property
    def reads_at(self) -> int | None:
        """The token at which the head reads a text, 0 for the first, -1 for the last; None for all, or no head."""
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
        """Unique names of the head's classes; None without classes."""
        ...

    def speaks(self, encodings: Sequence[Encoding]) -> list[bool]:
        """Whether the head has a prediction for each text."""
        ...

    def predict(
        self, logits: Float[np.ndarray, "..."], encodings: Sequence[Encoding] | None = None
    ) -> list[Prediction]:
        """One prediction a text, from the head's numbers."""
        ...


@runtime_checkable
class _ModuleAndHead(Protocol):
    """The parts that the defaults follow from. Not `Model`: to check for that reads the defaults themselves."""

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

    `Model` says what each part means.
    """

    def __repr__(self: Model) -> str:
        """What it is, in a line: no weights, no configuration."""
        sizes = f"{self.layers} layers, {self.heads} heads"
        return f"{type(self).__name__}({shown(self.name)}: {', '.join([sizes, *self.head.in_words()])})"

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
        """By the kind of head."""
        return predictions(self.head, np.asarray(logits), encodings, None)


def as_model(argument: str, value: object) -> Model:
    """A checked model.

    Args:
        argument: its name in errors.
        value: the user's argument.

    Raises:
        InputError: it lacks a part of the protocol, which is named.
    """
    if isinstance(value, Model) and not _missing(value.module, Module):
        _check_parts(argument, value)
        return value
    if isinstance(value, str | PathLike):
        raise InputError(argument, "be a model", shown(value), "load it with `jaxflow.load_model`")
    # Told by name: torch need not be installed.
    if any(kind.__module__.startswith("torch.nn.") for kind in type(value).__mro__):
        got = f"{type(value).__name__} of PyTorch"
        raise InputError(argument, "be a model", got, "pass `jaxflow.TorchModel(model, tokenizer)`")
    # The module's missing parts first: some of the model's own follow from them.
    module = getattr(value, "module", None)
    missing = [] if module is None else [f"module.{name}" for name in _missing(module, Module)]
    missing = missing or _missing(value, Model)
    got = f"{type(value).__name__} without {', '.join(missing)}"
    raise InputError(argument, "be a model, see jaxflow.models.Model", got, "pass what load_model gives, or add these")


def check_gives(model: Model, part: str, purpose: str) -> None:
    """Refuse a model that does not give a part.

    Args:
        model: the model.
        part: of `GIVES`.
        purpose: the use of the part, in words.

    Raises:
        InputError: the model does not give it.
    """
    if part not in model.gives:
        given = ", ".join(map(repr, sorted(model.gives)))
        raise InputError("model", f"give {part!r} for {purpose}", f"{model.name}, which gives {given}")


def _check_parts(argument: str, model: Model) -> None:
    """Refuse a model that has every part, but a wrong one."""
    leaves = jax.tree.leaves(model.module)
    # A class that is not registered as a pytree is one leaf itself.
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
    # Public names of the protocol and of those it extends.
    names = {name for each in protocol.__mro__ for name in vars(each) if not name.startswith("_")}
    return sorted(name for name in names if not hasattr(value, name))
