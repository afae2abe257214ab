"""The explorer as a widget: its module, in a real browser, against a model as anywidget gives one."""

import json

import pytest
import traitlets

from jaxflow.pages.page import asset
from jaxflow.pages.widget import ExplorerWidget

# What anywidget hands to a module's `render`: values, and who is told when they change.
NOTEBOOK = """<!doctype html><meta charset="utf-8"><div id="cell"></div>
<script type="module">
const values = %s, told = {};
window.saved = 0;
window.values = values;
const model = {
  get: name => values[name],
  set: (name, value) => {
    if (values[name] === value) return;
    values[name] = value;
    (told[name] ?? []).forEach(then => then());
  },
  save_changes: () => { window.saved += 1; },
  on: (name, then) => { (told[name.slice(7)] ??= []).push(then); },
  off: (name, then) => { told[name.slice(7)] = told[name.slice(7)].filter(other => other !== then); },
};
window.model = model;
window.listeners = () => Object.values(told).flat().length;
const module = await import(URL.createObjectURL(new Blob([%s], { type: "text/javascript" })));
window.end = module.default.render({ model, el: document.getElementById("cell") });
</script>"""
VALUES = ("sentence", "position", "token", "layer", "head", "threshold", "height", "page")


def as_script(value):
    return json.dumps(value).replace("<", "\\u003c")


@pytest.fixture
def opened(pair, context, tmp_path):
    pages = []

    def open_widget(**choices):
        widget = ExplorerWidget(pair, **choices)
        path = tmp_path / "notebook.html"
        values = {name: getattr(widget, name) for name in VALUES}
        _ = path.write_text(NOTEBOOK % (as_script(values), as_script(asset("widget.js"))), "utf-8")
        page = context.new_page()
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        _ = page.goto(path.as_uri())
        page.wait_for_function("window.saved > 0")
        pages.append((page, requests))
        return widget, page, page.frame_locator("iframe")

    yield open_widget
    for page, requests in pages:
        # The notebook itself, the module that it made, and the frame's own text: nothing from elsewhere.
        assert all(url.startswith(("file:", "blob:", "about:")) for url in requests), requests
        page.close()


def values_of(page):
    return page.evaluate("({...values, page: null})")


def test_what_is_chosen_comes_back(opened, pair):
    widget, page, frame = opened()
    begun = values_of(page)
    assert (begun["sentence"], begun["position"], begun["token"]) == (0, 0, None)
    assert begun["layer"] == pair.sides[0].heads[0]
    # The page found one itself.
    assert 0 < begun["threshold"] < 1
    frame.locator("#strip .token[data-token='4']").first.click()
    page.wait_for_function("values.token === 4")
    # A widget takes all that the page says.
    for name, value in values_of(page).items():
        if name in VALUES[:6]:
            setattr(widget, name, value)
    assert widget.token == 4


def test_python_chooses(opened):
    _, page, frame = opened()
    page.evaluate("model.set('position', 3)")
    frame.locator("#choose-position").wait_for()
    page.wait_for_function("saved > 1")
    assert frame.locator("#choose-position").input_value() == "3"
    assert values_of(page)["position"] == 3
    # Not understood, and so not chosen; the page says what is.
    page.evaluate("model.set('layer', 99)")
    page.evaluate("model.set('token', 2)")
    page.wait_for_function("saved > 2")
    assert values_of(page)["token"] == 2
    assert values_of(page)["layer"] == 3


def test_choices_to_begin_with(opened):
    _, page, frame = opened(layer=2, token=4, threshold=0.2, height=500)
    page.wait_for_function("saved > 1")
    found = values_of(page)
    assert (found["layer"], found["token"], found["threshold"]) == (2, 4, 0.2)
    assert frame.locator("#strip .token.traced").first.inner_text()
    assert page.locator("iframe").bounding_box()["height"] == 500


def test_it_leaves_nothing_behind(opened):
    _, page, _ = opened()
    assert page.evaluate("listeners()") == 6
    page.evaluate("end()")
    assert page.evaluate("listeners()") == 0


def test_a_page_that_stands_alone_tells_nobody(page):
    page.run("() => { window.heard = []; addEventListener('message', event => heard.push(event.data)); }")
    page.set(position=2)
    page.run("() => window.postMessage({ jaxflow: { position: 4 } }, '*')")
    page.settle()
    assert page.run("heard.length") == 1
    assert page.state("position") == 2


@pytest.mark.parametrize(("name", "value"), [("layer", 0), ("threshold", 2.0), ("token", -1)])
def test_wrong_choices_are_refused(pair, name, value):
    with pytest.raises(traitlets.TraitError, match=name):
        ExplorerWidget(pair, **{name: value})
