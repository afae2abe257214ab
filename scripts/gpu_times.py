"""Times on an accelerator: the forward pass, and what relevance adds to it, against PyTorch on the same device.

Part of `check_gpu.py`. Weights are random: times do not depend on them, but that attention is diffuse.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import jaxflow as jf
from jaxflow.flow.device.solvers import SOLVERS, on_device
from jaxflow.models.batch import TokenBatch
from jaxflow.models.config import EncoderConfig
from jaxflow.models.encoder.module import Encoder
from jaxflow.models.forward import ForwardOptions

VOCABULARY = 1000


@dataclass(frozen=True)
class Shape:
    """The size of an encoder."""

    name: str
    layers: int
    width: int
    heads: int


@dataclass(frozen=True)
class Plan:
    """What is timed, in the order in which it is given up where time is short.

    Attributes:
        shapes: of encoders.
        tokens: of each text.
        dtypes: of the weights.
        batches: numbers of texts, from small to large; larger ones are left out where one does not fit.
        flows: texts whose flows are timed.
        rounds: of each time; the median counts.
    """

    shapes: tuple[Shape, ...]
    tokens: tuple[int, ...]
    dtypes: tuple[str, ...]
    batches: tuple[int, ...]
    flows: int
    rounds: int


FULL = Plan(
    shapes=(Shape("MiniLM", 6, 384, 12), Shape("BERT base", 12, 768, 12)),
    tokens=(128, 32, 512),
    dtypes=("float32", "bfloat16"),
    batches=(32, 256, 2048),
    flows=32,
    rounds=5,
)
QUICK = Plan((Shape("tiny", 3, 32, 2),), (16,), ("float32",), (2,), 2, 1)


def encoder_of(shape: Shape, longest: int = 512, dtype: str = "float32") -> Encoder:
    """An encoder of the BERT family with random weights."""
    config = EncoderConfig(
        family="bert",
        vocabulary=VOCABULARY,
        width=shape.width,
        heads=shape.heads,
        feed_forward=4 * shape.width,
        rows=tuple(range(shape.layers)),
        activation="gelu",
        epsilon=1e-12,
        positions=longest,
        max_length=longest,
        segments=2,
        embedding_width=shape.width,
    )
    module = Encoder(config, nnx.Rngs(0))
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, module)


def batch_of(examples: int, tokens: int, *, full: bool = False) -> TokenBatch:
    """Random tokens; texts from half the length to all of it, or of one length."""
    ids = np.random.default_rng(0).integers(5, VOCABULARY, (examples, tokens)).astype(np.int32)
    lengths = np.linspace(tokens if full else tokens // 2 + 1, tokens, examples).astype(int)
    mask = np.arange(tokens) < lengths[:, None]
    return TokenBatch(jnp.asarray(ids * mask), jnp.asarray(mask), jnp.zeros((examples, tokens), jnp.int32))


def milliseconds(call: Callable[[], Any], rounds: int) -> float:
    """Median time of a call after one that compiles, results waited for."""
    spent = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        _ = jax.block_until_ready(call())
        spent.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(spent[1:])


@jax.jit
def _forward(module: Encoder, batch: TokenBatch) -> jax.Array:
    hidden, _ = module.run(batch, lambda carry, layer: carry, None, ForwardOptions())
    return hidden[:, 0]


def _graph(module: Encoder, batch: TokenBatch) -> Any:
    attention = module(batch).attention
    assert attention is not None
    return jf.attention_graph(attention.astype(jnp.float32), batch.mask, normalize=True)


@jax.jit
def _rollout(module: Encoder, batch: TokenBatch) -> jax.Array:
    return jf.attention_rollout(_graph(module, batch))[:, :, 0]


_kept_graph = jax.jit(_graph)


def ways(plan: Plan, shape: Shape, module: Encoder, batch: TokenBatch) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is timed of one batch, by name; flows for small batches alone."""
    yield "forward", lambda: _forward(module, batch)
    yield "forward and rollout", lambda: _rollout(module, batch)
    if batch.mask.shape[0] > plan.flows:
        return
    graph = _kept_graph(module, batch)
    queries, layers = jnp.zeros((batch.mask.shape[0], 1), jnp.int32), tuple(range(1, shape.layers + 1))
    for name in ("bounds", "relaxed"):
        yield f"{name} of [CLS]", lambda name=name: on_device(graph, queries, layers, 1e-6, SOLVERS[name])
    # What stays open goes to the exact solver on the host, which needs Numba.
    if find_spec("numba") is not None:
        yield "auto of [CLS]", lambda: jf.attention_flow(graph, queries=0, method="auto").value


def torch_ways(shape: Shape, examples: int, tokens: int, dtype: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The same encoder in PyTorch, eager, with its attention, and rollout by products; nothing without torch."""
    if find_spec("torch") is None:
        return
    import torch
    from torch.nn import functional

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options = {"device": device, "dtype": getattr(torch, dtype)}
    width, heads = shape.width, shape.heads
    generator = torch.Generator(device).manual_seed(0)

    def random(*sizes: int) -> Any:
        return 0.02 * torch.randn(*sizes, generator=generator, **options)

    layers = [
        [random(3 * width, width), random(width, width), random(4 * width, width), random(width, 4 * width)]
        for _ in range(shape.layers)
    ]
    state = random(examples, tokens, width)

    def forward() -> Any:
        hidden, kept = state, []
        for to_all, back, up, down in layers:
            parts = functional.linear(hidden, to_all).view(examples, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
            attention = torch.softmax(parts[0] @ parts[1].transpose(-1, -2) / (width // heads) ** 0.5, -1)
            mixed = (attention @ parts[2]).transpose(1, 2).reshape(examples, tokens, width)
            hidden = functional.layer_norm(hidden + functional.linear(mixed, back), (width,))
            inner = functional.gelu(functional.linear(hidden, up))
            hidden = functional.layer_norm(hidden + functional.linear(inner, down), (width,))
            kept.append(attention)
        return hidden, kept

    def rollout() -> Any:
        _, kept = forward()
        product = torch.eye(tokens, device=device).expand(examples, -1, -1)
        rows = []
        for attention in kept:
            product = (0.5 * attention.float().mean(1) + 0.5 * torch.eye(tokens, device=device)) @ product
            rows.append(product[:, 0])
        return torch.stack(rows)

    def waited(call: Callable[[], Any]) -> Callable[[], None]:
        @torch.no_grad()
        def run() -> None:
            _ = call()
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run

    yield "torch: forward", waited(forward)
    yield "torch: forward and rollout", waited(rollout)


def times(plan: Plan, until: float) -> Iterator[dict[str, Any]]:
    """A row for each way, shape and size, until the time is over; a size that does not fit is said once."""
    for dtype in plan.dtypes:
        for tokens in plan.tokens:
            for shape in plan.shapes:
                module = encoder_of(shape, max(512, tokens), dtype)
                for examples in plan.batches:
                    if time.monotonic() > until:
                        yield {"what": "time is over", "left_out_from": f"{shape.name}, {dtype}, {tokens} tokens"}
                        return
                    row = {"shape": shape.name, "dtype": dtype, "tokens": tokens, "examples": examples}
                    rows, fits = _of_size(plan, shape, module, row)
                    yield from rows
                    if not fits:
                        break


def _of_size(plan: Plan, shape: Shape, module: Encoder, row: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """The rows of one size, and whether all of it fitted into the device's memory."""
    rows: list[dict[str, Any]] = []
    try:
        batch = batch_of(row["examples"], row["tokens"], full=True)
        of_torch = torch_ways(shape, row["examples"], row["tokens"], row["dtype"])
        for what, call in (*ways(plan, shape, module, batch), *of_torch):
            spent = milliseconds(call, plan.rounds)
            rows.append(row | {"what": what, "milliseconds": spent, "examples_a_second": 1e3 * row["examples"] / spent})
    # JAX and torch have errors of their own for it, both of this kind.
    except RuntimeError as error:
        if "memory" not in str(error).lower() and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return [*rows, row | {"what": "does not fit"}], False
    return rows, True


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the issue's bars are about: relevance over the forward pass, and against torch, of each size."""
    sizes: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in rows:
        if "milliseconds" in row:
            key = tuple(row[name] for name in ("shape", "dtype", "tokens", "examples"))
            sizes.setdefault(key, {})[row["what"]] = row["milliseconds"]
    found = []
    for key, spent in sizes.items():
        forward = spent["forward"]
        figures = {"rollout_beyond_forward": spent.get("forward and rollout", np.nan) / forward - 1}
        figures |= {f"{name}_over_forward": spent[each] / forward for name in ("bounds", "relaxed", "auto")
                    if (each := f"{name} of [CLS]") in spent}  # fmt: skip
        if "torch: forward and rollout" in spent and "forward and rollout" in spent:
            figures["torch_over_ours"] = spent["torch: forward and rollout"] / spent["forward and rollout"]
        found.append(dict(zip(("shape", "dtype", "tokens", "examples"), key, strict=True)) | figures)
    return found
