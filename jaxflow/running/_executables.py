"""Programs compiled ahead of time: one for each shape of a batch, kept with the model."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
from jaxtyping import Array

from jaxflow._cache import compiling, keep_programs
from jaxflow._checks import InputError
from jaxflow._switches import broadcasting, undefined_as_nan
from jaxflow.models import Model
from jaxflow.running._placement import Placement
from jaxflow.running._program import Arrays, Inputs, Program


@dataclass(frozen=True)
class Compiled:
    """A program that was just compiled; the same shape needs it no second time.

    Attributes:
        examples: of a batch, those that fill it up included.
        tokens: that each is padded to.
        seconds: that the compiler took.
        bytes: that the program takes on each device beside the model's parameters, results included; None where the
            compiler doesn't say.
    """

    examples: int
    tokens: int
    seconds: float
    bytes: int | None


@dataclass(frozen=True)
class Executable:
    """A compiled program and its cost."""

    call: Callable[[tuple[Array, ...], Inputs], Arrays]
    about: Compiled


class Executables:
    """The programs of one model in one place, compiled when they are first needed.

    They are kept with the model from call to call.
    """

    def __init__(self, placement: Placement, model: Model, report: Callable[[Compiled], None] | None = None) -> None:
        """Programs of a model.

        Args:
            placement: where they run.
            model: programs are put into its `kept`.
            report: called with each program that had to be compiled.
        """
        self.placement, self.model = placement, model
        self._kept: dict[Any, Any] = model.kept
        self._report = report

    def of(self, inputs: Inputs, program: Program) -> Executable:
        """The executable for inputs of these shapes (`Placement.put` made them)."""
        place = self.placement
        # Everything compiled code depends on. One parameter stands for all: they are placed together.
        layout = tuple((x.shape, x.dtype, x.sharding) for x in (*place.parameters[:1], *jax.tree.leaves(inputs)))
        key = (Executable, program, place.shape, jax.tree.structure(inputs), layout, _runs_step_by_step())
        if key not in self._kept:
            self._kept[key] = _compiled(place, inputs, program)
            if self._report is not None:
                self._report(self._kept[key].about)
        return self._kept[key]

    def run(self, inputs: Inputs, program: Program) -> Arrays:
        """Begin a batch; its results can be waited for."""
        return self.of(inputs, program).call(self.placement.parameters, inputs)


def _compiled(place: Placement, inputs: Inputs, program: Program) -> Executable:
    keep_programs()
    begin = time.perf_counter()
    jitted = _jitted(tuple(place.options.items()))
    examples, tokens = inputs.batch.mask.shape
    if _runs_step_by_step():
        # Called through `jit`, which JAX then runs operation by operation.
        run = partial(jitted, shape=place.shape, program=program)
        return Executable(run, Compiled(examples, tokens, time.perf_counter() - begin, None))
    try:
        lowered = jitted.lower(place.parameters, inputs, shape=place.shape, program=program)
    except InputError as error:
        # Raised anew: JAX adds lines of its own to what is raised while it traces.
        raise type(error)(*error.args, place=error.place) from None
    with compiling():
        compiled = lowered.compile()
    memory = compiled.memory_analysis()
    # Scratch and results are held for each batch on its way; the parameters once, so they do not count here.
    size = None if memory is None else memory.temp_size_in_bytes + memory.output_size_in_bytes
    # What a reader leaves undefined on purpose is no mistake of a user's.
    call = undefined_as_nan(compiled.__call__) if getattr(program, "undefined_as_nan", False) else compiled
    return Executable(call, Compiled(examples, tokens, time.perf_counter() - begin, size))


def _runs_step_by_step() -> bool:
    """Whether compilation is switched off for debugging; then nothing can be compiled ahead."""
    return bool(jax.config.jax_disable_jit)  # pyright: ignore[reportAttributeAccessIssue]


# One jitted function for each set of options, so that all models share its cache.
@cache
def _jitted(options: tuple[tuple[str, str], ...]) -> Any:
    @broadcasting
    def run(parameters: tuple[Array, ...], inputs: Inputs, *, shape: Any, program: Program) -> Arrays:
        module = jax.tree.unflatten(shape, parameters)
        # A recording of the batch takes the place of the model's own module.
        return program(module if inputs.recording is None else inputs.recording.within(module), inputs)

    return jax.jit(run, static_argnames=("shape", "program"), compiler_options=dict(options))
