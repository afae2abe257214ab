"""What a family's file says: how its configuration reads and what its checkpoints call each parameter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxflow.models.config import EncoderConfig, HeadName

# The way out of a configuration with a part that its family does not have here.
ANOTHER = "use another model"

# A checkpoint's name for one of our modules or parameters; three names where query, key and value are one.
Key = str | tuple[str, str, str]


@dataclass(frozen=True)
class Head:
    """A head as a family has it.

    Attributes:
        architecture: the class that the configuration's `architectures` names.
        keys: our module or parameter -> the checkpoint's name.
        activation: between the dense map and the last one; None takes the feed-forward part's.
        dropout: names of the configuration's rates for it; the first one that is there and not None counts.
        first_dropout: the same, for the rate before the dense map; () for none there.
        also: other architectures that are read as this head.
    """

    architecture: str
    keys: Mapping[str, Key] = field(default_factory=dict)
    activation: str | None = "tanh"
    dropout: tuple[str, ...] = ("classifier_dropout", "hidden_dropout_prob")
    first_dropout: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A family of encoders.

    Attributes:
        title: its name for people.
        model_type: its name in config.json.
        prefix: what headed checkpoints put before the encoder's keys.
        read: the encoder's configuration, without the head, from the checkpoint's.
        keys: our module or parameter -> the checkpoint's name; `{}` stands for a stored layer's numbers.
        heads: the heads it comes with.
        aliases: other names under which checkpoints carry a key, after the prefix is cut off.
        leftovers: patterns of keys, prefix cut off, that a checkpoint may have and this encoder doesn't use.
        note: what the table of supported models says about it.
        shares_layers: whether several layers may run with the parameters of one.
    """

    title: str
    model_type: str
    prefix: str
    read: Callable[[Any], EncoderConfig]
    keys: Mapping[str, Key]
    heads: Mapping[HeadName, Head]
    slots: Callable[[EncoderConfig], list[tuple[int, ...]]] = lambda config: [(i,) for i in range(config.stored_layers)]
    aliases: Mapping[str, str] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()
    note: str = ""
    shares_layers: bool = False

    def canonical(self, key: str) -> str:
        """A key without the family's prefix, which checkpoints of bare encoders leave out."""
        return key.removeprefix(f"{self.prefix}.")

    def tied_names(self) -> tuple[str, str]:
        """The names of the word embeddings and of the matrix that a masked LM ties to them."""
        words, decoder = self.keys["embeddings.words"], self.heads["masked_lm"].keys["head.decoder"]
        return self.canonical(f"{words}.weight"), self.canonical(f"{decoder}.weight")

    def beginnings(self) -> tuple[str, ...]:
        """How keys of the encoder itself begin, without the prefix."""
        names = [name for ours in self.keys.values() for name in ([ours] if isinstance(ours, str) else ours)]
        return tuple({f"{self.canonical(name).split('.', 1)[0]}." for name in names})
