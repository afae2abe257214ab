"""The explorer of two tiny models, made once, and the browser that shows it."""

import numpy as np
import pytest

import jaxflow as jf
from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import write_explorer
from tests.pages.browser import Opened, browser
from tests.pages.tiny_pair import TEXTS, TRUTH, model_folder, moved_folder


@pytest.fixture(scope="session")
def models():
    return [jf.load_model(str(folder())) for folder in (model_folder, moved_folder)]


@pytest.fixture(scope="session")
def pair(models):
    found = explore(models[0], TEXTS, other=models[1], labels=TRUTH)
    importance = [np.arange(6).reshape(3, 2) / 10, np.ones((3, 2))]
    return found.with_heads({"importance": importance}, [[["next", "own"]] * 3, [["[SEP]", "own"]] * 3])


@pytest.fixture(scope="session")
def context():
    with browser() as program:
        opened = program.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
        opened.set_default_timeout(20000)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def path(pair, tmp_path_factory):
    return write_explorer(pair, tmp_path_factory.mktemp("page") / "explorer.html")


@pytest.fixture(scope="session")
def shared(context, path):
    opened = Opened(context, path)
    yield opened
    opened.close()


@pytest.fixture
def page(shared):
    """The page as at first."""
    shared.run("() => { location.hash = ''; document.getElementById('search').value = ''; }")
    shared.settle()
    shared.run("() => jaxflow.set(Object.fromEntries(Object.entries(jaxflow.first)))")
    shared.settle()
    return shared
