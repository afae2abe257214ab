#!/usr/bin/env python3
"""Time the encoder against torch eager, in one run, with attention returned and without.

    scripts/bench_encoder.py [--rounds 20] [--threads 1] [--out scripts/results/encoder.json] [--workload NAME ...]

Both run the same random weights on the same tokens, in float32, on all cores, turn by turn, so that what else the
machine does hits both; the figure is the fastest of all rounds, the median stands beside it. Torch returns attention
only from its eager path, which is what it is compared with; without attention it may use its fused one too.
"""

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from provenance import provenance

from jaxflow.models import Encoding, TextEncoder, save_encoder
from jaxflow.models.create import new_encoder
from jaxflow.models.packing import packing_of

ROOT = Path(__file__).resolve().parents[1]
MINILM: dict[str, Any] = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
BASE: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
# Tokens of 32 English sentences of a news page, special ones included.
NATURAL = (
    28,
    17,
    35,
    12,
    22,
    41,
    9,
    26,
    31,
    19,
    14,
    52,
    24,
    8,
    37,
    21,
    29,
    16,
    11,
    33,
    45,
    20,
    25,
    13,
    30,
    18,
    38,
    23,
    10,
    27,
    15,
    34,
)


@dataclass(frozen=True)
class Workload:
    """Token counts of the texts of one batch, and the model's shape."""

    name: str
    model: str
    lengths: tuple[int, ...]


WORKLOADS = (
    Workload("one sentence, MiniLM", "MiniLM", (16,)),
    Workload("32 sentences, MiniLM", "MiniLM", NATURAL),
    Workload("8 full texts of 128 tokens, MiniLM", "MiniLM", (128,) * 8),
    Workload("one sentence, BERT base", "base", (16,)),
    Workload("32 sentences, BERT base", "base", NATURAL),
    Workload("8 full texts of 128 tokens, BERT base", "base", (128,) * 8),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("--rounds", type=int, default=20)
    _ = parser.add_argument("--out", type=Path, default=ROOT / "scripts" / "results" / "encoder.json")
    _ = parser.add_argument("--workload", nargs="*", choices=[workload.name for workload in WORKLOADS])
    _ = parser.add_argument("--threads", type=int, help="cores to run on; 1 is the fairest where others run too")
    options = parser.parse_args()
    hold_to(options.threads)
    models: dict[str, tuple[TextEncoder, Any]] = {}
    rows = []
    for workload in WORKLOADS:
        if options.workload and workload.name not in options.workload:
            continue
        if workload.model not in models:
            models[workload.model] = make_models(MINILM if workload.model == "MiniLM" else BASE)
        rows.append(measure(workload, *models[workload.model], options.rounds))
        print(line(rows[-1]), flush=True)
        # After each, so that a run that is stopped leaves what it measured.
        options.out.parent.mkdir(parents=True, exist_ok=True)
        _ = options.out.write_text(json.dumps({**about(options.rounds), "workloads": rows}, indent=2) + "\n")
    return 0


def hold_to(threads: int | None) -> None:
    """Keep both to so many cores, before either counts them."""
    import torch

    if threads is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        torch.set_num_threads(threads)


def make_models(shape: dict[str, Any]) -> tuple[TextEncoder, Any]:
    """The same random weights here and in torch."""
    import tempfile

    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    encoder = new_encoder(transformers.BertConfig(**shape))
    with tempfile.TemporaryDirectory() as folder:
        saved = save_encoder(encoder, Path(folder) / "model")
        model = transformers.BertModel.from_pretrained(saved, attn_implementation="eager").eval()
    return encoder, model


def measure(workload: Workload, encoder: TextEncoder, model: Any, rounds: int) -> dict[str, Any]:
    """One workload's figures."""
    rng = np.random.default_rng(0)
    encodings = [made_up(length, encoder.config.vocabulary, rng) for length in workload.lengths]
    batch = encoder.pad(encodings)
    compile_time = timed(lambda: ours(encoder, batch, True))
    contestants = {
        "ours with attention": lambda: ours(encoder, batch, True),
        "torch with attention": lambda: theirs(model, batch, "eager", True),
        "ours without": lambda: ours(encoder, batch, False),
        "torch eager without": lambda: theirs(model, batch, "eager", False),
        "torch fused without": lambda: theirs(model, batch, "sdpa", False),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        _ = run()
    for _ in range(rounds):
        for name, run in contestants.items():
            times[name].append(timed(run))
    best = {name: min(found) for name, found in times.items()}
    return {
        **asdict(workload),
        "padded_tokens": int(batch.mask.size),
        "real_tokens": int(batch.mask.sum()),
        "compile_seconds": round(compile_time, 3),
        "best_ms": {name: round(1e3 * value, 3) for name, value in best.items()},
        "median_ms": {name: round(1e3 * statistics.median(found), 3) for name, found in times.items()},
        "program_megabytes_with_attention": program_megabytes(encoder, batch),
        "gigaflops": round(flops(encoder, workload, batch.mask.shape[-1]) / 1e9, 3),
        "ratio_with_attention": round(best["torch with attention"] / best["ours with attention"], 3),
        "ratio_without": round(best["torch eager without"] / best["ours without"], 3),
        "ratio_without_to_fused": round(best["torch fused without"] / best["ours without"], 3),
        "difference": float(difference(encoder, model, batch)),
    }


def made_up(length: int, vocabulary: int, rng: np.random.Generator) -> Encoding:
    """A text of that many random tokens."""
    ids = tuple(map(int, rng.integers(1, vocabulary, length)))
    flat = (0,) * length
    return Encoding(ids, flat, tuple(map(str, ids)), ((0, 1),) * length, flat, (False,) * length)


def ours(encoder: TextEncoder, batch: Any, attention: bool) -> Any:
    output = encoder(batch, return_attention=attention, return_hidden_states=True)
    return jax.block_until_ready(output)


def theirs(model: Any, batch: Any, implementation: str, attention: bool) -> Any:
    import torch

    model.config._attn_implementation = implementation
    ids = torch.from_numpy(np.array(batch.input_ids)).long()
    mask = torch.from_numpy(np.array(batch.mask)).long()
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=mask, output_attentions=attention, output_hidden_states=True)


def difference(encoder: TextEncoder, model: Any, batch: Any) -> float:
    """Largest difference of attention on real tokens: that both did the same work."""
    found = np.asarray(ours(encoder, batch, True).attention)
    wanted = np.stack([layer.numpy() for layer in theirs(model, batch, "eager", True).attentions], 1)
    rows = np.asarray(batch.mask)[:, None, None, :, None]
    return float(np.abs(np.where(rows, found - wanted, 0)).max())


def timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    _ = run()
    return time.perf_counter() - start


def program_megabytes(encoder: TextEncoder, batch: Any) -> float | None:
    """What our program takes beside the weights, results included, as its compiler counts."""
    packing = packing_of(batch)
    program = jax.jit(lambda module, batch: module(batch, packing=packing)).lower(encoder.module, batch).compile()
    sizes = program.memory_analysis()
    return None if sizes is None else round((sizes.temp_size_in_bytes + sizes.output_size_in_bytes) / 2**20, 1)


def flops(encoder: TextEncoder, workload: Workload, length: int) -> float:
    """Operations of the matrix products, padding included."""
    config = encoder.config
    tokens = length * len(workload.lengths)
    dense = 2 * tokens * config.width * (4 * config.width + 2 * config.feed_forward)
    return config.layers * (dense + 4 * tokens * length * config.width)


def line(row: dict[str, Any]) -> str:
    best = row["best_ms"]
    return (
        f"{row['name']}: with attention {best['ours with attention']:.1f} ms, torch "
        f"{best['torch with attention']:.1f} ms, {row['ratio_with_attention']:.2f} times; without "
        f"{best['ours without']:.1f} ms, {row['ratio_without']:.2f} times; compiled in {row['compile_seconds']:.1f} s"
    )


def about(rounds: int) -> dict[str, Any]:
    """Where and with what it was measured."""
    import torch

    return {
        **provenance("jax", "flax", "torch", "transformers"),
        "device": jax.devices()[0].device_kind,
        "torch_threads": torch.get_num_threads(),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "rounds": rounds,
    }


if __name__ == "__main__":
    raise SystemExit(main())
