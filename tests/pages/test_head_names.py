"""The one head that differs between two models has one name: on the terminal, in files, in tables and on the page."""

import contextlib
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import jaxflow as jf
from jaxflow.cli import main as cli
from jaxflow.compare import WordChange, findings, head_roles, role_changes
from jaxflow.models import save_encoder
from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import write_explorer
from jaxflow.store.record import checked
from jaxflow.sweep.comparison_folder import open_comparison
from tests.compare.models import sharpened
from tests.pages.browser import Opened
from tests.pages.tiny_pair import TEXTS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

# The last layer's second head: what follows it is no attention, so that nothing else moves.
LAYER, HEAD = 3, 2


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    first = jf.load_model(str(model_folder()))
    folder = tmp_path_factory.mktemp("models") / "second"
    second = sharpened(first, LAYER - 1, HEAD - 1)
    _ = save_encoder(second, folder)
    return first, second, folder


@pytest.fixture(scope="module")
def compared(models, tmp_path_factory):
    """What the command says, and the folder that it writes."""
    folder = tmp_path_factory.mktemp("compared")
    _ = (folder / "texts.txt").write_text("\n".join(TEXTS))
    given = ["--model-a", str(model_folder()), "--model-b", str(models[2]), "--input", str(folder / "texts.txt")]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert cli.main(["compare", *given, "--out", str(folder / "out")]) == 0
    return said.getvalue().splitlines(), folder / "out"


def test_the_head_that_changed_has_one_name_everywhere(context, models, compared, tmp_path):
    first, second, _ = models
    said, folder = compared
    # On the terminal the head that changed most stands below its heading.
    assert said[said.index("heads that changed most") + 1].split()[:2] == [f"L{LAYER}", f"H{HEAD}"]
    # In the folder: the one row whose distance is not 0.
    rows = pq.read_table(folder / "__about__" / "heads.parquet").to_pylist()
    assert [(row["layer_a"], row["head"]) for row in rows if row["jensen_shannon"] > 1e-3] == [(LAYER, HEAD)]
    assert list(open_comparison(folder).heads()) == rows
    # In the table of roles: the head whose entropy moves most.
    table = role_changes(head_roles(first, TEXTS), head_roles(second, TEXTS))
    moved = max(table, key=lambda row: abs(row["entropy"]))
    assert (moved["layer"], moved["head"]) == (LAYER, HEAD)
    # On the page: the row of the head grid's numbers that is not 0, and the mark that stands for it.
    opened = Opened(context, write_explorer(explore(first, TEXTS, other=second), tmp_path / "explorer.html"))
    opened.set(view="grid", measure="change")
    rows = [row for row in opened.table("grid") if float(row["change"]) > 1e-3]
    assert [(row["layer"], row["head"]) for row in rows] == [(str(LAYER), str(HEAD))]
    opened.close()


def test_a_folder_of_the_first_format_is_read_with_heads_from_1(compared, tmp_path):
    _ = shutil.copytree(compared[1], tmp_path / "out")
    new = open_comparison(tmp_path / "out")
    heads = list(new.heads())
    # The folder as the first format has it: all files beside the texts, heads from 0, -1 for one without a match.
    about = tmp_path / "out" / "__about__"
    table = pq.read_table(about / "heads.parquet")
    for name in ("head", "match"):
        at = table.column_names.index(name)
        table = table.set_column(at, name, [[number - 1 for number in table[name].to_pylist()]])
    pq.write_table(table, tmp_path / "out" / "heads.parquet")
    old = json.loads((about / "comparison.json").read_text())
    old["format"] = 1
    old["head"]["matching"] = (np.array(old["head"]["matching"]) - 1).tolist()
    for name in ("check", "files"):
        del old[name]
    _ = (tmp_path / "out" / "comparison.json").write_text(json.dumps(old))
    shutil.rmtree(about)
    stored = open_comparison(tmp_path / "out")
    assert list(stored.heads()) == heads
    assert stored.summary["head"] == new.summary["head"]
    assert [row["text"] for row in stored.rows()] == TEXTS


def test_a_folder_of_the_second_format_is_read_as_it_says(compared, tmp_path):
    _ = shutil.copytree(compared[1], tmp_path / "out")
    path = tmp_path / "out" / "__about__" / "comparison.json"
    summary = json.loads(path.read_text())
    assert summary["format"] == 3
    summary |= {"format": 2, "arcs": {"shared": 3.0, "only_a": 1.0, "only_b": 2.0}}
    del summary["check"]
    _ = path.write_text(json.dumps(checked(summary)))
    stored = open_comparison(tmp_path / "out")
    assert stored.summary["arcs"] == summary["arcs"]
    assert [row["text"] for row in stored.rows()] == TEXTS


def test_heads_that_are_more_like_others_are_named_as_in_the_files(models):
    summary = jf.compare_models(models[0], models[0], TEXTS).summary
    # Each head of layer 2 answers to the next one.
    matching = summary.head.matching.copy()
    matching[1] = np.roll(matching[1], 1)
    object.__setattr__(summary.head, "matching", matching)
    said = next(line for line in findings(summary) if "more like another head" in line)
    assert said.endswith(": L2 H1 -> H2, L2 H2 -> H1")


def test_the_findings_name_words_that_stand_out_and_no_punctuation(models):
    summary = jf.compare_models(models[0], models[1], TEXTS, methods="rollout").summary

    def word(name, mean, p):
        return WordChange(name, 9, "rollout", mean, mean, mean, p, p)

    words = [word("the", 0.4, 0.9), word(".", 0.3, 0.001), word("good", 0.2, 0.01), word("bad", -0.1, 0.2)]
    lines = findings(replace(summary, words=(*words, word("rare", 0.9, np.nan))))
    at = lines.index("words by rollout")
    assert lines[at + 1 : at + 3] == [
        "  gained: good +0.2000 * (9)",
        "  lost: none stands out from chance; most bad -0.1000 (9)",
    ]
    lines = findings(replace(summary, words=(word(".", 0.3, 0.001),)))
    least = summary.settings["least"]
    assert (
        lines[lines.index("words by rollout") + 1] == f"  gained: none of the words that are in {least} texts or more"
    )


def test_the_findings_say_what_their_signs_mean(models):
    lines = findings(jf.compare_models(models[0], models[1], TEXTS).summary)
    assert any("alike in both" in line and "stronger in the second" in line for line in lines)
    legend = "\n".join(lines[-3:])
    assert all(sign in legend for sign in ("*", "[low, high]", "(n)", "at least 2 times"))
