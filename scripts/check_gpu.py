#!/usr/bin/env python3
"""Check jaxflow on an accelerator, and time it there. Runs on any device, and says on which.

    scripts/check_gpu.py --prepare cases.npz       # where Numba is: graphs, and their exact flows and rollouts
    scripts/check_gpu.py cases.npz [--model DIR] [--out scripts/results/device.json] [--quick]

The second command needs jax, flax, jaxtyping and numpy alone. It checks that bounds, relaxation and smooth flow bracket
the exact values that the first one found in float64 on a CPU; that rollout, gradients and a small random encoder (and
the model in DIR, where transformers is installed) give what the same machine's CPU gives; that a batch spread over all
devices by an explicit mesh gives what one device gives; that the compiled programs hold no float64 and do not call the
host; and that the kernel of the min-sum product, which no library code uses on a GPU yet, gives the plain version's
numbers, and in what time. Then it times the forward pass, rollout and flows of encoders like MiniLM and BERT base by
size and batch, in float32 and bfloat16, and PyTorch's eager forward pass and rollout on the same device where torch is
installed (`auto` where Numba is).

A check that raises has failed, and the others go on; nothing is begun after `--seconds`. The record is written anew
after every check, so that a run that is ended keeps what it has. Eight minutes in all.
Exit code 1 if a check fails.
"""

import argparse
import json
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxflow as jf
from jaxflow.flow.device.minsum import min_sum, relative_error
from jaxflow.flow.device.minsum_kernel import tiled_min_sum
from jaxflow.flow.device.solvers import SOLVERS, on_device
from jaxflow.models.batch import TokenBatch
from jaxflow.models.encoder.module import Encoder

sys.path.insert(0, str(Path(__file__).parent))
from gpu_times import FULL, QUICK, Plan, Shape, batch_of, encoder_of, ratios, times

# Beyond the rounding that bounds allow for themselves nothing is allowed; 1e-12 is the exact values' own.
EXACT = 1e-12
# Sums of products at highest precision on two devices, for rollouts and hidden states of order 1.
PARITY = 2e-5
CPU = jax.devices("cpu")[0]


def prepare(file: Path) -> None:
    """Attention of several kinds with exact flows from two positions at every layer, and rollouts, in float64."""
    rng, cases = np.random.default_rng(0), {}
    for name, layers, tokens, sharpness in (
        ("diffuse", 6, 24, 1.0),
        ("peaked", 6, 24, 8.0),
        ("causal", 6, 24, 2.0),
        ("sink", 6, 24, 1.0),
        ("padded", 4, 20, 3.0),
        ("deep", 12, 16, 4.0),
        ("long", 4, 130, 4.0),
    ):
        mask = np.ones((3, tokens), bool)
        if name == "padded":
            mask[1, 12:] = mask[2, :5] = False
        scores = sharpness * rng.normal(size=(3, layers, 1, tokens, tokens))
        scores[..., 5] += 6.0 * (name == "sink")
        allowed = mask[:, None, None, None, :] & (np.tri(tokens, dtype=bool) | (name != "causal"))
        weights = np.where(allowed, np.exp(scores - scores.max(-1, keepdims=True)), 0.0)
        attention = (weights / weights.sum(-1, keepdims=True)).astype(np.float32)
        graph = jf.attention_graph(attention, mask)
        mixing, product = np.asarray(graph.capacity, np.float64), np.eye(tokens)
        rolled = np.stack([product := mixing[:, layer] @ product for layer in range(layers)], axis=1)
        queries = np.array([5, tokens - 1])
        flow = jf.attention_flow(graph, queries=queries, method="exact").value
        parts = {"attention": attention, "mask": mask, "queries": queries, "flow": flow, "rollout": rolled}
        cases |= {f"{name}/{part}": array for part, array in parts.items()}
    np.savez_compressed(file, **cases)
    print(f"written: {file}, {file.stat().st_size / 2**20:.1f} MB")


def read_cases(file: Path, *, quick: bool) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    with np.load(file) as arrays:
        for name in dict.fromkeys(key.split("/")[0] for key in arrays.files):
            if not quick or name == "padded":
                parts = ("attention", "mask", "queries", "flow", "rollout")
                yield name, {part: arrays[f"{name}/{part}"] for part in parts}


class Report:
    """What was found, and whether every check held; written to `out` whenever something is added."""

    def __init__(self, out: Path | None = None, seconds: float = float("inf")) -> None:
        self.found: dict[str, Any] = {"device": about_devices(), "checks": [], "programs": [], "times": []}
        self.out, self.until = out, time.monotonic() + seconds

    def check(self, what: str, held: bool, **figures: Any) -> None:
        """Note and show whether something held."""
        self.found["checks"].append({"check": what, "held": bool(held), **figures})
        shown = "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items())
        print(f"{'ok  ' if held else 'FAIL'} {what}   {shown}", flush=True)
        self.write()

    def attempt(self, what: str, run: Callable[..., None], *arguments: Any) -> None:
        """Run some checks. What they raise is a check that failed; none is begun once the time is over."""
        if time.monotonic() > self.until:
            self.found.setdefault("left_out", []).append(what)
            return
        try:
            run(self, *arguments)
        except Exception as error:
            # Whatever a new device raises, its first line says what it was.
            first, *_ = [*str(error).strip().splitlines(), ""]
            self.check(what, False, error=f"{type(error).__name__}: {first}")

    def write(self) -> None:
        """Write what there is by now, whole or not at all."""
        if self.out is not None:
            self.found["held"] = self.held
            self.out.parent.mkdir(parents=True, exist_ok=True)
            partial_file = self.out.with_suffix(".partial")
            _ = partial_file.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
            _ = partial_file.replace(self.out)

    @property
    def held(self) -> bool:
        """Whether everything did."""
        return all(check["held"] for check in self.found["checks"])


def about_devices() -> dict[str, Any]:
    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "count": len(devices),
        "accelerator": devices[0].platform != "cpu",
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "versions": {"jax": jax.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }


def check_flows(report: Report, name: str, case: dict[str, np.ndarray], methods: list[str]) -> None:
    graph = jf.attention_graph(case["attention"], case["mask"])
    for method in methods:
        found = jf.attention_flow(graph, queries=case["queries"], method=method, tol=1e-4)
        lower, upper = (np.asarray(x, np.float64) for x in (found.lower, found.upper))
        wrong = float(max((lower - case["flow"]).max(), (case["flow"] - upper).max()))
        gap = float(np.mean(upper - lower))
        proven = float(np.mean(np.asarray(found.certified)))
        report.check(f"{method} brackets {name}", wrong <= EXACT, beyond=max(wrong, 0.0), gap=gap, certified=proven)
    rolled = np.asarray(jf.attention_rollout(graph), np.float64)
    error = float(np.abs(rolled - case["rollout"]).max())
    report.check(f"rollout of {name}", error <= PARITY, error=error)


def check_gradient(report: Report, case: dict[str, np.ndarray], method: str) -> None:
    """The gradient of one flow in the attention, against the CPU's of the same machine."""
    attention = case["attention"][:1, :4, :, :16, :16]
    attention = attention / attention.sum(-1, keepdims=True)

    def value(weights: jax.Array) -> jax.Array:
        graph = jf.attention_graph(weights, normalize=True)
        return jnp.sum(jf.attention_flow(graph, queries=3, layers=4, method=method).value)

    gradients = [
        np.asarray(jax.jit(jax.grad(value))(jax.device_put(attention, place))) for place in (jax.devices()[0], CPU)
    ]
    finite, size = bool(np.isfinite(gradients[0]).all()), float(np.abs(gradients[0]).max())
    # At ties either device may take another supergradient, so that single entries may differ; most must not.
    same = float(np.mean(np.abs(gradients[0] - gradients[1]) <= 1e-3 * max(size, 1e-9)))
    report.check(f"gradient of {method}", finite and size > 0 and same > 0.9, largest=size, same_as_cpu=same)


@jax.jit
def encode(module: Encoder, batch: TokenBatch) -> tuple[jax.Array, jax.Array]:
    out = module(batch)
    assert out.attention is not None
    assert out.hidden_states is not None
    real = batch.mask
    hidden = jnp.where(real[..., None], out.hidden_states[..., -1, :, :], 0)
    return hidden, jnp.where(real[..., None, None, :, None], out.attention, 0)


def check_folder(report: Report, folder: Path) -> None:
    """The forward pass of a model in a folder."""
    model = jf.load_model(str(folder))
    encodings = model.tokenize(["The keys to the cabinets are lost.", "She asked the doctor about her back."])
    check_encoder(report, folder.name, model.module, model.pad(encodings))


def check_encoder(report: Report, name: str, module: Encoder, batch: TokenBatch) -> None:
    """Hidden states and attention against the CPU's of the same machine."""
    found, expected = (
        jax.tree.map(np.asarray, encode(*jax.device_put((module, batch), place))) for place in (jax.devices()[0], CPU)
    )
    errors = [float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True)]
    report.check(f"forward pass of {name}", max(errors) <= 1e-3, hidden=errors[0], attention=errors[1])


def check_mesh(report: Report, case: dict[str, np.ndarray]) -> None:
    """One batch over all devices by an explicit mesh, and the same on one device."""
    devices = jax.devices()
    graph = jf.attention_graph(np.repeat(case["attention"][:1], len(devices), axis=0))
    mesh = jax.make_mesh((len(devices),), ("example",), axis_types=(jax.sharding.AxisType.Explicit,))
    spread = jax.device_put(graph, jax.NamedSharding(mesh, jax.P("example")))
    together, alone = (jf.attention_flow(g, queries=5, method="bounds") for g in (spread, graph))
    error = float(np.abs(np.asarray(together.upper) - np.asarray(alone.upper)).max())
    held = error <= 1e-6 and len(together.upper.sharding.device_set) == len(devices)
    report.check(f"explicit mesh of {len(devices)}", held, error=error)


def check_programs(report: Report, sizes: list[tuple[int, int, int]], methods: list[str]) -> None:
    """What the compiler made of the solvers: no float64, no call to the host; loops and memory are noted."""
    for examples, layers, tokens in sizes:
        graph = random_graph(examples, layers, tokens)
        queries = jnp.zeros((examples, 1), jnp.int32)
        for method in methods:
            began = time.perf_counter()
            lowered = on_device.lower(graph, queries, tuple(range(1, layers + 1)), 1e-6, SOLVERS[method])
            compiled = lowered.compile()
            text, memory = compiled.as_text() or "", compiled.memory_analysis()
            calls = sorted(set(re.findall(r'custom_call_target="([^"]+)"', text)))
            to_host = [call for call in calls if re.search("callback|host", call, re.IGNORECASE)]
            to_host += re.findall(r"\b(?:infeed|outfeed|send|recv)\(", text)
            what = f"{method}, {examples} x {layers} layers x {tokens} tokens"
            doubles = len(re.findall(r"\bf64\[", text))
            report.check(f"program of {what}", not to_host and not doubles, doubles=doubles, to_host=len(to_host))
            report.found["programs"].append({
                "program": what,
                "custom_calls": calls,
                "loops": len(re.findall(r"\bwhile\(", text)),
                "fusions": len(re.findall(r"\bfusion\(", text)),
                "temporary_megabytes": memory.temp_size_in_bytes / 2**20 if memory is not None else None,
                "compile_seconds": time.perf_counter() - began,
            })  # fmt: skip


def check_kernel(report: Report, sizes: list[tuple[int, int]]) -> None:
    """The kernel of the min-sum product beside the plain version: its numbers, and how long each takes."""
    on_gpu = jax.default_backend() == "gpu"
    kernel = jax.jit(partial(tiled_min_sum, platform="cuda", interpret=not on_gpu))
    for examples, tokens in sizes:
        rng = np.random.default_rng(tokens)
        left, right = (jnp.asarray(rng.random((examples, tokens, tokens)), jnp.float32) for _ in range(2))
        seconds = {}
        for name, product in (("plain", jax.jit(min_sum)), ("kernel", kernel)):
            _ = jax.block_until_ready(product(left, right))
            began = time.perf_counter()
            for _ in range(5):
                _ = jax.block_until_ready(product(left, right))
            seconds[name] = (time.perf_counter() - began) / 5
        off = float(jnp.max(jnp.abs(kernel(left, right) / min_sum(left, right) - 1)))
        held = off <= 2 * relative_error(left.dtype)
        report.check(f"min-sum kernel, {examples} x {tokens} tokens", held, off=off, **seconds)


def random_graph(examples: int, layers: int, tokens: int) -> jf.AttentionGraph:
    scores = np.random.default_rng(0).normal(size=(examples, layers, 1, tokens, tokens)).astype(np.float32)
    return jf.attention_graph(jax.nn.softmax(jnp.asarray(3 * scores)))


def measure(report: Report, plan: Plan) -> None:
    for row in times(plan, report.until):
        report.found["times"].append(row)
        report.write()
        size = f"{row.get('examples', '')} x {row.get('tokens', '')} {row.get('dtype', '')}"
        spent = f"{row['milliseconds']:10.2f} ms" if "milliseconds" in row else row.get("left_out_from", "")
        print(f"     {row['what']:<28} {row.get('shape', ''):<10} {size:<22} {spent}", flush=True)
    report.found["ratios"] = ratios(report.found["times"])
    memory = jax.devices()[0].memory_stats() or {}
    report.found["peak_megabytes"] = memory.get("peak_bytes_in_use", 0) / 2**20 or None


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("cases", type=Path, nargs="?", help="what --prepare wrote")
    _ = parser.add_argument("--prepare", type=Path, metavar="FILE", help="write the cases and end; on a CPU with Numba")
    _ = parser.add_argument("--model", type=Path, help="folder of a model whose forward pass is checked as well")
    _ = parser.add_argument("--out", type=Path, help="where the figures go as JSON")
    _ = parser.add_argument("--rounds", type=int, default=5)
    _ = parser.add_argument(
        "--seconds", type=float, default=400, help="after which nothing more is begun (default: 400)"
    )
    _ = parser.add_argument("--quick", action="store_true", help="one case, one small size, one round")
    options = parser.parse_args(argv)
    if (options.cases is None) == (options.prepare is None):
        parser.error("name a file of cases, or --prepare one")
    return options


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.prepare is not None:
        prepare(options.prepare)
        return 0
    report, quick = Report(options.out, options.seconds), options.quick
    about = report.found["device"]
    kind = "an accelerator" if about["accelerator"] else "NO accelerator: the CPU"
    print(f"on {about['count']} x {about['kind']} ({about['platform']}), {kind}")
    methods = [name for name in SOLVERS if not quick or name in ("bounds", "relaxed")]
    few = methods[: 1 if quick else None]
    cases = dict(read_cases(options.cases, quick=quick))
    some = next(iter(cases.values()))
    for name, case in cases.items():
        report.attempt(f"flows of {name}", check_flows, name, case, methods)
    for method in few:
        report.attempt(f"gradient of {method}", check_gradient, some, method)
    tiny = encoder_of(Shape("tiny", 2, 32, 2)), batch_of(3, 16)
    report.attempt("forward pass of a random encoder", check_encoder, "a random encoder", *tiny)
    if options.model is not None:
        report.attempt(f"forward pass of {options.model.name}", check_folder, options.model)
    report.attempt("explicit mesh", check_mesh, some)
    report.attempt("programs", check_programs, [(2, 3, 16)] if quick else [(32, 6, 64), (8, 12, 128)], few)
    report.attempt("times", measure, QUICK if quick else replace(FULL, rounds=options.rounds))
    # The one program that nothing else needs.
    report.attempt("min-sum kernel", check_kernel, [(2, 40)] if quick else [(32, 128), (8, 512)])
    report.write()
    if report.found.get("left_out"):
        print("left out, as the time was over:", ", ".join(report.found["left_out"]))
    if options.out is not None:
        print("written:", options.out)
    print("every check held" if report.held else "a check FAILED", f"on {about['platform']}")
    return 0 if report.held else 1


if __name__ == "__main__":
    sys.exit(main())
