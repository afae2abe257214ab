#!/usr/bin/env python3
"""Time whole sweeps, stage by stage and end to end, against what one would write with torch, in one run.

    scripts/bench_sweep.py [--data DIR] [--texts 2000] [--rounds 3] [--threads N] [--out scripts/results/sweep.json]
    scripts/bench_sweep.py --quick

The model is minilm (`jaxflow fetch minilm`). Texts: with `--data`, sentences of SQuAD's paragraphs
(`pairs/squad2_dev.json.gz`) and, as a second set, whole GAP passages (`coref/gap-*.tsv`); else the demo's, over and
over. Relevance is that of [CLS] at all layers.

Each round runs every contestant once, one after the other, over the same texts; figures are the fastest round, CPU
seconds (of all threads, the exact solver's included) beside seconds by the clock. Ours are compiled before. The
baseline is the forward pass alone, in the very batches that attribution makes, packed alike, returning nothing but
what the head or pooler makes of it. Torch is eager with `output_attentions` (it returns attention no other way), in
batches of 32 padded to their longest text: in the texts' order, as one would write it, and `sorted` by length, as one
who knows better would. Then comes rollout in NumPy, or the flow of each pair by SciPy (capacities as integers) or
networkx (what the paper's authors used), behind torch's sorted batches. The flows of these two are timed on some texts
only, and scaled to all by the number of tokens; such figures are marked `extrapolated`.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flow_bench import peers
from provenance import provenance
from sweep_texts import demo, passages, sentences

import jaxflow as jf
from jaxflow.attribution import EncodedText, attribute_shards
from jaxflow.attribution.items import item_of
from jaxflow.devices import local_mesh
from jaxflow.models import Encoding, TextEncoder, TokenBatch, builtin
from jaxflow.models.encoder.on_cpu import apart, compiler_options
from jaxflow.models.packing import Packing, pack
from jaxflow.running._sizes import Sizes, batches_of, device_tokens

HERE = Path(__file__).parent
CLS = np.zeros(1, np.int64)
TORCH_BATCH = 32
# Tokens of the texts that networkx is timed on, at most.
BRIEF = 40


@dataclass(frozen=True)
class Spent:
    """What a run took: seconds by the clock, and of all its threads."""

    wall: float
    cpu: float

    def over(self, other: "Spent") -> dict[str, float]:
        """How many times as much as another."""
        return {"wall": self.wall / other.wall, "cpu": self.cpu / max(other.cpu, 1e-9)}


def spent(run: Callable[[], Any]) -> Spent:
    wall, cpu = time.perf_counter(), time.process_time()
    _ = run()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def encoded(encoder: TextEncoder, texts: list[str]) -> list[EncodedText]:
    return [
        EncodedText(text, None, encoding, f"text {index}")
        for index, (text, encoding) in enumerate(zip(texts, encoder.tokenize(texts, truncate=True), strict=True))
    ]


def padded(encoder: TextEncoder, texts: list[EncodedText]) -> list[tuple[TokenBatch, Packing | None]]:
    """The batches that attribution makes of these texts, packed as they are there."""
    items = [item_of(i, text.place, text.text, None, text.encoding, CLS) for i, text in enumerate(texts)]
    device = jax.devices()[0]
    sizes = Sizes(None, device_tokens(device), encoder.max_length, 1, packs=device.platform == "cpu")
    found = []
    for chosen in batches_of(items, sizes):
        encodings = [item.encoding for item in chosen]
        batch = encoder.pad(encodings, sizes.length(chosen))
        packed = sizes.packed(len(encodings), batch.mask.shape[1], sum(map(len, encodings)))
        found.append((batch, None if packed is None else pack(np.asarray(batch.mask), packed)))
    return found


def forward_pass(encoder: TextEncoder) -> Callable[[TokenBatch, Packing | None], Any]:
    """The forward pass that returns nothing but what the head or pooler says, as fast as the library has it."""
    here = jax.devices()[0].platform == "cpu"
    module, options = (apart(encoder.module), compiler_options()) if here else (encoder.module, {})

    def run(module: Any, batch: TokenBatch, packing: Packing | None) -> Any:
        found = module(batch, packing=packing, return_attention=False, return_hidden_states=False)
        return found.pooled, found.logits

    program = jax.jit(run, compiler_options=options)
    return lambda batch, packing: program(module, batch, packing)


def forward(run: Callable[[TokenBatch, Packing | None], Any], batches: Iterable[tuple[TokenBatch, Any]]) -> None:
    """The forward pass alone, two batches on their way as in attribution."""
    before: Any = None
    for batch, packing in batches:
        now = run(batch, packing)
        _ = jax.block_until_ready(before)
        before = now
    _ = jax.block_until_ready(before)


def attributed(encoder: TextEncoder, texts: list[EncodedText], methods: Any, mesh: Any = None) -> Any:
    (result,) = attribute_shards(encoder, [texts], methods=methods, mesh=mesh)
    return result


def torch_model(encoder: TextEncoder) -> Any:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    return transformers.AutoModel.from_pretrained(builtin.folder(encoder.name), attn_implementation="eager").eval()


def torch_mixing(model: Any, encodings: list[Encoding]) -> Iterable[list[np.ndarray]]:
    """Mixing matrices of batches of texts, in their order: one array `layer token token` a text."""
    import torch

    for start in range(0, len(encodings), TORCH_BATCH):
        chosen = encodings[start : start + TORCH_BATCH]
        ids, mask = np.zeros((2, len(chosen), max(map(len, chosen))), np.int64)
        for row, encoding in enumerate(chosen):
            ids[row, : len(encoding)], mask[row, : len(encoding)] = encoding.input_ids, 1
        with torch.inference_mode():
            out = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask), output_attentions=True)
        fused = np.stack([layer.mean(1).numpy() for layer in out.attentions], axis=1)
        made = []
        for row, encoding in enumerate(chosen):
            own = fused[row, :, : len(encoding), : len(encoding)]
            own = own / own.sum(-1, keepdims=True)
            made.append(0.5 * np.eye(len(encoding), dtype=np.float32) + 0.5 * own)
        yield made


def numpy_rollout(mixing: np.ndarray) -> np.ndarray:
    """[CLS]'s rollout at every layer."""
    rows, product = [], np.eye(mixing.shape[-1], dtype=np.float32)
    for layer in mixing:
        product = layer @ product
        rows.append(product[0])
    return np.stack(rows)


def peer_flow(build: Callable[[np.ndarray], peers.Solve], mixing: np.ndarray) -> np.ndarray:
    """[CLS]'s flow at every layer, pair by pair."""
    rows = []
    for layer in range(1, len(mixing) + 1):
        solve = build(mixing[:layer])
        rows.append([solve(0, token) for token in range(mixing.shape[-1])])
    return np.array(rows)


def torch_sweep(model: Any, encodings: list[Encoding], then: Callable[[np.ndarray], Any]) -> list[Any]:
    return [then(mixing) for batch in torch_mixing(model, encodings) for mixing in batch]


def extrapolated(
    model: Any, encodings: list[Encoding], build: Callable[[np.ndarray], peers.Solve], sample: int
) -> dict[str, Any]:
    """Seconds of a peer's flows of all texts, by those of some: spread over the lengths, scaled by pairs."""
    ordered = sorted(encodings, key=len)
    # The middle of as many equal parts: of one, the median.
    count = min(sample, len(ordered))
    chosen = [ordered[int((part + 0.5) * len(ordered) / count)] for part in range(count)]
    mixings = [mixing for batch in torch_mixing(model, chosen) for mixing in batch]
    took = spent(lambda: [peer_flow(build, mixing) for mixing in mixings])
    share = sum(map(len, chosen)) / sum(map(len, encodings))
    return {"seconds": took.wall / share, "extrapolated": True, "sample": len(chosen), "share_of_pairs": share}


def bench(name: str, encoder: TextEncoder, model: Any, texts: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """One set of texts: every contestant, round by round."""
    ready = encoded(encoder, texts)
    encodings = [text.encoding for text in ready]
    batches, run_forward = padded(encoder, ready), forward_pass(encoder)
    tokens = sum(map(len, encodings))
    runs: dict[str, Callable[[], Any]] = {
        "tokenize": lambda: encoder.tokenize(texts, truncate=True),
        "forward": lambda: forward(run_forward, batches),
        "raw": lambda: attributed(encoder, ready, "raw"),
        "rollout": lambda: attributed(encoder, ready, "rollout"),
        "flow": lambda: attributed(encoder, ready, "flow"),
        "end to end, rollout": lambda: jf.attribute(encoder, texts, methods="rollout", truncate=True),
        "end to end, flow": lambda: jf.attribute(encoder, texts, methods="flow", truncate=True),
        "end to end, all three": lambda: jf.attribute(encoder, texts, truncate=True),
    }
    if len(jax.local_devices()) > 1:
        mesh = local_mesh()
        runs["rollout over all devices"] = lambda: attributed(encoder, ready, "rollout", mesh)
    if model is not None:
        runs["torch + NumPy rollout"] = lambda: torch_sweep(
            model, encoder.tokenize(texts, truncate=True), numpy_rollout
        )
        runs["torch sorted + NumPy rollout"] = lambda: torch_sweep(
            model, sorted(encoder.tokenize(texts, truncate=True), key=len), numpy_rollout
        )
    compiling = {way: spent(run) for way, run in runs.items()}
    best = dict(compiling)
    for _ in range(options.rounds):
        for way, run in runs.items():
            took = spent(run)
            best[way] = Spent(min(best[way].wall, took.wall), min(best[way].cpu, took.cpu))
    flows = attributed(encoder, ready, "flow")
    row: dict[str, Any] = {
        "texts": name, "count": len(texts), "tokens": tokens, "batches": len(batches),
        "padded_tokens": sum(batch.mask.size for batch, _ in batches),
        "seconds": {way: took.wall for way, took in best.items()},
        "cpu_seconds": {way: took.cpu for way, took in best.items()},
        "first_run_seconds": {way: took.wall for way, took in compiling.items()},
        "texts_per_second": {way: len(texts) / took.wall for way, took in best.items()},
        "tokens_per_second": {way: tokens / took.wall for way, took in best.items()},
        "beyond_forward": {way: {of: x - 1 for of, x in best[way].over(best["forward"]).items()}
                           for way in ("raw", "rollout", "flow")},
        "certified": flows.certified_share, "settled": flows.stages,
    }  # fmt: skip
    if model is not None:
        row |= against_torch(row, encoder, model, encodings, options)
    return row


def against_torch(
    row: dict[str, Any], encoder: TextEncoder, model: Any, encodings: list[Encoding], options: argparse.Namespace
) -> dict[str, Any]:
    """Ratios to torch's sweeps, and how far our numbers are from theirs."""
    alone = spent(lambda: torch_sweep(model, sorted(encodings, key=len), lambda mixing: None)).wall
    row["seconds"]["torch sorted, attentions alone"] = alone
    flows = {"SciPy": extrapolated(model, encodings, peers.scipy, options.sample)}
    if not options.quick:
        # One longer text would take it hours; what is extrapolated from brief ones is too short, if anything.
        brief = [each for each in encodings if len(each) <= BRIEF] or [min(encodings, key=len)]
        flows["networkx"] = extrapolated(model, brief, peers.networkx("edmonds_karp"), options.networkx)
        flows["networkx"]["seconds"] *= sum(map(len, encodings)) / sum(map(len, brief))
    own = row["seconds"]
    ratios = {way: own[f"{way} + NumPy rollout"] / own["end to end, rollout"] for way in ("torch", "torch sorted")}
    ratios |= {
        f"torch + {peer} flow": (alone + took["seconds"]) / own["end to end, flow"] for peer, took in flows.items()
    }
    some = sorted(encodings, key=len)[:: max(1, len(encodings) // 8)]
    theirs = torch_sweep(model, some, lambda mixing: (numpy_rollout(mixing), peer_flow(peers.scipy, mixing)))
    ours = attributed(encoder, [EncodedText("", None, encoding, "") for encoding in some], ("rollout", "flow"))
    apart = {
        method: max(
            float(np.abs(example.relevance[method][:, 0] - pair[place]).max())
            for example, pair in zip(ours, theirs, strict=True)
        )
        for place, method in enumerate(("rollout", "flow"))
    }
    return {"peer_flows": flows, "times_as_fast": ratios, "largest_difference": apart}


def about(options: argparse.Namespace) -> dict[str, Any]:
    return {
        **provenance("jax", "flax", "numpy", "numba", "scipy", "networkx", "torch", "transformers"),
        "device": jax.devices()[0].device_kind,
        "devices": len(jax.devices()),
        "quick": options.quick,
        "rounds": options.rounds,
    }


def show(row: dict[str, Any]) -> None:
    print(f"{row['texts']}: {row['count']} texts, {row['tokens']} tokens")
    for way, seconds in row["seconds"].items():
        print(f"  {way:<30} {seconds:9.3f} s {row['count'] / seconds:10.1f} texts/s")
    for way, beyond in row["beyond_forward"].items():
        print(f"  {way} beyond the forward pass: {100 * beyond['wall']:.1f} % ({100 * beyond['cpu']:.1f} % CPU time)")
    for way, times in row.get("times_as_fast", {}).items():
        print(f"  {times:.2f} times as fast as {way}" + (", extrapolated" if "flow" in way else ""))
    print(f"  flows certified: {row['certified']:.4f}; largest differences {row.get('largest_difference')}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("--data", type=Path, help="folder of coref/gap-*.tsv and pairs/squad2_dev.json.gz")
    _ = parser.add_argument("--texts", type=int, default=2000, help="sentences, and passages, at most")
    _ = parser.add_argument("--rounds", type=int, default=3)
    _ = parser.add_argument("--threads", type=int, help="cores to run on (default: all)")
    _ = parser.add_argument("--sample", type=int, default=40, help="texts whose flows SciPy solves")
    _ = parser.add_argument(
        "--networkx", type=int, default=1, help="texts whose flows networkx solves; a minute each, or more"
    )
    _ = parser.add_argument("--no-torch", action="store_true", help="leave torch out")
    _ = parser.add_argument("--out", type=Path, default=HERE / "results" / "sweep.json")
    _ = parser.add_argument("--quick", action="store_true", help="few texts, one round, no networkx, nothing written")
    options = parser.parse_args()
    if options.quick:
        options.texts, options.rounds, options.sample = min(options.texts, 48), 1, 4
    return options


def main() -> int:
    options = arguments()
    if options.threads is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    encoder = jf.load_model("minilm")
    model = None if options.no_torch else torch_model(encoder)
    if model is not None:
        import torch

        torch.set_num_threads(len(os.sched_getaffinity(0)))
    sets = {"demo": demo(options.texts)}
    if options.data is not None:
        sets = {
            "SQuAD sentences": sentences(options.data, options.texts),
            "GAP passages": passages(options.data, options.texts),
        }
    rows = []
    for name, texts in sets.items():
        rows.append(bench(name, encoder, model, texts, options))
        show(rows[-1])
        if not options.quick:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            _ = options.out.write_text(json.dumps({**about(options), "sets": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
