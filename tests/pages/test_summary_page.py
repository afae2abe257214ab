"""The page of a data set's summary: its numbers are the summary's, its table sorts, its texts stay texts."""

import re
from dataclasses import replace

import numpy as np
import pytest

from jaxflow.cli import main as cli
from jaxflow.compare import read_conllu
from jaxflow.store import shards as store
from jaxflow.store.results import open_sweep
from jaxflow.summary.summary import summarize
from tests.pages.browser import Opened
from tests.pages.rows import HOSTILE
from tests.pages.test_page import Page
from tests.store.test_store import MANIFEST, example, write
from tests.summary.test_summary import PARSED, parsed

# The page writes four digits.
DIGITS = {"rel": 5e-4, "abs": 1e-4}
METHODS = ("raw", "rollout", "flow")
ROWS = "[...document.querySelectorAll('#tokens tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"


class Plain(Opened):
    def settle(self):
        self.wait("document.querySelectorAll('figure svg').length > 0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    rng = np.random.default_rng(0)
    texts = [HOSTILE, *(f"text {i}" for i in range(19))]
    store.write_manifest(folder, MANIFEST | {"model": HOSTILE})
    examples = [example(rng, text, 3 + i % 7, 1 + i % 2) for i, text in enumerate(texts)]
    write(folder, 0, examples, 1, True)
    return folder


@pytest.fixture(scope="module")
def written(folder):
    assert cli.main(["summarize", str(folder), "--top", "0"]) == 0
    return folder / store.ABOUT / "summary.html"


@pytest.fixture(scope="module")
def summary(folder):
    return summarize(open_sweep(folder))


@pytest.fixture
def page(context, written):
    opened = Plain(context, written)
    yield opened
    opened.close()


def marks(page, title):
    """The numbers of a chart's marks, as their boxes say them: line and place to value."""
    said = page.run(
        "name => [...document.querySelector(`[data-chart=\"${name}\"]`).querySelectorAll('title')]"
        ".map(each => each.textContent)",
        title,
    )
    found = [re.fullmatch(r"(.+), (?:layer|position) (\d+): (.+)", line).groups() for line in said]
    return {(name, int(place)): float(value) for name, place, value in found}


def test_the_page_holds_the_summarys_numbers_and_nothing_of_the_texts_is_markup(written, summary):
    page = Page(written.read_text("utf-8"))
    data = page.data()
    assert data["complete"] is True
    assert data["model"] == HOSTILE
    assert [each["token"] for each in data["tokens"]] == sorted(
        summary.token_counts, key=lambda token: -summary.token_counts[token]
    )
    places = list(summary.token_counts)
    for method in METHODS:
        for row in data["tokens"]:
            np.testing.assert_allclose(row[method], summary.tokens[method][:, places.index(row["token"])], rtol=1e-5)
        np.testing.assert_allclose(data["positions"][method], summary.positions[method], rtol=1e-5)
    assert "img" not in {tag for tag, _ in page.tags}
    assert "default-src 'none'" in page.policy


def test_charts_say_the_summarys_values(page, summary):
    places = [("flow", layer) for layer in summary.layers]
    saturated = dict(zip(places, summary.measures["flow"]["saturated"], strict=True))
    assert marks(page, "Flows saturated") == pytest.approx(saturated, **DIGITS)
    titles = {"entropy": "Entropy", "effective_tokens": "Tokens that count", "tied_tokens": "Tied tokens"}
    for name, title in titles.items():
        found = marks(page, title)
        expected = {
            (method, layer): summary.measures[method][name][index]
            for method in METHODS
            for index, layer in enumerate(summary.layers)
        }
        assert found == pytest.approx(expected, **DIGITS)
    agreement = {
        (" and ".join(pair), layer): values[index]
        for pair, values in summary.agreement.items()
        for index, layer in enumerate(summary.layers)
    }
    assert marks(page, "Spearman's rank correlation") == pytest.approx(agreement, **DIGITS)


def test_the_layer_is_of_tokens_and_positions_alike(page, summary):
    for index, layer in enumerate(summary.layers):
        page.page.locator("#layer").fill(str(index))
        reached = sum(count >= 5 for count in summary.position_counts)
        for method in METHODS:
            found = marks(page, f"Mean {method} at layer {layer}")
            expected = {(method, place): summary.positions[method][index, place] for place in range(reached)}
            assert found == pytest.approx(expected, **DIGITS)
        values = page.run("[...document.querySelectorAll('#tokens tbody tr')].map(row => row.cells[4].textContent)")
        flows = [float(value) for value in values]
        assert flows == sorted(flows, reverse=True)
        known = enumerate(summary.token_counts.items())
        often = [place for place, (token, count) in known if count >= 5 and token not in summary.special]
        assert flows == pytest.approx(sorted(summary.tokens["flow"][index, often], reverse=True), **DIGITS)


def test_tokens_are_searched_and_sorted(page, summary):
    page.page.locator("#least").fill("1")
    # Special tokens would lead most lists: they come where they are asked for.
    assert summary.special
    assert {row[0] for row in page.run(ROWS)} == set(summary.token_counts) - set(summary.special)
    page.page.locator("#special").check()
    assert len(page.run(ROWS)) == len(summary.token_counts)
    page.page.get_by_role("button", name="occurs").click()
    assert [int(row[1]) for row in page.run(ROWS)] == sorted(summary.token_counts.values(), reverse=True)
    page.page.get_by_role("button", name="token").click()
    names = [row[0] for row in page.run(ROWS)]
    assert names == sorted(names)
    page.page.locator("#search").fill(names[-1].upper())
    assert names[-1] in [row[0] for row in page.run(ROWS)]
    assert all(names[-1].lower() in row[0].lower() for row in page.run(ROWS))
    page.page.locator("#search").fill("no such token at all")
    assert page.run(ROWS) == []
    assert page.page.locator("#count").text_content().startswith("0 of 0 tokens")


def test_parts_of_speech_have_a_table_where_they_are_known(page, context, tmp_path):
    assert page.page.locator("#tags-section").is_hidden()
    results = parsed(tmp_path, ["The keys, du", "not parsed"])
    (tmp_path / "texts.conllu").write_text(PARSED, "utf-8")
    assert cli.main(["summarize", str(tmp_path), "--conllu", str(tmp_path / "texts.conllu")]) == 0
    summary = summarize(results, read_conllu(tmp_path / "texts.conllu"))
    opened = Plain(context, tmp_path / store.ABOUT / "summary.html")
    for index in range(len(summary.layers)):
        opened.page.locator("#layer").fill(str(index))
        rows = opened.run(ROWS.replace("tokens", "tags"))
        assert [(row[0], int(row[1])) for row in rows] == list(summary.tag_counts.items())
        for place, row in enumerate(rows):
            expected = [summary.tags[method][index, place] for method in METHODS]
            assert [float(value) for value in row[2:]] == pytest.approx(expected, **DIGITS)
    opened.close()


def test_the_theme_turns(page):
    button = page.page.locator("#theme")
    back = "getComputedStyle(document.body).backgroundColor"
    first = page.run(back)
    button.click()
    assert button.text_content() in ("Theme: light", "Theme: dark")
    assert page.run(back) != first
    button.click()
    assert page.run(back) == first


def test_hostile_texts_are_shown_as_texts(page, summary):
    texts = page.run("[...document.querySelectorAll('#disagreements td.text')].map(cell => cell.innerText)")
    assert len(texts) == sum(map(len, summary.disagreements.values()))
    assert page.run("document.querySelectorAll('main img, main script, main iframe').length") == 0
    assert page.run("document.title").startswith("jaxflow summary: ")


def test_methods_of_any_name_have_lines_that_differ(context, tmp_path):
    methods = ("flow@attention-gradient", "joint-flow", "mine", "rollout", "widest-path")
    rng = np.random.default_rng(2)
    made = [example(rng, f"text {number}", 5, 1, methods=("raw",)) for number in range(6)]
    made = [
        replace(
            each,
            relevance={name: rng.random((2, 1, 5)).astype(np.float32) for name in methods},
            certified=np.ones((2, 1, 5), bool),
        )
        for each in made
    ]
    question = MANIFEST["question"] | {"methods": list(methods)}
    store.write_manifest(tmp_path, MANIFEST | {"question": question})
    write(tmp_path, 0, made, 1, True)
    assert cli.main(["summarize", str(tmp_path)]) == 0
    opened = Plain(context, tmp_path / store.ABOUT / "summary.html")
    assert {name for name, _ in marks(opened, "Entropy")} == set(methods)
    # A line is told by its dash and its mark together, not by its colour alone.
    looks = opened.run(
        "[...document.querySelectorAll('#methods-legend svg')].map(svg => ["
        "svg.querySelector('.line').getAttribute('stroke-dasharray'), svg.querySelector('.mark').getAttribute('d')"
        "].join())"
    )
    assert len(set(looks)) == len(methods)
    opened.close()


def test_a_sweep_that_was_not_finished_says_so(folder, context, tmp_path, capsys):
    store.write_manifest(tmp_path, MANIFEST)
    write(tmp_path, 0, [example(np.random.default_rng(1), "a text", 3, 1)], 1, False)
    assert cli.main(["summarize", str(tmp_path)]) == 0
    assert "was not finished" in capsys.readouterr().err
    opened = Plain(context, tmp_path / store.ABOUT / "summary.html")
    assert opened.page.locator("#about").text_content() == (
        "1 texts of in · mixing: attention (heads mean, residual 0.5) · the sweep was not finished"
    )
    opened.close()
