import pickle
from pathlib import Path

import numpy as np
import pytest

import jaxflow
from jaxflow._checks import InputError, as_flag, missing_extra, shown
from jaxflow.cli.output import namer
from jaxflow.evaluation.gradients import GradientTimesInput
from jaxflow.evaluation.inputs import token_inputs
from jaxflow.evaluation.protocols import Aopc
from jaxflow.heads.roles import head_roles
from jaxflow.inputs.source import InlineSource
from jaxflow.sweep import comparison
from tests.tiny_text_model import model_folder

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


@pytest.fixture(scope="module")
def model():
    return jaxflow.load_model(model_folder())


FLAGS = {
    "attribute": lambda model, out, flag: jaxflow.attribute(model, "the key", methods="raw", truncate=flag),
    "build_graph": lambda model, out, flag: jaxflow.build_graph(model, "the key", truncate=flag),
    "run_sweep": lambda model, out, flag: jaxflow.run_sweep(model, ["the key"], out, truncate=flag),
    "a sweep that goes on": lambda model, out, flag: jaxflow.run_sweep(model, ["the key"], out, resume=flag),
    "Attributor": lambda model, out, flag: jaxflow.Attributor(model, truncate=flag),
    "explore": lambda model, out, flag: jaxflow.explore(model, "the key", truncate=flag),
    "roles of explore": lambda model, out, flag: jaxflow.explore(model, "the key", roles=flag),
    "importance of explore": lambda model, out, flag: jaxflow.explore(model, "the key", importance=flag),
    "compare_models": lambda model, out, flag: jaxflow.compare_models(model, model, "the key", truncate=flag),
    "heads of compare_models": lambda model, out, flag: jaxflow.compare_models(model, model, "a", keep_heads=flag),
    "a comparison of files": lambda model, out, flag: comparison.prepare(
        model, model, InlineSource(("the key",)), out, jaxflow.Question(), truncate=flag
    ),
    "tokenize": lambda model, out, flag: model.tokenize(["the key"], truncate=flag),
    "inputs of measures": lambda model, out, flag: token_inputs(model, "the key", truncate=flag),
    "roles": lambda model, out, flag: head_roles(model, "the key", truncate=flag),
    "load_model": lambda model, out, flag: jaxflow.load_model("verb-number", tokenizer=flag),
    "the hub": lambda model, out, flag: jaxflow.load_model("verb-number", local_files_only=flag),
    "gradients": lambda model, out, flag: GradientTimesInput(absolute=flag),
    "protocols": lambda model, out, flag: Aopc(absolute=flag),
}


@pytest.mark.parametrize("call", FLAGS.values(), ids=FLAGS)
def test_a_flag_is_true_or_false_and_no_word(model, tmp_path, call):
    for flag in ("no", None, 1.0):
        with pytest.raises(InputError, match=r"^`\w+` must be True(,| or) False") as refused:
            call(model, tmp_path / "out", flag)
        assert (refused.value.got, "\n" in str(refused.value)) == (repr(flag), False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag", ["no", 1.0])
def test_whether_attention_in_hand_is_causal_may_be_left_open_and_is_no_word(flag):
    with pytest.raises(InputError, match=r"^`causal` must be True or False"):
        _ = jaxflow.attribute_attention(np.ones((1, 1, 1, 1)), ["a"], causal=flag)


def test_a_flag_may_be_numpys_and_is_kept_as_pythons(model, tmp_path):
    assert (as_flag("truncate", np.True_), as_flag("truncate", False)) == (True, False)
    assert type(as_flag("truncate", np.True_)) is bool
    long, numpys = "the key " * 100, {"truncate": np.True_, "resume": np.False_}
    results = jaxflow.run_sweep(model, [long], tmp_path / "out", methods="raw", **numpys)
    assert results.manifest["lengths"]["truncate"] is True
