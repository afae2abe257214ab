"""Programs compiled ahead of time: one for each shape of a batch, kept with the encoder."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
from jaxtyping import Array

from jaxflow.attribution.placement import Placement
from jaxflow.attribution.program import Inputs, Job, Streamed, stream


@dataclass(frozen=True)
class Compiled:
    """A program that was just compiled; the same shape needs it no second time.

    Attributes:
        examples: of a batch, those that fill it up included.
        tokens: that each is padded to.
        seconds: that the compiler took.
        bytes: that the program takes on each device beside the encoder's parameters, results included; None where the
            compiler doesn't say.
    """

    examples: int
    tokens: int
    seconds: float
    bytes: int | None


@dataclass(frozen=True)
class Executable:
    """A compiled program, and what it takes."""

    call: Callable[[Any, Any], Streamed]
    about: Compiled


class Executables:
    """The programs of one encoder in one place, compiled when they are first needed.

    They are kept with the encoder from call to call.
    """

    def __init__(
        self, placement: Placement, kept: dict[Any, Any], told: Callable[[Compiled], None] | None = None
    ) -> None:
        self.placement = placement
        self._kept, self._told = kept, told

    def of(self, inputs: Inputs, job: Job) -> Executable:
        """The program for inputs of these shapes (`Placement.put` made them)."""
        place = self.placement
        layout = tuple((x.shape, x.dtype, x.sharding) for x in (*place.parameters[:1], *jax.tree.leaves(inputs)))
        key = (Executable, job, place.shape, jax.tree.structure(inputs), layout, _runs_step_by_step())
        if key not in self._kept:
            self._kept[key] = _compiled(place, inputs, job)
            if self._told is not None:
                self._told(self._kept[key].about)
        return self._kept[key]

    def run(self, inputs: Inputs, job: Job) -> Streamed:
        """Begin a batch; its results can be waited for."""
        return self.of(inputs, job).call(self.placement.parameters, inputs)


def _compiled(place: Placement, inputs: Inputs, job: Job) -> Executable:
    begin = time.perf_counter()
    jitted = _jitted(tuple(place.options.items()))
    examples, tokens = inputs.batch.mask.shape
    if _runs_step_by_step():
        run = partial(jitted, shape=place.shape, job=job)
        return Executable(run, Compiled(examples, tokens, time.perf_counter() - begin, None))
    program = jitted.lower(place.parameters, inputs, shape=place.shape, job=job).compile()
    memory = program.memory_analysis()
    size = None if memory is None else memory.temp_size_in_bytes + memory.output_size_in_bytes
    return Executable(program, Compiled(examples, tokens, time.perf_counter() - begin, size))


def _runs_step_by_step() -> bool:
    """Whether whoever debugs has every step run as it stands; then nothing can be compiled ahead."""
    return bool(jax.config.jax_disable_jit)  # pyright: ignore[reportAttributeAccessIssue]


@cache
def _jitted(options: tuple[tuple[str, str], ...]) -> Any:
    def run(parameters: tuple[Array, ...], inputs: Inputs, *, shape: Any, job: Job) -> Streamed:
        return stream(jax.tree.unflatten(shape, parameters), inputs, job)

    return jax.jit(run, static_argnames=("shape", "job"), compiler_options=dict(options))
