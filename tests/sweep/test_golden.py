"""The first edition's results: a folder that it wrote opens, and the same texts give the same numbers today.

`golden/results` was made with the first edition's code (commit 5e40060, from before the library was rebuilt) and the
verb-number model that ships today, by `jaxflow attribute --input tests/sweep/golden/texts.txt --out
tests/sweep/golden/results`, less its report.html.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError

GOLDEN = Path(__file__).parent / "golden"
# Two builds of the compiler round float32 attention differently; flow sums more of it than raw attention does.
TOLERANCE = {"raw": 1e-6, "rollout": 1e-6, "flow": 5e-6}


@pytest.fixture
def results(tmp_path):
    # Opening may leave nothing behind, but a copy proves it for the repository.
    return jf.open_sweep(shutil.copytree(GOLDEN / "results", tmp_path / "results"))


def test_a_folder_of_the_first_edition_opens(results):
    texts = (GOLDEN / "texts.txt").read_text().splitlines()
    assert [results[index].text for index in range(len(results))] == texts
    assert all(results[index].certified.all() for index in range(len(results)))


def test_a_folder_of_the_first_edition_is_gone_on_with(results):
    options = {"batch_size": 8}
    again = jf.run_sweep(jf.load_model("verb-number"), GOLDEN / "texts.txt", results.folder, **options)
    assert again.records == results.records
    assert jf.Question.from_json(again.manifest["question"]) == jf.Question()
    with pytest.raises(InputError, match=r"differs in flow \(there auto, now bounds\); name another `folder`"):
        jf.run_sweep(jf.load_model("verb-number"), GOLDEN / "texts.txt", results.folder, flow="bounds")


def test_the_same_texts_give_what_the_first_edition_gave(results):
    texts = (GOLDEN / "texts.txt").read_text().splitlines()
    again = jf.attribute(jf.load_model("verb-number"), texts)
    for before, now in zip((results[index] for index in range(len(results))), again, strict=True):
        assert list(now.tokens) == list(before.tokens)
        assert now.prediction == before.prediction
        for method, tolerance in TOLERANCE.items():
            np.testing.assert_allclose(now.relevance[method], before.relevance[method], rtol=0, atol=tolerance)


def test_a_models_fingerprint_is_the_same_in_every_process():
    """The order of sets is not."""
    code = "import jaxflow as jf; print(jf.load_model('verb-number').fingerprint()['config'])"
    environment = {**os.environ, "PYTHONPATH": str(Path(jf.__file__).parents[1])}
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env=environment | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "12"
    }
    assert len(said) == 1
