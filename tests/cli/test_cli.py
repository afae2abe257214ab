"""`jaxflow attribute` and `jaxflow summarize`: what they write and what they say."""

import shutil
import sys
from importlib import metadata

import pytest
import transformers

from jaxflow.cli import main as cli
from jaxflow.store import shards as store
from jaxflow.store.arrow import relevance_columns
from jaxflow.store.leases import Leases
from jaxflow.store.results import open_sweep
from jaxflow.sweep import runner, shards
from jaxflow.sweep.claims import Claims
from jaxflow.sweep.comparison_folder import open_comparison
from tests.cli.running import PLAIN, QUICK, TEXT
from tests.sweep.folders import contents
from tests.tiny_text_model import LAYERS, model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")


def test_texts_become_rows_a_page_and_a_table(run):
    assert run("--text", "The key is on the table.", "--text", "</script>", "--queries", "all", "--top", "2") == 0
    rows = list(open_sweep(run.out).rows())
    assert [row["text"] for row in rows] == ["The key is on the table.", "</script>"]
    assert rows[0]["flow"].shape == (LAYERS, 9, 9)
    assert rows[0]["certified"].all()
    about = run.out / store.ABOUT
    assert {*run.out.iterdir()} == {about, run.out / "part-00000.parquet"}
    assert sorted(path.name for path in about.iterdir()) == ["manifest.json", "part-00000.json", "report.html"]
    assert (about / "report.html").read_text("utf-8").count("</script>") == 2
    for word in (
        "prediction",
        "raw",
        "rollout",
        "flow",
        "2 examples in",
        "flows certified: 100.00 %",
        "% by closed forms",
        "mixing: attention (heads mean, residual 0.5)",
        "report.html",
    ):
        assert word in run.stdout
    assert "\x1b" not in run.stdout


def columns_of(folder):
    return relevance_columns(open_sweep(folder).table().column_names)


@pytest.mark.slow
def test_where_a_model_has_classes_flow_of_the_class_is_asked_for_too(run):
    whole = ["raw", "rollout", "flow", "flow@attention-gradient"]
    texts = run.file("texts.txt", "The key is on the table.\nunbelievable\n")
    assert run("--input", texts, *QUICK) == 0
    assert columns_of(run.out) == whole
    assert run.stdout.count("carried by") == 2
    assert run("--input", texts, *QUICK) == 0
    # With a class of one's own, or the same mixing for all.
    assert run("--input", texts, *QUICK, "--target", "good", out=run.folder / "good") == 0
    assert columns_of(run.folder / "good") == whole
    assert run.stdout.count("speaks for good") == 2
    assert run("--input", texts, *QUICK, "--mixing", "attention-gradient", out=run.folder / "mixing") == 0
    assert columns_of(run.folder / "mixing") == whole[:3]
    # Who names methods gets these.
    assert run("--input", texts, "--methods", "raw", out=run.folder / "raw") == 0
    assert columns_of(run.folder / "raw") == ["raw"]
    assert "carried" not in run.stdout


def test_a_run_that_was_begun_without_the_class_goes_on_without_it(run):
    texts = run.file("texts.txt", "The key is on the table.\nunbelievable\n")
    assert run("--input", texts, *QUICK, "--methods", "raw,rollout,flow") == 0
    (run.out / store.ABOUT / "part-00000.json").unlink()
    assert run("--input", texts, *QUICK) == 0
    assert columns_of(run.out) == ["raw", "rollout", "flow"]
    # Other methods are another run, as ever.
    assert "differs in methods" in run.refused("--input", texts, *QUICK, "--methods", "flow")


def test_a_model_without_classes_is_asked_for_the_papers_methods(run):
    folder = run.folder / "bare"
    transformers.BertModel.from_pretrained(model_folder()).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model_folder() / name, folder / name)
    assert run("--text", "The key is on the table.", *QUICK, model=folder) == 0
    assert columns_of(run.out) == ["raw", "rollout", "flow"]
    assert "head" in run.refused("--text", "The key", "--target", "good", model=folder, out=run.folder / "other")


def test_a_decoder_is_asked_about_its_last_position(run):
    folder, text = run.folder / "decoder", "The key is on the table"
    config = transformers.GPT2Config(vocab_size=200, n_embd=16, n_layer=2, n_head=2, n_positions=32)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model_folder() / name, folder / name)
    asked = ("--text", text, "--methods", "raw")
    assert run(*asked, model=folder) == 0
    (row,) = open_sweep(run.out)
    assert row.queries.tolist() == [len(row.tokens) - 1]
    # Who names a position gets it.
    assert run(*asked, "--queries", "0", model=folder, out=run.folder / "first") == 0
    assert open_sweep(run.folder / "first")[0].queries.tolist() == [0]
    both = ["--model-a", str(folder), "--model-b", str(folder), "--text", text, "--quiet"]
    assert cli.main(["compare", *both, "--out", str(run.folder / "compared")]) == 0
    (compared,) = open_comparison(run.folder / "compared").rows()
    assert compared["queries"].tolist() == [len(row.tokens) - 1]


def test_words_outside_the_vocabulary_are_named(run):
    assert run("--text", "the key", *QUICK) == 0
    assert "vocabulary" not in run.stderr
    assert run("--text", "the zyxqw key Ψ", *QUICK, out=run.folder / "other") == 0
    assert "note: not in the model's vocabulary, read as [UNK]: " in run.stderr
    assert "Ψ" in run.stderr
    assert run("--text", "the Ψ", *QUICK, "--quiet", out=run.folder / "quiet") == 0
    assert run.stderr == ""


def test_the_flags_reach_the_results(run):
    flags = ["--methods", "rollout,raw", "--layers", "1,3", "--queries", "0,2", "--residual", "0.25", "--heads", "max"]
    assert run("--text", "the key", *flags, "--max-length", "3", "--truncate", "--batch-size", "1", "--quiet") == 0
    assert (run.stdout, run.stderr) == ("", "")
    results = open_sweep(run.out)
    assert results.manifest["question"] == {
        "methods": ["rollout", "raw"],
        "mixing": {"name": "attention", "heads": "max", "residual": 0.25},
        "target": None,
        "queries": [0, 2],
        "layers": [1, 3],
        "flow": "auto",
        "tol": 1e-6,
    }
    assert results.manifest["lengths"] == {"max_length": 3, "truncate": True}
    (row,) = results.rows()
    assert row["tokens"] == ["[CLS]", "the", "[SEP]"]
    assert row["rollout"].shape == (2, 2, 3)
    assert "flow" not in row


def test_pairs_of_texts_and_of_columns(run):
    assert run("--text", "is on", "--pair", "the key", "--methods", "raw", "--out", str(run.out / "a")) == 0
    (row,) = open_sweep(run.out / "a").rows()
    assert row["source"].tolist() == [-1, 0, 0, -1, 1, 1, -1]
    file = run.file("in.csv", "q,a\nis on,the key\n")
    assert run("--input", file, "--pair-column", "a", "--methods", "raw", "--out", str(run.out / "b")) == 0
    assert "taking the texts from the only column" in run.stderr
    assert next(open_sweep(run.out / "b").rows())["pair"] == "the key"


@pytest.mark.parametrize("asked", [[], ["--input", "-"]])
def test_standard_input_is_one_text_a_line(run, asked):
    run.pipe("the key\n\ncafé\n".encode())
    assert run(*asked, *PLAIN) == 0
    assert open_sweep(run.out).table(["id", "text"]).to_pydict() == {"id": [1, 3], "text": ["the key", "café"]}


def test_many_examples_are_counted_rather_than_shown(run):
    file = run.file("in.txt", "\n".join(f"text {index}" for index in range(9)))
    assert run("--input", file, *PLAIN, "--top", "1") == 0
    assert "and 4 more" in run.stdout
    assert "5  text 4" in run.stdout
    assert "text 5" not in run.stdout


def test_results_are_summed_up_in_a_table_and_in_files(run):
    file = run.file("in.txt", "\n".join(f"the key {index} is \u202e on the table" for index in range(7)))
    assert run("--input", file, *QUICK, "--quiet") == 0
    assert cli.main(["summarize", str(run.out), "--top", "3"]) == 0
    shown, said = run.capsys.readouterr()
    assert said.startswith("7/7 texts, ")
    for part in (
        "7 examples",
        "entropy, rollout",
        "certified, flow",
        "agreement, raw and flow",
        "tokens worth most",
        "mixing: attention",
    ):
        assert part in shown
    assert "\\u202e" in shown
    assert "\u202e" not in shown
    assert {"summary.json", "summary.parquet"} <= {path.name for path in (run.out / store.ABOUT).iterdir()}
    assert len(open_sweep(run.out)) == 7
    # What is written does not keep the sweep from being gone on with.
    assert run("--input", file, *QUICK, "--quiet") == 0
    assert cli.main(["summarize", str(run.folder)]) == 2
    assert "the folder must hold results of jaxflow, got" in run.capsys.readouterr().err


def test_a_finished_run_is_kept_and_resumed_as_it_is(run):
    assert run("--text", "the key", *QUICK) == 0
    before = run.files()
    refused = run.refused("--text", "the key", *QUICK, "--no-resume")
    assert "--out must be new, or empty, with --no-resume, got" in refused
    assert refused.endswith("leave it out, or name another --out\n")
    assert "differs in residual (there 0.5, now 0.1)" in run.refused("--text", "the key", *QUICK, "--residual", "0.1")
    assert run.files() == before
    assert run("--text", "the key", *QUICK) == 0
    assert "0 examples in" in run.stdout
    assert "(1 were there before)" in run.stdout
    assert run.files() == before


@pytest.mark.parametrize(("variable", "colored"), [(None, True), ("NO_COLOR", False)])
def test_only_terminals_that_want_it_get_color(run, variable, colored):
    run.monkeypatch.delenv("NO_COLOR", raising=False)
    run.monkeypatch.setenv("TERM", "xterm")
    if variable:
        run.monkeypatch.setenv(variable, "1")
    run.monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("--text", "the key", *QUICK) == 0
    assert ("\x1b[1m" in run.stdout) == colored


def test_a_keyboard_interrupt_says_what_is_kept(run):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    run.monkeypatch.setattr("jaxflow.sweep.runner.attribute_shards", interrupted)
    assert run(*TEXT) == 130
    assert run.stderr == "jaxflow: stopped: nothing was finished yet\n"
    assert not run.out.exists()


def test_commands_without_arguments_and_names_without_a_model(capsys):
    assert cli.main([]) == 2
    assert cli.main(["fetch", "gpt"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "COMMAND" in first
    assert "'minilm'" in second


def test_it_says_its_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.strip() == f"jaxflow {metadata.version('jaxflow-attention')}"


@pytest.mark.parametrize("command", [[], ["attribute"], ["summarize"], ["fetch"]])
def test_help_is_help(capsys, command):
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert "usage: jaxflow" in shown


def test_every_flag_is_explained_with_its_default(capsys):
    with pytest.raises(SystemExit):
        cli.main(["attribute", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for default in (
        "(default: raw,rollout,flow, and flow@attention-gradient where the model has classes)",
        "(default: all)",
        "(default: 0; last of a decoder or an encoder-decoder)",
        "(default: 0.5)",
        "(default: mean)",
        "(default: auto)",
    ):
        assert default in shown
    assert "examples: jaxflow fetch minilm" in shown


def test_one_of_any_number_of_workers_joins_those_that_fill_a_folder(run, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)
    monkeypatch.setattr(runner, "PERIOD", 0.01)
    file = run.file("in.txt", "\n".join(["the key", "no", "is it on the table", "keys", "a key is"] * 2))
    asked = ["--input", file, "--methods", "raw", "--workers", "any"]
    # A plain command is one of them.
    assert run(*asked[:-2], out=run.folder / "alone") == 0
    shutil.copytree(run.folder / "alone", run.out)
    for index in (1, 3):
        (run.out / f"part-0000{index}.parquet").unlink()
        (run.out / store.ABOUT / f"part-0000{index}.json").unlink()
    take, others = Claims.take, Leases(run.out)
    # The part that it comes to last is another's, who makes it and ends without having done so.
    assert others.take("part-00003")

    def taken(claims, index):
        if index == 1:
            others.close()
        return take(claims, index)

    monkeypatch.setattr(Claims, "take", taken)
    assert run(*asked) == 0
    assert "4 examples in" in run.stdout
    assert "6 were there before" in run.stdout
    assert contents(run.out) == contents(run.folder / "alone")
