"""The report of a prompt and its answer, in a real browser: point at a token, see what it came from."""

import warnings

import pytest
import torch

import jaxflow as jf
from tests.models.torch_architectures import WORDS, of
from tests.problems import softmax_attention


@pytest.fixture(scope="module")
def result():
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*eager attention is switched on", UserWarning)
        model = jf.TorchModel(of("GPT-2").make(), WORDS)
    return jf.attribute(
        model, ["the key to"], pairs=["the table is on"], queries="answer", methods=("raw", "rollout"), layers=2
    )


@pytest.mark.parametrize("width", [400, 1600])
def test_a_pointed_token_shows_what_it_came_from(result, context, tmp_path, width):
    path = jf.write_page(result, tmp_path / "report.html")
    page = context.browser.new_page(has_touch=True, viewport={"width": width, "height": 900})
    _ = page.goto(path.as_uri())
    picks = page.locator("#written .pick")
    assert picks.all_inner_texts() == ["the", "table", "is", "on"]
    (example,) = result
    # The mouse last: it stays where it was, and points.
    for place, act in ((1, "tap"), (2, "hover")):
        getattr(picks.nth(place), act)()
        assert page.locator("#written .pick[aria-pressed=true]").inner_text() == picks.nth(place).inner_text()
        later = len(example.prompt_tokens) + place
        # The darkest word is the one of the largest number, and what was not written yet has no shade.
        lines = page.locator('#words .text[data-method="raw"] .token')
        colours = lines.evaluate_all("found => found.map(each => each.style.backgroundColor)")
        assert len(colours) == len(example.tokens)
        assert colours[later:] == [""] * (len(colours) - later)
        values = example.relevance["raw"][-1, place]
        shown = [index for index, colour in enumerate(colours) if colour]
        assert min(shown, key=lambda index: sum(map(int, colours[index][4:-1].split(",")))) == max(
            shown, key=lambda index: values[index]
        )
    page.keyboard.press("ArrowRight")
    picks.nth(2).focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#written .pick[aria-pressed=true]").inner_text() == "on"
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.close()


def test_tokens_of_bytes_are_shown_as_they_are_read(context, tmp_path):
    attention = softmax_attention(1, (2, 1, 4, 4), causal=True)
    result = jf.attribute_attention(attention, ["ĠThe", "ĠcafÃ©", "Ċ", "Ġshuts"], methods="raw", causal=False)
    page = context.browser.new_page()
    _ = page.goto(jf.write_page(result, tmp_path / "report.html").as_uri())
    names = page.locator("tbody th[scope=row]").all_inner_texts()
    assert [name.strip() for name in names] == ["The", "café", "↵", "shuts"]
    page.close()
    figure = jf.plot_relevance(result[0])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["The", "café", "↵", "shuts"]
    assert "Ġ" not in result._repr_html_()
