"""The page of what changed between two models: the library's numbers, names as text, nothing that runs."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import jaxflow as jf
from jaxflow.pages import comparison_tables
from jaxflow.pages.comparison_page import Compared, render_comparison, write_comparison_page
from tests.pages.tiny_pair import TEXTS

OF = Compared("first", "second", texts="texts.csv", mixing="attention (heads mean)", explorer="explore.html")
HOSTILE = '<img src=x onerror="alert(1)">\u202e'


@pytest.fixture(scope="module")
def compared(models):
    first, second = models
    return jf.compare_models(first, second, TEXTS * 3, least=2, methods=("raw", "flow"))


class Tables(HTMLParser):
    """Rows of each section's tables, as text; and all tags."""

    def __init__(self, page):
        super().__init__()
        self.section, self.rows, self.tags = None, {}, []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self.section = dict(attrs)["id"]
            self.rows[self.section] = []
        if tag == "tr":
            self.rows[self.section].append([])
        if tag in ("td", "th"):
            self.rows[self.section][-1].append("")

    def handle_data(self, data):
        if self.section and self.rows[self.section] and self.rows[self.section][-1]:
            self.rows[self.section][-1][-1] += data.strip("\n")

    def of(self, section):
        """Its rows without those of headings."""
        return [row for row in self.rows[section] if row[0] not in ("layer", "head", "arcs", "word", "first")]


def test_tables_hold_what_the_summary_says(compared):
    summary, tables = compared.summary, Tables(render_comparison(compared.summary, OF))
    for row, place in zip(tables.of("layers"), range(3), strict=True):
        assert row[:2] == [str(place + 1), f"{summary.layer.heads.mean[place]:.3f}"]
        assert row[4] == f"{summary.layer.jensen_shannon.mean[place]:.3f}"
        assert ("*" in row[5]) == (summary.layer.adjusted_p[place] < 0.05)
    heads = tables.of("heads")
    distance = summary.head.jensen_shannon
    assert [float(row[1]) for row in heads] == sorted((round(float(v), 3) for v in distance.mean.ravel()), reverse=True)
    for row in heads:
        layer, head = (int(number) - 1 for number in re.findall(r"\d+", row[0]))
        assert row[2] == f"[{distance.low[layer, head]:.3f}, {distance.high[layer, head]:.3f}]"
        match = int(summary.head.matching[layer, head])
        assert row[5] == ("itself" if match == head else f"H{match + 1}")
    assert [row[1] for row in tables.of("arcs")] == [f"{summary.arcs[kind]:.1f}" for kind in summary.arcs]
    for method in ("raw", "flow"):
        words = {word.word: word for word in summary.words if word.method == method}
        rows = tables.of(f"words-{method}")
        assert len(rows) > 3
        for name, texts, change, _, p in rows:
            assert (texts, change) == (str(words[name].texts), f"{words[name].mean:+.4f}")
            assert ("*" in p) == (words[name].adjusted_p < 0.05)
        sizes = [abs(words[row[0]].mean) for row in rows]
        assert sizes == sorted(sizes, reverse=True)
    assert {(first, second): int(texts) for first, second, texts in tables.of("predictions")} == summary.confusion


def test_heads_and_words_beyond_the_first_stand_behind_a_click(compared, monkeypatch):
    monkeypatch.setattr(comparison_tables, "FIRST", 2)
    page = render_comparison(compared.summary, OF)
    assert "<summary>The other 4</summary>" in page
    assert "<summary>The next " in page
    assert len(Tables(page).of("heads")) == 6


def test_names_and_words_are_nowhere_markup_and_nothing_runs(compared):
    summary = compared.summary
    words = tuple(dataclasses.replace(word, word=HOSTILE) for word in summary.words)
    confusion = {(HOSTILE, HOSTILE): summary.texts}
    of = Compared(HOSTILE, HOSTILE, texts=HOSTILE, mixing=HOSTILE, explorer=HOSTILE)
    tables = Tables(render_comparison(dataclasses.replace(summary, words=words, confusion=confusion), of))
    assert {tag for tag, _ in tables.tags}.isdisjoint({"img", "script", "iframe", "object", "link", "form"})
    assert not any(name.startswith("on") or name == "style" for _, attributes in tables.tags for name in attributes)
    # What turns the direction of writing around is written out.
    assert {row[0] for row in tables.of("words-raw")} == {HOSTILE.replace("\u202e", "\\u202e")}
    (policy,) = [each["content"] for tag, each in tables.tags if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy


@pytest.mark.parametrize(("width", "theme"), [(400, "dark"), (1600, "light")])
def test_the_page_stands_in_the_window_and_asks_for_nothing(compared, context, tmp_path, width, theme):
    path = write_comparison_page(compared.summary, tmp_path / "changes.html", OF)
    page = context.new_page()
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)
    _ = page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # The style is let through by its hash.
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert dark == (theme == "dark")
    assert requests == [path.as_uri()]
    page.close()


def test_write_page_takes_a_comparison_and_names_its_models(compared, models, tmp_path):
    text = jf.write_page(compared, tmp_path / "changes.html").read_text("utf-8")
    for letter, name in zip("ab", compared.models, strict=True):
        assert f'<span class="{letter}"><bdi>{Path(name).name}</bdi></span>' in text
    assert compared.models == (models[0].name, models[1].name)
    assert "<a " not in text
