"""The types of public functions: named for readers, and never in the way of the functions' own checks."""

import importlib
import inspect
from typing import Any

import jax.numpy as jnp
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

import jaxflow
from jaxflow._programs import bucket
from jaxflow.flow.device.minsum import min_sum_up

PACKAGES = ["jaxflow", "jaxflow.mixing", "jaxflow.references", "jaxflow.evaluation", "jaxflow.compare"]


def signatures(package):
    """Functions of a package, and its classes as they are made; protocols are not."""
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isfunction(value) or (inspect.isclass(value) and not getattr(value, "_is_protocol", False)):
            yield name, inspect.signature(value)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_argument_of_a_public_function_is_just_anything(package):
    untyped, looked_at = [], 0
    for name, signature in signatures(package):
        for argument in signature.parameters.values():
            looked_at += 1
            # Options by name belong to the function that they are handed on to.
            if argument.kind is not argument.VAR_KEYWORD and argument.annotation in (Any, argument.empty):
                untyped.append(f"{name}({argument.name})")
    assert looked_at > 3
    assert untyped == []


def test_what_a_caller_hands_in_reaches_the_functions_own_check():
    # Every module runs with its annotations checked here, and `Given` is checked by the function alone.
    with pytest.raises(jaxflow.InputError, match=r"`graph` must be an AttentionGraph, got int"):
        jaxflow.raw_attention(3)
    with pytest.raises(jaxflow.InputError, match=r"`tol` must be a number, 0 or more, got 'small'"):
        jaxflow.Question(tol="small")


def test_types_and_shapes_are_checked_inside_the_package():
    # Without a comparison of shapes a middle of one would be repeated.
    with pytest.raises(TypeCheckError, match="right"):
        min_sum_up(jnp.ones((2, 1)), jnp.ones((4, 3)))
    with pytest.raises(BeartypeCallHintViolation, match="size"):
        bucket(8.0)
