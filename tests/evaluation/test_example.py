"""From texts to one number a layer: the example of the guide to methods as written, and the measures together."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import scipy.stats

import jaxflow as jf
from jaxflow.evaluation import occlusion_scores

GUIDE = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_guides_example_runs_as_written_and_equals_scipy(encoder, texts, gold):
    examples = re.findall(r"```py\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    (example,) = (found for found in examples if "occlusion_scores" in found)
    result = jf.attribute(encoder, texts)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(example, {"model": encoder, "texts": texts, "labels": gold, "result": result})  # noqa: S102
    scores = occlusion_scores(encoder, texts, target=gold)
    expected = np.mean(
        [
            [scipy.stats.spearmanr(layer, scores[index]).statistic for layer in rows[:, 0]]
            for index, rows in enumerate(result.relevance["flow"])
        ],
        axis=0,
    )
    found = np.array(printed.getvalue().strip("[]\n").split(), float)
    np.testing.assert_allclose(found, expected, atol=1e-6)
