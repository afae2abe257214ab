"""A process that was forked off one in which JAX was at work says so at once, and every other one works."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow as jf
from jaxflow import _checks
from jaxflow._checks import InputError
from jaxflow.pages.explore import explore
from tests.tiny_text_model import model_folder

ROOT = Path(jf.__file__).parents[1]
ATTENTION = np.full((2, 2, 4, 4), 0.25, np.float32)


@pytest.fixture
def forked(monkeypatch):
    """As in a forked child; what is made before is made in the parent."""
    encoder = jf.load_model(str(model_folder()))
    graph = jf.attention_graph(ATTENTION)
    monkeypatch.setitem(_checks._process, "forked", True)
    return encoder, graph


def test_every_entry_refuses(forked, tmp_path):
    encoder, graph = forked
    (encoding,) = encoder.tokenize(["the key"])
    for entry in (
        lambda: jf.attribute(encoder, ["the key"]),
        lambda: jf.run_sweep(encoder, ["the key"], tmp_path / "out"),
        lambda: jf.compare_models(encoder, encoder, ["the key"]),
        lambda: explore(encoder, ["the key"]),
        lambda: jf.load_model(str(model_folder())),
        lambda: jf.attention_graph(ATTENTION),
        lambda: jf.attention_flow(graph),
        lambda: jf.attention_rollout(graph),
        lambda: jf.raw_attention(graph),
        lambda: jf.head_rollout(graph, ATTENTION, layer=1),
        lambda: jf.cut_capacity(graph, jnp.zeros(1)),
        lambda: encoder(encoder.pad([encoding])),
    ):
        with pytest.raises(InputError, match=r"must be started before JAX is used.*spawn"):
            _ = entry()
    assert not (tmp_path / "out").exists()


CODE = """
import os, sys, numpy as np
import jaxflow as jf
attention = np.full((2, 2, 4, 4), 0.25, np.float32)
if {before}:
    jf.attention_graph(attention)
child = os.fork()
if not child:
    try:
        jf.attention_rollout(jf.attention_graph(attention)).block_until_ready()
        print("worked")
    except jf.InputError as error:
        print("refused:", error)
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.parametrize(
    ("before", "said"), [(False, "worked"), (True, "refused: this process must be started before JAX is used")]
)
def test_a_forked_child_works_or_refuses_and_never_hangs(before, said):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(CODE.format(before=before))],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.startswith(said), done.stderr
    assert done.stdout.count("\n") == 1
