"""The graph of a batch inside a training step: differentiable in the model's parameters."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Array, Float

from jaxflow._checks import InputError, not_forked, shown
from jaxflow._typing import Given
from jaxflow.graph.graph import AttentionGraph
from jaxflow.mixing import Mixing, as_mixing
from jaxflow.models import Module, TokenBatch
from jaxflow.running import Arrays, Forward, Inputs
from jaxflow.running.readers import KeptGraph, Logits

Explain = Callable[[Float[Array, "row ..."]], Float[Array, " row"]]


def trainable_graph(
    module: Given[Module], batch: TokenBatch, mixing: Given[str | Mixing] = "attention", explain: Explain | None = None
) -> tuple[AttentionGraph, Float[Array, "row ..."]]:
    """Build the layered graph of a batch in pure JAX, so that a loss can be made of what flows in it.

    Unlike `build_graph` it runs under jit, and has derivatives in the module's parameters, those of mixings with
    gradients included (they are second derivatives of the model then). Rollout, widest paths and flow by `"bounds"`
    or `"smooth"` go on from it, and so does `cut_capacity` with cuts that were solved for outside.

    ```python
    def loss(module, batch, labels, evidence):  # evidence: row token, sums to 1
        rows = jnp.arange(len(labels))
        graph, logits = jf.trainable_graph(module, batch, "attention-gradient", lambda out: out[rows, labels])
        flow = jf.attention_flow(graph, queries=0, layers=graph.num_layers, method="smooth").value[:, 0, 0]
        share = (flow * evidence).sum(-1) / flow.sum(-1)
        task = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return task - 0.1 * jnp.log(share + 1e-6).mean()
    ```

    Args:
        module: `model.module` of a model that runs in JAX, or one with other parameters. Its dropout is off.
        batch: padded tokens, `row token`, as `model.pad` gives them.
        mixing: what the capacities are made of, by name or value, as in a `Question`.
        explain: the number of each row that is explained, out of the head's numbers, for mixings that need gradients.

    Returns:
        The graph, `row layer token token`, and the head's numbers, of one forward pass (and a backward pass for
        gradients); memory: row * layer * token^2 numbers.

    Raises:
        InputError: no mixing, no module, or nothing to explain where the mixing needs it.
    """
    not_forked()
    mixing = as_mixing(mixing)
    if not isinstance(module, Module):
        raise InputError("module", "be a model's module", shown(module), "pass `model.module`")
    if explain is None and "gradients" in mixing.needs:
        way_out = "pass `explain=lambda logits: logits[:, 0]`, for example"
        raise InputError("explain", f"tell the number to explain for the mixing {mixing.name!r}", "None", way_out)
    forward = Forward((KeptGraph(), Logits()), mixing, None if explain is None else _Number(explain), trainable=True)
    graph, logits = forward(module, Inputs(batch, (None, None, None), None))
    return graph, logits


@dataclass(frozen=True)
class _Number:
    """A function of the head's numbers as a target."""

    explain: Explain

    def settle(self, logits: Array, given: Arrays) -> tuple["_Number", Arrays]:
        """Nothing to settle."""
        return self, given

    def value(self, logits: Array, given: Arrays) -> Float[Array, " row"]:
        """The number of each row."""
        return self.explain(logits)
