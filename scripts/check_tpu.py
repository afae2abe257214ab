#!/usr/bin/env python3
"""Compile every device program for TPUs that this machine does not have, and say what the compiler made of them.

    python -m venv tpu; tpu/bin/pip install '.[text]' libtpu
    scripts/check_tpu.py [--out scripts/results/tpu.json] [--part families|mixings|references|graphs] [--chips v5e:2x2]

`libtpu` compiles for a TPU that is only described. Give it an environment of its own: JAX loads it wherever it is
installed, and it handles signals for the whole process. Of each compiled program this notes: operations and bytes;
memory against the chip's; collectives (a sweep's program must have none, as no example needs another); gathers and
scatters within loops; numbers in float64; and the most examples a second that the chip's peaks would allow. Loops whose
length is known only as they run are counted once, so that programs with such (`loops_counted_once`) are slower than
that. Nothing is run. Exit code 1 if a program does not compile, does not fit, or holds a collective or a float64.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Before JAX is imported: devices are described, not looked for; nothing is run that two processes could not share.
if __name__ == "__main__":
    os.environ |= {"TPU_SKIP_MDS_QUERY": "1", "JAX_PLATFORMS": "cpu", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import topologies

import jaxflow as jf
from jaxflow._target import for_tpu
from jaxflow.attribution.explaining import call_of
from jaxflow.devices import EXAMPLE, MODEL, example_sharding
from jaxflow.flow.device.minsum import min_sum
from jaxflow.flow.device.solvers import SOLVERS, on_device
from jaxflow.mixing import MIXINGS
from jaxflow.models import TokenBatch
from jaxflow.models.encoder.images import ImageEncoder
from jaxflow.models.encoder.module import Encoder
from jaxflow.models.encoder.texts import TextEncoder
from jaxflow.models.families import DECODERS, FAMILIES, VISION
from jaxflow.models.images import ImageBatch
from jaxflow.models.load import configure
from jaxflow.references import REFERENCES, Occlusion
from jaxflow.running.readers import KeptGraph

sys.path.insert(0, str(Path(__file__).parent))
from program_figures import CHIPS, about
from provenance import commit, provenance

TOPOLOGIES = ("v5e:1x1", "v5e:2x2", "v5e:16x16", "v6e:2x2")
# Every program is compiled for this one; for the others those that differ by more than the model.
FIRST = "v5e:2x2"
EXAMPLES, TOKENS, GRAPH_LAYERS = 32, 128, 12
# Layers of a model are alike, and compile for long: two stand for all.
LAYERS = 2
# The width of a decoder of 135 million parameters; defaults of transformers are of 7 thousand million.
SMALL_DECODER = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "pad_token_id": 0,
}


@dataclass(frozen=True)
class Job:
    """A program to compile: a function, and its arguments' shapes.

    Attributes:
        function: of the arguments.
        whole: the first argument, which every device holds whole; or None.
        rows: the other arguments, whose arrays have the examples first.
    """

    function: Callable[..., Any]
    whole: Any
    rows: tuple[Any, ...]


def shape(*sizes: int, dtype: Any = jnp.float32) -> Any:
    return jax.ShapeDtypeStruct(sizes, dtype)


def model_of(model_type: str) -> TextEncoder:
    """A model of a family in its usual size, without numbers."""
    import transformers

    # Each family has a name of its own for the number of its layers.
    sizes: dict[str, Any] = {"num_labels": 2} | dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers"), LAYERS)
    if model_type in DECODERS and model_type != "gpt2":
        sizes |= SMALL_DECODER
    source = transformers.AutoConfig.for_model(model_type, **sizes)
    if model_type not in VISION:
        source.pad_token_id = source.pad_token_id or 0
    head = "next_token" if model_type in DECODERS else "sequence_classification"
    config = configure(source, FAMILIES[model_type], head, model_type)
    module = nnx.eval_shape(lambda: Encoder(config, nnx.Rngs(0)))
    if model_type in VISION:
        processor = transformers.ViTImageProcessor()
        return ImageEncoder(model_type, config, module, None, config.max_length, source, processor)
    return TextEncoder(model_type, config, module, None, config.max_length, source)


def batch_of(model: TextEncoder, rows: int) -> TokenBatch:
    """Texts of `TOKENS` tokens, or images of the model's size."""
    patches = model.config.patches
    tokens = TOKENS if patches is None else model.max_length
    ids, mask = shape(rows, tokens, dtype=jnp.int32), shape(rows, tokens, dtype=jnp.bool_)
    if patches is None:
        return jax.eval_shape(TokenBatch, ids, mask, ids)
    return jax.eval_shape(ImageBatch, ids, mask, ids, shape(rows, 3, *patches.size))


def forward(model: TextEncoder, question: jf.Question, rows: int) -> Job:
    """The program of a batch of texts, as `attribute` makes it: forward pass, graph, and methods of their own."""
    call = call_of(
        question,
        model,
        {"graph": KeptGraph()},
        {},
        batch_of(model, rows),
        shape(rows, 1, dtype=jnp.int32),
        tuple(range(1, model.layers + 1)),
    )
    return Job(call.program, model.module, (call.inputs,))


def families(rows: int) -> Iterator[tuple[str, Callable[[], Job]]]:
    for name in FAMILIES:
        yield f"forward of {name}", lambda name=name: forward(model_of(name), jf.Question(("rollout",)), rows)


def mixings(rows: int) -> Iterator[tuple[str, Callable[[], Job]]]:
    for name in MIXINGS:
        question = jf.Question(("rollout",), mixing=name)
        yield f"mixing {name}", lambda question=question: forward(model_of("bert"), question, rows)


def references(rows: int) -> Iterator[tuple[str, Callable[[], Job]]]:
    for each in REFERENCES:
        # A model without a tokenizer has no blank of its own.
        method = Occlusion(blank=0) if isinstance(each, Occlusion) else each.name
        question = jf.Question((method,))
        yield f"reference {each.name}", lambda question=question: forward(model_of("bert"), question, rows)


def graphs(rows: int) -> Iterator[tuple[str, Callable[[], Job]]]:
    """Readings of graphs; [CLS]'s flows at all layers."""
    layers = GRAPH_LAYERS
    arrays = shape(rows, layers, TOKENS, TOKENS), shape(rows, layers, TOKENS), shape(rows, TOKENS, dtype=jnp.bool_)
    graph, queries = jax.eval_shape(jf.AttentionGraph, *arrays), shape(rows, 1, dtype=jnp.int32)
    chosen = tuple(range(1, layers + 1))
    for name, solver in SOLVERS.items():
        solve = partial(_solved, layers=chosen, solver=solver)
        yield f"flow by {name}", lambda solve=solve: Job(solve, None, (graph, queries))
    square = shape(rows, TOKENS, TOKENS)
    yield "min-sum product", lambda: Job(min_sum, None, (square, square))
    yield "rollout of a graph", lambda: Job(jf.attention_rollout, None, (graph,))
    yield "widest path", lambda: Job(lambda g: jf.widest_path(g, queries=0), None, (graph,))
    yield "gradient of bounds", lambda: Job(_gradient, None, (graph,))


def _solved(graph: Any, queries: Any, *, layers: tuple[int, ...], solver: Any, apart: Any = None) -> Any:
    return on_device(graph, queries, layers, 1e-6, solver, apart)


def _gradient(graph: Any) -> Any:
    def upper(weights: Any) -> Any:
        with_weights = jf.AttentionGraph(weights, graph.own, graph.mask)
        return jnp.sum(jf.attention_flow(with_weights, queries=0, layers=[GRAPH_LAYERS], method="bounds").upper)

    return jax.grad(upper)(graph.weights)


PARTS = {"families": families, "mixings": mixings, "references": references, "graphs": graphs}


def mesh_of(name: str) -> jax.sharding.Mesh:
    options = {"chips_per_host_bounds": [1, 1, 1]} if name.endswith(":1x1") else {}
    devices = topologies.get_topology_desc(platform="tpu", topology_name=name, **options).devices
    return jax.sharding.Mesh(np.asarray(devices).reshape(-1, 1), (EXAMPLE, MODEL))


def compiled(job: Job, mesh: jax.sharding.Mesh, rows: int) -> tuple[Any, str, Any]:
    """The program for the devices of a mesh, examples spread over them; its text; its operations before compiling."""
    apart, everywhere = example_sharding(mesh), jax.NamedSharding(mesh, jax.P())

    def placed(leaf: Any, sharding: Any) -> Any:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    spread = jax.tree.map(lambda leaf: placed(leaf, apart if leaf.shape[:1] == (rows,) else everywhere), job.rows)
    whole = jax.tree.map(lambda leaf: placed(leaf, everywhere), job.whole)
    arguments = spread if job.whole is None else (whole, *spread)
    function = job.function
    # Solvers are told how the examples lie, as from arrays in hand.
    if isinstance(function, partial) and function.func is _solved and mesh.size > 1:
        function = partial(function, apart=apart)
    with for_tpu(mesh.size):
        traced = jax.jit(function).trace(*arguments)
    lowered = traced.lower(lowering_platforms=("tpu",))
    # The compiler writes the text: `as_text` fails on gathers that a v6e's sparse cores do ("async-update instruction
    # should have 1 operands but sees 3"), as jaxlib's reader is of another version than libtpu's writer.
    with tempfile.TemporaryDirectory() as folder:
        program = lowered.compile(compiler_options={"xla_dump_to": folder, "xla_dump_hlo_as_text": True})
        texts = [file.read_text(encoding="utf-8") for file in Path(folder).glob("*.after_optimizations.txt")]
    assert texts, "the compiler wrote no text"
    return program, "\n".join(texts), traced.jaxpr


def check(topology: str, parts: list[str], only: str = "") -> Iterator[dict[str, Any]]:
    """Each program's row; `error` instead of figures where it does not compile."""
    chip, mesh = CHIPS[topology.partition(":")[0]], mesh_of(topology)
    rows = EXAMPLES * mesh.size
    for part in parts:
        for name, make in PARTS[part](rows):
            if only not in name:
                continue
            began = time.perf_counter()
            row: dict[str, Any] = {"program": name, "topology": topology, "chips": mesh.size, "examples": rows}
            try:
                program, text, jaxpr = compiled(make(), mesh, rows)
                row |= about(text, program.memory_analysis(), jaxpr, chip, rows, mesh.size)
                row["held"] = not row["collectives"] and not row["float64"] and row["share_of_memory"] < 1
            except Exception as error:  # Whatever the compiler has against a program: the others are checked as well.
                row |= {"held": False, "error": f"{type(error).__name__}: {str(error)[:300]}"}
            row |= {"compile_seconds": round(time.perf_counter() - began, 1), "commit": commit()}
            yield row


def show(row: dict[str, Any]) -> None:
    mark, what = "ok  " if row["held"] else "FAIL", f"{row['topology']:<10} {row['program']:<34}"
    if "error" in row:
        print(mark, what, row["error"], flush=True)
        return
    loops = f"{row['gathers_in_loops']} gathers {row['scatters_in_loops']} scatters in loops"
    least = f"{row['examples_a_second_at_most']:,.0f}/s at most, by {row['bound_by']}"
    print(f"{mark} {what} {row['share_of_memory']:7.2%} of memory  {loops}  {least}", *row["collectives"], flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("--out", type=Path, help="where the figures go as JSON; rows that are there are replaced")
    _ = parser.add_argument("--part", choices=PARTS, action="append", help="programs to compile (default: all)")
    _ = parser.add_argument("--chips", choices=TOPOLOGIES, action="append", help="what to compile for (default: all)")
    _ = parser.add_argument("--only", default="", help="programs whose names hold this")
    options = parser.parse_args(argv)
    rows: list[dict[str, Any]] = []
    for topology in options.chips or TOPOLOGIES:
        # Models and mixings are alike on every chip; one family and the readings of graphs stand for them.
        every = topology == FIRST or options.part
        for row in check(topology, options.part or (list(PARTS) if every else ["graphs"]), options.only):
            show(row)
            rows.append(row)
            if options.out is not None:
                write(options.out, rows)
    return 0 if all(row["held"] for row in rows) else 1


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write the rows beside those of other programs that the file has."""
    before = json.loads(file.read_text(encoding="utf-8"))["programs"] if file.exists() else []
    made = {(row["topology"], row["program"]): row for row in (*before, *rows)}
    found = {
        "about": provenance("jax", "jaxlib", "libtpu", "flax"),
        "examples_a_chip": EXAMPLES,
        "layers_of_models": LAYERS,
        "layers_of_graphs": GRAPH_LAYERS,
        "tokens": TOKENS,
        "programs": list(made.values()),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    _ = file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
