"""What the compiler made of a program, and what a chip's peaks would allow."""

import re
from dataclasses import dataclass
from math import prod
from typing import Any

from jax.extend.core import jaxprs_in_params


@dataclass(frozen=True)
class Chip:
    """Peaks of one chip, as its maker states them.

    Attributes:
        memory: bytes.
        bandwidth: bytes a second between memory and cores.
        matrix: operations a second of the matrix unit, in bfloat16.
        vector: operations a second of the vector unit, in float32: 8 x 128 lanes of 4 units at 1.5 GHz.
    """

    memory: float
    bandwidth: float
    matrix: float
    vector: float = 8 * 128 * 4 * 1.5e9


CHIPS = {"v5e": Chip(16 * 2**30, 819e9, 197e12), "v6e": Chip(32 * 2**30, 1640e9, 918e12)}
# Products at highest precision take this many passes of bfloat16.
PASSES = 6
COLLECTIVE = re.compile(
    r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast)(?:-start)?\("
)


def operations(jaxpr: Any, times: int = 1) -> tuple[float, float]:
    """Operations of matrix products, and of everything else, loops of known length counted as often as they run.

    What each device does on its own part is counted for all of them.
    """
    matrix = other = 0.0
    for step in jaxpr.eqns:
        inner = times * (step.params["length"] if step.primitive.name == "scan" else 1)
        inner *= step.params["mesh"].size if step.primitive.name == "shard_map" else 1
        # A kernel runs once for each place of its grid.
        inner *= prod(step.params["grid_mapping"].grid) if step.primitive.name == "pallas_call" else 1
        parts = list(jaxprs_in_params(step.params))
        if step.primitive.name == "dot_general":
            (contracted, _), _ = step.params["dimension_numbers"]
            sizes = prod(step.invars[0].aval.shape[axis] for axis in contracted)
            matrix += times * 2.0 * sizes * prod(step.outvars[0].aval.shape)
        elif parts:
            counts = [operations(part, inner) for part in parts]
            # One of a choice's branches runs; those of platforms do the same.
            added = max if step.primitive.name == "cond" else sum
            matrix, other = matrix + added(m for m, _ in counts), other + added(o for _, o in counts)
        elif step.primitive.name not in VIEWS:
            arrays = [*step.invars, *step.outvars] if step.primitive.name.startswith("reduce") else step.outvars
            other += times * max((prod(getattr(x.aval, "shape", ())) for x in arrays), default=0)
    return matrix, other


VIEWS = (
    "broadcast_in_dim",
    "reshape",
    "transpose",
    "squeeze",
    "slice",
    "convert_element_type",
    "stop_gradient",
    "copy",
)


def open_loops(jaxpr: Any) -> int:
    """Number of loops whose length is known only as they run; `operations` counts one turn of each."""
    inner = sum(open_loops(part) for step in jaxpr.eqns for part in jaxprs_in_params(step.params))
    return inner + sum(step.primitive.name == "while" for step in jaxpr.eqns)


def in_loops(text: str, operation: str) -> int:
    """How often an operation stands within a loop's body, or in what the body calls."""
    bodies = dict(re.findall(r"^%?([\w.\-]+) [^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    reached, ahead = set(), set(re.findall(r"\bbody=%?([\w.\-]+)", text))
    while ahead:
        name = ahead.pop()
        reached.add(name)
        called = re.findall(r"(?:calls|to_apply|body|condition|computation)=%?([\w.\-]+)", bodies.get(name, ""))
        ahead |= set(called) - reached
    return sum(len(re.findall(rf"\b{operation}\(", bodies.get(name, ""))) for name in reached)


def about(text: str, memory: Any, jaxpr: Any, chip: Chip, rows: int, devices: int) -> dict[str, Any]:
    arguments, results, scratch = (getattr(memory, f"{name}_size_in_bytes") for name in ("argument", "output", "temp"))
    matrix, other = (each / devices for each in operations(jaxpr.jaxpr))
    # What must be moved at least: arguments and results once, scratch written and read.
    moved = arguments + results + 2 * scratch
    seconds = {
        "matrix unit": matrix * PASSES / chip.matrix,
        "vector unit": other / chip.vector,
        "memory": moved / chip.bandwidth,
    }
    return {
        "matrix_operations": matrix,
        "other_operations": other,
        "loops_counted_once": open_loops(jaxpr.jaxpr),
        "bytes_moved_at_least": moved,
        "argument_bytes": arguments,
        "result_bytes": results,
        "scratch_bytes": scratch,
        "share_of_memory": (arguments + results + scratch) / chip.memory,
        "collectives": sorted(set(COLLECTIVE.findall(text))),
        "gathers_in_loops": in_loops(text, "gather"),
        "scatters_in_loops": in_loops(text, "scatter"),
        "float64": len(re.findall(r"\bf64\[", text)),
        "bound_by": max(seconds, key=lambda name: seconds[name]),
        "examples_a_second_at_most": rows / max(seconds.values()),
    }
