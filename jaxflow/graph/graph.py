"""The graph of layers that raw attention, rollout and flow are three functionals of."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxflow import _checks
from jaxflow._checks import InputError, not_forked
from jaxflow._programs import Bucket, Programs, bucket_of, is_at_hand, to_device
from jaxflow._pytree import pytree
from jaxflow._typing import AnyArray, ArrayLike, Attention, Attentions, Capacity, DTypeLike, Given, Square, TokenMask
from jaxflow.graph import arrays as _arrays
from jaxflow.graph import attention

# Sums of float32 rows stray this far from 1, and not further.
_ROW_SUM_TOLERANCE = 1e-4
_MADE_BY = "make it with attention_graph(attentions, mask) or capacity_graph(weights, own, mask)"
_PARTS = ("weights", "own", "mask")
Tree = TypeVar("Tree")


@pytree
class AttentionGraph:
    """A layered graph of capacities: raw attention, rollout and flow need nothing else of a model.

    Nodes are positions after each layer, the input being layer 0; the arc from position i after layer l to position j
    before it has capacity `capacity[..., l - 1, i, j]`. Made by `attention_graph` (the paper's graph) or
    `capacity_graph` (any capacities), which check the conditions below, on which the flow's proofs rely.

    Attributes:
        weights: capacity from each position to each position below it, `*batch layer token token`; not negative, of
            any size, and exactly 0 on padding's rows and columns.
        own: capacity of each position's own stream (the residual connection), `*batch layer token`; not negative, and
            0 on padding.
        mask: true on real tokens, `*batch token`.
    """

    weights: Capacity
    own: Float[Array, "*batch layer token"]
    mask: Bool[Array, "*batch token"]

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return self.weights.shape[-3]

    @property
    def num_tokens(self) -> int:
        """Number of positions, padding included."""
        return self.weights.shape[-1]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Leading batch axes, `()` for a single example."""
        return self.weights.shape[:-3]

    @property
    def capacity(self) -> Capacity:
        """`weights + diag(own)`, the matrices of rollout and flow, `*batch layer token token`; 0 on padding."""
        return in_buckets(_capacity, self, "layer token token")

    @property
    def row_stochastic(self) -> Bool[Array, "*batch"]:
        """Whether the rows of `capacity` sum to 1 on real tokens, within 1e-4: then rollout gives shares."""
        return in_buckets(_row_stochastic, self, "")


def attention_graph(
    attentions: Attentions,
    mask: ArrayLike | None = None,
    heads: str | ArrayLike = "mean",
    residual: ArrayLike = 0.5,
    *,
    normalize: Given[bool] = False,
) -> AttentionGraph:
    """Build the graph of layers from a model's attention probabilities.

    Each layer's heads are fused with padding's rows and columns set to 0, then rows are scaled to sum to 1 over real
    tokens (a row left empty becomes the identity's). The graph's `weights` are these rows times `1 - residual`, and
    its `own` is `residual` on real tokens. With `heads="mean"` and `residual=0.5` this is the graph of Abnar & Zuidema
    (2020), section 3. Any mask goes: padding left, right or in the middle. Causal attention is an ordinary case.

    Args:
        attentions: `*batch layer head query key` as one array, or a list or tuple of one entry a layer, each
            `*batch head query key`, as Hugging Face's models return them; arrays of JAX, NumPy, or torch on any
            device, entries of a list also nested lists. Each row sums to 1 over its keys.
        mask: `*batch token`, true or 1 on real tokens (a tokenizer's `attention_mask`); None where all are real.
        heads: how a layer's heads become one matrix: `"mean"`, `"max"`, `"min"`, or weights of shape `head`,
            `layer head` or `*batch layer head`, not negative; only their proportions within a layer count.
        residual: share of the residual connection, in [0, 1]; one number, or one an example (`*batch`).
        normalize: accept rows of any non-negative sum, for weights that are not probabilities (value-weighted,
            gradient-weighted); they are scaled after fusing, so that a head of larger weights counts for more.

    Returns:
        The graph, in float32 (float64 where JAX has it switched on and the attention came in it). Cost: two passes over
        the attention, layer * head * token^2 numbers, one to look at its values and one to fuse its heads.

    Raises:
        InputError: for attention that was not computed, a wrong rank or shape, an empty mask, an unknown `heads`, a
            residual outside [0, 1], and, where values can be read (not under a transformation), for NaN, infinite or
            negative attention, rows that do not sum to 1 within 1e-3 (2e-2 in 16-bit formats, and where a layer holds
            only numbers of one), or a mask that calls padding what real tokens attend to though the model masked
            other tokens. What stands on padding's rows is never looked at otherwise.

    Warns:
        UserWarning: no mask is passed, and the first or the last tokens get nothing from any other in any layer.
    """
    not_forked()
    weights, tokens = attention.as_attention(attentions, normalize=normalize, mask=mask)
    if isinstance(heads, str) or heads is None:
        _checks.one_of("heads", heads, tuple(attention.FUSIONS))
    else:
        heads = attention.as_head_weights(heads, weights.shape)
    share = as_residual(residual, weights.shape[:-4], weights.dtype)
    return _mixed(weights, tokens, heads, share)


def with_automatic_axes(tree: Tree) -> Tree:
    """Arrays with their sharding left to the compiler, where a mesh has explicit axes.

    A mesh of `jax.make_mesh` has explicit axes unless it is told otherwise; then every operation must say how its
    result is sharded, which a scan over layers and a map over pairs cannot. Nothing is moved.
    """
    sharded = [x for x in jax.tree.leaves(tree) if not _checks.is_traced(x) and isinstance(x, jax.Array)]
    meshes = [x.sharding.mesh for x in sharded if isinstance(x.sharding, jax.NamedSharding)]
    if not any(kind != jax.sharding.AxisType.Auto for mesh in meshes for kind in mesh.axis_types):
        return tree
    automatic = meshes[0].update(axis_types=(jax.sharding.AxisType.Auto,) * len(meshes[0].axis_names))

    def automatically(array: Array) -> Array:
        spec = array.sharding.spec if isinstance(array.sharding, jax.NamedSharding) else jax.P()
        return jax.device_put(array, jax.NamedSharding(automatic, spec))

    return jax.tree.map(automatically, tree)


def graph_bucket(graph: AttentionGraph) -> Bucket | None:
    """The bucket that a graph is filled up to before a program is compiled for it; None where that is not worth it."""
    if _checks.is_traced(graph):
        return None
    return bucket_of(graph.weights, graph.batch_shape, token=graph.num_tokens)


def filled_graph(graph: AttentionGraph, room: Bucket) -> AttentionGraph:
    """A graph filled up to a bucket with padding."""
    return AttentionGraph(
        weights=room.fill(graph.weights, "layer token token"),
        own=room.fill(graph.own, "layer token"),
        mask=room.fill(graph.mask, "token"),
    )


def in_buckets(
    program: Programs, graph: AttentionGraph, axes: str, *others: tuple[AnyArray, str], **static: object
) -> Array:
    """A program's result for a graph and other arrays, filled up to a bucket so that few programs are compiled.

    Args:
        program: of the graph, the other arrays and the static arguments.
        graph: the layered graph.
        axes: names of the result's axes after the batch's.
        others: arrays with the graph's batch, and names of their axes after it.
        static: passed on.
    """
    room = None if _checks.is_traced(others) else graph_bucket(graph)
    if room is None:
        return program(graph, *(array for array, _ in others), **static)
    # Filled positions are padding: they change nothing elsewhere, and are cut off the result.
    return room.cut(program(filled_graph(graph, room), *(room.fill(*other) for other in others), **static), axes)


@Programs
def _capacity(graph: AttentionGraph) -> Capacity:
    return with_own(graph.weights, graph.own)


def with_own(weights: Float[Array, "*batch token token"], own: Float[Array, "*batch token"]) -> Square:
    """Capacities with each position's own stream added on the diagonal."""
    # By a selection: a product with the identity would make NaN of an infinite stream off the diagonal.
    diagonal = jnp.eye(weights.shape[-1], dtype=bool)
    return weights + jnp.where(diagonal, own[..., :, None], jnp.zeros((), own.dtype))


@Programs
def _row_stochastic(graph: AttentionGraph) -> Bool[Array, "*batch"]:
    # batch layer query: padding's rows sum to 0 and don't count.
    sums = jnp.sum(with_own(graph.weights, graph.own), axis=-1)
    return jnp.all((jnp.abs(sums - 1) <= _ROW_SUM_TOLERANCE) | ~graph.mask[..., None, :], axis=(-2, -1))


def with_residual(
    fused: Float[Array, "*batch token token"], share: Float[Array, "*#batch"], mask: Bool[Array, "*#batch token"]
) -> tuple[Float[Array, "*batch token token"], Float[Array, "*batch token"]]:
    """The paper's weights and own streams: of each real position a share is its own, and the rest its attention's."""
    # Padding's rows of `fused` are 0 already; its own streams must be too, or they leak capacity.
    own = jnp.where(mask, share[..., None], jnp.zeros((), fused.dtype))
    return (1 - share[..., None, None]) * fused, jnp.broadcast_to(own, fused.shape[:-1])


def _mixed(
    weights: Attention, mask: TokenMask, heads: str | attention.HeadWeights, share: Float[Array, "*batch"]
) -> AttentionGraph:
    """The graph of attention, by a program for the bucket that the attention is filled up to."""
    traced = _checks.is_traced(weights, mask, heads, share)
    room = None if traced else bucket_of(weights, weights.shape[:-4], token=weights.shape[-1])
    # A way of fusing by name is part of the program; weights of heads are one of its arrays.
    program, parts = (_mix_named if isinstance(heads, str) else _mix_weighted), (weights, mask, heads, share)
    if room is None:
        arcs, own = program(*parts)
        return AttentionGraph(arcs, own, mask)
    if not isinstance(heads, str):
        heads = room.fill(jnp.broadcast_to(heads, (*room.batch, *heads.shape[-2:])), "layer head")
    filled = room.fill(weights, "layer head token token"), room.fill(mask, "token"), heads, room.fill(share, "")
    arcs, own = program(*filled)
    return AttentionGraph(room.cut(arcs, "layer token token"), room.cut(own, "layer token"), mask)


def _mix(
    weights: Attention, mask: TokenMask, heads: str | attention.HeadWeights, share: Float[Array, "*batch"]
) -> tuple[Array, Array]:
    # The share and the mask are an example's: an axis of layers is added to both.
    return with_residual(attention.fuse_heads(weights, mask, heads), share[..., None], mask[..., None, :])


_mix_named, _mix_weighted = Programs(_mix, static=("heads",)), Programs(_mix)


def as_residual(residual: ArrayLike, batch: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "*batch"]:
    """Take in the residual's share, checked, on the device: one number for all examples, or one an example."""
    share = check_residual(residual, batch)
    if isinstance(share, np.ndarray):
        return to_device(np.array(np.broadcast_to(share, batch), dtype))
    return jnp.broadcast_to(jnp.asarray(share, dtype=dtype), batch)


def check_residual(residual: ArrayLike, batch: tuple[int, ...], argument: str = "residual") -> AnyArray:
    """Take in the residual's share, checked, without using a device: traced, or a NumPy array in double precision."""
    way_out = "0.5 is the paper's"
    if isinstance(residual, list | tuple) and any(isinstance(share, bool) for share in residual):
        raise InputError(argument, "be a number in [0, 1]", _checks.shown(residual), way_out)
    # A list of booleans would be read as numbers; single ones are told by their format below.
    share = jnp.asarray(residual) if _checks.is_traced(residual) else _read_residual(residual, argument)
    if share.dtype.kind not in "iuf" and not _arrays.is_small_float(share.dtype):
        raise InputError(argument, "be a number in [0, 1]", _checks.shown(residual), way_out)
    if not _checks.is_traced(share):
        share = np.asarray(share, np.float64)
        if not ((share >= 0) & (share <= 1)).all():
            raise InputError(argument, "lie in [0, 1]", _checks.shown_text(str(residual)), way_out)
    if jnp.shape(share) not in ((), batch):
        expected = f"be one number or have shape {batch}"
        raise InputError(argument, expected, f"shape {jnp.shape(share)}")
    return share


def _read_residual(residual: ArrayLike, argument: str) -> AnyArray:
    try:
        return _arrays.read_array(argument, residual)
    except InputError:
        raise InputError(argument, "be a number in [0, 1]", _checks.shown(residual), "0.5 is the paper's") from None


def as_graph(value: Any, argument: str = "graph") -> AttentionGraph:
    """Take in a graph: an `AttentionGraph` whose fields are arrays that fit together. Values are not looked at.

    Numbers in formats in which nothing is computed, such as bfloat16, are widened, which changes none.

    Raises:
        InputError: it is something else, or made by hand of parts that don't fit.
    """
    if not isinstance(value, AttentionGraph):
        got = f"an array of shape {tuple(value.shape)}" if hasattr(value, "shape") else type(value).__name__
        raise InputError(argument, "be an AttentionGraph", got, _MADE_BY)
    parts = {name: getattr(value, name) for name in _PARTS}
    for name, part in parts.items():
        if not isinstance(part, jax.Array | np.ndarray | np.generic):
            raise InputError(argument, f"hold arrays: its {name}", _checks.shown(part), _MADE_BY)
        kind, words = (np.bool_, "booleans") if name == "mask" else (np.floating, "floating-point numbers")
        if not jnp.issubdtype(part.dtype, kind):
            raise InputError(argument, f"hold {words} as its {name}", str(part.dtype), _MADE_BY)
    shape = value.weights.shape
    if len(shape) < 3 or shape[-1] != shape[-2] or 0 in shape:
        raise InputError(argument, "hold weights of shape (*batch, layer, token, token)", str(shape), _MADE_BY)
    for name, expected in (("own", shape[:-1]), ("mask", (*shape[:-3], shape[-1]))):
        if parts[name].shape != expected:
            raise InputError(argument, f"hold {name} of shape {expected}", str(parts[name].shape), _MADE_BY)
    return value if all(map(_arrays.is_computable, parts.values())) else jax.tree.map(_arrays.computable, value)


def check_graph(graph: object) -> AttentionGraph:
    """Take in a graph, its values checked where they can be read: the flow's proofs rest on them.

    A graph made by hand may hold anything. Traced values pass. Cost: one pass over the graph, waited for.

    Raises:
        InputError: it is no graph, or a capacity of it is negative or not finite.
    """
    graph = as_graph(graph)
    if _checks.is_traced(graph):
        return graph
    # A device looks at its own arrays; only those of an unsound graph are fetched, to say where.
    if not is_at_hand(graph.weights) and _is_sound(graph):
        return graph
    check_capacities("graph", np.asarray(graph.weights), np.asarray(graph.own), _MADE_BY)
    return graph


def check_capacities(
    argument: str,
    weights: Float[np.ndarray, "*batch layer token token"],
    own: Float[np.ndarray, "*batch layer token"],
    way_out: str,
) -> None:
    """Refuse capacities that are negative or not finite, or whose sum on the diagonal no longer is finite.

    Raises:
        InputError: naming the first wrong entry; `argument` is `graph`, or the name of its weights.
    """
    # Extremes are quicker to find than the first wrong entry; NaN is one of its array's. Where both largest numbers
    # together are finite, so is every sum on the diagonal.
    with np.errstate(over="ignore", invalid="ignore"):
        # NaN fails either comparison.
        if min(weights.min(), own.min()) >= 0 and np.isfinite(weights.max() + own.max()):
            return
        whole = np.diagonal(weights, axis1=-2, axis2=-1) + own
    parts = (("weights", weights, ("layer", "query", "key")), ("own", own, ("layer", "position")))
    for name, part, axes in parts:
        for wrong, problem in ((~np.isfinite(part), "finite"), (part < 0, "non-negative")):
            if wrong.any():
                index = _checks.first_index(wrong)
                got = f"{part[index]} at {_checks.index_words(index, axes)}"
                if argument == "graph":
                    raise InputError("graph", f"hold {problem} {name}", got, way_out)
                raise InputError(name, f"be {problem}", got, way_out)
    if not np.isfinite(whole).all():
        where = _checks.index_words(_checks.first_index(~np.isfinite(whole)), ("layer", "position"))
        expected = f"hold numbers whose sum with `own` is finite in {weights.dtype}"
        raise InputError(argument, expected, f"more at {where}", "scale both down")


@Programs
def _is_sound(graph: AttentionGraph) -> Bool[Array, ""]:
    capacity = with_own(graph.weights, graph.own)
    return jnp.all(graph.weights >= 0) & jnp.all(graph.own >= 0) & jnp.all(jnp.isfinite(capacity))
