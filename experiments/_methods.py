"""Every mixing with every functional of the graph, and the references: the methods that experiments compare."""

from collections.abc import Mapping, Sequence
from typing import Any

import jaxflow as jf
from jaxflow.attribution.registry import METHODS
from jaxflow.mixing import MIXINGS, Mixing

FUNCTIONALS = ("raw", "rollout", "flow", "joint-flow", "widest-path")
REFERENCES = tuple(name for name in METHODS if name not in FUNCTIONALS)
# The reference that flow has to beat.
SUMS = "column-sums"
# Two mixings that every model which gives gradients can give, for quick runs.
QUICK_MIXINGS = ("attention", "attention-gradient")


def mixings_of(model: jf.models.Model) -> dict[str, Mixing]:
    """Every mixing that the model can give, by what tables call it: all variants, and the own streams that matter."""
    norms = MIXINGS["norms"]
    made: dict[str, Mixing] = {name: kind() for name, kind in MIXINGS.items()}
    made |= {f"norms, {variant}": norms(variant=variant) for variant in ("N", "N-Res", "N-ResLN")}
    made |= {f"{name}, own wide": MIXINGS[name](own="wide") for name in ("norms", "alti", "value-zeroing")}
    # Those of gradients have wide own streams by default.
    for name in ("gradient", "attention-gradient", "chefer-relevance"):
        made |= {f"{name}, own {own}": MIXINGS[name](own=own) for own in ("identity", 0.5)}
    return {name: mixing for name, mixing in made.items() if mixing.needs <= model.gives}


def methods_of(
    mixings: Mapping[str, Mixing], functionals: Sequence[str], references: Sequence[str] = REFERENCES
) -> list[Any]:
    """Every functional over every mixing (`"flow of alti"`), and the references; names tell them apart."""
    made: list[Any] = []
    for functional in functionals:
        kind: Any = type(METHODS[functional])
        made += [kind(name=f"{functional} of {name}", mixing=mixing) for name, mixing in mixings.items()]
    return [*made, *(METHODS[name] for name in references)]
