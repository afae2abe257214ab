"""Configuration of an encoder, in one vocabulary for all families."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array, Float, PyTree

from jaxflow._checks import InputError, shown, shown_text

HeadName = Literal[
    "bare",
    "masked_lm",
    "sequence_classification",
    "token_classification",
    "multiple_choice",
    "question_answering",
    "next_sentence",
    "discriminator",
    "next_token",
]
Problem = Literal["single_label", "multi_label", "regression"]
# `max_length` of models without a longest sequence: the largest 32-bit number.
UNLIMITED = 2**31 - 1
# Classes that a printed model names.
_MOST_LABELS = 8


@runtime_checkable
class RelativePosition(Protocol):
    """A family's dependence of attention scores on the distance of two positions.

    A value without parameters of its own (hashable, part of the configuration): it makes the modules that hold them.
    """

    @property
    def terms(self) -> int:
        """Number of products that a score sums; scores are divided by the root of head width times this."""
        ...

    def shared(self, config: "EncoderConfig", rngs: nnx.Rngs) -> nnx.Module | None:
        """Parameters that all layers share."""
        ...

    def of_layer(self, config: "EncoderConfig", rngs: nnx.Rngs) -> nnx.Module | None:
        """Parameters of one layer."""
        ...

    def prepare(self, shared: Any, length: int) -> PyTree:
        """The arrays that every layer needs for sequences of that length, computed once."""
        ...

    def scores(
        self,
        layer: Any,
        prepared: PyTree,
        query: Float[Array, "*batch token head width"],
        key: Float[Array, "*batch token head width"],
    ) -> Float[Array, "..."]:
        """The term added to the scores `*batch head query key` before the softmax; `layer` is the whole layer."""
        ...


@dataclass(frozen=True)
class HeadConfig:
    """The head on an encoder.

    Attributes:
        name: of the head.
        outputs: its numbers for each text, token or vocabulary entry.
        activation: between its dense map and its last one.
        labels: names of the classes as in the checkpoint, where several may be the same; None without classes.
        problem: the meaning of its numbers.
        tied: whether a masked LM's last map is the word embeddings.
        dropout: before the last map, in training.
        first_dropout: before the dense map, in training.
        pooled: whether a bare encoder's checkpoint carries the pooler that it was trained with.
        normed: whether a norm stands behind its dense map.
        mean: whether it reads the mean of all tokens rather than the first one.
        distilled: whether its numbers are the mean of two maps, of the class token and of the distillation token.
        with_mean: whether it reads the class token and, beside it, the mean of the patches.
    """

    name: HeadName = "bare"
    outputs: int = 0
    activation: str = "tanh"
    labels: tuple[str, ...] | None = None
    problem: Problem = "single_label"
    tied: bool = True
    dropout: float = 0.0
    first_dropout: float = 0.0
    pooled: bool = False
    normed: bool = False
    mean: bool = False
    distilled: bool = False
    with_mean: bool = False

    def class_names(self) -> tuple[str, ...] | None:
        """The labels, made unique: a name that several classes share gets the class's number behind it.

        `("good", "bad", "good")` become `("good (0)", "bad", "good (2)")`.
        """
        if self.labels is None:
            return None
        names = self.labels
        # A new name may be that of yet another class: then both get their numbers, until no name is shared.
        while len(count := Counter(names)) < len(names):
            names = tuple(f"{name} ({i})" if count[name] > 1 else name for i, name in enumerate(names))
        return names

    def in_words(self) -> list[str]:
        """The kind of head, and its classes where they are few enough to be read; nothing where there is none."""
        if self.name == "bare":
            return []
        # The classes of a next token are a vocabulary.
        names = self.class_names() if len(self.labels or ()) <= _MOST_LABELS else None
        return [self.name.replace("_", " ") + (f" ({', '.join(map(shown_text, names))})" if names else "")]

    def index_of(self, argument: str, name: Any) -> Any:
        """The index of the class with this name; anything else is returned as it is.

        Args:
            argument: its name in errors.
            name: one of `class_names`, or the user's own entry.

        Raises:
            InputError: several classes have this name.
        """
        names = self.class_names() or ()
        # Unique names come first: a label may look like another class's name with its number.
        if not isinstance(name, str) or name in names:
            return names.index(name) if isinstance(name, str) else name
        alike = [i for i, label in enumerate(self.labels or ()) if label == name]
        if len(alike) < 2:
            return alike[0] if alike else name
        numbers, alone = " and ".join(map(str, alike)), ", ".join(repr(names[i]) for i in alike)
        got = f"{shown(name)}, the name of classes {numbers}, which are called {shown_text(alone)}"
        raise InputError(argument, "name one class", got, "pass an index, or one of these names")


@dataclass(frozen=True, order=True)
class Rotary:
    """Rotary positions: pair i of a head's entries turns by `base ** (-2i / width)` a token.

    Attributes:
        base: of these angles.
        factor: by which angles are made smaller, for texts that are longer than those of the first training.
        low: pairs that turn fully no more than so often in `trained` tokens have all of the factor.
        high: pairs that turn more often than that have none of it; those between have a share.
        trained: length of the first training's texts; 0 where all pairs have the factor.
    """

    base: float
    factor: float = 1.0
    low: float = 0.0
    high: float = 0.0
    trained: int = 0


@dataclass(frozen=True)
class Patches:
    """How images are cut into patches.

    Attributes:
        rows: of patches.
        columns: of patches.
        height: of a patch, in pixels.
        width: of a patch, in pixels.
        tokens: how many stand in front of the patches: the class token, then that of distillation.
    """

    rows: int
    columns: int
    height: int
    width: int
    tokens: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.rows * self.height, self.columns * self.width


@dataclass(frozen=True)
class StoredPositions:
    """Positions of patches that are stored for a grid of their own, and interpolated to that of the images.

    Attributes:
        rows: of the stored grid.
        columns: of the stored grid.
        smooth: whether coarser grids average what they skip (torch's `antialias`).
    """

    rows: int
    columns: int
    smooth: bool


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder or a decoder, and the differences between families.

    Attributes:
        family: the checkpoint's `model_type`.
        vocabulary: rows of the word embeddings.
        width: of the hidden states.
        heads: attention heads of a layer.
        feed_forward: inner width of the feed-forward part.
        rows: the stored layer that each layer runs; families that share layers repeat one.
        slots: the numbers of each stored layer in its checkpoint's keys; () where they are those of `rows`.
        activation: of the feed-forward part.
        epsilon: of the norms.
        positions: rows of the position embeddings, 0 where positions are only relative.
        max_length: longest sequence, special tokens included; `UNLIMITED` where there is none.
        position_offset: None where positions count from the left; else they count real tokens, from this number.
        segments: rows of the segment embeddings, 0 for none.
        embedding_width: of the word embeddings.
        projection: of these to `width`: "none", "before" or "after" their norm.
        projection_bias: whether that projection has a bias.
        pad_id: the padding token.
        masks_padding: whether padding's embeddings are set to 0 and its rows attend to everything alike.
        hidden_dropout: of embeddings and of each block's output, in training.
        embedding_dropout: of embeddings, where it is another one.
        attention_dropout: of attention, in training.
        pre_norm: whether each block normalises its input rather than the sum of input and output; the last layer's
            output is then normalised once more.
        relative: dependence of scores on distance; None for none.
        causal: whether a position attends only to itself and to those before it. The head then reads the last token.
        windows: for each layer how many tokens a position sees, itself included; 0 for all. () where all see all.
        rotary: for each layer its rotary positions; () for none.
        head_size: width of one attention head; 0 where it is the width over the heads.
        groups: heads of keys and values, each shared by as many queries; 0 where there are as many as of queries.
        query_key_norm: whether queries and keys are normalised, head by head.
        biases: which affine maps of a layer have one: "qkv", "output", "feed_forward".
        rms: whether norms divide by the root of the mean square, without a mean or a bias.
        norm_bias: whether other norms have a bias.
        first_norm: whether the first layer's attention has a norm of its own; else it reads the embeddings as they are.
        head_bias: whether the head's dense map has a bias.
        norm_offset: added to the norms' stored scales.
        embedding_norm: whether embeddings are normalised.
        embedding_scale: word embeddings are multiplied by it.
        gated: whether the feed-forward part multiplies its activation with a second map.
        convolution: kernel width, groups and activation of the convolution beside the first layer, if there is one.
        patches: of the images that it reads in the place of texts; None for texts.
        registers: tokens behind the patches that stand for nothing, and have no position.
        stored_positions: of the patches, where they are interpolated; None where there is one for each patch.
        layer_scale: whether each block's output is multiplied with a vector before it is added.
        head: on top of the layers.
    """

    family: str
    vocabulary: int
    width: int
    heads: int
    feed_forward: int
    rows: tuple[int, ...]
    activation: str
    epsilon: float
    positions: int
    max_length: int
    slots: tuple[tuple[int, ...], ...] = ()
    position_offset: int | None = None
    segments: int = 0
    embedding_width: int = 0
    projection: Literal["none", "before", "after"] = "none"
    projection_bias: bool = True
    pad_id: int = 0
    masks_padding: bool = False
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0
    pre_norm: bool = False
    relative: RelativePosition | None = None
    causal: bool = False
    windows: tuple[int, ...] = ()
    rotary: tuple[Rotary, ...] = ()
    head_size: int = 0
    groups: int = 0
    query_key_norm: bool = False
    biases: frozenset[str] = frozenset({"qkv", "output", "feed_forward"})
    rms: bool = False
    norm_bias: bool = True
    first_norm: bool = True
    head_bias: bool = True
    norm_offset: float = 0.0
    embedding_dropout: float | None = None
    embedding_norm: bool = True
    embedding_scale: float = 1.0
    gated: bool = False
    convolution: tuple[int, int, str] | None = None
    patches: Patches | None = None
    registers: int = 0
    stored_positions: StoredPositions | None = None
    layer_scale: bool = False
    head: HeadConfig = HeadConfig()

    @property
    def layers(self) -> int:
        """How many layers a text goes through."""
        return len(self.rows)

    @property
    def stored_layers(self) -> int:
        """How many layers have parameters of their own."""
        # Without slots every layer stores its own parameters, one row each.
        return len(self.slots) or len(self.rows)

    @property
    def embedded_dropout(self) -> float:
        """Of embeddings, in training."""
        return self.hidden_dropout if self.embedding_dropout is None else self.embedding_dropout

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.head_size or self.width // self.heads

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.groups or self.heads
