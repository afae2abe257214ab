"""Figures that the experiments' README and the project's README tell are those of the committed records."""

import json
import re
from itertools import product
from pathlib import Path

import pytest

from experiments._methods import SUMS
from experiments.faithfulness.table import SIGN, contestants, standing, unchosen
from experiments.faithfulness.tasks import TASKS
from jaxflow.attribution.defaults import DEFAULT_METHODS

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "experiments"
TOLD = (RECORDS / "README.md").read_text("utf-8")
FUNCTIONALS = ("raw", "rollout", "flow", "joint-flow")
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d+|\.\d+|\d+)(?![\w])")
FAITHFUL = [task for task in TASKS if (RECORDS / f"faithfulness/results/{task}.json").is_file()]
# How the README calls methods of the records.
REFERENCES = {
    "AttnLRP": "attn-lrp",
    "DecompX, parts of the logit": "decompx",
    "DecompX, norms": "decompx-norms",
    "DecompX, even biases": "decompx-even",
    "DecompX, norms of the parts of the state": "decompx-norms",
    "occlusion": "occlusion",
    "occlusion (it removes tokens itself)": "occlusion",
    "integrated gradients": "integrated-gradients",
    "column sums": "column-sums",
    "column sums of attention x gradient": "column-sums",
    "gradient x input": "gradient-input",
    "rollout, chosen": "rollout",
    "flow, chosen": "flow",
    "joint flow, chosen": "joint-flow",
    "raw, chosen": "raw",
}


def record(experiment, name):
    return json.loads((RECORDS / experiment / "results" / f"{name}.json").read_text("utf-8"))


def section(title):
    """A chapter of the experiments' README, from the heading that names the experiment."""
    _, _, rest = TOLD.partition(f": `experiments.{title}`\n")
    assert rest, title
    return rest.partition("\n## ")[0]


def tables(text):
    """Every table as rows of cells, without bold letters; the first row is the head."""
    found = re.findall(r"(?:^\|.*\|\n)+", text.replace("**", "").replace("−", "-"), re.MULTILINE)
    rows = [[[cell.strip() for cell in line.strip("|").split("|")] for line in each.splitlines()] for each in found]
    return [[row for row in each if set("".join(row)) - set("- ")] for each in rows]


def table(text, *head):
    """The rows below a head that begins with these cells."""
    (found,) = [each for each in tables(text) if each[0][: len(head)] == list(head)]
    return found[1:]


def agrees(told, *values):
    """The numbers that a cell tells are these ones, to the digits that it tells."""
    numbers = NUMBER.findall(told)
    assert len(numbers) == len(values), told
    for number, value in zip(numbers, values, strict=True):
        digits = len(number.partition(".")[2])
        assert abs(float(number) - value) <= 0.5 * 10**-digits + 1e-9, (told, value)


def test_a_figure_that_differs_in_its_last_digit_is_seen():
    agrees("0.777 / .92 (-.1 to 3)", 0.7771, 0.916, -0.12, 3)
    for told, value in (("0.778", 0.7771), (".91", 0.916), ("-.1", 0.1), ("4", 3)):
        with pytest.raises(AssertionError):
            agrees(told, value)


@pytest.mark.parametrize(
    ("parts", "head"),
    [(("programs", "planted"), "last layer, programs"), (("subjects", "pronouns"), "last layer, subjects")],
)
def test_known_evidence_of_two_parts(parts, head):
    records = [record("ground_truth", part)["methods"] for part in parts]
    # Wherever its lines break.
    text = re.split(head.replace(" ", r"\s+"), section("ground_truth"), maxsplit=1)[1]
    rows = next(each for each in tables(text) if each[0][0] == "mixing")[1:]
    for mixing, *cells in rows:
        mixing = mixing.replace(" (own wide)", "")
        for functional, cell in zip(FUNCTIONALS, cells, strict=True):
            values = [each[f"{functional} of {mixing}"]["last"]["average_precision"] for each in records]
            agrees(cell, *values)
    assert len(rows) >= 10


def test_known_evidence_of_references_and_of_what_one_half_chooses():
    text = section("ground_truth")
    records = [record("ground_truth", part) for part in ("programs", "planted")]
    for name, precision, irrelevant in table(text, "reference, best layer", "average precision"):
        best = [each["methods"][name]["best"] for each in records]
        agrees(precision, *(each["average_precision"] for each in best))
        agrees(irrelevant, *(each["irrelevant"] for each in best))
    for functional, *cells in table(text, "chosen on one half, best layer"):
        for cell, each in zip(cells, records, strict=True):
            verdict = each["verdict"][functional]["best"]
            method, _, figures = cell.partition(": ")
            assert verdict["method"].partition(" of ")[2] in (method, "")
            agrees(figures, verdict["average_precision"], *verdict["average_precision interval"])
    records = [record("ground_truth", part)["methods"] for part in ("subjects", "pronouns")]
    for name, *cells in table(text, "reference", "subjects"):
        if name == "random / position":
            for cell, each in zip(cells, records, strict=True):
                agrees(cell, *(each[kind]["last"]["average_precision"] for kind in ("random", "position")))
            continue
        for cell, each in zip(cells, records, strict=True):
            found = each[REFERENCES[name]]["last"]
            agrees(cell, found["average_precision"], *found["average_precision interval"])


def test_known_evidence_of_an_atom_map():
    methods = record("ground_truth", "atoms")["methods"]
    rows = next(each for each in tables(section("ground_truth").partition("atoms.json")[2]))[1:]
    for mixing, *cells in [row for row in rows if len(row) > 1 and all(row)]:
        name, _, wide = mixing.partition(" / ")
        for functional, cell in zip(FUNCTIONALS, cells, strict=True):
            one, *own = (
                methods[f"{functional} of {each}"]["last"]["average_precision"]
                for each in (name, *([f"{name}, {wide}"] if wide else []))
            )
            # Raw attention does not know the own stream: said once.
            agrees(cell, one, *(own if " / " in cell else []))
    assert len(rows) >= 5


def _task(name):
    return re.sub(r"\W", "", name).lower()


@pytest.mark.parametrize("task", FAITHFUL)
def test_who_stands_where_by_protocols(task):
    found, text = record("faithfulness", task), section("faithfulness")
    stand, settings = standing(found), list(found["table"])
    (rows,) = [each for each in tables(text) if _task(each[0][0]) == _task(task) and "mean rank" in each[0]]
    cells = len(settings) * len(SIGN)
    for name, *told in rows[1:]:
        if name == "random / position":
            agrees(told[0], *(stand[each]["mean rank"] for each in ("random", "position")))
            continue
        each = stand[REFERENCES[name]]
        agrees(told[0], each["mean rank"])
        agrees(told[-2], each["first"] * cells)
        if REFERENCES[name] != SUMS:
            agrees(told[-1], *(each[f"{side} column-sums"] * cells for side in ("above", "below")))
        ranks = [
            standing({"table": {setting: found["table"][setting]}})[REFERENCES[name]]["mean rank"]
            for setting in settings
        ]
        agrees(told[1], *ranks)
    # Random and position share a row.
    assert len(rows) == len(contestants(found))


def test_who_stands_where_at_the_last_layer():
    ranks = [unchosen(record("faithfulness", task)) for task in FAITHFUL]
    rows = table(section("faithfulness"), "last layer")
    for name, *cells in rows:
        for cell, each in zip(cells, ranks, strict=True):
            method = REFERENCES.get(name, name)
            # Nothing is told of a method that a record lacks.
            assert bool(cell) == (method in each)
            if cell:
                agrees(cell, each[method])
    assert len(rows) > 10


@pytest.mark.parametrize(
    ("task", "title"),
    [
        ("attractors", "**Attractors.**"),
        ("attractors-smooth", "**Smooth class-specific flow**"),
        ("shortcut", "**Shortcut.**"),
    ],
)
def test_what_training_with_a_term_does(task, title):
    arms = record("flow_training", task)["arms"]
    rows = tables(section("flow_training").partition(title)[2])[0]
    explained = ("flow finds evidence", "blank-out finds evidence", "same top word", "comprehensiveness")
    for name, strength, *cells in rows[1:]:
        arm = arms[name]
        assert name == "control" or float(strength) == arm["strength"]
        values = [each["mean"] for each in (*arm["right"].values(), *map(arm["explained"].get, explained))]
        for cell, value in zip(cells, [*values, arm["step's time, of the control's"]], strict=True):
            agrees(cell, value)
    assert {name for name, *_ in rows[1:]} == set(arms)


def test_what_methods_cost():
    found = record("faithfulness", "costs-sst2")["forward passes"]
    rows = dict(table(section("faithfulness"), "method", "forward passes"))
    plain, by_class = (
        [found[f"{name} of {mixing}"] for name in FUNCTIONALS] for mixing in ("attention", "attention-gradient")
    )
    agrees(rows["raw, rollout, flow, joint flow of attention"], *plain)
    agrees(rows["the same of attention x gradient"], *by_class)
    agrees(rows["DecompX, even biases / parts / norms"], *map(found.get, ("decompx-even", "decompx", "decompx-norms")))
    agrees(rows["column sums / AttnLRP / gradient x input"], *map(found.get, (SUMS, "attn-lrp", "gradient-input")))
    agrees(rows["occlusion / integrated gradients"], *map(found.get, ("occlusion", "integrated-gradients")))


def test_known_evidence_of_a_decoder():
    methods = record("ground_truth", "agreement")["methods"]
    text = section("ground_truth").partition("SmolLM2-135M")[2]
    rows = next(each for each in tables(text) if each[0][0] == "mixing")[1:]
    for mixing, *cells in [row for row in rows if all(row)]:
        for functional, cell in zip(FUNCTIONALS, cells, strict=True):
            agrees(cell, methods[f"{functional} of {mixing.partition(' (')[0]}"]["last"]["average_precision"])
    assert len(rows) >= 5


def test_how_often_flow_is_saturated():
    names = {"verb-number": "verb-number", "rxnfp": "rxnfp-ft", "MiniLM, SST-2": "minilm-sst2", "MiniLM": "minilm"}
    rows = table(section("saturation"), "model", "L2")
    for name, *cells in rows:
        name = name.partition(", fine-tuned")[0]
        layers = record("saturation", names[name])["cells"]["attention, 32 tokens"]["layers"]
        for layer, cell in zip("23456", cells, strict=False):
            agrees(cell.partition(" (")[0].partition(";")[0], layers[layer]["saturated"][0])
        parts = re.search(r"\(([^)]*)\)", cells[4])
        agrees(parts[1], *(layers["6"][kind][0] for kind in ("own arcs", "first column")))
        agrees(cells[5], layers["6"]["tied tokens"][0])
        agrees(cells[6], layers["6"]["spearman with layer 1's column sums"][0])
    assert len(rows) == len(names)


@pytest.mark.parametrize(("title", "reported"), [("agreement", "last")])
def test_agreement_with_blank_out(title, reported):
    records = [record(title, task)["methods"] for task in ("verb-number", "sst2")]
    names = {
        "attention (the paper's)": "attention",
        "attention, measured residual": "attention-measured",
        "norms (N-Enc)": "norms",
        "norms (N-Enc), own wide": "norms, own wide",
        "ALTI": "alti",
        "ALTI, own wide": "alti, own wide",
        "value zeroing": "value-zeroing",
        "gradient, own wide": "gradient",
        "attention x gradient, own wide": "attention-gradient",
        "attention x gradient, own 0.5": "attention-gradient, own 0.5",
    }
    rows = {name: cells for name, *cells in table(section(title), "mixing", "raw")}
    for (told, name), (place, functional) in product(names.items(), enumerate((*FUNCTIONALS, "widest-path"))):
        agrees(rows[told][place], *(each[f"{functional} of {name}"][reported]["spearman"] for each in records))


# "Which should I use?" of the project's README: what it says in words.
WITH_A_CLASS = [
    part
    for part in ("programs", "planted", "subjects", "pronouns", "reacting")
    if (RECORDS / f"ground_truth/results/{part}.json").is_file()
]


def at_last(part, name):
    return record("ground_truth", part)["methods"][name]["last"]


@pytest.mark.parametrize("part", WITH_A_CLASS)
@pytest.mark.parametrize("name", ["flow of attention-gradient", "rollout of alti"])
def test_what_is_recommended_finds_evidence_wherever_a_class_is_known(part, name):
    assert (
        at_last(part, name)["average_precision interval"][0] > at_last(part, "random")["average_precision interval"][1]
    )


def test_a_layer_that_does_a_thing_is_read_as_it_is():
    found = {name: at_last("atoms", f"{name} of attention")["average_precision"] for name in FUNCTIONALS}
    assert found["raw"] > 0.9
    assert max(found[name] for name in FUNCTIONALS[1:]) < 0.3


@pytest.mark.parametrize("task", ["verb-number", "sst2"])
def test_class_flow_agrees_best_of_the_graph_with_blank_out(task):
    found = {name: each["last"]["spearman"] for name, each in record("agreement", task)["methods"].items()}
    of_graph = {name: value for name, value in found.items() if " of " in name}
    assert found["flow of attention-gradient"] == max(of_graph.values())
    assert found[SUMS] > found["flow of attention-gradient"]


def test_what_reads_no_graph_is_more_faithful_but_for_pairs():
    for task in FAITHFUL:
        stand = {name: each.get("mean rank") for name, each in standing(record("faithfulness", task)).items()}
        best = min(stand[name] for name in FUNCTIONALS)
        assert stand["decompx"] < best - 1
        assert (stand["attn-lrp"] < best - 1) == (task != "snli")
        assert (stand["integrated-gradients"] < best - 1) == (task in ("sst2", "gender"))


def test_the_last_layer_s_flow_by_class_is_above_column_sums_and_the_paper_s_below_raw_attention():
    for ranks in (unchosen(record("faithfulness", task)) for task in FAITHFUL):
        assert ranks["flow of attention-gradient"] < ranks[SUMS]
        assert ranks["flow of attention"] > ranks["raw of attention"]


def test_the_command_line_leads_with_the_graph_s_best_where_nothing_is_chosen():
    ranks = [unchosen(record("faithfulness", task)) for task in FAITHFUL]
    mean = {name: sum(each[name] for each in ranks) for name in ranks[0] if " of " in name}
    method, _, mixing = DEFAULT_METHODS[-1].partition("@")
    assert min(mean, key=mean.__getitem__).partition(",")[0] == f"{method} of {mixing}"


def test_training_is_best_by_the_last_layer_s_attention():
    for task, hard in (("attractors", "attractors"), ("shortcut", "against the hint")):
        arms = record("flow_training", task)["arms"]
        right = {name: arm["right"][hard]["mean"] for name, arm in arms.items()}
        assert max(right, key=right.__getitem__) == "attention, evidence"


def test_training_with_a_term_on_real_sentences():
    arms = record("flow_training", "attractors-real")["arms"]
    text = section("flow_training").partition("Really out of domain")[2]
    rows = {name: cells for name, *cells in tables(text)[0][1:]}
    for name, arm in arms.items():
        for cell, each in zip(rows[name], arm["right"].values(), strict=True):
            agrees(cell, each["mean"])
