#!/usr/bin/env python3
"""Time and memory of a decoder's answer explained: 512 tokens of a prompt, 64 of its answer.

    scripts/bench_decoders.py FOLDER --out scripts/results/decoders.json
    scripts/bench_decoders.py FOLDER --native --out scripts/results/decoders_jax.json

FOLDER holds a causal language model of transformers, such as `scripts/convert_checkpoint.py --package smollm2 FOLDER`
makes. Times are CPU seconds of the process, the least of several rounds, as ratios to the model's own forward pass
that was timed in the same rounds. With --native the model runs in JAX.
"""

import argparse
import gc
import json
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import torch
import transformers
from provenance import provenance

import jaxflow as jf
from jaxflow.models import ForwardOptions
from jaxflow.models.encoder.on_cpu import compiler_options, layers_apart
from jaxflow.models.generation import generate_ids

PROMPT, ANSWER = 512, 64
TEXT = "The committee that the keys to the old cabinet were given to met on Monday, and its members said that "


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("folder", type=Path, help="a causal language model of transformers")
    _ = parser.add_argument("--out", type=Path, help="a file of JSON")
    _ = parser.add_argument("--flow-layers", type=int, default=30, help="flow at the first so many layers; 0 for none")
    _ = parser.add_argument("--rounds", type=int, default=3)
    _ = parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    _ = parser.add_argument("--native", action="store_true", help="run the model in JAX")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = jf.load_model(options.folder) if options.native else torch_model(options.folder)
    prompt, answer = pair_of(model)
    forward = native_forward if options.native else torch_forward
    found = measured(model, prompt, answer, options.rounds, options.flow_layers, forward(model, prompt, answer))
    threads = None if options.native else options.threads
    found |= {"tokens": [PROMPT, ANSWER], "layers": model.layers, "threads": threads, "model": options.folder.name}
    about = {"provenance": provenance("jax", "torch", "transformers", "jaxflow-attention")}
    text = json.dumps(about | found, indent=2)
    print(text)
    if options.out:
        _ = options.out.write_text(text + "\n")
    return 0


def torch_model(folder: Path) -> Any:
    """The model as PyTorch runs it."""
    made = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return jf.TorchModel(made, transformers.AutoTokenizer.from_pretrained(folder), name=folder.name)


def torch_forward(model: Any, prompt: str, answer: str) -> dict[str, Callable[[], Any]]:
    """The forward pass alone; the last is the one that others are held against."""
    (encoding,) = model.tokenize([prompt], [answer])
    ids = torch.tensor([encoding.input_ids])

    def run(attention: str, **flags: Any) -> None:
        model.model.set_attn_implementation(attention)
        with torch.no_grad():
            _ = model.model(input_ids=ids, use_cache=False, logits_to_keep=1, **flags)
        model.model.set_attn_implementation("eager")

    return {
        "forward, fused attention": lambda: run("sdpa"),
        "forward, attention kept": lambda: run("eager", output_attentions=True),
    }


def native_forward(model: Any, prompt: str, answer: str) -> dict[str, Callable[[], Any]]:
    """The same in JAX, which keeps no attention that nobody reads."""
    batch = model.pad(model.tokenize([prompt], [answer]))
    apart = layers_apart(model.module, model.kept)

    def run(parameters: Any, batch: Any) -> Any:
        module = jax.tree.unflatten(apart.shape, parameters)
        hidden, _ = module.run(batch, lambda carry, layer: carry, None, ForwardOptions())
        return module.logits(hidden, batch)

    compiled = jax.jit(run, compiler_options=compiler_options())
    return {"forward": lambda: jax.block_until_ready(compiled(apart.parameters, batch))}


def pair_of(model: Any) -> tuple[str, str]:
    """A prompt and an answer of exactly so many tokens."""
    ids = model.tokenizer(TEXT * 40)["input_ids"][: PROMPT + ANSWER]
    prompt, answer = (model.tokenizer.decode(part) for part in (ids[:PROMPT], ids[PROMPT:]))
    (encoding,) = model.tokenize([prompt], [answer])
    assert len(encoding) == PROMPT + ANSWER, len(encoding)
    return prompt, answer


def measured(
    model: Any, prompt: str, answer: str, rounds: int, flow_layers: int, forward: dict[str, Callable[[], Any]]
) -> dict[str, Any]:
    """CPU seconds of each task, ratios to the last of the forward passes, and the flows' certificates."""
    seen: dict[str, Any] = {}

    def explained(**ask: Any) -> Callable[[], Any]:
        def run() -> None:
            seen["result"] = jf.attribute(model, [prompt], pairs=[answer], queries="answer", **ask)

        return run

    def generated() -> None:
        _ = generate_ids(model, model.tokenize([prompt]), ANSWER)

    tasks = {
        **forward,
        "rollout, all layers": explained(methods="rollout"),
        "rollout, last layer": explained(methods="rollout", layers=model.layers),
        "generate": generated,
    }
    if flow_layers:
        depths = tuple(range(1, min(flow_layers, model.layers) + 1))
        tasks[f"flow, {len(depths)} layers"] = explained(methods="flow", layers=depths)
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    peaks, certified = {}, None
    for round_ in range(rounds + 1):
        for name, task in tasks.items():
            if name.startswith("flow") and round_ != rounds:
                continue
            _ = gc.collect()
            start = time.process_time()
            task()
            # The first round compiles.
            if round_:
                seconds[name].append(time.process_time() - start)
            peaks[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            if name.startswith("flow"):
                certified = seen["result"].certified_share, seen["result"].saturated_share, seen["result"].stages
    least = {name: min(each) for name, each in seconds.items()}
    base = least[list(forward)[-1]]
    return {
        "cpu_seconds": {name: round(value, 3) for name, value in least.items()},
        "ratio_to_forward": {name: round(value / base, 3) for name, value in least.items()},
        # Of the process, when each task first ended: a later one shows only what it adds.
        "peak_mib_so_far": peaks,
        "flow": certified,
    }


if __name__ == "__main__":
    raise SystemExit(main())
