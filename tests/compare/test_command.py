"""`jaxflow compare`: what it writes is what `compare_models` finds, and what it cannot use it says in one line."""

import signal

import numpy as np
import pyarrow.parquet as pq
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.cli import main as cli
from jaxflow.compare import PATTERNS, head_importance
from jaxflow.heads.roles import role_names
from jaxflow.inputs.source import InlineSource
from jaxflow.models import save_encoder
from jaxflow.sweep.comparison import prepare
from jaxflow.sweep.comparison_folder import open_comparison
from tests.compare.models import tuned
from tests.models.model_from_outside import CausalModel, causal_model
from tests.tiny_text_model import model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = [
    "the key to the cabinets is on",
    "is it un-lost?",
    "</b> tables on the table",
    "the keys to the table is",
    "to the table is on it",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    second = tmp_path_factory.mktemp("models") / "tuned"
    save_encoder(tuned(jf.load_model(str(model_folder()))), second)
    return str(model_folder()), str(second)


@pytest.fixture
def run(tmp_path, capsys, folders):
    def run(*arguments, texts=None, name="texts.txt"):
        _ = (tmp_path / name).write_text("\n".join(TEXTS) if texts is None else texts)
        given = ["--model-a", folders[0], "--model-b", folders[1], "--input", str(tmp_path / name)]
        _ = capsys.readouterr()
        code = cli.main(["compare", *given, "--out", str(tmp_path / "out"), *arguments])
        return code, *capsys.readouterr()

    return run


def test_the_folder_holds_what_compare_models_finds(run, tmp_path, folders):
    code, out, err = run(
        "--queries", "0,1", "--attention", "2", "--threshold", "0.3", "--top", "2", "--batch-size", "8"
    )
    assert code == 0, err
    compared, page = err.split("the page of the first 2 texts, in both models:\n")
    assert compared.endswith(f"{len(TEXTS)}/{len(TEXTS)} texts, 0.0 s left\n")
    assert page.endswith("4/4 texts, 0.0 s left\n")
    for word in (
        "layers",
        "heads that changed most",
        "words by flow",
        "gained",
        "lost",
        "strong arcs",
        "same prediction",
        "mixing: attention (heads mean, residual 0.5)",
    ):
        assert word in out
    models = [jf.load_model(folder) for folder in folders]
    expected = jf.compare_models(*models, TEXTS, queries=[0, 1], threshold=0.3, keep_heads=2, batch_size=8)
    stored = open_comparison(tmp_path / "out")
    about = stored.summary
    assert about["texts"] == len(TEXTS)
    assert [about["models"][letter]["name"] for letter in "ab"] == list(folders)
    assert about["settings"]["units"] == "tokens"
    assert jf.Question.from_json(about["question"]) == jf.Question(queries=[0, 1])
    assert about["patterns"] == list(PATTERNS)
    head = expected.summary.head
    np.testing.assert_allclose(about["head"]["jensen_shannon"]["mean"], head.jensen_shannon.mean, rtol=1e-6)
    np.testing.assert_array_equal(about["head"]["matching"], head.matching + 1)
    np.testing.assert_allclose(about["layer"]["heads"]["high"], expected.summary.layer.heads.high, rtol=1e-6)
    assert sum(pair["texts"] for pair in about["confusion"]) == len(TEXTS)
    # Of each model's own tokens, at the last layer, for the first query.
    own = [jf.attribute(model, TEXTS, methods="flow", queries=[0, 1]) for model in models]
    saturated = [np.mean([each.saturation["flow"][-1, 0].mean() for each in result]) for result in own]
    assert saturated[0] > 0
    assert about["saturated"] == {"flow": pytest.approx(dict(zip("ab", saturated, strict=True)))}
    assert f"saturated at the last layer: {100 * saturated[0]:.0f} % of tokens in the first model" in out
    assert about["head"]["roles_b"] == role_names(head.patterns_b)
    importance = head_importance(models[1], TEXTS).mean
    np.testing.assert_allclose(about["importance"]["b"], importance, rtol=1e-4, atol=1e-6)
    rows = list(stored.rows())
    assert [row["id"] for row in rows] == list(range(1, len(TEXTS) + 1))
    for row, text in zip(rows, expected, strict=True):
        assert (row["text"], row["pair"], row["units"]) == (text.text, None, list(text.units.names))
        assert row["words"] == list(text.words)
        for name in ("raw", "rollout", "flow"):
            np.testing.assert_allclose(row[f"{name}_a"], text.a.relevance[name], atol=1e-6)
            np.testing.assert_allclose(row[f"{name}_b"] - row[f"{name}_a"], text.change[name], atol=1e-6)
        np.testing.assert_allclose(row["shared_widths"], text.shared_widths, atol=1e-6)
        np.testing.assert_allclose(row["influence_b"], text.b.influence, atol=1e-6)
        np.testing.assert_array_equal(row["arc_kind"], text.arcs.kind)
        np.testing.assert_array_equal(row["arc_path_b"], text.arcs.path_b)
        np.testing.assert_array_equal(row["groups_a"], text.units.first)
        np.testing.assert_allclose(row["patterns_a"], text.a.patterns, atol=1e-6)
        assert row["prediction_b"] == text.b.prediction
        assert row["probabilities_b"] == pytest.approx(text.b.scores)
        assert row["distance"] == pytest.approx(text.distance)
    attention = list(stored.attention())
    assert [row["id"] for row in attention] == [1, 2]
    for row, text in zip(attention, expected, strict=False):
        np.testing.assert_allclose(row["fused_a"], text.a.attention, atol=1e-6)
        np.testing.assert_allclose(row["heads_b"], text.b.heads, atol=1e-3)
        assert row["heads_b"].dtype == np.float16

    heads = pq.read_table(tmp_path / "out" / "__about__" / "heads.parquet").to_pylist()
    assert [(row["layer_a"], row["head"]) for row in heads] == [(layer, head) for layer in (1, 2, 3) for head in (1, 2)]
    for row in heads:
        at = row["layer_a"] - 1, row["head"] - 1
        assert row["match"] == head.matching[at] + 1
        assert row["jensen_shannon"] == about["head"]["jensen_shannon"]["mean"][at[0]][at[1]]
        assert row["entropy_b"] == about["head"]["patterns_b"][at[0]][at[1]][PATTERNS.index("entropy")]
    words = pq.read_table(tmp_path / "out" / "__about__" / "words.parquet").to_pylist()
    assert {row["method"] for row in words} == {"raw", "rollout", "flow"}
    assert next(row for row in words if row["word"] == "the")["texts"] == 4
    # All but the texts lies in a folder that readers of Parquet skip.
    assert pq.read_table(tmp_path / "out")["text"].to_pylist() == TEXTS
    assert not (tmp_path / "out" / "texts-00001.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layers", "9"], "--layers must be from 1 to 3"),
        (["--layers", "1:2:3"], "pairs of whole numbers such as 1:2,6:12"),
        (["--queries", "30"], "line 1 of texts.txt: --queries must be positions of tokens, from 0 to "),
        (["--threshold", "2"], "--threshold must be a number above 0"),
        (["--units", "letters"], "--units must be one of"),
        (["--methods", "guess"], "--methods must be one of"),
        (["--correction", "none at all"], "--correction must be one of"),
        (["--max-length", "4"], "line 1 of texts.txt must have at most 4 tokens, got "),
        (["--column", "text"], "texts.txt: --column must go with a file that has columns"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not (tmp_path / "out").exists()


def test_texts_may_stand_on_the_command_line(tmp_path, capsys, folders):
    given = ["compare", "--model-a", folders[0], "--model-b", folders[1], "--methods", "raw", "--quiet"]
    texts = ["--text", TEXTS[0], "--text", TEXTS[1]]
    assert cli.main([*given, *texts, "--out", str(tmp_path / "out")]) == 0
    assert [row["text"] for row in open_comparison(tmp_path / "out").rows()] == TEXTS[:2]
    assert (tmp_path / "out" / "__about__" / "explore.html").exists()
    both = [*given, *texts, "--input", "texts.txt", "--out", str(tmp_path / "more")]
    assert cli.main(both) == 2
    assert "--text must be left out where --input is given" in capsys.readouterr().err


def test_a_filled_folder_and_an_empty_file_are_refused(run, tmp_path):
    (tmp_path / "out").mkdir()
    _ = (tmp_path / "out" / "mine.txt").write_text("x")
    code, _, err = run()
    assert code == 2
    out = str(tmp_path / "out")
    assert err == f"jaxflow: --out must be new, or empty, got {out!r}, which is not empty; name another --out\n"
    assert run(texts="")[0] == 2
    with pytest.raises(InputError, match="no comparison"):
        open_comparison(tmp_path)


def test_an_interrupt_leaves_nothing_behind(run, tmp_path, monkeypatch):
    from jaxflow.sweep import comparison

    write = comparison.write_rows

    def interrupted(path, rows, written):
        write(path, rows, written)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(comparison, "write_rows", interrupted)
    code, out, err = run("--methods", "raw")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "jaxflow: stopped"
    assert not (tmp_path / "out").exists()


def test_an_interrupt_keeps_the_shards_that_are_finished_and_sums_them_up(run, tmp_path, monkeypatch, folders):
    from jaxflow.compare import run as comparing
    from jaxflow.sweep import comparison

    write = comparison.write_rows

    def interrupted(path, rows, written):
        write(path, rows, written)
        if path.name == "texts-00000.parquet":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(comparison, "write_rows", interrupted)
    monkeypatch.setattr(comparison, "SHARD", 2)
    monkeypatch.setattr(comparing, "WINDOW", 2)
    code, out, err = run("--methods", "raw")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == f"jaxflow: stopped; the first 2 of {len(TEXTS)} texts are in {tmp_path / 'out'}"
    stored = open_comparison(tmp_path / "out")
    assert (stored.summary["texts"], stored.summary["total"]) == (2, len(TEXTS))
    assert [row["text"] for row in stored.rows()] == TEXTS[:2]
    assert len(list(stored.attention())) == 2
    # What stands there is what a comparison of those texts alone says.
    models = [jf.load_model(folder) for folder in folders]
    expected = jf.compare_models(*models, TEXTS[:2], methods="raw").summary
    np.testing.assert_allclose(
        stored.summary["head"]["jensen_shannon"]["mean"], expected.head.jensen_shannon.mean, rtol=1e-5
    )
    assert stored.summary["arcs"] == pytest.approx(expected.arcs)


def test_a_model_without_gradients_is_compared_without_the_importance_of_its_heads(tmp_path):
    class NoGradients(CausalModel):
        gives = frozenset({"attention"})

    first, second = causal_model(), causal_model("other", seed=1)
    second = NoGradients(second.name, second.module, second.words)
    texts = InlineSource(("the key is on the table", "the keys are on"))
    _ = prepare(first, second, texts, tmp_path / "out", jf.Question(methods=("raw",))).run()
    importance = open_comparison(tmp_path / "out").summary["importance"]
    assert np.shape(importance["a"]) == (first.layers, first.heads)
    assert importance["b"] is None
