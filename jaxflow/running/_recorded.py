"""Batches of models that JAX does not run: each goes along as a recording, in the place of the model's module."""

from dataclasses import replace
from functools import partial

from jaxflow._checks import InputError
from jaxflow.models import Model, RecordsBatches
from jaxflow.models.recording import Number
from jaxflow.running._forward import Forward
from jaxflow.running._program import Call, Inputs
from jaxflow.running._reader import GradientReader, ReaderInputs


def with_recording(model: Model, call: Call) -> Call:
    """The call with what a model that JAX does not run did with its batch; any other model's call as it is.

    Raises:
        InputError: the program is no plain forward pass, so that one recording of the batch does not do.
    """
    if not isinstance(model, RecordsBatches):
        return call
    if not isinstance(call.program, Forward):
        got = f"{model.name}, whose batches are recorded"
        way_out = "load it with `jaxflow.load_model`, if it is of a family that runs in JAX"
        raise InputError("model", f"run in JAX for {type(call.program).__name__}", got, way_out)
    recording = model.record(call.inputs.batch, _numbers(call.program, call.inputs, model))
    return replace(call, inputs=replace(call.inputs, recording=recording))


def recorded_numbers(model: Model) -> int:
    """Numbers that a recording holds for each pair of tokens of a text."""
    return model.layers * model.heads if isinstance(model, RecordsBatches) else 0


def _numbers(program: Forward, inputs: Inputs, model: Model) -> list[Number]:
    """What the program differentiates in attention: the target, and each gradient reader's number."""
    numbers: list[Number] = []
    if program.target is not None:
        numbers.append(partial(program.target.value, given=inputs.examples[-1]))
    for reader, examples in zip(program.readers, inputs.examples, strict=False):
        if isinstance(reader, GradientReader):
            known = ReaderInputs(mask=inputs.batch.mask, depth=model.layers, heads=model.heads, examples=examples)
            numbers.append(partial(reader.explained, known))
    return numbers
