"""The description of a family: how to read its configuration, and its checkpoints' names of parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jaxflow._untyped import HubConfig
from jaxflow.models.config import EncoderConfig, HeadName

# The way out for a configuration that uses an unsupported part of its family.
ANOTHER = "use another model"

# A checkpoint's name for one of our modules or parameters; several names where ours is one, as of query, key and value.
Key = str | tuple[str, ...]


def pad_id(config: HubConfig) -> int:
    """The token that padding has: any, as it is masked, where the configuration names none (-1 says so too)."""
    return max(config.pad_token_id or 0, 0)


@dataclass(frozen=True)
class Head:
    """A family's head.

    Attributes:
        architecture: the class that the configuration's `architectures` names.
        keys: our module or parameter -> the checkpoint's name.
        activation: between the dense map and the last one; None takes the feed-forward part's.
        dropout: names of its rates in the configuration; the first that is set counts.
        first_dropout: the same, for the rate before the dense map; () for none there.
        also: other architectures read as this head.
        normed: whether a norm stands behind the dense map.
        distilled: the architecture whose head has a second map, of the distillation token; "" for none.
        with_mean: whether it reads the mean of the patches beside the class token.
    """

    architecture: str
    keys: Mapping[str, Key] = field(default_factory=dict)
    activation: str | None = "tanh"
    dropout: tuple[str, ...] = ("classifier_dropout", "hidden_dropout_prob")
    first_dropout: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    normed: bool = False
    distilled: str = ""
    with_mean: bool = False


@dataclass(frozen=True)
class Family:
    """A family of encoders.

    Attributes:
        title: its name for people.
        model_type: its name in config.json.
        prefix: of the encoder's keys in checkpoints with a head.
        read: the encoder's configuration, without the head, from the checkpoint's.
        keys: our module or parameter -> the checkpoint's name; `{}` stands for a stored layer's numbers.
        heads: by name.
        aliases: other names under which checkpoints carry a key, after the prefix is cut off.
        leftovers: patterns of keys, prefix cut off, that a checkpoint may have and this encoder does not use.
        note: a remark for the table of supported models.
        shares_layers: whether several layers may share the parameters of one.
        input_first: whether the layers' affine maps are stored with the input's axis first.
        gated_keys: names in the place of those of `keys`, where feed-forward parts are gated.
        absent: names of a stored layer's norms that checkpoints lack, as it has none; ours are ones, and unused.
    """

    title: str
    model_type: str
    prefix: str
    read: Callable[[HubConfig], EncoderConfig]
    keys: Mapping[str, Key]
    heads: Mapping[HeadName, Head]
    aliases: Mapping[str, str] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()
    note: str = ""
    shares_layers: bool = False
    input_first: bool = False
    gated_keys: Mapping[str, Key] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    def keys_of(self, config: EncoderConfig) -> dict[str, Key]:
        """The names of a model's parameters, its head's included."""
        return {**self.keys, **(self.gated_keys if config.gated else {}), **self.heads[config.head.name].keys}

    def canonical(self, key: str) -> str:
        """A key without the family's prefix, which checkpoints of bare encoders leave out."""
        return key.removeprefix(f"{self.prefix}.")

    def tied_names(self) -> tuple[str, str] | None:
        """The names of the word embeddings and of the matrix that a language model ties to them; None without one."""
        head = self.heads.get("masked_lm") or self.heads.get("next_token")
        if head is None:
            return None
        words, decoder = self.keys["embeddings.words"], head.keys["head.decoder"]
        return self.canonical(f"{words}.weight"), self.canonical(f"{decoder}.weight")

    def beginnings(self) -> tuple[str, ...]:
        """How keys of the encoder itself begin, without the prefix."""
        # First part of each key, such as `embeddings.` or `encoder.`.
        names = [name for ours in self.keys.values() for name in ([ours] if isinstance(ours, str) else ours)]
        return tuple({f"{self.canonical(name).split('.', 1)[0]}." for name in names})
