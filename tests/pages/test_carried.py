"""The words that carry a prediction, told by the method of the class."""

import numpy as np
import pytest

from jaxflow.attribution import Flow, Question, Rollout
from jaxflow.evaluation.token_target import Token
from jaxflow.pages.carried import carried_by, class_method, of_image, tied
from jaxflow.pages.page import page_data, render
from tests.pages.rows import make_row, manifest

CLASS = "flow@attention-gradient"


def a_row(values, saturated=(), **options):
    """Of "not terribly bad": [CLS] not terri bly bad [SEP]."""
    row = make_row("not terribly bad", label="negative", methods=("raw", CLASS), **options)
    assert row["tokens"] == ["[CLS]", "not", "terri", "bly", "bad", "[SEP]"]
    row[CLASS][:] = 0
    row[CLASS][-1, 0] = values
    row[f"{CLASS}:saturated"] = np.zeros(row[CLASS].shape, bool)
    row[f"{CLASS}:saturated"][-1, 0, list(saturated)] = True
    return row


def asked(reads_at=0, **fields):
    question = {"methods": ("raw", CLASS), **fields}
    return manifest(1) | {"question": Question(**question).as_json(), "reads_at": reads_at}


def said(row, about):
    carried = carried_by(row, about)
    return None if carried is None else carried.in_words(images=of_image(row))


def test_pieces_are_merged_into_words_and_special_tokens_left_out():
    row = a_row([9, 1e-6, 4e-6, 2e-6, 1e-6, 7])
    assert said(row, asked()) == "carried by: terribly (75 % of all words), not (12 %), bad (12 %)"
    carried = carried_by(row, asked())
    assert (carried.method, carried.target) == (CLASS, None)
    assert sum(word.share for word in carried.words) == pytest.approx(1)
    # A word of next to nothing is not named, and the leading one always is.
    assert said(a_row([0, 0, 1, 1, 0.01, 0]), asked()) == "carried by: terribly (100 % of all words)"
    assert (
        said(row, asked(target="positive"))
        == "speaks for positive: terribly (75 % of all words), not (12 %), bad (12 %)"
    )


def test_what_is_saturated_or_tied_is_not_told_as_an_answer():
    # One piece of the word is told apart.
    assert said(a_row([0, 2, 3, 3, 2, 0], (1, 2)), asked()) == (
        "carried by: terribly (60 % of all words), not (20 %, saturated), bad (20 %)"
    )
    assert said(a_row([0, 2, 1, 1, 2, 0]), asked()) == f"carried by no one word: 3 words tie in {CLASS}"
    assert said(a_row([0, 2, 1, 1 + 1e-8, 1, 0]), asked()) == f"carried by no one word: 2 words tie in {CLASS}"


def test_nothing_is_said_where_nothing_is_known():
    assert said(a_row([1, 0, 0, 0, 0, 1]), asked()) is None
    assert said(a_row([0, 2, 1, 1, 2, 0]) | {"prediction": None}, asked()) is None
    # The position that the head reads was not asked for; the last one is, where the head reads the last.
    assert said(a_row([0, 3, 1, 1, 2, 0]), asked(reads_at=-1)) is None
    assert said(a_row([0, 3, 1, 1, 2, 0]), asked(reads_at=None)) is None
    row = a_row([0, 3, 1, 1, 2, 0]) | {"queries": np.array([5])}
    assert said(row, asked(reads_at=-1)) == "carried by: not (43 % of all words), terribly (29 %), bad (29 %)"
    # Plain attention is of no class.
    assert said(make_row("not bad", label="negative"), manifest(1)) is None


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (Question(), None),
        (Question(mixing="attention-gradient", target="good"), ("flow", "good")),
        (Question(("rollout@attention-gradient", "flow", CLASS)), (CLASS, None)),
        (Question((Rollout("mine", "attention-gradient"), "flow")), ("mine", None)),
        (Question(Flow("exact", name="f", mixing="attention-gradient"), target=1), ("f", "1")),
        (Question(CLASS, target=("good", "bad")), (CLASS, "good less bad")),
        (Question(CLASS, target=Token("is", at=3)), (CLASS, "is")),
    ],
)
def test_the_method_of_the_class(question, expected):
    assert class_method(question.as_json()) == expected


def test_values_tie_up_to_what_flows_are_exact_to():
    values = np.array([0.5, 1, 0, 0.5 + 9e-7, 0.2, 0, 1e-9])
    assert tied(values).tolist() == [True, False, False, True, False, False, True]
    assert not tied(np.array([0.0, 0.0])).any()
    assert tied(1e-12 * np.array([3.0, 2.0, 3.0])).tolist() == [True, False, True]


def test_the_page_leads_with_the_method_of_the_class():
    row = a_row([0, 3, 1, 1, 2, 0], (4,))
    data = page_data(asked(), [row])
    assert data["methods"] == [CLASS, "raw"]
    assert data["flows"] == [CLASS]
    (example,) = data["examples"]
    assert [word["text"] for word in example["carried"]["words"]] == ["not", "terribly", "bad"]
    assert [word["saturated"] for word in example["carried"]["words"]] == [False, False, True]
    assert page_data(asked(), [a_row([0, 3, 1, 1, 2, 0])])["examples"][0]["saturated"] == {CLASS: None}


def test_the_report_says_what_carries_the_prediction_and_what_is_told_apart(context, tmp_path):
    path = tmp_path / "report.html"
    other = a_row([0, 2, 1, 1, 2, 0], (0, 1, 2, 3, 4, 5))
    rows = [a_row([0, 3, 1, 1, 2e-7, 0], (4,)), other, a_row([0, 3, 1, 1, 2, 0])]
    path.write_text(render(page_data(asked(), rows)), "utf-8")
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    # What leads is the method of the class; the note is of the row that is shown.
    assert page.evaluate("() => document.querySelector('#words figcaption').textContent") == CLASS
    assert page.evaluate("() => document.getElementById('carried').innerText.replace(/\\s+/g, ' ')") == (
        f"Carried by not 0.60 terribly 0.40 by {CLASS}, last layer"
    )
    notes = "() => [...document.querySelectorAll('#words .apart')].map((note) => note.textContent)"
    assert page.evaluate(notes) == ["tells 5 of 6 tokens apart here; the rest are saturated"]
    marked = "() => [...document.querySelectorAll('#words .token.saturated')].map((token) => token.textContent)"
    assert page.evaluate(marked) == ["bad"]
    page.evaluate("() => document.querySelectorAll('#sentences button')[1].click()")
    assert page.evaluate("() => document.getElementById('carried').textContent").startswith(
        "Carried by no one word: 3 words"
    )
    assert page.evaluate(notes) == ["tells 0 of 6 tokens apart here; the rest are saturated"]
    # At another layer nothing flows.
    page.evaluate(
        "() => { const layer = document.getElementById('layer'); layer.value = 0; "
        "layer.dispatchEvent(new Event('input')); }"
    )
    assert page.evaluate(notes) == ["nothing flows here from any word"]
    page.evaluate("() => document.querySelectorAll('#sentences button')[2].click()")
    page.evaluate(
        "() => { const layer = document.getElementById('layer'); layer.value = 2; "
        "layer.dispatchEvent(new Event('input')); }"
    )
    assert (page.evaluate(notes), errors, page.evaluate(marked)) == ([], [], [])
    page.close()


def test_the_report_fits_a_narrow_window(context, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(render(page_data(asked(), [a_row([0, 3, 1, 1, 2, 0], (1, 2, 3))])), "utf-8")
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    for width in (400, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        # Nothing is wider than the window, and no text of a row stands on another.
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        boxes = page.evaluate(
            "() => [...document.querySelectorAll('#words figure')].flatMap((figure) => "
            "[...figure.children].map((part) => part.getBoundingClientRect().toJSON()))"
        )
        for number, one in enumerate(boxes):
            for two in boxes[number + 1 :]:
                apart = [one["right"] <= two["left"], two["right"] <= one["left"]]
                apart += [one["bottom"] <= two["top"] + 4, two["bottom"] <= one["top"] + 4]
                assert any(apart)
    assert not errors
    page.close()
