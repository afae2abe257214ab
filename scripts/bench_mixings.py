#!/usr/bin/env python3
"""Time mixings, class-specific flow and references against the forward pass, in one run, with peers in torch.

    scripts/bench_mixings.py [--rounds 7] [--mixing NAME ...] [--out scripts/results/mixings.json]

Random weights in a model's shape, full texts, float32, the programs that sweeps run. A round runs the forward pass with
the head, then each mixing's rollout of one position at all layers, certified flow over attention x gradient from the
head's position at all layers (its solving included), and each reference. Times are those of the processor, so that what
else the machine does counts little; the figure is the fastest of all rounds over the fastest forward pass. Peers in
torch, on as many cores: the forward pass with hooks and then `|g2(g1(r_ij))|` with one vector a pair, as GlobEnc's code
has it; and captum's gradient x input and integrated gradients of as many steps, all texts and one step at a time.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from bench_encoder import BASE, MINILM, made_up
from provenance import provenance

from jaxflow.attribution import Rollout
from jaxflow.attribution.registry import METHODS
from jaxflow.attribution.streams import Streams
from jaxflow.evaluation import Target
from jaxflow.evaluation.target import explained_of
from jaxflow.flow.solve import attention_flow
from jaxflow.mixing import MIXINGS, as_mixing
from jaxflow.models import TextEncoder
from jaxflow.models.create import new_encoder
from jaxflow.running import Inputs
from jaxflow.running._executables import Executable, Executables
from jaxflow.running._forward import Forward
from jaxflow.running._placement import place
from jaxflow.running.readers import KeptGraph, Logits

ROOT = Path(__file__).resolve().parents[1]
# Seconds.
LONG = 5
FORWARD, TORCH = "forward pass", "torch: norms by pairs' vectors"
FLOW = "flow of attention-gradient, certified"
TORCH_FORWARD, TORCH_INPUT, TORCH_STEPS = (
    "torch: forward pass",
    "captum: gradient x input",
    "captum: integrated gradients",
)
REFERENCES = ("gradient-input", "integrated-gradients", "attn-lrp", "decompx-even", "decompx")
# Of integrated gradients, as the method has by default.
INTEGRATED: Any = METHODS["integrated-gradients"]
STEPS: int = INTEGRATED.steps


@dataclass(frozen=True)
class Workload:
    """Texts of one batch, all of the same length, and the model's shape."""

    name: str
    model: str
    texts: int
    tokens: int


WORKLOADS = (
    Workload("64 texts of 32 tokens, MiniLM", "MiniLM", 64, 32),
    Workload("16 texts of 128 tokens, MiniLM", "MiniLM", 16, 128),
    Workload("8 texts of 64 tokens, BERT base", "base", 8, 64),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("--rounds", type=int, default=7)
    _ = parser.add_argument("--mixing", nargs="*", choices=list(MIXINGS), default=list(MIXINGS))
    _ = parser.add_argument("--out", type=Path, default=ROOT / "scripts" / "results" / "mixings.json")
    options = parser.parse_args()
    rows = []
    for workload in WORKLOADS:
        rows.append(measure(workload, options.mixing, options.rounds))
        print(lines(rows[-1]), flush=True)
        # After each, so that a run that is stopped leaves what it measured.
        options.out.parent.mkdir(parents=True, exist_ok=True)
        _ = options.out.write_text(json.dumps({**about(options.rounds), "workloads": rows}, indent=2) + "\n")
    return 0


def measure(workload: Workload, mixings: list[str], rounds: int) -> dict[str, Any]:
    """One workload's figures."""
    model = make_model(MINILM if workload.model == "MiniLM" else BASE)
    rng = np.random.default_rng(0)
    encodings = [made_up(workload.tokens, model.config.vocabulary, rng) for _ in range(workload.texts)]
    begin = time.perf_counter()
    runs = {FORWARD: program(model, encodings, Forward((Logits(),)))}
    compiled = {FORWARD: time.perf_counter() - begin}
    for name in mixings:
        begin = time.perf_counter()
        runs[name] = program(model, encodings, rollout(model, name))
        compiled[name] = time.perf_counter() - begin
    for name in REFERENCES:
        begin = time.perf_counter()
        runs[name] = program(model, encodings, reference(model, name))
        compiled[name] = time.perf_counter() - begin
    contestants = {name: run for name, (run, _) in runs.items()} | {FLOW: class_flow(model, encodings)}
    contestants |= torch_runs(model, encodings)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        _ = run()
    for _ in range(rounds):
        for name, run in contestants.items():
            # What takes that long once is known well enough.
            if not times[name] or times[name][0] < LONG:
                times[name].append(timed(run))
    best = {name: min(found) for name, found in times.items()}
    return {
        **asdict(workload),
        "best_ms": {name: round(1e3 * value, 2) for name, value in best.items()},
        "median_ms": {name: round(1e3 * statistics.median(found), 2) for name, found in times.items()},
        "forward_passes": {name: round(best[name] / best[FORWARD], 2) for name in contestants},
        "compile_seconds": {name: round(value, 2) for name, value in compiled.items()},
        "program_megabytes": {name: megabytes(executable) for name, (_, executable) in runs.items()},
    }


def timed(run: Callable[[], Any]) -> float:
    """Seconds of the processor that a run takes, all cores together."""
    begin = time.process_time()
    _ = run()
    return time.process_time() - begin


def make_model(shape: dict[str, Any]) -> TextEncoder:
    """A classifier with random weights."""
    import transformers

    config = transformers.BertConfig(**{**shape, "num_labels": 2})
    return new_encoder(config, head="sequence_classification")


def rollout(model: TextEncoder, name: str) -> Forward:
    """The program of rollout by a mixing, at every layer."""
    mixing = as_mixing(name, model)
    target = explained_of(model, Target(quantity="logit"), 1)[0] if "gradients" in mixing.needs else None
    return Forward((Streams((Rollout(),), tuple(range(1, model.layers + 1))),), mixing, target)


def reference(model: TextEncoder, name: str) -> Any:
    """The program of a reference, for the predicted class."""
    method: Any = METHODS[name]
    return method.program(model, (model.layers,), explained_of(model, Target(quantity="logit"), 1)[0])


def class_flow(model: TextEncoder, encodings: list[Any]) -> Callable[[], Any]:
    """What solves certified flow of the predicted class from the head's position at all layers, its graphs included."""
    target = explained_of(model, Target(quantity="logit"), 1)[0]
    graphs, _ = program(model, encodings, Forward((KeptGraph(),), as_mixing("attention-gradient", model), target))

    def run() -> Any:
        (graph,) = graphs()
        flow = attention_flow(graph, queries=0)
        assert flow.certified.all()
        return flow.value

    return run


def program(model: TextEncoder, encodings: list[Any], forward: Any) -> tuple[Callable[[], Any], Executable]:
    """What runs a program over the texts once more, explaining the first position; and the program."""
    placement = place(model, None)
    queries = jnp.zeros((len(encodings), 1), jnp.int32)
    # The predicted class is known on the device.
    examples: tuple[Any, ...] = (queries, (None, None))
    if isinstance(forward, Forward):
        examples = tuple(queries if isinstance(each, Streams) else None for each in forward.readers)
        # Behind the readers' arrays those of the target.
        examples = examples if forward.target is None else (*examples, (None, None))
    inputs = placement.put(Inputs(model.pad(encodings), examples, None))
    executables = Executables(placement, model)
    executable = executables.of(inputs, forward)
    return lambda: jax.block_until_ready(executables.run(inputs, forward)), executable


def torch_runs(model: TextEncoder, encodings: list[Any]) -> dict[str, Callable[[], Any]]:
    """What runs torch's forward pass, and what peers make of it."""
    import tempfile

    import torch
    import transformers
    from captum.attr import InputXGradient, IntegratedGradients

    from jaxflow.models import save_encoder

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        saved = save_encoder(model, Path(folder) / "model")
        kind = transformers.BertForSequenceClassification
        whole: Any = kind.from_pretrained(saved, attn_implementation="eager").eval()
    peer = whole.bert
    for parameter in whole.parameters():
        _ = parameter.requires_grad_(False)
    ids = torch.from_numpy(np.array(model.pad(encodings).input_ids)).long()
    layers: Any = peer.encoder.layer

    words = peer.embeddings.word_embeddings(ids).detach()

    def forward() -> Any:
        with torch.inference_mode():
            return whole(input_ids=ids).logits

    def logits(words: Any) -> Any:
        return whole(inputs_embeds=words).logits

    predicted = forward().argmax(-1)

    def times_input() -> Any:
        return InputXGradient(logits).attribute(words.requires_grad_(), target=predicted)

    def integrated() -> Any:
        # The line from zeros; captum would take all steps at once.
        method = IntegratedGradients(logits)
        return method.attribute(words, target=predicted, n_steps=STEPS, internal_batch_size=len(words))

    def norms() -> Any:
        with torch.inference_mode():
            seen: list[tuple[Any, ...]] = []
            handles = [
                layer.register_forward_hook(lambda module, given, _: seen.append((module, given[0])))
                for layer in layers
            ]
            read: list[Any] = []
            handles += [
                norm.register_forward_hook(lambda module, given, _: read.append(given[0]))
                for layer in layers
                for norm in (layer.attention.output.LayerNorm, layer.output.LayerNorm)
            ]
            attention = peer(input_ids=ids, output_attentions=True).attentions
            for handle in handles:
                handle.remove()
            return [
                lengths(layer, inputs, weights, read[2 * index : 2 * index + 2])
                for index, ((layer, inputs), weights) in enumerate(zip(seen, attention, strict=True))
            ]

    return {TORCH: norms, TORCH_FORWARD: forward, TORCH_INPUT: times_input, TORCH_STEPS: integrated}


def lengths(layer: Any, inputs: Any, attention: Any, read: list[Any]) -> Any:
    """`|g2(g1(r_ij))|` of one layer in torch; text by text, as a batch's vectors would not fit in memory."""
    import torch

    texts, tokens, width = inputs.shape
    heads = attention.shape[1]
    values = layer.attention.self.value(inputs).view(texts, tokens, heads, -1)
    projection = layer.attention.output.dense.weight.T.reshape(heads, -1, width)
    moved = torch.einsum("tkhd,hdw->thkw", values, projection)
    eye = torch.eye(tokens)[:, :, None]
    rows = []
    for text in range(texts):
        vectors = torch.einsum("hqk,hkw->qkw", attention[text], moved[text]) + eye * inputs[text]
        for norm, state in zip((layer.attention.output.LayerNorm, layer.output.LayerNorm), read, strict=True):
            deviation = torch.sqrt(state[text].var(-1, unbiased=False) + norm.eps)
            vectors = (vectors - vectors.mean(-1, keepdim=True)) * norm.weight / deviation[:, None, None]
        rows.append(vectors.norm(dim=-1))
    return torch.stack(rows)


def megabytes(executable: Executable) -> float | None:
    """What a program takes beside the model's parameters, results included."""
    size = executable.about.bytes
    return None if size is None else round(size / 2**20, 1)


def lines(row: dict[str, Any]) -> str:
    figures = [
        f"  {name}: {row['best_ms'][name]:.1f} ms, {passes:.2f} forward passes"
        for name, passes in row["forward_passes"].items()
    ]
    return "\n".join([row["name"], *figures])


def about(rounds: int) -> dict[str, Any]:
    """Where and with what it was measured."""
    return {
        **provenance("jax", "flax", "torch", "transformers", "captum"),
        "device": jax.devices()[0].device_kind,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "rounds": rounds,
    }


if __name__ == "__main__":
    raise SystemExit(main())
