"""Faithfulness: the change of a prediction when the most relevant tokens go, or they alone stay."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from jaxflow._checks import InputError, shown
from jaxflow._typing import ArrayLike, Given
from jaxflow.evaluation.batches import BATCH_TOKENS, variant_logits
from jaxflow.evaluation.inputs import Texts, TokenInputs, one_array, token_inputs
from jaxflow.evaluation.protocols import (
    PROTOCOLS,
    SHARES,
    Comprehensiveness,
    FaithfulnessProtocol,
    Rows,
    Sufficiency,
    as_shares,
    counted,
)
from jaxflow.evaluation.removals import Removal, as_removal, check_read
from jaxflow.evaluation.target import ON_HOST, Classes, Target, as_target, resolve, scale_of, target_value
from jaxflow.models import Model


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


@dataclass(frozen=True, eq=False)
class FaithfulnessScores:
    """Scores of relevance by several protocols.

    Attributes:
        scores: of each protocol by name, `example *rest`.
        numbers: the explained number after each of a protocol's removals, by name, `example *rest removal`.
        value: the explained number of each example as it stands.
        classes: the class that was explained.
        passes: forward passes of a text that all this took.
    """

    scores: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]
    value: Float[np.ndarray, " example"]
    classes: Int[np.ndarray, " example"]
    passes: int


def faithfulness(
    model: Model,
    texts: Texts,
    relevance: ArrayLike,
    *,
    shares: Given[Sequence[float]] = SHARES,
    removal: Given[str | Removal] = "blank",
    blank: Given[str | int | None] = None,
    target: Given[Classes | Target] = "predicted",
    positions: str | ArrayLike = "words",
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
        removal: `"blank"` puts a blank in, `"mask"` and `"pad"` the tokenizer's token of that name, `"delete"` takes
            the token out, and those behind it close up, `"drop"` hides it from attention, where the others stand as
            before; or a value such as `Replace("the")`.
        blank: as in `occlusion_scores`.
        target: as in `occlusion_scores`.
        positions: which tokens take part, see `TokenInputs.positions`; the others always stay.
        batch_tokens: rows times length of a batch, about; bounds memory.

    Returns:
        One number a share. Cost: two forward passes per row of `relevance` and number of removed tokens.

    Raises:
        InputError: the model does not classify texts, or an argument does not fit.
    """
    shares = as_shares(shares)
    sides = Comprehensiveness(shares), Sufficiency(shares)
    inputs = token_inputs(model, texts)
    result = faithfulness_scores(
        model,
        inputs,
        relevance,
        protocols=sides,
        removal=removal,
        blank=blank,
        target=target,
        positions=positions,
        batch_tokens=batch_tokens,
    )
    value = result.value.reshape(-1, *[1] * (np.ndim(relevance) - 1))
    without, alone = (value - result.numbers[side.name] for side in sides)
    counts = np.stack([counted(shares, number) for number in inputs.positions(positions).sum(axis=-1).tolist()])
    return Faithfulness(without, alone, counts, shares, result.value, result.classes)


def faithfulness_scores(
    model: Model,
    texts: Texts,
    relevance: ArrayLike,
    *,
    protocols: Given[FaithfulnessProtocol | Sequence[FaithfulnessProtocol]] = PROTOCOLS,
    removal: Given[str | Removal] = "blank",
    blank: Given[str | int | None] = None,
    target: Given[Classes | Target] = "predicted",
    positions: str | ArrayLike = "words",
    batch_tokens: int = BATCH_TOKENS,
) -> FaithfulnessScores:
    """Scores of relevance by any protocols at once: all of them, and all rows of relevance, share their passes.

        scores = faithfulness_scores(model, texts, relevance, removal="mask").scores
        mean_interval(scores["comprehensiveness"] - scores_at_random["comprehensiveness"])

    Scores of different removals, protocols or targets say nothing about each other: compare methods within one.

    Args:
        model: a model that classifies texts.
        texts: anything that `token_inputs` takes.
        relevance: as in `faithfulness`; its `*rest` are methods and layers, say.
        protocols: values such as `Comprehensiveness()` or your own, of different names; `PROTOCOLS` are all.
        removal: as in `faithfulness`.
        blank: as in `occlusion_scores`.
        target: as in `occlusion_scores`.
        positions: as in `faithfulness`: special tokens take part with `"tokens"`, and stay with `"words"`.
        batch_tokens: rows times length of a batch, about; bounds memory.

    Returns:
        Scores by the name of each protocol. Cost: a forward pass for each different set of removed tokens of a text,
        one compiled program a length.

    Raises:
        InputError: the model does not classify texts, or has no such token, or an argument does not fit.
    """
    inputs, target = token_inputs(model, texts), as_target(target)
    protocols = _as_protocols(protocols, target)
    removal = as_removal(removal, blank)
    scale, chosen, change = scale_of(model, target), inputs.positions(positions), removal.change(model)
    check_read(model, inputs, removal, chosen)
    relevance_rows, rest = _as_relevance(relevance, inputs, chosen)
    # Each text without its padding, so that nothing depends on what it is padded to.
    texts_rows = [
        Rows(rows[:, :length], of_text[:length], ids[:length])
        for rows, of_text, ids, length in zip(relevance_rows, chosen, inputs.input_ids, inputs.lengths, strict=True)
    ]
    copies = _copies(texts_rows, protocols, inputs.mask.shape[1])
    _check_left(copies, inputs, removal)
    logits = variant_logits(model, inputs, copies.owners, copies.removed, change=change, batch_tokens=batch_tokens)
    classes, against = resolve(model, target, len(inputs), lambda: logits[copies.whole])
    owners = copies.owners
    answers = target_value(ON_HOST[scale](logits), classes[owners], None if against is None else against[owners])
    value, scores, numbers = answers[copies.whole], {}, {}
    for protocol, where in zip(protocols, copies.where, strict=True):
        rows = [answers[places] for places in where]
        by_text = [protocol.score(*each) for each in zip(texts_rows, value.tolist(), rows, strict=True)]
        scores[protocol.name] = np.stack(by_text).reshape(len(inputs), *rest)
        numbers[protocol.name] = np.stack(rows).reshape(len(inputs), *rest, -1)
    return FaithfulnessScores(scores, numbers, value, classes, len(owners))


@dataclass(frozen=True, eq=False)
class _Copies:
    """Copies of the texts, one for each different set of removed tokens; each text's first loses none.

    Attributes:
        owners: the text that each is a copy of.
        whole: each text's copy that loses nothing.
        packed: the removed tokens of each, eight to a byte.
        tokens: of the padded texts.
        where: for each protocol and text the copies behind its removals, `row removal`.
    """

    owners: Int[np.ndarray, " copy"]
    whole: Int[np.ndarray, " example"]
    packed: UInt8[np.ndarray, "copy byte"]
    tokens: int
    where: list[list[np.ndarray]]

    def removed(self, copies: Int[np.ndarray, " copy"]) -> Bool[np.ndarray, "copy token"]:
        """The tokens removed in some of the copies."""
        return np.unpackbits(self.packed[copies], axis=-1, count=self.tokens).astype(bool)


def _copies(texts_rows: list[Rows], protocols: tuple[FaithfulnessProtocol, ...], tokens: int) -> _Copies:
    """The copies that the protocols need: removals of any rows and protocols that are the same set share one."""
    owners, packed, start = [], [], 0
    whole, where = [], [[] for _ in protocols]
    for index, rows in enumerate(texts_rows):
        sets = [protocol.removed(rows) for protocol in protocols]
        flat = [np.zeros((1, len(rows.ids)), bool), *(each.reshape(-1, len(rows.ids)) for each in sets)]
        bits = np.packbits(np.pad(np.concatenate(flat), ((0, 0), (0, tokens - len(rows.ids)))), axis=-1)
        # Rows of bytes as single values are sorted and compared as such; the empty set is the least.
        keys = np.ascontiguousarray(bits).view(np.dtype((np.void, bits.shape[1])))[:, 0]
        _, first, places = np.unique(keys, return_index=True, return_inverse=True)
        owners.append(np.full(len(first), index))
        packed.append(bits[first])
        whole.append(start)
        ends = np.cumsum([len(each) for each in flat])
        for of_protocol, each, one, other in zip(where, sets, ends[:-1], ends[1:], strict=True):
            of_protocol.append(start + places[one:other].reshape(each.shape[:2]))
        start += len(first)
    return _Copies(np.concatenate(owners), np.array(whole), np.concatenate(packed), tokens, where)


def _check_left(copies: _Copies, inputs: TokenInputs, removal: Removal) -> None:
    """Refuse to take away all of a text.

    Raises:
        InputError: naming the text.
    """
    if not removal.takes_away:
        return
    # Counted in the packed bytes, so that no copy is unpacked for it.
    gone = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1)[copies.packed].sum(-1)
    empty = gone >= inputs.lengths[copies.owners]
    if empty.any():
        got = f"all tokens of example {copies.owners[empty][0]}"
        way_out = "pass smaller shares, or `positions` that leave one out"
        raise InputError("removal", f"leave a token of each text, where {removal.name!r} takes them away", got, way_out)


def _as_protocols(given: Any, target: Target) -> tuple[FaithfulnessProtocol, ...]:
    protocols = tuple(given) if isinstance(given, list | tuple) else (given,)
    wrong = [each for each in protocols if not isinstance(each, FaithfulnessProtocol) or isinstance(each, type)]
    if wrong or not protocols:
        raise InputError("protocols", "be values such as Comprehensiveness()", shown(wrong[0] if wrong else protocols))
    names = [each.name for each in protocols]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError("protocols", "have different names", f"two of {shown(twice)}", "pass `name`, or one of them")
    named = next((each.name for each in protocols if each.of_probability), None)
    if named is not None and (target.quantity != "probability" or target.against is not None):
        got = f"a {target.quantity}{'' if target.against is None else ', less another'}"
        raise InputError("target", f"be a probability, which the protocol {named!r} takes", got)
    return protocols


def _as_relevance(
    relevance: ArrayLike, inputs: TokenInputs, mask: np.ndarray
) -> tuple[Float[np.ndarray, "example row token"], tuple[int, ...]]:
    array = one_array("relevance", relevance)
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
