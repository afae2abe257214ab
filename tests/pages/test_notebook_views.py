"""What the end of a notebook's cell shows: nothing that runs or loads, every string of the data as text."""

import re
from html import unescape

import numpy as np
import pytest

import jaxflow as jf
from jaxflow.compare.findings import findings
from jaxflow.pages import notebook
from tests.pages.tiny_pair import HOSTILE_TEXTS, TEXTS

pytestmark = pytest.mark.usefixtures("few_sizes")

RUNS = re.compile(r"<script|\son\w+=|javascript:|https?://", re.IGNORECASE)


@pytest.fixture(scope="module")
def comparison(models):
    return jf.compare_models(*models, [*TEXTS[:4], *HOSTILE_TEXTS])


def test_an_example_shows_itself_as_its_result_does(models):
    result = jf.attribute(models[0], ["the key <b>is</b> on", "table"])
    html = result[0]._repr_html_()
    assert html[5:-6] in result[:1]._repr_html_()
    assert ">full shade: the largest of a line; dotted: saturated, this flow says nothing of it<" in html
    # What is not there is not explained.
    signed = jf.attribute(models[0], "the key", methods=("raw", "gradient-input"))._repr_html_()
    assert ">full shade: the largest of a line; orange: against<" in signed
    assert html.count("<table>") == 1
    assert "<b>" not in html
    assert not RUNS.search(html)


def test_a_result_leads_with_the_words_that_carry_the_prediction(models):
    result = jf.attribute(models[0], ["the key <b>is</b> on", "table"])
    first, second = result._repr_html_().split("prediction: ")[:2]
    for example, html in zip(result, (first, second), strict=True):
        values = np.where(np.array(example.source) >= 0, example.relevance["flow@attention-gradient"][-1, 0], 0)
        (prediction, word) = re.search(r"<strong>(.*?)</strong>, carried by: (\S+?) \(", html).groups()
        assert prediction == example.prediction
        # The words of these texts are tokens, but for one.
        top = np.array(example.tokens)[values.argmax()]
        assert unescape(word).startswith(top)
    asked = jf.attribute(models[0], "the key", target="good")._repr_html_()
    assert "speaks for good: " in asked
    assert "<strong>" not in asked
    # Who names other methods asked nothing of a class.
    assert "carried" not in jf.attribute(models[0], "the key", methods="flow")._repr_html_()


def test_a_comparison_shows_its_heads_and_its_findings(comparison):
    html = comparison._repr_html_()
    distance = comparison.summary.head.jensen_shannon.mean
    titles = [float(each) for each in re.findall(r'title="([^"]*)"', html)]
    # The last layer above.
    assert titles == pytest.approx(distance[::-1].ravel().tolist(), rel=1e-3)
    darkest = max(re.findall(r"0, 114, 178, (\d\.\d\d)\)[^>]*title=\"([^\"]*)\"", html))
    assert float(darkest[1]) == pytest.approx(float(distance.max()), rel=1e-3)
    assert findings(comparison.summary)[0] in html
    assert not RUNS.search(html)


def test_findings_are_text(comparison, monkeypatch):
    # Words and labels are the user's.
    monkeypatch.setattr(notebook, "findings", lambda summary: ["<img src=x onerror=y>", "</pre><b>"])
    html = comparison._repr_html_()
    assert "&lt;img src=x onerror=y&gt;" in html
    assert html.count("</pre>") == 1
    assert "<b>" not in html


def test_ipython_finds_every_view(models, comparison, pair):
    from IPython.core.formatters import HTMLFormatter

    result = jf.attribute(models[0], ["the key"], methods="raw")
    for shown in (result, result[0], comparison, pair):
        assert HTMLFormatter()(shown)
