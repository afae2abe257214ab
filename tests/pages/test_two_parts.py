"""The report of sources and targets, in a real browser: pick a target, see which sources it came from."""

import numpy as np
import pytest

import jaxflow as jf
from jaxflow.pages.page import page_data
from tests.pages.rows import make_row, manifest
from tests.problems import softmax_attention

SOURCES = ["▁the", "▁key", "s", "</s>"]
TARGETS = ["<pad>", "▁les", "▁clé", "s"]


@pytest.fixture(scope="module")
def result():
    encoder, decoder = softmax_attention(1, (1, 2, 2, 4, 4)), softmax_attention(2, (1, 2, 2, 4, 4), causal=True)
    cross = softmax_attention(3, (1, 2, 2, 4, 4))
    given = {"encoder_attentions": encoder, "decoder_attentions": decoder, "cross_attentions": cross}
    return jf.attribute_attention(
        given, SOURCES, target_tokens=TARGETS, predictions={"</s>": 0.9}, queries=None, methods=("raw", "rollout")
    )


@pytest.fixture
def shown(result, context, tmp_path):
    path = jf.write_page(result, tmp_path / "report.html")
    page = context.browser.new_page(has_touch=True, viewport={"width": 400, "height": 900})
    _ = page.goto(path.as_uri())
    yield page
    page.close()


def shades(page, method, side):
    """What each token of a line is painted with."""
    line = page.locator(f'#words .text[data-method="{method}"]').nth(side)
    return line.locator(".token").evaluate_all("found => found.map(each => each.style.backgroundColor)")


def test_a_picked_target_is_explained_by_the_position_that_predicted_it(shown, result):
    picks = shown.locator("#written .pick")
    assert picks.all_inner_texts() == ["les", "clé", "s", "next: </s>"]
    # At first what follows the targets is explained.
    assert shown.locator("#written .pick[aria-pressed=true]").inner_text() == "next: </s>"
    assert shown.locator("#layer-name").inner_text() == "decoder 2 cross"
    assert shown.locator("#heat thead [title='decoder 1 self']").first.inner_text() == "S1"
    for act in ("hover", "tap"):
        picks.nth(3).focus()
        getattr(picks.nth(1), act)()
        assert shown.locator("#written .pick[aria-pressed=true]").inner_text() == "clé"
        # Predicted at the position before, the second target.
        expected = result[0].relevance["raw"][-1, 5, :3]
        found = shades(shown, "raw", 0)
        assert len(set(found[:3])) > 1
        darkest = min(range(3), key=lambda token: sum(map(int, found[token][4:-1].split(","))))
        assert darkest == int(expected.argmax())
    # What was not yet written has no shade.
    assert shades(shown, "rollout", 1)[2:] == ["", ""]
    shown.keyboard.press("ArrowRight")
    assert shown.locator("#written .pick[aria-pressed=true]").inner_text() == "s"
    assert shown.evaluate("document.documentElement.scrollWidth") == 400


def test_a_pointed_word_says_where_its_number_goes(shown):
    shown.locator('#words .text[data-method="raw"] .token').first.hover()
    assert "raw, layer decoder 2 cross, to position 7" in shown.locator("#tooltip").inner_text()


def test_rows_of_sources_and_targets_and_of_prompt_and_answer():
    plain = make_row("The keys", "Les clés", every_query=True)
    (example,) = page_data(manifest(1), [plain])["examples"]
    assert example["parts"] is None
    tokens = len(plain["tokens"])
    (example,) = page_data(manifest(1), [plain | {"first_target": 4}])["examples"]
    assert example["parts"] == {
        "start": 4,
        "names": ["Source", "Target"],
        # Sources explain nothing that was written, nor does the last target.
        "explained": [None] * 4 + list(range(5, tokens)) + [None],
        "sink": None,
    }
    answered = plain | {"queries": np.array([3, 4]), "answer": np.array([4, 5])}
    answered |= {name: plain[name][:, 3:5] for name in ("raw", "rollout", "flow", "certified")}
    (example,) = page_data(manifest(1), [answered])["examples"]
    assert example["parts"] == {"start": 4, "names": ["Prompt", "Answer"], "explained": [4, 5], "sink": 0}
