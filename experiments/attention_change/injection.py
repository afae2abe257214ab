"""The head of the prompt-injection model, which is of no standard form: does what it says rest on the marked words?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float

from experiments.attention_change.blanks import blanked, run
from experiments.attention_change.marks import lift
from experiments.attention_change.statistics import cells, paired, rank_correlation
from experiments.attention_change.texts import Marked
from jaxflow import InputError
from jaxflow._checks import missing_extra, shown
from jaxflow.models import Encoding, TextEncoder
from jaxflow.running import LayerView, PassOutputs, ReaderInputs

NAMES = ("classifier.0.weight", "classifier.0.bias", "classifier.3.weight", "classifier.3.bias")


def read_head(path: Path) -> dict[str, np.ndarray]:
    """The head's matrices from the model's ONNX file.

    Raises:
        InputError: it cannot be read, or has another head.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise missing_extra("onnx", "convert", "reading the head's weights") from None
    if not path.is_file():
        got = f"{shown(str(path))}, which does not exist"
        raise InputError("head", "name the package's mini_semantic.onnx", got)
    tensors = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer if tensor.name in NAMES}
    if set(tensors) != set(NAMES):
        expected, got = f"hold {', '.join(NAMES)}", f"none of {', '.join(sorted(set(NAMES) - set(tensors)))}"
        raise InputError(None, expected, got, place=str(path))
    return {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}


@dataclass(frozen=True)
class MeanState:
    """The reader of the mean of the last layer's states over real tokens, `row width`."""

    needs_logits: bool = False

    def start(self, inputs: ReaderInputs) -> None:
        """It watches no layer."""

    def step(self, inputs: ReaderInputs, carry: None, layer: LayerView) -> None:
        """It watches no layer."""

    def finish(self, inputs: ReaderInputs, carry: None, outputs: PassOutputs) -> Float[Array, "row width"]:
        """The mean."""
        real = inputs.mask[..., None]
        total = jnp.sum(jnp.where(real, outputs.hidden, jnp.zeros_like(outputs.hidden)), axis=-2)
        return total / jnp.sum(real, axis=-2).astype(total.dtype)


def injection_chance(
    model: TextEncoder, head: dict[str, np.ndarray], encodings: Sequence[Encoding]
) -> Float[np.ndarray, " text"]:
    """The probability of an injection: mean of the states of all tokens, a layer of rectified units, two classes."""
    inner = np.maximum(run(model, encodings, MeanState()) @ head[NAMES[0]].T + head[NAMES[1]], 0)
    logits = (inner @ head[NAMES[2]].T + head[NAMES[3]]).astype(np.float64)
    return scipy.special.softmax(logits, axis=-1)[:, 1]


def injection_record(
    model: TextEncoder, head: dict[str, np.ndarray], texts: Sequence[Marked], after: Sequence[np.ndarray], rows: Any
) -> dict[str, Any]:
    """How well it tells the prompts apart, what blanking takes off, and whether relevance ranks words likewise."""
    encodings = model.tokenize([text.text for text in texts])
    chances = injection_chance(model, head, encodings)
    bad = np.array([text.group == "injection" for text in texts])
    copies = [blanked(model, encoding, text.spans) for text, encoding in zip(texts, encodings, strict=True)]
    every = injection_chance(model, head, [copy for each in copies for copy in each])
    parts = np.split(every, np.cumsum([len(each) for each in copies])[:-1])
    falls = [part[0] - part[1:] for part in parts]
    chosen = np.flatnonzero(bad).tolist()
    marks = [np.array(texts[place].labels) for place in chosen]
    means = np.array(
        [[falls[place][own].mean(), falls[place][~own].mean()] for place, own in zip(chosen, marks, strict=True)]
    )
    agree = {
        f"{method} {layer}": cells(
            np.array(
                [[rank_correlation(after[place][row], np.abs(falls[place]), 1)["rho"]] for place in range(len(texts))]
            ),
            against=0.0,
        )[0].record()
        for row, (method, layer) in enumerate(rows)
    }
    return {
        "accuracy": float(((chances >= 0.5) == bad).mean()),
        "injections_found": float((chances[bad] >= 0.5).mean()),
        "benign_flagged": float((chances[~bad] >= 0.5).mean()),
        "flagged": [texts[place].text for place in np.flatnonzero(~bad & (chances >= 0.5)).tolist()],
        "missed": [texts[place].text for place in np.flatnonzero(bad & (chances < 0.5)).tolist()],
        "fall_when_marked_word_is_blanked": cells(means[:, :1])[0].record(),
        "fall_when_other_word_is_blanked": cells(means[:, 1:])[0].record(),
        "difference": paired(means[:, 1:], means[:, :1])[0].record(),
        "lift_of_marked_words_in_blank_out": cells(
            np.stack([lift(np.abs(falls[place])[None], own) for place, own in zip(chosen, marks, strict=True)]),
            against=1.0,
        )[0].record(),
        "rank_agreement_with_blank_out": agree,
    }
