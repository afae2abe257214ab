"""Protocols of faithfulness against torch, one removal at a time, from the papers' formulas; and their invariants."""

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.evaluation import (
    PROTOCOLS,
    Aopc,
    Comprehensiveness,
    Curve,
    Delete,
    LogOdds,
    Replace,
    SaCo,
    SoftComprehensiveness,
    Sufficiency,
    faithfulness_scores,
    token_inputs,
)
from tests.models.model_from_outside import CausalModule, causal_model
from tests.tiny_text_model import model_folder

NAMES = [protocol.name for protocol in PROTOCOLS]
TENTHS = [tenth / 10 for tenth in range(11)]
SHARES = [0.01, 0.05, 0.1, 0.2, 0.5]


@dataclass
class Text:
    """One text in torch: the class's probability with some of its tokens removed."""

    theirs: Any
    ids: list
    removal: str
    known: dict = field(default_factory=dict)

    def p(self, gone=()):
        gone = frozenset(gone)
        if gone not in self.known:
            self.known[gone] = self.run(gone)
        return self.known[gone]

    def run(self, gone):
        mask = None
        put_in = {"blank": 1, "mask": 4, "pad": 0}
        if self.removal == "delete":
            ids = [token for place, token in enumerate(self.ids) if place not in gone]
        elif self.removal == "drop":
            ids, mask = self.ids, [place not in gone for place in range(len(self.ids))]
        else:
            ids = [put_in[self.removal] if place in gone else token for place, token in enumerate(self.ids)]
        return torch.softmax(self.theirs.logits(ids, mask), -1)[1].item()


def by_hand(text, relevance, chosen):
    """Every protocol's score of one row, by plain loops over the definitions."""
    order = sorted(chosen, key=lambda place: -relevance[place])
    n, p = len(order), text.p()

    def size(share):
        return math.ceil(share * n - 1e-9)

    most = [text.p(order[: size(share)]) for share in TENTHS]
    least = [text.p(order[n - size(share) :]) for share in TENTHS]
    scores = {
        "morf": sum((a + b) / 2 * 0.1 for a, b in pairwise(most)),
        "lerf": sum((a + b) / 2 * 0.1 for a, b in pairwise(least)),
        "comprehensiveness": sum(p - text.p(order[: size(share)]) for share in SHARES) / 5,
        "sufficiency": sum(p - text.p(order[size(share) :]) for share in SHARES) / 5,
        "aopc": sum(p - each for each in most) / 11,
        "aopc-absolute": sum(abs(p - each) for each in most) / 11,
        "log-odds": sum(math.log(each / p) for each in most) / 11,
    }
    groups = [[] for _ in range(min(5, n))]
    for rank, place in enumerate(order):
        groups[rank * len(groups) // n].append(place)
    falls = [p - text.p(group) for group in groups]
    sizes = [sum(relevance[place] for place in group) / len(group) for group in groups]
    signed = total = 0.0
    for i in range(len(groups)):
        for j in range(i + 1, len(groups)):
            weight = sizes[i] - sizes[j]
            signed += weight if falls[i] >= falls[j] else -weight
            total += abs(weight)
    scores["saco"] = signed / total if total else math.nan
    low, high = min(relevance[place] for place in chosen), max(relevance[place] for place in chosen)
    keep = {place: (relevance[place] - low) / (high - low) if high > low else 0.5 for place in chosen}
    uniform = np.random.default_rng([0, *text.ids]).random((8, len(text.ids)))
    drawn = [{place for place in chosen if row[place] < keep[place]} for row in uniform]
    scores["soft-comprehensiveness"] = sum(p - text.p(gone) for gone in drawn) / 8
    scores["soft-sufficiency"] = sum(p - text.p(set(chosen) - gone) for gone in drawn) / 8
    return scores


@pytest.fixture(scope="module")
def relevance():
    # Ties within a row, a row of ties, a signed row.
    rows = np.random.default_rng(0).integers(0, 4, (3, 3, 10)) / 4
    rows[:, 1] = 0.25
    rows[:, 2] = np.random.default_rng(1).normal(size=(3, 10))
    return rows


@pytest.mark.parametrize(
    ("removal", "positions"),
    [
        ("mask", "words"),
        ("delete", "words"),
        pytest.param("blank", "tokens", marks=pytest.mark.slow),
        pytest.param("pad", "words", marks=pytest.mark.slow),
        pytest.param("drop", "words", marks=pytest.mark.slow),
    ],
)
def test_all_protocols_equal_their_formulas_in_torch(encoder, theirs, texts, relevance, removal, positions):
    found = faithfulness_scores(encoder, texts, relevance, removal=removal, target="good", positions=positions)
    assert list(found.scores) == NAMES
    for index, ids in enumerate(theirs.ids):
        text = Text(theirs, ids, removal)
        chosen = range(len(ids)) if positions == "tokens" else range(1, len(ids) - 1)
        for row in range(3):
            expected = by_hand(text, relevance[index, row], chosen)
            for name in NAMES:
                mine = found.scores[name][index, row]
                np.testing.assert_allclose(mine, expected[name], atol=2e-5, err_msg=f"{name}, text {index}, row {row}")
    # The tiny model answers to every removal, so that equality says something.
    assert all(np.ptp(found.scores[name][:, 0]) > 1e-3 for name in NAMES)
    assert np.isnan(found.scores["saco"][:, 1]).all()


@pytest.mark.parametrize("removal", ["mask", "delete"])
def test_scores_do_not_depend_on_neighbours(encoder, texts, relevance, removal):
    together = faithfulness_scores(encoder, texts, relevance, removal=removal, target="good")
    inputs = token_inputs(encoder, texts[:1])
    alone = faithfulness_scores(
        encoder, inputs, relevance[:1, :1, : inputs.mask.shape[1]], removal=removal, target="good"
    )
    for name in NAMES:
        np.testing.assert_allclose(alone.scores[name][0, 0], together.scores[name][0, 0], atol=1e-5)


def test_equal_removals_share_a_pass(encoder, short):
    inputs = token_inputs(encoder, short)
    row = np.random.default_rng(2).random(inputs.mask.shape)
    # Other scales and methods of the same order remove the same tokens.
    rows = np.stack([row, 3 * row, row**2, row - 1], axis=1)
    hard = [protocol for protocol in PROTOCOLS if not isinstance(protocol, SoftComprehensiveness)]
    one = faithfulness_scores(encoder, inputs, row, protocols=hard)
    four = faithfulness_scores(encoder, inputs, rows, protocols=hard)
    assert one.passes == four.passes
    for name in one.scores:
        if name != "saco":
            np.testing.assert_array_equal(four.scores[name], np.repeat(one.scores[name][:, None], 4, axis=1))
    # n words: the text, n by the most relevant (the last of them without all), n - 1 by the least; groups of few words.
    words = inputs.positions("words").sum(-1)
    assert (words <= 5).all()
    assert one.passes == (2 * words + np.maximum(words - 2, 0)).sum()


def test_identities(encoder, texts, relevance):
    reverse = -relevance[:, 2]
    found = faithfulness_scores(encoder, texts, relevance[:, 2], removal="mask")
    back = faithfulness_scores(encoder, texts, reverse, removal="mask", protocols=(Curve(), Curve(first="least")))
    # The least relevant first is the most relevant first of the reversed order, where no two are equal.
    np.testing.assert_allclose(found.scores["lerf"], back.scores["morf"], atol=1e-6)
    np.testing.assert_allclose(found.scores["morf"], back.scores["lerf"], atol=1e-6)
    steps = found.value[:, None] - found.numbers["morf"]
    np.testing.assert_allclose(found.scores["aopc"], steps.mean(-1), atol=1e-6)
    assert (found.scores["aopc-absolute"] >= np.abs(found.scores["aopc"]) - 1e-9).all()
    ends = (found.numbers["morf"][:, 0] + found.numbers["morf"][:, -1]) / 2
    # The trapezoid weighs both ends half, the mean wholly.
    area = (found.numbers["morf"].sum(-1) - ends) / 10
    np.testing.assert_allclose(found.scores["morf"], area, atol=1e-6)


def test_order_at_random_scores_what_all_orders_do(encoder, short):
    """The mean over all orders of a text's words, by formula, within the error of many orders at random."""
    inputs = token_inputs(encoder, short[1:])
    words = np.flatnonzero(inputs.positions("words")[0])
    rows = np.random.default_rng(3).random((1, 400, inputs.mask.shape[1]))
    found = faithfulness_scores(
        encoder, inputs, rows, protocols=(Comprehensiveness((0.5,)),), removal="mask", target="good"
    ).scores["comprehensiveness"][0]
    # Every word is as often among the first half: each set of that size counts the same.
    count = math.ceil(len(words) / 2)
    sets = [each for each in range(1 << len(words)) if each.bit_count() == count]
    one = np.zeros((1, len(sets), inputs.mask.shape[1]))
    for row, each in enumerate(sets):
        one[0, row, words] = [(each >> place) & 1 for place in range(len(words))]
    of_sets = faithfulness_scores(
        encoder, inputs, one, protocols=(Comprehensiveness((0.5,)),), removal="mask", target="good"
    ).scores["comprehensiveness"][0]
    assert np.ptp(of_sets) > 1e-3
    assert abs(found.mean() - of_sets.mean()) < 4 * of_sets.std() / math.sqrt(400)


def test_evidence_by_construction_scores_best():
    """A model in which one word alone decides: relevance of that word alone is best by every protocol."""
    model = _counts_one_word()
    inputs = token_inputs(model, [[3, 5, 2, 7, 4, 6, 8, 9], [2, 4, 5, 6, 8]])
    evidence = (inputs.input_ids == 5).astype(float)
    others = np.random.default_rng(4).random((2, 20, 8)) * (1 - evidence[:, None])
    rows = np.concatenate([evidence[:, None], others], axis=1)
    # The classifier reads the last token, which stays.
    chosen = inputs.positions("all_but_last")
    for removal in (Replace(1, "one"), "drop", "delete"):
        found = faithfulness_scores(model, inputs, rows, removal=removal, target=1, positions=chosen)
        for protocol in PROTOCOLS:
            sign = 1 if protocol.faithful == "high" else -1
            scores = sign * found.scores[protocol.name]
            assert (scores[:, :1] >= scores[:, 1:] - 1e-6).all(), (removal, protocol.name)
            if protocol.name not in ("sufficiency", "lerf"):
                assert scores[:, 0].mean() > scores[:, 1:].mean() + 1e-3, (removal, protocol.name)
        np.testing.assert_allclose(found.scores["saco"][:, 0], 1)


def _counts_one_word():
    """A causal model whose last token sees the share of word 5 among all: the larger that is, the likelier class 1."""
    plain = causal_model()
    module = CausalModule(*(jnp.zeros_like(leaf) for leaf in jax.tree.leaves(plain.module)))
    # Word 5 is a one in the first number; attention, which is even, moves its mean to the second; the class reads that.
    module = replace(
        module,
        words=module.words.at[5, 0].set(1),
        query_key_value=module.query_key_value.at[0, 0, 2, 0, 0].set(1),
        output=module.output.at[0, 0, 0, 1].set(1),
        classes=module.classes.at[1, 1].set(30),
    )
    return replace(plain, module=module)


def test_delete_is_the_text_without_the_tokens(encoder, texts):
    """Positions close up: the logits are those of the shorter text, read by the same model."""
    inputs = token_inputs(encoder, texts)
    last = (np.arange(inputs.mask.shape[1]) == inputs.lengths[:, None] - 2).astype(float)
    found = faithfulness_scores(
        encoder, inputs, last, protocols=(Comprehensiveness((0.01,)),), removal=Delete(), target="good"
    )
    shorter = [
        np.delete(ids[:length], length - 2) for ids, length in zip(inputs.input_ids, inputs.lengths, strict=True)
    ]
    whole = faithfulness_scores(encoder, shorter, np.ones((3, 9)), protocols=(Comprehensiveness(),), target="good")
    np.testing.assert_allclose(found.numbers["comprehensiveness"][:, 0], whole.value, atol=1e-6)


@pytest.mark.parametrize("removal", ["mask", "delete", "drop"])
def test_a_torch_model_scores_as_ours(encoder, texts, relevance, removal):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder(), attn_implementation="eager")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder())
    ours = faithfulness_scores(encoder, texts, relevance, removal=removal)
    torch_scores = faithfulness_scores(jf.TorchModel(model.eval(), tokenizer), texts, relevance, removal=removal)
    for name in NAMES:
        np.testing.assert_allclose(torch_scores.scores[name], ours.scores[name], atol=2e-5)


def test_texts_without_words_lose_nothing(encoder, short):
    inputs = token_inputs(encoder, short)
    none = np.zeros_like(inputs.mask)
    found = faithfulness_scores(encoder, inputs, np.ones(none.shape), positions=none)
    for name in ("comprehensiveness", "sufficiency", "aopc", "log-odds", "soft-comprehensiveness"):
        np.testing.assert_allclose(found.scores[name], 0, atol=1e-7)
    assert found.passes == 2


def test_bad_input_is_refused_by_name(encoder, short):
    inputs = token_inputs(encoder, short)
    ones = np.ones(inputs.mask.shape)
    model = causal_model()
    for arguments, message in [
        ({"removal": "erase"}, "`removal` must be one of 'blank', 'drop', 'mask', 'pad', 'delete', got 'erase'"),
        ({"removal": Delete}, "`removal` must be one of"),
        ({"removal": Replace("nonsense")}, "`blank` must be a token of"),
        ({"protocols": ()}, "`protocols` must be values such as"),
        ({"protocols": ("morf",)}, "`protocols` must be values such as .* got 'morf'"),
        ({"protocols": (SaCo(3), SaCo())}, "`protocols` must have different names, got two of 'saco'"),
        ({"target": jf.evaluation.Target(quantity="logit")}, "`target` must be a probability, which the protocol 'log"),
        ({"target": jf.evaluation.Target(0, against=1)}, "must be a probability, .* got a probability, less another"),
        ({"removal": "delete", "positions": "tokens"}, "must leave out the first token, which the classifier reads"),
    ]:
        with pytest.raises(InputError, match=message):
            faithfulness_scores(encoder, inputs, ones, **arguments)
    with pytest.raises(
        InputError, match="`removal` must be one that the model has a token for, got 'mask', and causal"
    ):
        faithfulness_scores(model, [[1, 2, 3]], np.ones((1, 3)), removal="mask", positions="all_but_last")
    for make, message in [
        (lambda: SaCo(1), "`groups` must be a whole number, 2 or more, got 1"),
        (lambda: SoftComprehensiveness(0), "`draws` must be"),
        (lambda: Curve((0.5, 0.1)), "`shares` must be two or more that rise"),
        (lambda: Curve(first="last"), "`first` must be one of 'most', 'least'"),
        (lambda: Aopc((0, 2)), r"`shares` must be numbers in \[0, 1\]"),
        (lambda: LogOdds(()), "`shares` must be"),
        (lambda: Sufficiency([-1]), "`shares` must be"),
    ]:
        with pytest.raises(InputError, match=message):
            make()


def test_all_of_a_text_cannot_be_taken_away(short):
    """A head that reads no single token may lose any, but not all of them."""
    model = causal_model()
    object.__setattr__(model, "__class__", type("ReadsNone", (type(model),), {"reads_at": None}))
    with pytest.raises(InputError, match=r"must leave a token of each text, .*, got all tokens of example 1"):
        faithfulness_scores(
            model, [[1, 2], [3]], np.ones((2, 2)), protocols=Aopc((0.5,)), removal="delete", positions="tokens"
        )
