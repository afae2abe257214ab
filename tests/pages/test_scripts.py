"""The pages' scripts: formatted, linted, typed, tested by node, and bundled into what the package ships."""

import json
import re

import numpy as np
import pytest

from scripts.pages import tools
from tests.pages.golden import graphs


@pytest.mark.parametrize("check", tools.CHECKS)
def test_the_modules_pass(check):
    done = tools.run(*tools.CHECKS[check])
    assert done.returncode == 0, done.stdout
    if check == "tests":
        assert int(re.search(r"^. pass (\d+)$", done.stdout, re.MULTILINE)[1]) > 40


def test_the_package_ships_what_the_modules_say(tmp_path):
    done = tools.build(tmp_path)
    assert done.returncode == 0, done.stdout
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"d3.js", "d3-licence.txt", "report.js", "explorer.js", "summary.js", "widget.js"}
    assert names >= {path.name for path in tools.ASSETS.glob("*.js")}
    for name in names:
        built, shipped = ((folder / name).read_text("utf-8") for folder in (tmp_path, tools.ASSETS))
        assert built == shipped, f"{name} is not of its sources: python scripts/pages/tools.py build"


def test_what_the_modules_are_held_against_is_the_librarys():
    checked_in = json.loads(graphs.FILE.read_text())
    made = graphs.graphs()
    assert list(checked_in) == list(made)
    for name, golden in checked_in.items():
        assert golden.keys() == made[name].keys()
        # These bytes are of the same numbers as what follows, rounded, which another processor may do the other way.
        for key in ("packed", "some", "coarse", "fused"):
            assert len(golden.pop(key)) == len(made[name][key])
        for key, expected in golden.items():
            # A step of half precision; the rest is float32's, or of whole bytes.
            rtol = 2**-10 if key == "halves" else 1e-5
            np.testing.assert_allclose(made[name][key], expected, rtol=rtol, atol=1e-6, err_msg=f"{name} {key}")
