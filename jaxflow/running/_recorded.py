"""Batches of models that JAX does not run: each goes along as a recording, in the place of the model's module."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from jaxflow._checks import InputError
from jaxflow.models import Model, RecordsBatches
from jaxflow.models.recording import Number
from jaxflow.running._forward import Forward
from jaxflow.running._program import Call, Inputs, JoinedPrograms, Program
from jaxflow.running._reader import GradientReader, Mixed, Reader, ReaderInputs


def with_recording(model: Model, call: Call) -> Call:
    """The call with what a model that JAX does not run did with its batch; any other model's call as it is.

    Raises:
        InputError: the program is no plain forward pass, so that one recording of the batch does not do.
    """
    if not isinstance(model, RecordsBatches):
        return call
    numbers: list[Number] = []
    needs: set[str] = set()
    for program, inputs in _parts(call.program, call.inputs):
        # A program may say that it reads the batch alone, as those of random or position do.
        if not getattr(program, "runs_model", True):
            continue
        if not isinstance(program, Forward):
            got = f"{model.name}, whose batches are recorded"
            way_out = "load it with `jaxflow.load_model`, if it is of a family that runs in JAX"
            raise InputError("model", f"run in JAX for {type(program).__name__}", got, way_out)
        numbers += _numbers(program, inputs, model)
        needs = needs.union(*(mixing.needs for mixing in program.mixings))
        needs |= {"logits"} if numbers or any(reader.needs_logits for reader in _readers(program)) else set()
    recording = model.record(call.inputs.batch, numbers, frozenset(needs))
    return replace(call, inputs=replace(call.inputs, recording=recording))


def recorded_numbers(model: Model) -> int:
    """Numbers that a recording holds for each pair of tokens of a text."""
    return model.layers * model.heads if isinstance(model, RecordsBatches) else 0


def _parts(program: Program, inputs: Inputs) -> Iterator[tuple[Program, Inputs]]:
    """The single programs of a batch, each with its inputs."""
    if not isinstance(program, JoinedPrograms):
        yield program, inputs
        return
    for each, examples in zip(program.programs, inputs.examples, strict=True):
        yield from _parts(each, replace(inputs, examples=examples))


def _numbers(program: Forward, inputs: Inputs, model: Model) -> list[Number]:
    """What the program differentiates in attention: the target, and each gradient reader's number."""
    numbers: list[Number] = []
    if program.needs_gradients:
        assert program.target is not None
        numbers.append(partial(program.target.value, given=inputs.examples[-1]))
    for reader, examples in zip(_readers(program), inputs.examples, strict=False):
        if isinstance(reader, GradientReader):
            known = ReaderInputs(mask=inputs.batch.mask, depth=model.layers, heads=model.heads, examples=examples)
            numbers.append(partial(reader.explained, known))
    return numbers


def _readers(program: Forward) -> list[Reader]:
    """The readers without mixings of their own."""
    return [each.reader if isinstance(each, Mixed) else each for each in program.readers]
