"""inseq's JSON, as its `FeatureAttributionOutput.save` writes it and `load` reads it."""

import base64
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxflow._checks import InputError, shown
from jaxflow._paths import local_path
from jaxflow._untyped import JsonObject, JsonValue
from jaxflow.attribution.result import Attribution, Example
from jaxflow.interop.tensors import method_rows
from jaxflow.models.given_tokens import Spelling, encoding_of, spelling_of
from jaxflow.store.output import write_text

_KIND = "__instance_type__"
_OUTPUT = ("inseq.data.attribution", "FeatureAttributionOutput")
# Of one score a token: the class whose scores are not put together again.
_SEQUENCE = ("inseq.data.attribution", "CoarseFeatureAttributionSequenceOutput")
_TOKEN = ("inseq.utils.typing", "TokenWithId")


def write_inseq(result: Attribution, path: str | PathLike[str], method: str | None = None, *, layer: int = -1) -> Path:
    """Write one method's relevance at one layer as inseq's JSON: `inseq.FeatureAttributionOutput.load(path)` reads it.

    Args:
        result: of answers (`queries="answer"`), whose prompt and answer become inseq's source and target; of an
            encoder-decoder likewise; of anything else the text is the source, and the target holds what was explained:
            the prediction, or each position that was asked for.
        path: of the file.
        method: of the result; None is its last one.
        layer: place among the result's layers.

    Returns:
        The path.

    Raises:
        InputError: the result lacks the method, or the file cannot be written.
    """
    name, rows = method_rows(result, method, layer)
    sequences = [_sequence(example, relevance) for example, relevance in zip(result, rows, strict=True)]
    info = {
        "attribution_method": name,
        "attr_pos_start": min(each["attr_pos_start"] for each in sequences),
        "attr_pos_end": max(each["attr_pos_end"] for each in sequences),
        "attribute_target": any(each["target_attributions"] is not None for each in sequences),
        "output_step_attributions": False,
        "step_scores": [],
        "model_name": result.model,
        "input_texts": [example.text for example in result],
        "generated_texts": [_generated(example) for example in result],
        "layer": result[0].layers[layer],
    }
    whole = _instance(
        _OUTPUT,
        {
            "sequence_attributions": [_instance(_SEQUENCE, each) for each in sequences],
            "step_attributions": None,
            "info": info,
        },
    )
    file = local_path("path", path)
    write_text(file, json.dumps(whole, indent=4))
    return file


def read_inseq(path: str | PathLike[str]) -> Attribution:
    """Read inseq's JSON as a result: for pages, tables, captum's records.

    The prompt's tokens come first, then the answer's; relevance has one layer, and a row for each token that inseq
    explained, as of `queries="answer"`.

    Raises:
        InputError: it is no such file, or its scores have more axes than tokens: `aggregate()` them before `save`.
    """
    try:
        whole = json.loads(Path(path).read_text("utf-8"))
        output = _attributes(whole, _OUTPUT[1])
        info = output["info"]
        name = str(info.get("attribution_method", "inseq"))
        examples = tuple(
            _example(_attributes(each, "SequenceOutput"), name) for each in output["sequence_attributions"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        way_out = "pass a file of inseq's `FeatureAttributionOutput.save`, not compressed"
        raise InputError("path", "be inseq's JSON", shown(f"{path}: {error}"), way_out) from None
    return Attribution(examples, str(info.get("model_name", "inseq")))


def _sequence(example: Example, rows: Float[np.ndarray, "query token"]) -> JsonObject:
    """One example as inseq's sequence: rows are turned, as inseq has a column for each token that is explained."""
    columns = np.array(rows, np.float32).T
    source, target = list(example.tokens), list(example.tokens)
    of_source: np.ndarray | None = columns
    of_target: np.ndarray | None = None
    if example.first_target is not None:
        source, target = list(example.sources), list(example.targets)
        of_source, of_target = columns[: len(source)], columns[len(source) :]
    elif example.answer is not None:
        # A decoder reads its prompt as a part of the target.
        source, of_source, of_target = list(example.prompt_tokens or ()), None, columns
    if of_target is None or example.answer is None:
        of_target, start = None, 0
        target = [example.tokens[int(place)] for place in example.queries]
        if len(target) == 1 and example.prediction is not None:
            target = [example.prediction]
        end = len(target)
    else:
        start = int(example.answer[0]) - (example.first_target or 0)
        end = start + columns.shape[1]
        # A token that was not yet written has no number.
        later = np.arange(len(target))[:, None] >= np.arange(start, end)
        of_target = np.where(later, np.float32(np.nan), of_target)
    return {
        "source": [_token(each) for each in source],
        "target": [_token(each) for each in target],
        "source_attributions": None if of_source is None else _packed(of_source),
        "target_attributions": None if of_target is None else _packed(of_target),
        "step_scores": {},
        "sequence_scores": {},
        "attr_pos_start": start,
        "attr_pos_end": end,
    }


def _example(sequence: Mapping[str, JsonValue], method: str) -> Example:
    source, target = (
        [_attributes(each, _TOKEN[1])["token"] for each in sequence[side]] for side in ("source", "target")
    )
    parts = {side: sequence.get(f"{side}_attributions") for side in ("source", "target")}
    arrays = {side: _unpacked(packed) for side, packed in parts.items() if packed is not None}
    if not arrays or any(each.ndim != 2 for each in arrays.values()):
        axes = {side: each.shape for side, each in arrays.items()}
        raise InputError("path", "hold one score a token", shown(axes), "call `aggregate()` on it before `save`")
    start, end = int(sequence["attr_pos_start"]), int(sequence["attr_pos_end"])
    both = "source" in arrays
    if both:
        # Without numbers of the target's own tokens these have none.
        below = arrays.get("target", np.zeros((len(target), end - start), np.float32))
        columns, tokens, first = np.concatenate([arrays["source"], below]), [*source, *target], len(source)
    else:
        columns, tokens, first = arrays["target"], target, 0
    # Source and target may have tokenizers of their own; a prompt and its answer have one.
    spellings: list[Spelling] = [spelling_of([each]) for each in ((source, target) if both else (target, target))]
    parts = (tokens[: first or start], tokens[first or start :])
    (text, coded), (pair, answer) = (encoding_of(p, None, 0, s) for p, s in zip(parts, spellings, strict=True))
    answered = first + np.arange(start, end)
    return Example(
        text=text,
        pair=pair,
        tokens=tuple(tokens),
        offsets=coded.offsets + answer.offsets,
        source=coded.source + tuple(-1 if each else 1 for each in answer.special),
        # The position before a token predicted it.
        queries=np.maximum(answered - 1, 0),
        layers=(1,),
        relevance={method: np.nan_to_num(columns.T)[None].astype(np.float32)},
        certified=None,
        prediction=None,
        scores={},
        answer=answered,
        first_target=first if both else None,
    )


def _generated(example: Example) -> str:
    """The generated text; in inseq a decoder's holds the prompt."""
    if example.answer is None:
        return example.prediction or ""
    return (example.pair or "") if example.first_target is not None else example.text + (example.pair or "")


def _instance(kind: tuple[str, str], attributes: Mapping[str, JsonValue]) -> JsonObject:
    return {_KIND: list(kind), "attributes": dict(attributes)}


def _attributes(value: JsonValue, kind: str) -> Mapping[str, JsonValue]:
    if not str(value[_KIND][1]).endswith(kind):
        raise ValueError(f"a {value[_KIND][1]} where a {kind} stands")
    return value["attributes"]


def _token(token: str) -> JsonObject:
    # Results keep no ids.
    return _instance(_TOKEN, {"token": token, "id": -1})


def _packed(array: np.ndarray) -> str:
    from safetensors.numpy import save

    return base64.b64encode(save({"attribution": np.ascontiguousarray(array)})).decode("ascii")


def _unpacked(packed: str) -> np.ndarray:
    from safetensors.numpy import load

    return load(base64.b64decode(packed))["attribution"].astype(np.float32)
