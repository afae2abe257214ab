"""captum's shapes: an attribution with `.attribute(inputs, target=...)`, and records for its table of texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxflow._checks import InputError
from jaxflow._typing import ArrayLike, Given, Integers
from jaxflow.attribution.methods import Method
from jaxflow.attribution.result import Attribution
from jaxflow.interop.tensors import method_rows, read_inputs, read_targets, relevance_of
from jaxflow.models import Model, as_model

METHOD = "flow@attention-gradient"


class CaptumAttribution:
    """A method of ours with the face of captum's: `.attribute(inputs, target=...)` gives a tensor of the inputs' shape.

        explainer = jaxflow.interop.CaptumAttribution(jf.TorchModel(model, tokenizer), "rollout")
        attributions = explainer.attribute(**tokenizer(texts, padding=True, return_tensors="pt"), target=1)

    What captum's layer methods give per number of an embedding, and its users sum over the last axis, is one number a
    token here; methods that read attention know of no more.
    """

    def __init__(
        self,
        model: Model,
        method: Given[str | Method] = METHOD,
        *,
        layer: int | None = None,
        queries: str | Integers | None = None,
    ) -> None:
        """A method at one layer.

        Args:
            model: a `TorchModel`, or what `load_model` gives.
            method: one method, by name or value.
            layer: counted from 1; None is the last.
            queries: the position to explain, as a question takes it; None is the one that is asked about by default.
        """
        self.model = as_model("model", model)
        self.method, self.layer, self.queries = method, layer, queries

    def attribute(
        self,
        inputs: ArrayLike | None = None,
        target: Any = None,
        *,
        input_ids: ArrayLike | None = None,
        pixel_values: ArrayLike | None = None,
        attention_mask: ArrayLike | None = None,
        token_type_ids: ArrayLike | None = None,
    ) -> Any:
        """Relevance of each token, or each pixel.

        Args:
            inputs: ids `text token`, pixels `image channel height width` as the image processor gives them, or the
                mapping that either gives. A pixel has its patch's relevance, in all channels.
            target: a class of each example, or one for all; None is the predicted one. Methods that explain no number,
                such as rollout, give the same for all classes.
            input_ids: instead of `inputs`.
            pixel_values: instead of `inputs`.
            attention_mask: true on real tokens; None takes the tokenizer's padding at a text's end for padding.
            token_type_ids: segments.

        Returns:
            float32 of the inputs' shape, 0 on padding: a tensor where the inputs are one, else an array.
        """
        given = next((each for each in (inputs, input_ids, pixel_values) if each is not None), None)
        read = read_inputs(self.model, given, attention_mask, token_type_ids)
        targets = read_targets(target, read.shape[0])
        relevance = relevance_of(self.model, read, targets, self.method, self.layer, self.queries)
        return _like(given, np.broadcast_to(relevance, read.shape))


def captum_records(
    result: Attribution, method: str | None = None, *, layer: int = -1, labels: Given[Sequence[object] | None] = None
) -> list[Any]:
    """Records for `captum.attr.visualization.visualize_text`, one a text.

    Args:
        result: from `attribute` or `attribute_attention`.
        method: of the result; None is its last one.
        layer: place among the result's layers.
        labels: what each text should be taken for; None shows nothing.

    Returns:
        captum's `VisualizationDataRecord`, whose `word_attributions` are the relevance of the first position that was
        asked for, over the largest of the text's own tokens, so that captum's colours, made for -1 to 1, say something.

    Raises:
        InputError: captum is not installed, or the result lacks the method.
    """
    try:
        import torch
        from captum.attr import visualization
    except ImportError:
        way_out = "pip install captum"
        raise InputError("captum", "be installed for its records", None, way_out) from None
    name, rows = method_rows(result, method, layer)
    truths = [""] * len(result) if labels is None else list(labels)
    if len(truths) != len(result):
        raise InputError("labels", f"be one for each of {len(result)} texts", str(len(truths)))
    records = []
    for example, relevance, truth in zip(result, rows, truths, strict=True):
        row = np.asarray(relevance[0], np.float32)
        # Special tokens and the position itself often hold most, and are cut at 1.
        own = [place for place, part in enumerate(example.source) if part >= 0 and place != example.queries[0]]
        scale = float(np.abs(row[own]).max(initial=0)) or 1.0
        records.append(
            visualization.VisualizationDataRecord(
                word_attributions=torch.from_numpy(np.clip(row / scale, -1, 1)),
                pred_prob=example.scores.get(example.prediction or "", float("nan")),
                pred_class=example.prediction,  # pyright: ignore[reportArgumentType]
                true_class=truth,  # pyright: ignore[reportArgumentType]
                attr_class=name,  # pyright: ignore[reportArgumentType]
                attr_score=float(row.sum()),
                raw_input_ids=list(example.tokens),
                convergence_score=float("nan"),
            )
        )
    return records


def _like(given: Any, array: np.ndarray) -> Any:
    """An array as the tensors of the inputs are."""
    inner = next(iter(given.values())) if isinstance(given, Mapping) else given
    if type(inner).__module__.partition(".")[0] != "torch":
        return np.array(array)
    import torch

    return torch.tensor(array, device=inner.device)
