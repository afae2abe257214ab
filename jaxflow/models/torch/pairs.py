"""An encoder-decoder of transformers in PyTorch: its passes over sources and targets, and what it was seen to give."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from jaxflow._checks import InputError, shown_text
from jaxflow._typing import TorchTensor
from jaxflow._untyped import HubModel, Tokenizer
from jaxflow.graph.encoder_decoder import joined, moving
from jaxflow.models.batch import TokenBatch
from jaxflow.models.config import HeadConfig
from jaxflow.models.prediction import pieces_of
from jaxflow.models.recording import Number, Recording, cotangent, recording, room_for
from jaxflow.models.targets import PairTokens
from jaxflow.models.torch.forward import array_of, evaluating, from_embeddings, gradients_of, out_of_memory, taken_of
from jaxflow.models.torch.probe import LARGEST_SUM, PAIRS_IN_HAND, Probe, summed
from jaxflow.models.two_streams import TARGET

Sources = Int[np.ndarray, "row source"]
Targets = Int[np.ndarray, "row target"]


def is_encoder_decoder(model: HubModel) -> bool:
    """Whether a model reads targets beside its sources."""
    return "decoder_input_ids" in inspect.signature(model.forward).parameters


@dataclass(frozen=True, eq=False)
class PairPass:
    """What the model gave, as tensors that may still be differentiated.

    Attributes:
        sides: attention of the encoder, the decoder, and across, each one a layer: `row head query key`.
        logits: `row target label`; None for a model without a head.
    """

    sides: tuple[tuple[TorchTensor, ...], ...]
    logits: TorchTensor

    def together(self, layers: Sequence[np.ndarray]) -> np.ndarray:
        """Arrays of all layers of the three sides, in this order, as one: `row layer head token token`."""
        left = iter(layers)
        return joined(*(np.stack([next(left) for _ in side], axis=1) for side in self.sides))


@dataclass(frozen=True, eq=False)
class PairCaller:
    """Calls an encoder-decoder over sources of one length.

    Attributes:
        model: of transformers.
    """

    model: HubModel

    def __call__(self, sources: Sources, targets: Targets, *, differentiable: bool) -> PairPass:
        """Run sources of one length; targets may be padded behind, since none sees what follows."""
        device = self.model.get_input_embeddings().weight.device
        ids, targets_ids = (torch.tensor(np.asarray(part, np.int64), device=device) for part in (sources, targets))
        given = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "decoder_input_ids": targets_ids,
            "use_cache": False,
            "output_attentions": True,
            "return_dict": True,
        }
        embeddings = [self.model, *(getattr(self.model, f"get_{side}")() for side in ("encoder", "decoder"))]
        with (
            evaluating(self.model),
            torch.set_grad_enabled(differentiable),
            from_embeddings([each.get_input_embeddings() for each in embeddings] if differentiable else []),
        ):
            try:
                outputs = self.model(**taken_of(self.model, given))
            except torch.OutOfMemoryError as error:
                raise out_of_memory(error) from None
        sides = (tuple(outputs.get(f"{side}_attentions") or ()) for side in ("encoder", "decoder", "cross"))
        return PairPass(tuple(sides), outputs.get("logits"))


@dataclass(frozen=True)
class PairProbe(Probe):
    """What an encoder-decoder was seen to give.

    Attributes:
        encoder_layers: of its layers, which are the encoder's and two for each of the decoder's.
    """

    encoder_layers: int = 0


def head_of_pairs(model: HubModel, tokenizer: Tokenizer, vocabulary: int, place: str) -> HeadConfig:
    """The head on an encoder-decoder: the next target, or none.

    Raises:
        InputError: it has a head of another kind.
    """
    kind = type(model).__name__
    others = ("ForSequenceClassification", "ForQuestionAnswering", "ForTokenClassification")
    if kind.endswith(others):
        expected = "predict the next target, or have no head, where it has an encoder and a decoder"
        raise InputError(
            "model", expected, f"{kind}, whose decoder reads the sources again", PAIRS_IN_HAND, place=place
        )
    if model.get_output_embeddings() is None:
        return HeadConfig()
    return HeadConfig("next_token", outputs=vocabulary, labels=pieces_of(tokenizer, vocabulary))


def probe_pairs(caller: PairCaller, ids: tuple[int, ...], place: str) -> PairProbe:
    """Run an encoder-decoder once over a few tokens.

    Raises:
        InputError: it gives no attention, or none that makes a graph of layers, and why.
    """
    # A target less than there are sources, where the model takes several.
    less = ids[1:] or ids
    sources, targets = np.array([ids, ids[::-1]]), np.array([less, less[::-1]])
    try:
        seen = caller(sources, targets, differentiable=True)
    except Exception as error:  # Whatever the model itself raises.
        reason = shown_text(f"{type(error).__name__}: {error}")
        raise InputError("model", "run over a few tokens", reason, PAIRS_IN_HAND, place=place) from error
    lengths = {"encoder": (sources, sources), "decoder": (targets, targets), "cross": (targets, sources)}
    for side, layers, rows_and_columns in zip(lengths, seen.sides, lengths.values(), strict=True):
        _check_side(side, layers, tuple(each.shape[1] for each in rows_and_columns), place)
    taken = [layer for side in seen.sides for layer in side]
    slopes: Sequence[TorchTensor | None] = ()
    if seen.logits is not None and all(each.requires_grad for each in taken):
        # The last position's numbers alone are explained.
        slopes = torch.autograd.grad(summed(seen.logits[:, -1]), taken, allow_unused=True)
    whole = seen.together([array_of(each) for each in taken])
    return PairProbe(
        layers=whole.shape[1],
        heads=whole.shape[2],
        causal=False,
        gradients=bool(slopes) and all(slope is not None for slope in slopes),
        reads_at=None if seen.logits is None else -1,
        together=True,
        parts=None,
        encoder_layers=len(seen.sides[0]),
    )


def _check_side(side: str, layers: tuple[TorchTensor, ...], shape: tuple[int, ...], place: str) -> None:
    """Refuse attention of one side that is none, or not that of every token to every other."""
    if not layers or any(layer is None for layer in layers):
        raise InputError("model", f"give {side} attention of every layer", "none", PAIRS_IN_HAND, place=place)
    for layer in layers:
        attention = array_of(layer)
        if attention.shape[-2:] != shape:
            expected = f"give {side} attention of every token to every other, {shape}"
            raise InputError("model", expected, f"{attention.shape[-2:]} (it attends within windows)", place=place)
        if not (attention >= 0).all() or attention.sum(-1).max() > LARGEST_SUM:
            got = "numbers before the softmax, or scaled ones"
            raise InputError("model", f"give probabilities as {side} attention", got, place=place)


@dataclass(frozen=True, eq=False)
class TorchPairs:
    """An encoder-decoder as `TorchModel` runs it.

    Attributes:
        tokenize: cuts texts and pairs into sources and targets.
        caller: of the model.
        probe: what it was seen to give.
    """

    tokenize: PairTokens
    caller: PairCaller
    probe: PairProbe

    def record(self, batch: TokenBatch, numbers: Sequence[Number], needs: frozenset[str]) -> Recording:
        """Run a batch of sources with targets, sources of one length together."""
        return _record(self.caller, self.probe, batch, numbers, needs)


def _record(
    caller: PairCaller, probe: PairProbe, batch: TokenBatch, numbers: Sequence[Number], needs: frozenset[str]
) -> Recording:
    ids, mask, segments = (np.asarray(part) for part in (batch.input_ids, batch.mask, batch.segments))
    # How many sources and targets each row has; rows that fill the batch up have no target, and are not run.
    targets = (mask & (segments == TARGET)).sum(axis=1)
    sources = mask.sum(axis=1) - targets
    rows, length = mask.shape
    room = room_for(rows, probe.layers, probe.heads, length, length)
    scores: np.ndarray | None = None
    passes: list[tuple[np.ndarray, PairPass]] = []
    for count in np.unique(sources[targets > 0]):
        here = np.flatnonzero((sources == count) & (targets > 0))
        most = int(targets[here].max())
        seen = caller(ids[here, :count], ids[here, count : count + most], differentiable=bool(numbers))
        _put(room, here, sources + targets, seen.together([array_of(each) for side in seen.sides for each in side]))
        if seen.logits is not None and "logits" in needs:
            last = array_of(_last(seen.logits, targets[here]))
            scores = np.zeros((rows, last.shape[-1]), np.float32) if scores is None else scores
            scores[here] = last
        # Kept for the backward passes alone.
        passes += [(here, seen)] if numbers else []
    scores = np.zeros((rows, 1), np.float32) if scores is None else scores
    cotangents = [cotangent(number, scores) for number in numbers]
    gradients = []
    for slopes in cotangents:
        gradients.append(room_for(*room.shape))
        for here, seen in passes:
            taken = tuple(each for side in seen.sides for each in side)
            given = gradients_of(_last(seen.logits, targets[here]), slopes[here], taken)
            _put(gradients[-1], here, sources + targets, seen.together(given))
    moves = moving(segments == TARGET, probe.encoder_layers, (probe.layers - probe.encoder_layers) // 2)
    return recording(room, None, scores, cotangents, gradients, moves=moves)


def _last(logits: TorchTensor, targets: np.ndarray) -> TorchTensor:
    """The numbers of each row's last target."""
    return logits[torch.arange(len(targets)), torch.tensor(targets - 1)]


def _put(room: np.ndarray, rows: np.ndarray, lengths: np.ndarray, values: np.ndarray) -> None:
    for row, value in zip(rows, values, strict=True):
        end = lengths[row]
        room[row, :, :, :end, :end] = value[:, :, :end, :end]
