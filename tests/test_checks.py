import pickle
from pathlib import Path

import pytest

import jaxflow
from jaxflow._checks import InputError, missing_extra, shown
from jaxflow.cli.output import namer

NAMED = namer({"max_length": "--max-length", "truncate": "--truncate", "out": "--out"})


def test_an_error_is_facts_that_each_front_puts_into_words():
    error = InputError("max_length", "be at most 512", "600", "pass `truncate=True`", place="text 3")
    assert str(error) == "text 3: `max_length` must be at most 512, got 600; pass `truncate=True`"
    assert error.in_words(NAMED) == "text 3: --max-length must be at most 512, got 600; pass --truncate"


@pytest.mark.parametrize("data", ["/data/run--out", "`truncate=True`", "`layers`"])
def test_no_front_rewrites_what_the_user_passed(data: str):
    error = InputError("out", "be a new folder", data, place=data)
    assert error.in_words(NAMED) == f"{data}: --out must be a new folder, got {data}"


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("texts[2]", "line 7 of a.txt must have at most 24 tokens, got 26; pass `truncate=True`"),
        ("pairs[2]", "the pair of line 7 of a.txt must have at most 24 tokens, got 26; pass `truncate=True`"),
        ("layers", "line 7 of a.txt: `layers` must have at most 24 tokens, got 26; pass `truncate=True`"),
    ],
)
def test_an_error_of_an_entry_moves_to_where_the_caller_has_it(argument: str, words: str):
    error = InputError(argument, "have at most 24 tokens", "26", "pass `truncate=True`")
    assert error.entry == (2 if "[" in argument else None)
    assert str(error.at("line 7 of a.txt")) == words
    assert str(error.at("line 7 of a.txt").also("see `out`")) == f"{words}; see `out`"


def test_an_error_survives_the_way_to_another_process():
    error = InputError("mask", "have shape (2, 16)", "(16,)", place="text 1")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), str(again), again.got) == (InputError, str(error), "(16,)")


def test_a_long_value_is_cut_where_an_error_shows_it():
    assert len(shown("a" * 200_000)) < 300
    assert shown("two\nlines") == repr("two\nlines")


def test_an_extra_goes_by_the_distributions_name():
    error = missing_extra("matplotlib", "plots", "a figure")
    assert str(error) == (
        "`matplotlib` must be installed for a figure; install it with: pip install 'jaxflow-attention[plots]'"
    )
    # The index has another project of the import name.
    root = Path(jaxflow.__file__).parents[1]
    texts = [path for kind in ("*.py", "*.md", "*.js", "*.html") for path in root.rglob(kind)]
    ours = [
        path for path in texts if path.relative_to(root).parts[0] in ("jaxflow", "scripts", "experiments", "README.md")
    ]
    assert len(ours) > 100
    assert not [path for path in ours if "jaxflow[" in path.read_text("utf-8")]
