"""An encoder-decoder in the explorer: its sources and targets as one sequence."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxflow._checks import InputError
from jaxflow.attribution.explaining import check_model
from jaxflow.attribution.question import Question
from jaxflow.models import Encoding, Model, RecordsBatches
from jaxflow.models.in_hand import AttentionInHand
from jaxflow.models.two_streams import encoder_layers_of
from jaxflow.pages.head_view import as_one_sequence
from jaxflow.running import Forward, Inputs
from jaxflow.running.readers import KeptHeads, Logits


def in_one_sequence(
    models: Sequence[Model], question: Question, texts: Sequence[str], pairs: Sequence[str] | None, **lengths: Any
) -> AttentionInHand:
    """The attention of an encoder-decoder over texts and their targets, as one sequence's.

    Args:
        models: the encoder-decoder, alone.
        question: what is asked about the texts.
        texts: the sources.
        pairs: the targets; None where the model writes them itself.
        lengths: as `Model.tokenize` takes them.

    Raises:
        InputError: a text cannot be read, there are two models, or the question needs more than attention.
    """
    if len(models) > 1:
        got = " and ".join(each.name for each in models)
        raise InputError("other", "be left out beside an encoder-decoder", got, "explore each model alone")
    (model,) = models
    encodings = model.tokenize(texts, pairs, **lengths)
    # One program: all are padded to the longest.
    longest, attentions, predictions, coded = max(map(len, encodings)), [], [], []
    for index, encoding in enumerate(encodings):
        heads, logits = _passed(model, encoding, longest)
        size = len(encoding)
        attentions.append(heads[0, :, :, :size, :size])
        predictions.append(None if logits is None else model.predict(logits, [encoding])[0])
        # Attention in hand knows a text by its number.
        written = encoding.written if pairs is None else pairs[index]
        coded.append(replace(encoding, input_ids=(index,) * size, written=written))
    found = AttentionInHand(
        name=model.name,
        texts=tuple(texts),
        encodings=tuple(coded),
        attentions=tuple(attentions),
        predictions=tuple(predictions),
        encoder_layers=encoder_layers_of(model),
    )
    whole = as_one_sequence(found)
    check_model(question, whole)
    return whole


def _passed(model: Model, encoding: Encoding, length: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The attention of all heads of one text, and the head's numbers; None without a head."""
    speaks = model.head.name != "bare"
    needs = frozenset({"attention", "logits"} if speaks else {"attention"})
    batch = model.pad([encoding], length)
    recording = model.record(batch, (), needs) if isinstance(model, RecordsBatches) else None
    readers = (KeptHeads(), Logits()) if speaks else (KeptHeads(),)
    inputs = Inputs(batch=batch, examples=(None,) * len(readers), shared=None, recording=recording)
    heads, *logits = _run(model.module, inputs, program=Forward(readers))
    return np.asarray(heads), np.asarray(logits[0]) if speaks else None


@partial(jax.jit, static_argnames="program")
def _run(module: Any, inputs: Inputs, *, program: Forward) -> Any:
    return program(module if inputs.recording is None else inputs.recording.within(module), inputs)
