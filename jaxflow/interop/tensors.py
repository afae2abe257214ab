"""Tensors that other tools hand over, ids of tokens or pixels, through `attribute`, and relevance of their shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxflow._checks import InputError, shown
from jaxflow._typing import ArrayLike, Given, Integers
from jaxflow._untyped import Tokenizer
from jaxflow.attribution.defaults import default_question
from jaxflow.attribution.items import EncodedText
from jaxflow.attribution.methods import Method
from jaxflow.attribution.question import Question
from jaxflow.attribution.result import Attribution, Example
from jaxflow.attribution.run import attribute_shards
from jaxflow.graph.arrays import read_array
from jaxflow.models import Encoding, Model, as_model
from jaxflow.models.given_tokens import Spelling, encoding_of, spelling_of
from jaxflow.models.images import images_of

IDS = "be ids of tokens (text, token), or pixels (image, channel, height, width) of a vision model"


@dataclass(frozen=True)
class Inputs:
    """Examples as the library's engine takes them.

    Attributes:
        texts: one an example.
        shape: of the tensor that was given.
        places: of each example the columns of its real tokens; None for images.
    """

    texts: tuple[EncodedText, ...]
    shape: tuple[int, ...]
    places: tuple[np.ndarray, ...] | None


def relevance_of(
    model: Model,
    inputs: Inputs,
    targets: Sequence[Any],
    method: Given[str | Method],
    layer: int | None,
    queries: str | Integers | None,
) -> Float[np.ndarray, "example ..."]:
    """Relevance of each number of the input: `example token`, or of images `example 1 height width`.

    Padding has 0, and so has what is no patch of an image; a pixel has its patch's. Texts of one target run together.

    Args:
        model: the model.
        inputs: the examples.
        targets: of each example; None for what the model predicts. Methods that explain no number pass over them.
        method: one, by name or value.
        layer: counted from 1; None is the last.
        queries: one position, as a question takes it; None for the one that the model's default question asks about.
    """
    asked = default_question(model)
    asked = replace(
        asked,
        methods=method,
        layers=model.layers if layer is None else layer,
        queries=asked.queries if queries is None else queries,
    )
    if len(asked.methods) != 1:
        raise InputError("method", "be one method", shown(method))
    rows = np.zeros(inputs.shape if inputs.places is not None else (inputs.shape[0], 1, *inputs.shape[2:]), np.float32)
    # Targets may be tensors of one number each.
    named = [None if not asked.explains else _plain(target) for target in targets]
    for target in dict.fromkeys(named):
        places = [index for index, each in enumerate(named) if each == target]
        examples = _examples(model, [inputs.texts[index] for index in places], replace(asked, target=target))
        for index, example in zip(places, examples, strict=True):
            rows[index] = _row(example, asked, inputs, index)
    return rows


def method_rows(
    result: Attribution, method: str | None, layer: int
) -> tuple[str, list[Float[np.ndarray, "query token"]]]:
    """A method's name and its relevance in each example, at one of the result's layers by its place.

    Raises:
        InputError: the result has no method of the name; None stands for its last one.
    """
    known = list(result.relevance)
    name = known[-1] if method is None and known else method
    if name not in known:
        raise InputError("method", f"be one of {', '.join(map(repr, known))}", repr(method))
    return name, [example.relevance[name][layer] for example in result]


def read_inputs(
    model: Any, inputs: Any, attention_mask: ArrayLike | None = None, token_type_ids: ArrayLike | None = None
) -> Inputs:
    """Take in a batch as tensors, or as the mapping that a tokenizer gives.

    Raises:
        InputError: they are not what the model reads.
    """
    model = as_model("model", model)
    if isinstance(inputs, Mapping):
        attention_mask = inputs.get("attention_mask", attention_mask)
        token_type_ids = inputs.get("token_type_ids", token_type_ids)
        inputs = inputs["input_ids"] if "input_ids" in inputs else inputs.get("pixel_values")
    array = np.asarray(read_array("inputs", inputs))
    reader = images_of(model)
    if array.ndim == 4 and reader is not None:
        coded = [reader.encoded(f"image {n}", np.asarray(each, np.float32)) for n, each in enumerate(array)]
        return Inputs(tuple(EncodedText(each.name, None, each, each.name) for each in coded), array.shape, None)
    # Quantus makes every array real.
    if array.ndim != 2 or reader is not None or not np.equal(array, np.round(array)).all():
        raise InputError("inputs", IDS, f"shape {array.shape} of {array.dtype} for {model.name}")
    ids = array.astype(np.int64)
    tokenizer: Tokenizer = getattr(model, "tokenizer", None)
    real = _real("attention_mask", attention_mask, ids, getattr(tokenizer, "pad_token_id", None))
    kinds = np.zeros_like(ids) if token_type_ids is None else np.asarray(read_array("token_type_ids", token_type_ids))
    if kinds.shape != ids.shape:
        raise InputError("token_type_ids", f"have the shape of the ids, {ids.shape}", str(kinds.shape))
    places = tuple(map(np.flatnonzero, real))
    named = [tokenizer.convert_ids_to_tokens(ids[row, columns].tolist()) for row, columns in enumerate(places)]
    spelling = spelling_of(named)
    texts = tuple(
        _text(tokenizer, ids[row, columns], kinds[row, columns], row, spelling) for row, columns in enumerate(places)
    )
    return Inputs(texts, ids.shape, places)


def read_targets(target: Any, count: int) -> list[Any]:
    """A target for each example: one for all, or as many as there are.

    Raises:
        InputError: there are more or fewer.
    """
    if target is None or isinstance(target, str) or np.ndim(target) == 0:
        return [target] * count
    listed = list(getattr(target, "tolist", lambda: target)())
    if len(listed) != count or not all(isinstance(each, int | float | str) for each in listed):
        raise InputError("target", f"be one class, or one for each of {count} examples", shown(target))
    return listed


def _real(name: str, mask: ArrayLike | None, ids: np.ndarray, padding: int | None) -> np.ndarray:
    if mask is None:
        # Padding is what the tokenizer puts behind a text.
        behind = np.cumprod((ids == padding)[:, ::-1], axis=1)[:, ::-1]
        real = behind == 0
    else:
        real = np.asarray(read_array(name, mask)).astype(bool)
    if real.shape != ids.shape or not real.any(axis=1).all():
        raise InputError(name, f"have the shape of the ids, {ids.shape}, and a token of each text", str(real.shape))
    return real


def _text(tokenizer: Tokenizer, ids: np.ndarray, kinds: np.ndarray, row: int, spelling: Spelling) -> EncodedText:
    """Ids as a text: its tokens have the tokenizer's names."""
    numbers = [int(each) for each in ids]
    tokens = [str(each) for each in tokenizer.convert_ids_to_tokens(numbers)]
    text, named = encoding_of(tokens, None, row, spelling)
    special = tuple(each in tokenizer.all_special_ids for each in numbers)
    segments = tuple(int(each) for each in kinds)
    coded: Encoding = replace(
        named,
        input_ids=tuple(numbers),
        segments=segments,
        special=special,
        source=tuple(-1 if each else 0 for each in special),
    )
    return EncodedText(text, None, coded, f"text {row}")


def _examples(model: Model, texts: Sequence[EncodedText], question: Question) -> Sequence[Example]:
    (result,) = attribute_shards(model, [texts], question)
    return result.examples


def _row(example: Example, asked: Question, inputs: Inputs, index: int) -> np.ndarray:
    if len(example.queries) != 1:
        raise InputError("queries", "be one position of each example", f"{len(example.queries)} positions")
    (method,) = example.relevance
    values = np.asarray(example.relevance[method][0, 0], np.float32)
    if inputs.places is not None:
        row = np.zeros(inputs.shape[1], np.float32)
        row[inputs.places[index]] = values
        return row
    assert example.picture is not None
    rows, columns = example.picture.grid
    height, width = inputs.shape[2:]
    patches = values[np.asarray(example.source) == 0].reshape(rows, columns)
    # What the patches leave at the right and at the bottom belongs to none.
    grid = np.zeros((1, height, width), np.float32)
    block = np.kron(patches, np.ones((height // rows, width // columns), np.float32))
    grid[0, : block.shape[0], : block.shape[1]] = block
    return grid


def _plain(target: Any) -> Any:
    """A class by name or number."""
    if target is None or isinstance(target, str):
        return target
    return int(getattr(target, "item", lambda: target)())
