"""Attention of a text that a model generated, step by step, as attention of the whole text."""

from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from jaxflow._checks import InputError, arguments_named, shown
from jaxflow._typing import AnyArray, Attentions
from jaxflow.graph.arrays import COMPUTE, read_array, read_layers
from jaxflow.graph.encoder_decoder import SIDES, is_encoder_decoder, sides_of

_WAY_OUT = (
    "run one forward pass over prompt and answer together, with use_cache=False and output_attentions=True, and pass "
    "its attentions"
)


Whole: TypeAlias = Float[np.ndarray, "batch layer head token token"]


def stack_generated(attentions: Attentions) -> Whole | dict[str, AnyArray]:
    """Put together the attention that `generate` gives step by step: each step holds the rows of its new tokens.

        outputs = model.generate(**inputs, output_attentions=True, return_dict_in_generate=True)
        attentions = jf.stack_generated(outputs)
        tokens = tokenizer.convert_ids_to_tokens(outputs.sequences[0, :-1])  # the last one was never read

    Args:
        attentions: what `generate` returned, or its `attentions`: a tuple of one entry a step, each a tuple of one
            `batch head query key` a layer. Pass the whole where there may be beams: rows of a beam search change places
            between steps, which its attention alone does not show.

    Returns:
        Attention of prompt and answer without the last token, 0 on what comes later. Of an encoder-decoder a mapping
        of its three attentions, for `attribute_attention(..., target_tokens=...)`, where `outputs.sequences[0, :-1]`
        are the targets. Cost: one copy, layer * head * token^2 numbers, most of them the prompt's or 0.

    Raises:
        InputError: attention was not computed; rows changed places, as in a beam search; a step's keys are not all
            tokens up to it, as with a cache of fixed size or windows.
    """
    if getattr(attentions, "beam_indices", None) is not None:
        raise InputError("attentions", "be of one sequence a row", "a beam search", f"pass num_beams=1, or {_WAY_OUT}")
    if is_encoder_decoder(attentions):
        sides = sides_of(attentions)
        encoder, decoder, cross = SIDES
        made: dict[str, AnyArray] = {}
        for side, causal in ((encoder, None), (decoder, True), (cross, False)):
            with arguments_named(attentions=side):
                # The encoder runs once, over all sources.
                made[side] = read_layers(sides[side]) if causal is None else _stacked(sides[side], causal=causal)
        return made
    return _stacked(getattr(attentions, "attentions", attentions), causal=True)


def _is_missing(step: object) -> bool:
    """Whether a step, or a layer of it, holds no attention, as of kernels that give none."""
    return step is None or (isinstance(step, list | tuple) and (not step or any(layer is None for layer in step)))


def _stacked(attentions: Any, *, causal: bool) -> Float[np.ndarray, "batch layer head query key"]:
    """Steps put together; those of cross-attention, which is not causal, have all keys at once."""
    steps = list(attentions) if isinstance(attentions, list | tuple) else []
    missing = next((number for number, step in enumerate(steps, 1) if _is_missing(step)), None)
    if missing is not None or _is_missing(attentions):
        got = (
            shown(attentions) if missing is None else f"{shown(steps[missing - 1])} for step {missing} of {len(steps)}"
        )
        raise InputError("attentions", "hold the attention of every step", got, COMPUTE)
    if not steps or not all(isinstance(step, list | tuple) and step for step in steps):
        expected = "hold one tuple a step, each of one array a layer, as `generate` returns them"
        raise InputError("attentions", expected, shown(type(attentions).__name__), _WAY_OUT)
    # step layer, each batch head query key
    arrays = [[read_array("attentions", layer) for layer in step] for step in steps]
    batch, heads = arrays[0][0].shape[:2]
    read = 0
    for number, step in enumerate(arrays, 1):
        shapes = {array.shape for array in step}
        queries = step[0].shape[-2]
        read += queries
        keys = read if causal else arrays[0][0].shape[-1]
        if len(step) != len(arrays[0]) or shapes != {(batch, heads, queries, keys)}:
            expected = f"have shape {(batch, heads, queries, keys)} in every layer at step {number}"
            raise InputError("attentions", expected, ", ".join(map(str, sorted(shapes))), _WAY_OUT)
    whole = np.zeros((batch, len(arrays[0]), heads, read, read if causal else arrays[0][0].shape[-1]), np.float32)
    end = 0
    for step in arrays:
        queries, keys = step[0].shape[-2:]
        end += queries
        for layer, array in enumerate(step):
            whole[:, layer, :, end - queries : end, :keys] = np.asarray(array, np.float32)
    return whole
