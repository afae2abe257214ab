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
# # Differentiate through flow
#
# Maximum flow has a derivative in the capacities: 1 on the arcs of the minimum cut, 0 elsewhere. So attention can be
# *trained* to send more from one token, or less. `method="smooth"` has a gradient without jumps, works under `jax.jit`,
# and lies between proven bounds.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxflow as jf

tokens, layers, heads = 6, 3, 2
scores = jax.random.normal(jax.random.key(0), (layers, heads, tokens, tokens))


# %% [markdown]
# The loss: position 0 should depend on token 4 rather than on token 2.


# %%
@jax.jit
def loss(scores):
    graph = jf.attention_graph(jax.nn.softmax(scores))
    flow = jf.attention_flow(graph, queries=0, layers=layers, method="smooth")
    return flow.value[0, 0, 2] - flow.value[0, 0, 4]


step = jax.jit(jax.value_and_grad(loss))
losses = []
for _ in range(60):
    value, gradient = step(scores)
    scores = scores - 2.0 * gradient
    losses.append(float(value))

# %%
_, axes = plt.subplots(figsize=(6, 2.6))
axes.plot(losses, color="#3b6ea8")
axes.set(xlabel="step", ylabel="flow from 2 less flow from 4")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# Was it the maximum flow that moved, or only its smooth stand-in? The exact solver tells, with proofs.

# %%
exact = jf.attention_flow(jf.attention_graph(jax.nn.softmax(scores)), queries=0, layers=layers, method="exact")
print("flow by token:", np.round(exact.value[0, 0], 3), "certified:", bool(exact.certified.all()))
assert exact.value[0, 0, 4] > exact.value[0, 0, 2]
assert losses[-1] < losses[0]
