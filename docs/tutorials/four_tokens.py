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
# # Rollout and flow on four tokens
#
# A Transformer of two layers reads four tokens. We write its attention down by hand, so that every number below can be
# checked with a pencil.

# %%
import matplotlib.pyplot as plt
import numpy as np

import jaxflow as jf

tokens = ["the", "keys", "are", "lost"]

# Attention of each layer, heads already averaged: row = the position that looks, column = what it looks at.
first = np.array([[0.4, 0.6, 0.0, 0.0], [0.2, 0.6, 0.0, 0.2], [0.0, 0.8, 0.2, 0.0], [0.0, 0.2, 0.4, 0.4]])
second = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.4, 0.0, 0.6], [0.0, 0.0, 0.6, 0.4]])

# One example, two layers, one head.
graph = jf.attention_graph(np.stack([first, second])[:, None])

# %% [markdown]
# ## The graph
#
# Each layer is a matrix of **capacities**. Half of a position is what it was before (the *own stream*, for the residual
# connection), and half comes by attention: `capacity = 0.5 * attention + 0.5 * identity`.

# %%
print(np.asarray(graph.capacity).round(2))


# %% tags=["hide-input"]
def draw(values, title):
    """The layered graph: arcs as wide as their capacity; below the tokens, what each is worth to "are"."""
    _, axes = plt.subplots(figsize=(7, 3.6))
    for layer, capacity in enumerate(np.asarray(graph.capacity)):
        for above, below in np.argwhere(capacity > 0):
            width = 6 * capacity[above, below]
            axes.plot([below, above], [layer, layer + 1], color="#3b6ea8", linewidth=width, alpha=0.5, zorder=1)
    for layer in range(3):
        axes.scatter(range(4), [layer] * 4, s=140, color="#1b2a3a", zorder=2)
    for place, (token, value) in enumerate(zip(tokens, values)):
        axes.text(place, -0.35, f"{token}\n{value:.2f}", ha="center", va="top")
    axes.text(2, 2.2, "are", ha="center")
    axes.set(
        xlim=(-0.6, 3.6), ylim=(-1.1, 2.6), yticks=[0, 1, 2], yticklabels=["input", "layer 1", "layer 2"], title=title
    )
    axes.set_xticks([])
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    plt.show()


are = 2  # the position that we ask about

# %% [markdown]
# ## Raw attention
#
# The last layer's own weights: "are" looks at position "keys" with .4 and at position "lost" with .6. But these are
# *positions after layer 1*, not input tokens: "lost" has already mixed in "are" and "keys".

# %%
raw = jf.raw_attention(graph)
draw(raw[1, are], 'Raw attention of "are" in layer 2')

# %% [markdown]
# ## Rollout
#
# Multiply along every path from "are" down to a token, and sum over the paths. To "keys":
#
# - stay at "are" (.5), then look at "keys" (.4): .20
# - look at "keys" (.2), then stay there (.8): .16
# - look at "lost" (.3), then look at "keys" (.1): .03
#
# Together .39. Rollout shares out 1: the four numbers sum to 1.

# %%
rollout = jf.attention_rollout(graph)
draw(rollout[1, are], 'Rollout of "are"')
assert np.isclose(rollout[1, are, 1], 0.5 * 0.4 + 0.2 * 0.8 + 0.3 * 0.1)
assert np.isclose(rollout[1, are].sum(), 1)

# %% [markdown]
# ## Flow
#
# Now capacities are pipes, and we ask how much can run from "are" to "keys" at once. A path carries what its narrowest
# pipe lets through:
#
# - "are" to "are" (.5), to "keys" (.4): .4
# - "are" to "keys" (.2), to "keys" (.8): .2
# - "are" to "lost" (.3), to "keys" (.1): .1
#
# Together .7. Nothing that we did forces these paths to share a pipe, so .7 is also the maximum. In deeper graphs paths
# compete for pipes, and a solver has to find the best plan.

# %%
flow = jf.attention_flow(graph)
draw(flow.value[1, are], 'Flow of "are"')
assert np.isclose(flow.value[1, are, 1], 0.7)

# %% [markdown]
# ## The proof
#
# A flow of .7 was built, so the maximum is at least .7. And there is a **cut** of .7: a set of pipes that every path
# must cross. So the maximum is exactly .7, and it is *certified*.

# %%
proof = jf.attention_flow(graph, queries=are, layers=2, cuts=True)
print("a flow of ", proof.lower[0, 0, 1].round(3))
print("a cut of  ", jf.cut_capacity(graph, proof.cut)[0, 0, 1].round(3))
print("certified:", bool(proof.certified.all()))

# %% [markdown]
# ## Where flow says nothing
#
# No more can reach a token than all that enters it in the first layer, and no more can leave a position than its own
# arcs hold. Where a flow meets one of these two limits, it says nothing of what lies between, and jaxflow calls it
# *saturated*. In deep models with the paper's capacities most flows are. Do not rank tokens by flow there: ask for
# capacities that keep their size instead ([which method for which question](../methods.md)).

# %%
print(dict(zip(tokens, flow.saturated[1, are].tolist())))
