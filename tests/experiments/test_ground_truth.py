"""The experiment on known evidence: compiled programs, planted evidence, and what is chosen where."""

import json

import numpy as np
import pytest

import jaxflow as jf
from experiments.ground_truth import compiled, planted
from experiments.ground_truth.__main__ import main
from experiments.ground_truth.programs import LENGTH, PROGRAMS, texts_of
from experiments.ground_truth.real import _asked
from experiments.ground_truth.table import Measured, cells, verdicts

TEXTS = 20
CHOSEN_ON = np.arange(TEXTS) % 2 == 0


def logits_of(model, texts):
    """Numbers at every token behind the beginning."""
    return np.asarray(model(model.pad(model.tokenize(texts), LENGTH + 1)).logits)[:, 1:]


@pytest.mark.parametrize("name", PROGRAMS)
def test_models_answer_as_tracr_does_and_depend_on_the_evidence_alone(name):
    found, program = compiled.compiled(name), PROGRAMS[name]
    # Tracr's own states and answers, recorded when the program was compiled.
    output = found.model(found.model.pad(found.model.tokenize(found.texts), LENGTH + 1))
    assert output.hidden_states is not None
    for text, last, theirs in zip(found.texts, np.asarray(output.hidden_states)[:, -1], found.states, strict=True):
        count, width = theirs.shape
        assert count == len(text.split()) + 1
        np.testing.assert_allclose(last[:count, :width], theirs, atol=2e-6)
        np.testing.assert_array_equal(last[:count, width:], 0)
    # Every token of a text changed to every other one: the answer at a place changes if and only if some change of an
    # evidence token does it. Nothing of the program's own rule is used.
    for text in texts_of(name, 3, seed=5):
        words = tuple(text.split())
        changed = [
            (place, (*words[:place], other, *words[place + 1 :]))
            for place in range(len(words))
            for other in program.vocabulary
            if other != words[place] and program.legal((*words[:place], other, *words[place + 1 :]))
        ]
        own, *others = logits_of(found.model, [text, *(" ".join(each) for _, each in changed)])
        # An answer changes where some value becomes another by more than rounding.
        moved = [np.abs(other - own).max(-1) > 1e-3 for other in others]
        for place in range(len(words)):
            known = program.evidence(words, place)
            if known is not None:
                assert {at for (at, _), each in zip(changed, moved, strict=True) if each[place]} == known


@pytest.mark.parametrize("name", PROGRAMS)
def test_answers_are_tracr_s_wherever_a_program_has_one(name):
    found, program = compiled.compiled(name), PROGRAMS[name]
    for text, theirs, numbers in zip(found.texts, found.answers, logits_of(found.model, found.texts), strict=True):
        words = tuple(text.split())
        for place in range(len(words)):
            if program.evidence(words, place) is not None:
                if found.values[0] is None:
                    assert numbers[place, 0] == pytest.approx(float(theirs[place]), abs=1e-6)
                else:
                    assert found.values[numbers[place].argmax()] == theirs[place]


def test_asked_texts_have_evidence_where_it_is_said_to_be():
    asked = compiled.asked_of("first is last", 12, seed=0)
    assert sum(len(each.texts) for each in asked) >= 12
    for each in asked:
        for text, evidence, part in zip(each.texts, each.evidence, each.part, strict=True):
            count = len(text.split())
            assert set(np.flatnonzero(evidence)) == {1, count}
            # The place that is asked about takes no part, unless it is evidence itself.
            place = each.question["queries"]
            assert set(np.flatnonzero(part)) == set(range(1, count + 1)) - ({place} - {1, count})


def test_planted_words_are_the_evidence():
    rng = np.random.default_rng(0)
    for _ in range(50):
        words, yes, places = planted.trigger(rng)
        assert [index for index, word in enumerate(words) if word in planted.TRIGGER] == places
        assert yes == bool(places)
        words, yes, places = planted.pair(rng)
        one, other = (words[place] for place in places)
        one, other = (one, other) if one in planted.ONES else (other, one)
        assert yes == (planted.ONES.index(one) == planted.OTHERS.index(other))
        words, yes, places = planted.count(rng)
        assert [index for index, word in enumerate(words) if word in planted.ONES] == places
        assert yes == (words.count(planted.ONES[0]) > words.count(planted.ONES[1]))


def test_all_words_of_the_evidence_are_marked_and_a_decoder_s_last_token_takes_no_part():
    model = jf.load_model("verb-number")
    texts, spans = ["the keys to the cabinet", "the author"], [[(4, 8), (16, 23)], [(4, 10)]]
    asked = _asked(model, texts, spans, "classifier")
    for encoding, evidence, part, words in zip(
        model.tokenize(texts), asked.evidence, asked.part, ({"keys", "cabinet"}, {"author"}), strict=True
    ):
        assert {encoding.tokens[place] for place in np.flatnonzero(evidence)} == words
        assert part[: len(encoding)].tolist() == (~np.array(encoding.special)).tolist()
    last = _asked(model, texts, spans, "last")
    for encoding, part, every in zip(model.tokenize(texts), last.part, asked.part, strict=True):
        assert not part[len(encoding) - 1]
        assert part.sum() == every.sum() - (not encoding.special[-1])


def made_up(chosen, held):
    """A method whose measures by layer are `chosen` on the texts that choose, `held` on the others."""
    values = np.where(CHOSEN_ON[:, None], chosen, held) + np.random.default_rng(0).normal(0, 1e-3, (TEXTS, 1))
    return Measured(values, values - 1, values - 2, values - 3)


def test_each_group_chooses_its_layer_on_one_half_and_reports_the_other():
    groups = {
        "one": {
            "flow of a": made_up((0.6, 0.5), (0.1, 0.9)),
            "flow of b": made_up((0.2, 0.6), (0.3, 0.4)),
            "random": made_up((0.2, 0.2), (0.2, 0.2)),
        },
        "other": {
            "flow of a": made_up((0.5, 0.6), (0.3, 0.7)),
            "flow of b": made_up((0.1, 0.3), (0.9, 0.5)),
            "random": made_up((0.2, 0.2), (0.2, 0.2)),
        },
    }
    report = cells(groups, 99)
    assert report["flow of a"]["best"]["layers"] == {"one": 1, "other": 2}
    assert report["flow of a"]["last"]["layers"] == {"one": 2, "other": 2}
    # On texts that chose nothing: .1 of the first group, .7 of the other one.
    assert report["flow of a"]["best"]["average_precision"] == pytest.approx(0.4, abs=2e-3)
    assert report["flow of a"]["best"]["hits"] == pytest.approx(-0.6, abs=2e-3)
    assert report["flow of a"]["best"]["by group"]["one"] == pytest.approx(0.1, abs=2e-3)
    verdict = verdicts(groups, report, 99)
    assert verdict["flow"]["best"]["method"] == "flow of a"
    assert verdict["flow"]["best"]["above"] == pytest.approx(0.2, abs=1e-6)
    assert verdict["references"]["best"]["method"] == "random"


@pytest.mark.slow
@pytest.mark.parametrize("part", ["programs", "planted"])
def test_quick_runs_make_a_table(part, tmp_path, capsys):
    assert main([part, "--quick", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / f"{part}.json").read_text())
    assert {"raw of attention", "joint-flow of attention-gradient", "occlusion", "decompx"} <= set(record["methods"])
    assert "| graph, best layer: " in capsys.readouterr().out
    # The model's own behaviour finds what was planted, or computed: removing evidence changes the answer.
    assert record["methods"]["occlusion"]["last"]["average_precision"] > 0.9
