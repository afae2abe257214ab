"""Arrays of any framework, read without importing it; attention of all layers as one array."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxflow._checks import InputError, shown, shown_text
from jaxflow._programs import to_device
from jaxflow._typing import AnyArray, Attentions

# Attention that the model never made, the most frequent trouble: PyTorch's fused kernels give none.
COMPUTE = 'load the model with attn_implementation="eager" and call it with output_attentions=True'
# Attention of text that was written token by token comes step by step, with the keys of all steps before.
_WHOLE_TEXT = (
    "of text that a model generated, run one forward pass over prompt and answer together, with use_cache=False and "
    "output_attentions=True"
)
_ATTENTIONS = "pass its attentions: output.attentions"
_LAYERS_FIRST = "a list or tuple holds one entry a layer; pass an array where the batch's axes come first"


def read_layers(attentions: Attentions) -> AnyArray:
    """Attention of all layers as one JAX or NumPy array, `*batch layer head query key`.

    An array is that already. A list, tuple or other sequence holds one entry a layer, whatever the entries are: arrays
    of any framework, or lists. So the same numbers mean the same in every form.

    Raises:
        InputError: where attention was not computed, came from `generate` step by step, or is no array.
    """
    # Other sequences, such as a deque, are read as lists.
    if isinstance(attentions, Sequence) and not isinstance(attentions, str | bytes | tuple):
        attentions = list(attentions)
    if attentions is None or (isinstance(attentions, list | tuple) and not attentions):
        raise InputError("attentions", "hold the attention of every layer", shown(attentions), COMPUTE)
    if not isinstance(attentions, list | tuple):
        _refuse_outputs(attentions)
        return read_array("attentions", attentions)
    # A model's whole output as a tuple: logits beside a tuple of layers.
    if any(map(_is_array, attentions)) and any(map(_are_layers, attentions)):
        raise InputError("attentions", "be an array or one a layer", "all outputs of a model", _ATTENTIONS)
    for number, layer in enumerate(attentions, 1):
        _refuse_steps_and_gaps(layer, number, len(attentions))
    layers = [read_array("attentions", layer) for layer in attentions]
    shapes = {layer.shape for layer in layers}
    if len(shapes) > 1:
        got = ", ".join(map(str, sorted(shapes)))
        # Layers that differ in the last two axes alone are the steps of a text that grew.
        grown = len({(shape[:-2], len(shape)) for shape in shapes}) == 1
        way_out = _WHOLE_TEXT if grown else "pass the layers of one model and one batch"
        raise InputError("attentions", "have the same shape in every layer", shown_text(got), way_out)
    if layers[0].ndim < 3:
        expected = "hold one array (*batch, head, query, key) a layer where it is a sequence"
        way_out = "pass every layer with every head (one head alone still needs an axis of 1)"
        raise InputError("attentions", expected, f"{layers[0].shape}", way_out)
    return _stacked(layers, axis=-4)


def read_array(name: str, value: Any) -> AnyArray:
    """A JAX or NumPy array of any framework's array, or of nested lists of numbers or arrays."""
    if isinstance(value, jax.Array | np.ndarray):
        return _with_numbers(name, value)
    # Frameworks are known by their arrays' methods, so that none is imported.
    if hasattr(value, "detach"):
        return _from_torch(name, value)
    if _is_sparse(value):
        raise _sparse(name, value)
    if isinstance(value, list | tuple) and _holds_arrays(value):
        parts = [read_array(name, part) for part in value]
        shapes = {part.shape for part in parts}
        if len(shapes) > 1:
            got = ", ".join(map(str, sorted(shapes)))
            raise InputError(name, "hold arrays of one shape", shown_text(got), "pad them to one length")
        return _stacked(parts, axis=0)
    try:
        array = np.asarray(value)
    except Exception as error:  # Whatever the value itself raises when it is asked for its numbers.
        if "inhomogeneous" not in str(error):
            reason = shown_text(" ".join(str(error).split()) or type(error).__name__)
            raise InputError(name, "be an array of numbers", f"an error when it is read ({reason})") from None
        raise InputError(name, "hold lists of equal length at every depth", "lists of unequal lengths") from None
    return _with_numbers(name, array, type(value).__name__)


def as_float(array: AnyArray) -> Array:
    """Floating point of at least single precision; double only where JAX has it switched on."""
    small = is_small_float(array.dtype) or not np.issubdtype(array.dtype, np.floating)
    if isinstance(array, np.ndarray):
        # A copy, as the caller may write to the array later.
        return to_device(np.array(array, np.float32 if small else array.dtype))
    return jnp.asarray(array, dtype=jnp.float32) if small else jnp.asarray(array)


def is_computable(array: AnyArray | np.generic) -> bool:
    """Whether an array is in a format in which graphs are computed: JAX's, and of floating ones 32 bits or more."""
    return not is_small_float(array.dtype) and (isinstance(array, jax.Array) or _format(array) == array.dtype)


def computable(array: AnyArray | np.generic) -> AnyArray | np.generic:
    """The same numbers in a format in which graphs are computed."""
    if is_small_float(array.dtype):
        return array.astype(np.float32)
    return array if isinstance(array, jax.Array) else np.asarray(array, _format(array))


def is_small_float(dtype: np.dtype) -> bool:
    """Whether a floating format has fewer than 32 bits."""
    return jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize < 4


def refuse_unreal(name: str, dtype: np.dtype) -> None:
    """Refuse formats other than real numbers: complex ones would lose their imaginary part."""
    if not (dtype.kind in "biuf" or is_small_float(dtype)):
        raise InputError(name, "hold real numbers", str(dtype))


def not_square(shape: tuple[int, ...]) -> InputError:
    """The error for attention whose queries are not its keys."""
    got = f"{shape[-2]} queries and {shape[-1]} keys"
    way_out = f"only self-attention makes a graph of layers; {_WHOLE_TEXT}"
    return InputError("attentions", "have as many queries as keys", got, way_out)


def misfitting_mask(got: tuple[int, ...], expected: tuple[int, ...], *, from_sequence: bool) -> InputError:
    """The error for a mask of another shape than attention's."""
    way_out = "pass the tokenizer's attention_mask"
    if got[:-1] == expected[:-1] and got[-1:] < expected[-1:]:
        way_out += ", and of text that a model generated a 1 more for each token that it wrote"
    way_out += f"; {_LAYERS_FIRST}" if from_sequence else ""
    return InputError("mask", f"have shape {expected}", str(got), way_out)


def _refuse_outputs(output: Any) -> None:
    """Refuse a model's output in the place of its attention; errors in its attention come first."""
    if getattr(output, "attentions", None) is not None:
        _ = read_layers(output.attentions)
        raise InputError("attentions", "be an array or one a layer", type(output).__name__, _ATTENTIONS)
    # Models with an encoder and a decoder have attention by these names.
    sides = [f"{side}_attentions" for side in ("encoder", "decoder") if hasattr(output, f"{side}_attentions")]
    if any(getattr(output, side) for side in sides):
        one_side = " or ".join(f"output.{side}" for side in sides)
        way_out = f"pass those of one side, {one_side}, or make one graph of both by jaxflow.encoder_decoder_graph"
        raise InputError("attentions", "be an array or one a layer", type(output).__name__, way_out)
    if sides or hasattr(output, "attentions"):
        raise InputError("attentions", "hold the attention of every layer", "an output without any", COMPUTE)


def _refuse_steps_and_gaps(layer: object, number: int, count: int) -> None:
    """Refuse a layer that is None, and `generate`'s tuples: one a step, each of one a layer."""
    if layer is None:
        got = f"None for layer {number} of {count}"
        raise InputError("attentions", "hold the attention of every layer", got, COMPUTE)
    if not isinstance(layer, list | tuple):
        return
    if not layer or any(part is None for part in layer):
        got = f"{shown(layer)} for entry {number} of {count}"
        raise InputError("attentions", "hold the attention of every layer", got, COMPUTE)
    if _are_layers(layer):
        got = f"a sequence of sequences of arrays, such as {tuple(np.shape(layer[0]))}"
        way_out = f"{_WHOLE_TEXT}, or put its steps together with jaxflow.stack_generated"
        raise InputError("attentions", "be one array, or one a layer", got, way_out)


def _are_layers(value: object) -> bool:
    """Whether a sequence holds the arrays of layers, which have one axis more than those of a layer's examples."""
    return isinstance(value, list | tuple) and any(len(np.shape(part)) >= 4 for part in value if _is_array(part))


def _is_array(value: object) -> bool:
    return hasattr(value, "shape") and not isinstance(value, np.generic)


def _holds_arrays(value: object) -> bool:
    """Whether nested lists hold arrays somewhere, rather than numbers alone."""
    if not isinstance(value, list | tuple):
        return _is_array(value)
    # Long lists of numbers are told by their first; those of arrays are short.
    return bool(value) and any(map(_holds_arrays, value if isinstance(value[0], list | tuple) else value[:1]))


def _stacked(parts: Sequence[AnyArray], axis: int) -> AnyArray:
    """Arrays of one shape as one, in the widest of their formats."""
    in_jax = any(isinstance(part, jax.Array) for part in parts)
    formats = {np.dtype(part.dtype) for part in parts}
    if len(formats) > 1:
        # Integers among floats, as of a one-hot layer, take the floats' format.
        floats = [each for each in formats if jnp.issubdtype(each, jnp.floating)] or list(formats)
        widest = max(floats, key=lambda each: each.itemsize)
        # bfloat16 and float16 hold no part of each other.
        alike = [each for each in floats if each.itemsize == widest.itemsize]
        widest = widest if len(alike) == 1 else np.dtype(np.float32) if widest.itemsize < 4 else np.result_type(*alike)
        parts = [part.astype(jax.dtypes.canonicalize_dtype(widest) if in_jax else widest) for part in parts]
    return (jnp.stack if in_jax else np.stack)(parts, axis=axis)


def _from_torch(name: str, tensor: Any) -> AnyArray:
    """A torch tensor, perhaps on a device, perhaps in a format that NumPy lacks."""
    if str(getattr(tensor, "layout", "torch.strided")) != "torch.strided" or getattr(tensor, "is_nested", False):
        raise _sparse(name, tensor)
    try:
        tensor = tensor.detach().cpu()
        # NumPy has no bfloat16 of its own; by way of float32 no bit is lost.
        if str(tensor.dtype) == "torch.bfloat16":
            return tensor.float().numpy().astype(jnp.bfloat16)
        return _with_numbers(name, tensor.numpy())
    except (RuntimeError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(name, "be an array of numbers", f"an error when it is read ({shown_text(reason)})") from None


def _is_sparse(value: object) -> bool:
    return hasattr(value, "todense") or hasattr(value, "to_dense")


def _sparse(name: str, value: object) -> InputError:
    got = str(getattr(value, "layout", "") or type(value).__name__)
    return InputError(name, "be dense", f"a sparse one ({got})", "turn it into a dense one first, with to_dense()")


def _with_numbers(name: str, array: AnyArray, kind: str | None = None) -> AnyArray:
    if array.dtype.kind in "OSU":
        raise InputError(name, "be an array of numbers", kind or f"an array of {array.dtype}")
    if not isinstance(array, np.ndarray):
        return array
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise InputError(name, "not be a masked array", "entries without a value", "fill them, with filled(0)")
    return np.asarray(array, _format(array))


def _format(array: np.ndarray | np.generic) -> np.dtype:
    """The nearest format that JAX has: it knows one order of bytes, and at most 64 bits."""
    native = array.dtype.newbyteorder("=")
    return np.dtype(np.float64) if native.kind == "f" and native.itemsize > 8 else native
