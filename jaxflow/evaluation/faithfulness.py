"""Faithfulness: the change of a prediction when the most relevant tokens go, or they alone stay."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow._checks import InputError, one_of, shown
from jaxflow.evaluation.batches import BATCH_TOKENS, variant_logits
from jaxflow.evaluation.inputs import TokenInputs, blank_id, token_inputs
from jaxflow.evaluation.target import ON_HOST, as_target, resolve, scale_of, target_value
from jaxflow.models import Model

REMOVALS = ("blank", "drop")
# DeYoung et al. (2020), section 5.
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Fall of the explained number without the tokens that a method ranks first, and with them alone.

    Attributes:
        comprehensiveness: `example *rest share`: fall of the number when the top tokens are removed; high is faithful.
        sufficiency: `example *rest share`: its fall when they alone are left; low is faithful.
        removed: `example share`: number of top tokens.
        shares: the shares asked for, of the tokens that take part.
        value: the explained number of each example as it stands.
        classes: the class that was explained.
    """

    comprehensiveness: Float[np.ndarray, "example *rest share"]
    sufficiency: Float[np.ndarray, "example *rest share"]
    removed: Int[np.ndarray, "example share"]
    shares: tuple[float, ...]
    value: Float[np.ndarray, " example"]
    classes: Int[np.ndarray, " example"]

    @property
    def aopc_comprehensiveness(self) -> np.ndarray:
        """Mean over the shares, `example *rest`: area over the perturbation curve (Samek 2017, DeYoung 2020).

        Have 0 among the shares for the form `1 / (K + 1) sum_(k = 0)^K`, whose first term is 0 here.
        """
        return self.comprehensiveness.mean(axis=-1)

    @property
    def aopc_sufficiency(self) -> np.ndarray:
        """Mean of the sufficiency over the shares, `example *rest`."""
        return self.sufficiency.mean(axis=-1)


def faithfulness(
    model: Model,
    texts: Any,
    relevance: Any,
    *,
    shares: Any = SHARES,
    removal: str = "blank",
    blank: Any = None,
    target: Any = "predicted",
    positions: Any = "words",
    batch_tokens: int = BATCH_TOKENS,
) -> Faithfulness:
    """Comprehensiveness and sufficiency of a relevance (DeYoung et al. 2020, section 5).

    With `m` the explained number, `x` the text and `r` its top tokens: `m(x) - m(x without r)` and `m(x) - m(r)`.

    Args:
        model: a model that classifies texts.
        texts: anything that `token_inputs` takes.
        relevance: `example *rest token`, padded as the texts are (see `padded`); larger is more relevant. Of
            equals the earlier token goes first. `TokenScores.values` serve too.
        shares: parts of the tokens that take part, in [0, 1]; a share of `n` tokens is `ceil(share * n)` of them.
        removal: `"blank"` puts a blank in, `"drop"` hides the token from attention, where the others stand as before.
        blank: as in `occlusion_scores`.
        target: as in `occlusion_scores`.
        positions: which tokens take part, see `TokenInputs.positions`; the others always stay.
        batch_tokens: rows times length of a batch, about; bounds memory.

    Returns:
        One number a share. Cost: two forward passes per row of `relevance` and number of removed tokens.

    Raises:
        InputError: the model does not classify texts, or an argument does not fit.
    """
    one_of("removal", removal, REMOVALS)
    inputs, target = token_inputs(model, texts), as_target(target)
    scale, taking_part = scale_of(model, target), inputs.positions(positions)
    if removal == "drop":
        _check_dropped(model, inputs, taking_part)
    substitute = blank_id(model, blank) if removal == "blank" else None
    rows, rest = _as_relevance(relevance, inputs, taking_part)
    shares = _as_shares(shares)
    # Less a little: 0.07 * 100 is just above 7 in floating point, and must be 7 tokens.
    counts = np.ceil(np.asarray(shares) * taking_part.sum(axis=-1)[:, None] - 1e-9).astype(int)
    # Copies that lose the same tokens are run once, whichever entries they stand for.
    copies = _copies(rows, counts, taking_part)
    logits = variant_logits(model, inputs, copies.owners, copies.removed, blank=substitute, batch_tokens=batch_tokens)
    classes, against = resolve(model, target, len(inputs), lambda: logits[: len(inputs)])
    owners = copies.owners
    numbers = target_value(ON_HOST[scale](logits), classes[owners], None if against is None else against[owners])
    value = numbers[: len(inputs)]
    # Flat entries `example row share side`; side 0 is without the top tokens, side 1 has them alone.
    falls = (value[owners[len(inputs) :]] - numbers[len(inputs) :])[copies.where]
    falls = falls.reshape(len(inputs), *rest, len(shares), 2)
    return Faithfulness(falls[..., 0], falls[..., 1], counts, shares, value, classes)


@dataclass(frozen=True, eq=False)
class _Copies:
    """Copies of the examples: first each as it stands, then one for each different set of removed tokens.

    Attributes:
        owners: the example that each is a copy of.
        rows: for each removal the row of relevance, counted over all examples.
        counts: its number of top tokens.
        keeps_top: whether the top tokens stay and the others go.
        places: rank of each token in each row of relevance, from 0 for the most relevant.
        taking_part: tokens of each example that may go.
        where: the copy behind each entry of the result, `example row share side`, flat.
    """

    owners: Int[np.ndarray, " copy"]
    rows: Int[np.ndarray, " removed"]
    counts: Int[np.ndarray, " removed"]
    keeps_top: Bool[np.ndarray, " removed"]
    places: Int[np.ndarray, "row token"]
    taking_part: Bool[np.ndarray, "example token"]
    where: Int[np.ndarray, " entry"]

    def removed(self, copies: Int[np.ndarray, " copy"]) -> Bool[np.ndarray, "copy token"]:
        """The tokens removed in some of the copies."""
        examples = len(self.taking_part)
        # Copies as they stand have no removal: they look up the first, which the last line masks away.
        removal = np.maximum(copies - examples, 0)
        top = self.places[self.rows[removal]] < self.counts[removal][:, None]
        gone = np.where(self.keeps_top[removal][:, None], ~top, top)
        return gone & self.taking_part[self.owners[copies]] & (copies >= examples)[:, None]


def _copies(
    rows: Float[np.ndarray, "example row token"],
    counts: Int[np.ndarray, "example share"],
    taking_part: Bool[np.ndarray, "example token"],
) -> _Copies:
    """One copy of each (row, number of tokens, which side goes): small shares of short texts are often the same."""
    examples, per_example, tokens = rows.shape
    row = np.arange(examples * per_example).reshape(examples, per_example, 1)
    width = tokens + 1
    # example row share side: the three numbers as one, so that equal ones are found at once.
    codes = (row * width + counts[:, None, :])[..., None] * 2 + np.arange(2)
    different, where = np.unique(codes, return_inverse=True)
    # Each code taken apart again: row, number of tokens, side.
    of_row = different // (2 * width)
    return _Copies(
        owners=np.concatenate([np.arange(examples), of_row // per_example]),
        rows=of_row,
        counts=different // 2 % width,
        keeps_top=different % 2 == 1,
        places=_places(rows, taking_part).reshape(-1, tokens),
        taking_part=taking_part,
        where=where.reshape(-1),
    )


def _check_dropped(model: Model, inputs: TokenInputs, taking_part: Bool[np.ndarray, "example token"]) -> None:
    """Refuse to hide the token that the head reads."""
    # A head that reads no single token loses none of its own inputs.
    if model.reads_at is None:
        return
    # From -1, the last token, to its position in each example.
    places = model.reads_at % inputs.lengths
    if taking_part[np.arange(len(inputs)), places].any():
        which = {0: "first", -1: "last"}.get(model.reads_at, f"{model.reads_at}.")
        expected = f'leave out the {which} token, which the classifier reads, where `removal="drop"` hides tokens'
        raise InputError("positions", expected, "positions that hold it", 'pass `removal="blank"`, or others')


def _places(
    rows: Float[np.ndarray, "example row token"], mask: Bool[np.ndarray, "example token"]
) -> Int[np.ndarray, "example row token"]:
    """The rank of each token, from 0 for the most relevant; tokens that take no part come last."""
    # Stable, so that of equals the earlier token goes first.
    order = np.argsort(np.where(mask[:, None], -rows, np.inf), axis=-1, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.broadcast_to(np.arange(rows.shape[-1]), order.shape), axis=-1)
    return places


def _as_relevance(
    relevance: Any, inputs: TokenInputs, mask: np.ndarray
) -> tuple[Float[np.ndarray, "example row token"], tuple[int, ...]]:
    array = np.asarray(relevance)
    examples, tokens = inputs.mask.shape
    if array.dtype.kind not in "fiub" or array.ndim < 2 or (array.shape[0], array.shape[-1]) != (examples, tokens):
        expected = f"be numbers of shape ({examples}, ..., {tokens}), padded as the texts are"
        raise InputError("relevance", expected, f"{array.dtype} of shape {array.shape}")
    rest = array.shape[1:-1]
    rows = array.astype(np.float64).reshape(examples, -1, tokens)
    # NaN elsewhere is harmless: those tokens are never ranked first.
    if not np.isfinite(np.where(mask[:, None], rows, 0)).all():
        raise InputError("relevance", "be finite on tokens that take part", "NaN or infinity")
    return rows, rest


def _as_shares(shares: Any) -> tuple[float, ...]:
    given = tuple(shares) if np.ndim(shares) == 1 else ()
    if not given or not all(0 <= float(share) <= 1 for share in given):
        raise InputError("shares", "be numbers in [0, 1]", shown(shares))
    return tuple(map(float, given))
