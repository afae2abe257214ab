"""What the capacities of a graph are made of: mixings as values."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from jaxflow._checks import InputError, one_of, shown
from jaxflow.graph.attention import FUSIONS


@runtime_checkable
class Mixing(Protocol):
    """A frozen, hashable value that says what the capacities of the graph are."""

    @property
    def name(self) -> str:
        """What the command line, manifests and pages call it."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """What the model must give: "attention", "values", "gradients"."""
        ...


@dataclass(frozen=True)
class Attention:
    """The attention of a layer's heads, fused, with the residual connection; rows sum to 1.

    Attributes:
        heads: how heads are fused: mean, max or min. In Python also weights, `head` or `layer head`.
        residual: the residual connection's share, from 0 to 1.
    """

    heads: Any = "mean"
    residual: Any = 0.5

    name = "attention"
    needs = frozenset({"attention"})

    def __post_init__(self):
        if isinstance(self.heads, str):
            one_of("heads", self.heads, tuple(FUSIONS))
        else:
            object.__setattr__(self, "heads", _nested(self.heads))
        _check_residual(self)


@dataclass(frozen=True)
class AttentionGradient:
    """Attention weighted by the gradient of the target in it, renormalised.

    Attributes:
        residual: the residual connection's share, from 0 to 1.
    """

    residual: Any = 0.5

    name = "attention-gradient"
    needs = frozenset({"attention", "gradients"})

    def __post_init__(self):
        _check_residual(self)


MIXINGS: dict[str, type] = {kind.name: kind for kind in (Attention, AttentionGradient)}


def as_mixing(mixing: Any) -> Mixing:
    """Take in a mixing, checked: its name, or a value."""
    if isinstance(mixing, str) or not isinstance(mixing, Mixing):
        one_of("mixing", mixing, tuple(MIXINGS))
        return MIXINGS[mixing]()
    return mixing


def mixing_json(mixing: Any) -> dict[str, Any]:
    """A mixing as JSON has it."""
    return {"name": mixing.name, **asdict(mixing)}


def _nested(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    return tuple(map(_nested, value)) if isinstance(value, list | tuple) else value


def _check_residual(mixing: Any) -> None:
    residual = mixing.residual
    if isinstance(residual, bool) or not isinstance(residual, int | float) or not 0 <= residual <= 1:
        raise InputError("residual", "be a number from 0 to 1", shown(residual), "0.5 is the paper's")
