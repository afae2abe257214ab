"""What a PyTorch model gives: found by running it once over a few tokens, so that nothing is promised that isn't so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from jaxflow._checks import InputError, shown_text
from jaxflow._typing import TorchTensor
from jaxflow._untyped import HubConfig, HubModel
from jaxflow.models.torch.forward import TorchCaller, TorchPass, array_of
from jaxflow.models.torch.parts import LayerParts, layer_parts

# A row of probabilities sums to 1 but for its format's rounding; some models keep a share for nothing at all.
LARGEST_SUM = 1.02
IN_HAND = "compute its attention yourself and pass it to `jaxflow.attribute_attention`"
PAIRS_IN_HAND = "pass its output to `jaxflow.attribute_attention`, with `target_tokens`"


@dataclass(frozen=True)
class Probe:
    """What a model was seen to give.

    Attributes:
        layers: how many.
        heads: in each layer.
        causal: whether no position attends to a later one.
        gradients: whether the head's numbers can be differentiated in attention.
        reads_at: the one position that the head reads, 0 or -1; None for none, or several.
        together: whether several texts may run at once.
        parts: of its layers, where they are known by name and give together what the layers give; else None.
    """

    layers: int
    heads: int
    causal: bool
    gradients: bool
    reads_at: int | None
    together: bool
    parts: LayerParts | None


def probe(caller: TorchCaller, ids: tuple[int, ...], place: str) -> Probe:
    """Run a model once.

    Args:
        caller: of the model.
        ids: of a few tokens.
        place: the model's name, for errors.

    Raises:
        InputError: it gives no attention, or none that makes a graph of layers, and why.
    """
    rows = np.array([ids, (*ids[:1], *ids[1:-1][::-1], *ids[1:][-1:])])
    try:
        seen, together = _run(caller, rows), True
    except Exception:  # Some heads find the end of a text by its padding, and have none.
        seen, together = _run_alone(caller, rows[:1], place), False
    # Once more with a token less: windows of attention are as long as some texts, not as all.
    shorter = _run_alone(caller, rows[:1, :-1], place) if len(ids) > 1 else seen
    _ = checked_attention(shorter, max(1, len(ids) - 1), caller.model, place)
    attention = checked_attention(seen, len(ids), caller.model, place)
    causal = not np.triu(attention, 1).any()
    differentiable = seen.logits is not None and all(each.requires_grad for each in seen.attentions)
    slopes: Sequence[TorchTensor | None] = ()
    if differentiable:
        slopes = torch.autograd.grad(summed(seen.logits), seen.attentions, retain_graph=True, allow_unused=True)
    gradients = bool(slopes) and all(slope is not None for slope in slopes)
    return Probe(
        layers=attention.shape[0],
        heads=attention.shape[2],
        causal=causal,
        gradients=gradients,
        reads_at=_reads_at(seen, len(ids)),
        together=together,
        parts=_parts(caller, rows[:1], attention.shape[0], attention.shape[2]),
    )


def refuse_other_inputs(model: HubModel, place: str) -> None:
    """Refuse models that do not read one text a time.

    Raises:
        InputError: a model of images or sound, or of two towers.
    """
    expected = "read texts"
    if hasattr(model, "text_model") and hasattr(model, "vision_model"):
        way_out = "pass its `model.text_model` with a tokenizer, or its `model.vision_model` with an image processor"
        raise InputError("model", expected, "two towers", way_out, place=place)
    reads = getattr(model, "main_input_name", "input_ids")
    if reads != "input_ids":
        way_out = PAIRS_IN_HAND if hasattr(model, "get_decoder") and model.config.is_encoder_decoder else IN_HAND
        raise InputError("model", expected, f"one that reads {reads}", way_out, place=place)


def _run(caller: TorchCaller, rows: np.ndarray) -> TorchPass:
    return caller(rows, np.ones(rows.shape, bool), np.zeros_like(rows), differentiable=True)


def _run_alone(caller: TorchCaller, rows: np.ndarray, place: str) -> TorchPass:
    try:
        return _run(caller, rows)
    except Exception as error:  # Whatever the model itself raises.
        reason = shown_text(f"{type(error).__name__}: {error}")
        raise InputError("model", "run over a few tokens", reason, IN_HAND, place=place) from error


def _parts(caller: TorchCaller, rows: np.ndarray, layers: int, heads: int) -> LayerParts | None:
    """The parts of the layers, if put together they give what the layers gave."""
    mask = np.ones(rows.shape, bool)
    for parts in layer_parts(caller.model, layers, heads):
        try:
            seen = caller(rows, mask, np.zeros_like(rows), differentiable=False, parts=parts)
            if seen.hidden is not None and seen.inside is not None:
                with torch.no_grad():
                    if parts.fit(seen.inside, seen.attentions, (seen.embedded, *seen.hidden[:-1])):
                        return parts
        except (AttributeError, KeyError, RuntimeError):
            # Parts of these names that are not called, or of other shapes, or give more than a tensor, are others.
            continue
    return None


def checked_attention(seen: TorchPass, tokens: int, model: HubModel, place: str) -> np.ndarray:
    """The attention, `layer row head query key`, if it is one that makes a graph of layers."""

    def refuse(expected: str, got: str) -> InputError:
        return InputError("model", expected, got, place=place)

    given = [each for each in seen.attentions if each is not None]
    if not given:
        raise refuse("give attention", "none, even with eager attention (its layers mix tokens in other ways)")
    depth = getattr(model.config, "num_hidden_layers", len(seen.attentions))
    if len(given) != depth or len(given) < len(seen.attentions):
        got = f"that of {len(given)} of {max(depth, len(seen.attentions))} layers (others mix tokens in other ways)"
        raise refuse("give the attention of every layer", got)
    shapes = {tuple(each.shape[1:]) for each in given}
    if len(shapes) > 1:
        raise refuse("have attention of one shape in every layer", ", ".join(map(str, sorted(shapes))))
    if shapes.pop()[-2:] != (tokens, tokens):
        got = f"{tuple(given[0].shape[-2:])} for {tokens} tokens (it attends within windows)"
        raise refuse("give the attention of every token to every other", got)
    attention = np.stack([array_of(each) for each in given])
    if not (attention >= 0).all() or attention.sum(-1).max() > LARGEST_SUM:
        raise refuse("give probabilities as attention", "numbers before the softmax, or scaled ones")
    return attention


def _reads_at(seen: TorchPass, tokens: int) -> int | None:
    """Where the head reads, by the derivative of its numbers in the last hidden states."""
    if seen.logits is None or seen.hidden is None or not seen.hidden[-1].requires_grad:
        return None
    (slope,) = torch.autograd.grad(summed(seen.logits), seen.hidden[-1], retain_graph=True, allow_unused=True)
    if slope is None:
        return None
    # row token width
    read = np.abs(array_of(slope)).max(axis=-1) > 0
    for position in (0, -1):
        if read[:, position].all() and read.sum() == len(read):
            return position
    return None


def summed(logits: Any) -> TorchTensor:
    """One number that depends on all of the head's, each in its own way: a norm would cancel their sum."""
    weights = torch.linspace(1, 2, logits.shape[-1], dtype=logits.dtype, device=logits.device)
    return (logits * weights).sum()


def token_sizes(model: HubModel, place: str) -> tuple[int, int, int | None]:
    """How many tokens and segments a model knows, and most tokens of a text; None for any.

    Raises:
        InputError: it has no table of tokens, as one that hashes characters (CANINE).
    """
    config = model.config
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        expected = "have a table of the tokens that it reads"
        raise InputError(
            "model", expected, "none (it reads characters, or tokens of its own)", IN_HAND, place=place
        ) from None
    vocabulary = int(getattr(table, "num_embeddings", 0) or config.vocab_size)
    # XLNet tells segments apart by whether they are equal; its tokenizer numbers three.
    segments = 3 if config.model_type == "xlnet" else int(getattr(config, "type_vocab_size", 0) or 0)
    return vocabulary, segments, _positions(model, config)


def _positions(model: HubModel, config: HubConfig) -> int | None:
    known = getattr(config, "max_position_embeddings", None)
    if not isinstance(known, int) or known < 1:
        return None
    # RoBERTa and its kin number positions from one past the padding token's.
    for name, module in model.named_modules():
        first, table = getattr(module, "padding_idx", None), getattr(module, "weight", None)
        # Tables of kinds of their own (I-BERT's) have weights as well.
        if name.endswith("position_embeddings") and first is not None and table is not None and len(table) == known:
            return known - first - 1
    return known
