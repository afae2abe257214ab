"""How the page keeps numbers: exact where there is room, rounded to what it states where there is not."""

import dataclasses
import re

import numpy as np

from jaxflow.cli.output import SMALL, large
from jaxflow.pages import explorer, numbers
from tests.pages.test_page import Page
from tests.pages.unpacked import unpacked


def test_a_long_text_is_rounded_to_what_the_page_states_until_it_fits(pair, monkeypatch):
    alone = dataclasses.replace(pair, sides=pair.sides[:1], change=(), moved=())
    whole = explorer.render_explorer(alone)
    sizes = [len(found) for found in re.findall(r'id="numbers-\d+-0">([^<]*)<', whole)]
    monkeypatch.setattr(numbers, "ROOM", int(0.6 * max(sizes)))
    rounded = explorer.render_explorer(alone)
    data, side = Page(rounded).data(), alone.sides[0]
    kept = [sentence["kept"] for sentence in data["sentences"]]
    # Short texts have room for all digits, and long ones do with fewer.
    assert {each["bits"] for each in kept} > {10}
    assert max(map(len, re.findall(r'id="numbers-\d+-0">([^<]*)<', rounded))) <= numbers.ROOM
    for index, each in enumerate(kept):
        assert each["fused"] == ([] if each["bits"] == 10 else ["raw"])
        relevance, attention = unpacked(rounded, index, 0, data)
        exact = side.attention[index].astype(np.float64)
        bound = np.sqrt(exact) / each["steps"] + 1 / (4 * each["steps"] ** 2)
        assert (np.abs(attention - exact) <= bound * (1 + 1e-6)).all()
        there = [name for name in data["methods"] if name not in each["fused"]]
        for method, values in zip(there, relevance, strict=True):
            expected = side.examples[index].relevance[method]
            # Half precision itself is off by 2^-11.
            np.testing.assert_allclose(values, expected, rtol=2.0 ** -(each["bits"] + 1) + 2**-11, atol=3e-8)


def test_no_room_at_all_leaves_the_coarsest_numbers(pair, monkeypatch):
    monkeypatch.setattr(numbers, "ROOM", 1)
    data = Page(explorer.render_explorer(pair)).data()
    assert {(each["kept"]["bits"], each["kept"]["steps"]) for each in data["sentences"]} == {(5, 31)}


def test_a_method_that_is_not_the_mean_of_the_heads_is_kept(pair, monkeypatch):
    monkeypatch.setattr(numbers, "ROOM", 1)
    (example, *rest), side = pair.sides[0].examples, pair.sides[0]
    moved = dataclasses.replace(example, relevance=example.relevance | {"raw": example.relevance["raw"] * 1.01})
    changed = dataclasses.replace(side, examples=(moved, *rest))
    data = Page(explorer.render_explorer(dataclasses.replace(pair, sides=(changed, pair.sides[1])))).data()
    assert [each["kept"]["fused"] for each in data["sentences"]] == [[]] + [["raw"]] * len(rest)


def test_the_command_line_names_the_size_of_a_page_that_does_not_open_at_once(tmp_path):
    page = tmp_path / "page.html"
    _ = page.write_bytes(b" " * (SMALL - 1))
    assert large(page) == ""
    _ = page.write_bytes(b" " * 5_123_456)
    assert large(page) == "   5.1 MB: fewer or shorter texts would make it smaller"
