"""What is added from outside the package, each in one file, goes through all of it: attribution, a sweep that is
stopped and resumed, its summary and its page. (A model from outside: `tests/models/test_model_from_outside.py`.)
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Scores
from jaxflow.cli.main import main
from jaxflow.flow.solution import FlowSolution
from jaxflow.pages.explore import explore
from jaxflow.running import logits_of, run_readers, same_rows
from jaxflow.sweep import shards
from tests.extending.method import Widest
from tests.extending.mixing import ValueNorms
from tests.extending.program import LEFT, Left
from tests.extending.solver import WidestPath
from tests.models.model_from_outside import CausalModel, causal_model
from tests.tiny_text_model import LABELS, LAYERS, model_folder

TEXTS = ("the key is on the table", "the keys", "is it on the table")
SOLVER, MIXING, METHOD, PROGRAM = (
    f"tests.extending.{name}" for name in ("solver:WidestPath", "mixing:ValueNorms", "method:Widest", "program:LEFT")
)


@pytest.fixture(scope="module")
def model():
    return jf.load_model(model_folder())


def capacities_by_hand(model, text, scale=1.0):
    """The mixing's definition in NumPy, from what the model itself gives."""
    (encoding,) = model.tokenize([text])
    output = model(model.pad([encoding]), return_values=True, return_hidden_states=True)
    attention, values, hidden = (
        np.asarray(part, np.float64)[0] for part in (output.attention, output.values, output.hidden_states)
    )
    projections = np.asarray(model.module.output_projections(), np.float64)
    capacity = []
    for layer, heads in enumerate(attention):
        vectors = [values[layer, h] @ projections[layer, h] for h in range(len(heads))]
        added = sum(heads[h][:, :, None] * vectors[h][None] for h in range(len(heads)))
        weights = scale * np.linalg.norm(added, axis=-1)
        capacity.append(weights + np.diag(np.linalg.norm(hidden[layer], axis=-1)))
    return np.stack(capacity)


def widths(capacity):
    """Widest paths to every token from every position, layer by layer."""
    rows = [capacity[0]]
    for arcs in capacity[1:]:
        rows.append(np.minimum(arcs[:, :, None], rows[-1][None]).max(1))
    return np.stack(rows)


def left_by_hand(model, text, label=None):
    """The logit of a class when each token in turn is [MASK], by calls of the model."""
    (encoding,) = model.tokenize([text])
    ids = np.asarray(encoding.input_ids)
    copies = np.where(np.eye(len(ids), dtype=bool), 4, ids)
    batch = model.pad([encoding] * (len(ids) + 1))
    logits: Any = model(replace(batch, input_ids=jnp.asarray(np.concatenate([[ids], copies])))).logits
    # The class is that of the text as it stands, which comes first.
    logits = np.asarray(logits)
    return logits[1:, logits[0].argmax() if label is None else label]


def test_a_mixing_a_method_and_a_solver_from_outside_are_what_they_say(model):
    question = jf.Question(
        methods=("rollout", "flow", Widest()), mixing=ValueNorms(scale=2.0), flow=WidestPath(), queries=None
    )
    for text, example in zip(TEXTS, jf.attribute(model, list(TEXTS), question), strict=True):
        capacity = capacities_by_hand(model, text, 2.0)
        product = np.eye(capacity.shape[-1])
        for layer, arcs in enumerate(capacity):
            product = arcs @ product
            np.testing.assert_allclose(example.relevance["rollout"][layer], product, rtol=1e-4)
        np.testing.assert_allclose(example.relevance["widest"], widths(capacity), rtol=1e-5)
        # At the first layer the solver's bounds meet; above, its value is the upper one.
        assert example.certified[0].all()
        exact = jf.attention_flow(jf.capacity_graph(capacity, None), method="exact")
        assert (example.relevance["flow"] >= exact.value * (1 - 1e-5)).all()


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A sweep by the command line, all parts from outside, that lost one of its shards."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 1)
    texts, out = tmp_path / "texts.txt", tmp_path / "results"
    texts.write_text("\n".join(TEXTS) + "\n")
    command = ["attribute", "--input", str(texts), "--model", str(model_folder()), "--out", str(out), "--quiet"]
    command += ["--methods", f"raw,flow,{METHOD},{PROGRAM}", "--mixing", MIXING]
    assert main(command) == 0
    (out / "__about__" / "part-00001.json").unlink()
    return command, out


def test_a_sweep_of_such_parts_is_resumed_summarized_and_shown(model, stopped, capsys):
    command, out = stopped
    assert not jf.open_sweep(out).complete
    assert main(command) == 0
    results = jf.open_sweep(out)
    assert results.complete
    for text, example in zip(TEXTS, results, strict=True):
        expected = widths(capacities_by_hand(model, text))[:, 0]
        np.testing.assert_allclose(example.relevance["widest"][:, 0], expected, rtol=1e-5)
        np.testing.assert_allclose(example.relevance["left"][:, 0], [left_by_hand(model, text)] * LAYERS, rtol=1e-4)
        assert example.certified.all()
    # What made them stands in the manifest, and another mixing's value is another question.
    assert "ValueNorms" in json.dumps(results.manifest)
    methods = ("raw", "flow", Widest(), LEFT)
    for name, other in {"fields": ValueNorms(scale=3.0), "methods": Left(4, factor=2.0)}.items():
        question = {"methods": methods, "mixing": ValueNorms()}
        question |= {"mixing": other} if name == "fields" else {"methods": (*methods[:3], other)}
        with pytest.raises(InputError, match=f"differs in {name}"):
            jf.run_sweep(model, command[2], out, **question)
    _ = capsys.readouterr()
    assert main(["summarize", str(out)]) == 0
    said = capsys.readouterr().out
    assert "widest" in said
    assert "left" in said
    assert "mixing: value-norms (scale 1.0)" in said
    for name in ("report.html", "summary.html"):
        page = (out / "__about__" / name).read_text()
        assert "widest" in page
        assert '"left"' in page
        assert '"value-norms (scale 1.0)"' in page


def test_a_method_with_a_program_of_its_own_goes_wherever_methods_go(model):
    question = jf.Question(methods=("rollout", Left(4, factor=2.0)), target="good", queries=[1, 0], layers=[3, 1])
    result = jf.attribute(model, list(TEXTS), question)
    compared = jf.compare_models(model, model, list(TEXTS), question)
    (side,) = explore(model, list(TEXTS), question, layers=None).sides
    for text, example, pair, shown in zip(TEXTS, result, compared.texts, side.examples, strict=True):
        left = 2 * left_by_hand(model, text, LABELS.index("good"))
        # The same row at both queries and layers, without padding, and the same beside another model and on a page.
        np.testing.assert_allclose(example.relevance["left"], np.tile(left, (2, 2, 1)), rtol=1e-4)
        np.testing.assert_allclose(pair.a.relevance["left"], np.tile(left, (2, 2, 1)), rtol=1e-4)
        np.testing.assert_allclose(shown.relevance["left"], np.tile(left, (LAYERS, 2, 1)), rtol=1e-4)
    # It explains a class, so that a class must be there, and needs what the model gives.
    with pytest.raises(InputError, match="`target` must be 'predicted', an index below 3 or a class of the model"):
        jf.attribute(model, "the keys", question, target="sideways")
    with pytest.raises(InputError, match="'left', which needs wings; leave it out, or pass a model that gives it"):
        jf.attribute(model, "the keys", methods=Left(4, needs=frozenset({"attention", "wings"})))


def test_a_model_that_lacks_what_a_mixing_needs_is_refused_in_one_line():
    class AttentionAlone(CausalModel):
        gives = frozenset({"attention"})

    whole = causal_model()
    with pytest.raises(InputError, match="'value-norms', which needs values") as refused:
        jf.attribute(AttentionAlone(whole.name, whole.module, whole.words), ["the keys"], mixing=ValueNorms())
    assert "\n" not in str(refused.value)


def test_what_cannot_be_imported_is_named(tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("a\n")
    command = ["attribute", "--input", str(tmp_path / "texts.txt"), "--model", str(model_folder())]
    command += ["--out", str(tmp_path / "out")]
    for flag, path in (("--mixing", "tests.extending.mixing:Nothing"), ("--methods", "no.such.module:X")):
        assert main([*command, flag, path]) == 2
        said = capsys.readouterr().err.splitlines()
        assert len([line for line in said if line.startswith("jaxflow: ")]) == 1
        assert flag in said[-1]
        assert path in said[-1]


def test_the_guides_examples_run(model):
    guide = (Path(jf.__file__).parents[1] / "docs" / "extending.md").read_text("utf-8")
    graph = jf.attention_graph(np.full((2, 1, 3, 3), 1 / 3, np.float32))
    names = {
        "jf": jf,
        "jaxflow": jf,
        "jax": jax,
        "jnp": jnp,
        "dataclass": dataclass,
        "replace": replace,
        "logits_of": logits_of,
        "same_rows": same_rows,
        "Scores": Scores,
        "FlowSolution": FlowSolution,
    }
    names |= {"model": model, "texts": list(TEXTS), "graph": graph}
    blocks = re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(block, names)  # noqa: S102
    (hidden,) = jf.attribute(model, TEXTS[0], methods=names["Hidden"](), target="good")
    assert hidden.relevance["hidden"].any()
    bounds = jf.attention_flow(graph, method=names["FirstCut"]())
    assert (bounds.upper >= jf.attention_flow(graph, method="exact").value).all()
    assert not bounds.certified.any()
    (largest,) = zip(*run_readers(model, model.tokenize(list(TEXTS)), [names["LargestWeight"]()]), strict=True)
    for text, weight in zip(TEXTS, largest, strict=True):
        output = model(model.pad(model.tokenize([text])))
        np.testing.assert_allclose(weight, np.asarray(output.attention).max(), rtol=1e-5)
