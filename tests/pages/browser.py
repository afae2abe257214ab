"""A browser for tests of pages: Debian's Chromium, driven by Playwright."""

import os
import shutil
import time
from contextlib import contextmanager

import pytest

HOW = (
    "no browser to test the page with: install Debian's chromium (apt-get install chromium, as ./scripts/test does "
    "where it may) and Playwright's Python package (pip install '.[test]'), or set CHROMIUM to a browser's path"
)
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

# A page's texts outside its pictures, but for what it hides; and its titles and placeholders.
OWN_WORDS = """[...document.querySelectorAll('body > :not(script, noscript), body > :not(script, noscript) *')].flatMap(
  element => [
    ...(element.closest('[hidden]') ? [] : [...element.childNodes].filter(({ nodeType }) => nodeType === 3)),
  ].map(({ data }) => data).concat(element.title, element.placeholder, element.getAttribute('aria-label')),
).filter(Boolean)"""


@contextmanager
def browser():
    """A context of a browser with an empty profile of its own; without one the test fails and says how to get one."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        pytest.fail(HOW, pytrace=False)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield opened
        finally:
            opened.close()


class Opened:
    """A page in the browser: what it shows, and that it did nothing that it should not."""

    def __init__(self, context, path, fragment=""):
        self.page = context.new_page()
        self.errors, self.requests = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(f"{path.as_uri()}{fragment}")
        self.settle()

    def run(self, script, argument=None):
        return self.page.evaluate(script, argument)

    def wait(self, script, argument=None):
        """Until a script says so; asked again and again, as the page's policy lets none wait within it."""
        until = time.monotonic() + 20
        while not self.run(script, argument):
            assert time.monotonic() < until, script
            time.sleep(0.01)

    def settle(self):
        self.wait("Boolean(window.jaxflow?.context())")
        self.run("jaxflow.settled()")

    def set(self, **changes):
        self.run("changes => jaxflow.set(changes)", changes)
        self.settle()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
            self.settle()

    def picture(self, view):
        """What a view is drawn on."""
        return self.page.locator(f"#panel-{view} canvas")

    def state(self, name=None):
        found = self.run("({...jaxflow.state})")
        return found if name is None else found[name]

    def table(self, view):
        """Rows of a view's CSV file, as dictionaries."""
        import csv
        import io

        return list(csv.DictReader(io.StringIO(self.run("name => jaxflow.csv(name)", view))))

    def close(self):
        own = self.requests[0].split("#")[0]
        assert not self.errors, self.errors
        assert {url.split("#")[0] for url in self.requests if not url.startswith("blob:")} == {own}
        self.page.close()
