# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
#     language: python
# ---

# %% [markdown]
# # Bring your own mixing
#
# A *mixing* says what the capacities of the graph are. You write one as a small value, pass it where a mixing's name
# goes, and every method, sweep and page works with it.
#
# Here: how long the vectors are that each head moves. Attention alone does not say that: a head may look at a token
# whose value is nearly zero.

# %%
from dataclasses import dataclass

import jax.numpy as jnp

import jaxflow as jf


@dataclass(frozen=True)
class MovedLengths:
    """Sum over heads of attention times the length of the moved vector; the own stream is the state's length."""

    name: str = "moved-lengths"
    needs: frozenset[str] = frozenset({"attention", "values"})

    def capacities(self, layer, mask):
        # values: row head token head_width; output: head head_width width.
        lengths = jnp.linalg.norm(jnp.einsum("...htd,hdw->...htw", layer.values, layer.output), axis=-1)
        weights = jnp.sum(layer.attention * lengths[..., None, :], axis=-3)  # row query key
        own = jnp.linalg.norm(layer.inputs, axis=-1)
        # Capacities are 0 on padding.
        pairs = mask[..., :, None] & mask[..., None, :]
        return jnp.where(pairs, weights, 0), jnp.where(mask, own, 0)


# %% [markdown]
# `needs` names what the model has to give. A model that cannot give it is refused in one line, and so is a target where
# no gradient is needed.

# %%
model = jf.load_model("verb-number")
result = jf.attribute(model, ["The keys to the cabinet"], mixing=MovedLengths())
example = result[0]
rollout, flow = (example.relevance[name][-1, 0] for name in ("rollout", "flow"))
for token, share, value in zip(example.tokens, rollout / rollout.sum(), flow):
    print(f"{token:>10} {share:8.1%} {value:8.2f}")
print("all flows certified:", bool(example.certified.all()))

# %% [markdown]
# Rows do not sum to 1 here: the capacities keep the size of the vectors, and rollout, a product over six layers, grows
# with them; read it as shares. Flow keeps the vectors' unit. Its certificates hold for capacities of any size.
#
# On the command line the same mixing goes by its place, `--mixing my_module:MovedLengths`
# ([all contracts](../extending.md)).
