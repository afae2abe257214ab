"""Packages that a process of the command line does without: hidden from others within a block, and from no one else."""

import importlib
import importlib.metadata
import importlib.util
import sys

import pytest

from jaxflow import _without
from jaxflow._without import do_without, hidden


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that can be imported, and that the process does without until the test ends."""
    (tmp_path / "left_out_package.py").write_text("value = 1\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_without, "_left_out", set())
    yield "left_out_package"
    sys.modules.pop("left_out_package", None)


def test_it_is_hidden_within_the_block_alone(package):
    do_without(package)
    finders = sys.meta_path[:]
    with hidden(package):
        with pytest.raises(ModuleNotFoundError, match=package):
            importlib.import_module(package)
        assert importlib.util.find_spec(package) is None
        # All else is found, and so is what is known of packages.
        assert importlib.util.find_spec("colorsys") is not None
        assert importlib.metadata.version("numpy")
    assert sys.meta_path == finders
    assert importlib.import_module(package).value == 1


def test_it_is_there_for_a_process_that_does_not_do_without(package):
    with hidden(package):
        assert importlib.import_module(package).value == 1


def test_what_was_imported_stays(package):
    before = importlib.import_module(package)
    do_without(package)
    with hidden(package):
        assert importlib.import_module(package) is before
