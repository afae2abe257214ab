"""Faithfulness: what a prediction does when the most relevant tokens go, or when they alone stay."""

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
    """How the explained number answers to the tokens that a method ranks first.

    Attributes:
        comprehensiveness: `example *rest share`: fall of the number when the top tokens are removed; high is faithful.
        sufficiency: `example *rest share`: its fall when they alone are left; low is faithful.
        removed: `example share`: how many tokens that was.
        shares: of the tokens that take part, as asked for.
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
    encoder: Model,
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
        encoder: a model that classifies texts.
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
    inputs, target = token_inputs(encoder, texts), as_target(target)
    scale, taking_part = scale_of(encoder, target), inputs.positions(positions)
    if removal == "drop" and (taking_part[:, 0]).any():
        expected = 'leave out the first token, which the classifier reads, where `removal="drop"` hides tokens'
        raise InputError("positions", expected, "positions that hold it", 'pass `removal="blank"`, or others')
    substitute = blank_id(encoder, blank) if removal == "blank" else None
    rows, rest = _as_relevance(relevance, inputs, taking_part)
    given = _as_shares(shares)
    counts = np.ceil(np.asarray(given) * taking_part.sum(axis=-1)[:, None] - 1e-9).astype(int)

    # One copy of each (row, number of tokens, which side goes): small shares of short texts are often the same number.
    per_example = rows.shape[1]
    row = np.arange(len(inputs) * per_example).reshape(len(inputs), per_example, 1)
    width = inputs.mask.shape[1] + 1
    codes = (row * width + counts[:, None, :])[..., None] * 2 + np.arange(2)
    copies, where = np.unique(codes, return_inverse=True)
    place = _places(rows, taking_part).reshape(-1, inputs.mask.shape[1])
    owners = np.concatenate([np.arange(len(inputs)), copies // (2 * width) // per_example])

    def removed(chosen: np.ndarray) -> Bool[np.ndarray, "chunk_row token"]:
        as_it_stands = chosen < len(inputs)
        code = copies[np.maximum(chosen - len(inputs), 0)]
        top = place[code // (2 * width)] < (code // 2 % width)[:, None]
        gone = np.where((code % 2 == 0)[:, None], top, ~top)
        return gone & taking_part[owners[chosen]] & ~as_it_stands[:, None]

    logits = variant_logits(encoder, inputs, owners, removed, blank=substitute, batch_tokens=batch_tokens)
    classes, against = resolve(encoder, target, len(inputs), lambda: logits[: len(inputs)])
    numbers = target_value(ON_HOST[scale](logits), classes[owners], None if against is None else against[owners])
    value = numbers[: len(inputs)]
    falls = (value[owners[len(inputs) :]] - numbers[len(inputs) :])[where].reshape(codes.shape)
    falls = falls.reshape(len(inputs), *rest, len(given), 2)
    return Faithfulness(falls[..., 0], falls[..., 1], counts, given, value, classes)


def _places(
    rows: Float[np.ndarray, "example row token"], mask: Bool[np.ndarray, "example token"]
) -> Int[np.ndarray, "example row token"]:
    """The place of each token, the most relevant first, those that don't take part last."""
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
    if not np.isfinite(np.where(mask[:, None], rows, 0)).all():
        raise InputError("relevance", "be finite on tokens that take part", "NaN or infinity")
    return rows, rest


def _as_shares(shares: Any) -> tuple[float, ...]:
    given = tuple(shares) if np.ndim(shares) == 1 else ()
    if not given or not all(0 <= float(share) <= 1 for share in given):
        raise InputError("shares", "be numbers in [0, 1]", shown(shares))
    return tuple(map(float, given))
