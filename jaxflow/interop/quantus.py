"""Quantus's `explain_func`: our methods in its metrics."""

from typing import Any

import numpy as np

from jaxflow._checks import InputError, missing_extra
from jaxflow._typing import Given, Integers
from jaxflow._untyped import Processor
from jaxflow.attribution.methods import Method
from jaxflow.interop.captum import METHOD
from jaxflow.interop.tensors import read_inputs, read_targets, relevance_of


class QuantusExplanation:
    """An `explain_func` for Quantus's metrics.

        explain = jaxflow.interop.QuantusExplanation(image_processor, "flow@attention-gradient")
        quantus.PixelFlipping(features_in_step=64)(model, x_batch, y_batch, explain_func=explain)

    Quantus calls a model with one array: wrap a model of transformers in a module whose `forward` gives its logits. The
    model of transformers inside that module is the one that is explained, also where Quantus passes copies of it with
    other weights. Arrays are pixels as the image processor gives them, or ids of tokens `text token`.
    """

    def __init__(
        self,
        processor: Processor,
        method: Given[str | Method] = METHOD,
        *,
        layer: int | None = None,
        queries: str | Integers | None = None,
    ) -> None:
        """A method at one layer.

        Args:
            processor: the model's tokenizer or image processor.
            method: one method, by name or value.
            layer: counted from 1; None is the last.
            queries: the position to explain; None is the one that is asked about by default.
        """
        self.processor, self.method, self.layer, self.queries = processor, method, layer, queries
        # The last model, with its programs: a metric passes the same one batch after batch.
        self._taken: Any = None

    def __call__(self, model: Any, inputs: Any, targets: Any = None, **kwargs: Any) -> np.ndarray:
        """Relevance of each token `text token`, or of each pixel `image 1 height width`.

        Args:
            model: a module that is, or holds, a model of transformers.
            inputs: pixels or ids.
            targets: a class for each; methods that explain no number pass over them.
            kwargs: of Quantus, such as `device`; nothing is read of them.

        Raises:
            InputError: it holds no such model, or the inputs are not what the model reads.
        """
        inner = _inside(model)
        if self._taken is None or self._taken.model is not inner:
            from jaxflow.models.torch.model import TorchModel

            self._taken = TorchModel(inner, self.processor)
        read = read_inputs(self._taken, inputs)
        return relevance_of(
            self._taken, read, read_targets(targets, read.shape[0]), self.method, self.layer, self.queries
        )


def _inside(model: Any) -> Any:
    """The model of transformers that a module is or holds, the outermost one."""
    try:
        from transformers import PreTrainedModel
    except ImportError:
        raise missing_extra("transformers", "text", "models of transformers") from None
    modules = model.modules() if hasattr(model, "modules") else ()
    inner = next((each for each in modules if isinstance(each, PreTrainedModel)), None)
    if inner is None:
        raise InputError("model", "be, or hold, a PyTorch model of transformers", type(model).__name__)
    return inner
