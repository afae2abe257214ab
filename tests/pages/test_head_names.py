"""The one head that differs between two models has one name: on the terminal, in files, in tables and on the page."""

import json

import numpy as np
import pyarrow.parquet as pq

import jaxflow as jf
from jaxflow.cli import main as cli
from jaxflow.compare import findings, head_roles, role_changes
from jaxflow.models import save_encoder
from jaxflow.pages.explore import explore
from jaxflow.pages.explorer import write_explorer
from jaxflow.sweep.comparison_folder import open_comparison
from tests.compare.models import sharpened
from tests.pages.browser import Opened
from tests.pages.tiny_pair import TEXTS, model_folder

# The last layer's second head: what follows it is no attention, so that nothing else moves.
LAYER, HEAD = 3, 2


def test_the_head_that_changed_has_one_name_everywhere(context, tmp_path, capsys):
    first = jf.load_model(str(model_folder()))
    second = sharpened(first, LAYER - 1, HEAD - 1)
    save_encoder(second, tmp_path / "second")
    _ = (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    models = ["--model-a", str(model_folder()), "--model-b", str(tmp_path / "second")]
    assert cli.main(["compare", *models, "--input", str(tmp_path / "texts.txt"), "--out", str(tmp_path / "out")]) == 0
    # On the terminal the head that changed most stands below its heading.
    said = capsys.readouterr().out.splitlines()
    assert said[said.index("heads that changed most") + 1].split()[:2] == [f"L{LAYER}", f"H{HEAD}"]
    # In the folder: the one row whose distance is not 0.
    rows = pq.read_table(tmp_path / "out" / "heads.parquet").to_pylist()
    assert [(row["layer_a"], row["head"]) for row in rows if row["jensen_shannon"] > 1e-3] == [(LAYER, HEAD)]
    assert list(open_comparison(tmp_path / "out").heads()) == rows
    # In the table of roles: the head whose entropy moves most.
    table = role_changes(head_roles(first, TEXTS), head_roles(second, TEXTS))
    moved = max(table, key=lambda row: abs(row["entropy"]))
    assert (moved["layer"], moved["head"]) == (LAYER, HEAD)
    # On the page: the row of the head grid's numbers that is not 0, and the mark that stands for it.
    opened = Opened(context, write_explorer(explore(first, TEXTS, second), tmp_path / "explorer.html"))
    opened.set(view="grid", measure="change")
    rows = [row for row in opened.csv("grid") if float(row["change"]) > 1e-3]
    assert [(row["layer"], row["head"]) for row in rows] == [(str(LAYER), str(HEAD))]
    opened.close()


def test_a_folder_of_the_first_format_is_read_with_heads_from_1(tmp_path, capsys):
    first = jf.load_model(str(model_folder()))
    save_encoder(sharpened(first, LAYER - 1, HEAD - 1), tmp_path / "second")
    _ = (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    models = ["--model-a", str(model_folder()), "--model-b", str(tmp_path / "second")]
    assert cli.main(["compare", *models, "--input", str(tmp_path / "texts.txt"), "--out", str(tmp_path / "out")]) == 0
    _ = capsys.readouterr()
    new = open_comparison(tmp_path / "out")
    heads = list(new.heads())
    # The folder as the first format has it: heads from 0, and -1 for a head without a match.
    table = pq.read_table(tmp_path / "out" / "heads.parquet")
    for name in ("head", "match"):
        at = table.column_names.index(name)
        table = table.set_column(at, name, [[number - 1 for number in table[name].to_pylist()]])
    pq.write_table(table, tmp_path / "out" / "heads.parquet")
    path = tmp_path / "out" / "comparison.json"
    old = json.loads(path.read_text())
    old["format"] = 1
    old["head"]["matching"] = (np.array(old["head"]["matching"]) - 1).tolist()
    for name in ("check", "files"):
        del old[name]
    _ = path.write_text(json.dumps(old))
    stored = open_comparison(tmp_path / "out")
    assert list(stored.heads()) == heads
    assert stored.summary["head"] == new.summary["head"]
    assert [row["text"] for row in stored.rows()] == TEXTS


def test_heads_that_are_more_like_others_are_named_as_in_the_files():
    first = jf.load_model(str(model_folder()))
    summary = jf.compare_models(first, first, TEXTS).summary
    # Each head of layer 2 answers to the next one.
    matching = summary.head.matching.copy()
    matching[1] = np.roll(matching[1], 1)
    object.__setattr__(summary.head, "matching", matching)
    said = next(line for line in findings(summary) if "more like another" in line)
    assert said.endswith(": L2 H1 -> H2, L2 H2 -> H1")
