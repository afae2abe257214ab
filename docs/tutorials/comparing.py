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
# # What did fine-tuning change?
#
# We train a copy of a small model on something else, and ask what has changed in its attention: which heads, and which
# words gained relevance. The model says whether a sentence's next verb is singular or plural; the copy learns whether
# the sentence is about furniture. (Its classes keep their old names, which now stand for other things.)

# %%
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

import jaxflow as jf
from jaxflow.compare import findings

before = jf.load_model("verb-number")
after = jf.load_model("verb-number")

things = ["cabinet", "table", "chair", "shelf", "desk", "author", "river", "song", "judge", "garden"]
texts = [f"The {other} near the {thing}" for thing in things for other in ("key", "picture", "letter", "child")]
labels = np.array([float(things.index(text.split()[-1]) < 5) for text in texts])

# %% [markdown]
# Forty steps of training. A model's `module` is a Flax module, and its parameters are what optax steps along.

# %%
batch = after.pad(after.tokenize(texts))
graph, parameters = nnx.split(after.module)
optimizer = optax.adam(3e-4)
state = optimizer.init(parameters)


@nnx.jit
def step(parameters, state):
    def loss(parameters):
        logits = nnx.merge(graph, parameters)(batch, return_attention=False).logits
        return optax.sigmoid_binary_cross_entropy(logits[:, 1] - logits[:, 0], labels).mean()

    value, gradient = nnx.value_and_grad(loss)(parameters)
    changes, state = optimizer.update(gradient, state)
    return optax.apply_updates(parameters, changes), state, value


losses = []
for _ in range(40):
    parameters, state, value = step(parameters, state)
    losses.append(float(value))
nnx.update(after.module, parameters)
print(f"loss: {losses[0]:.2f} -> {losses[-1]:.2f}")
assert losses[-1] < losses[0] / 2

# %% [markdown]
# `compare_models` reads the same texts with both. `findings` puts what is beyond chance into sentences.

# %%
result = jf.compare_models(before, after, texts)
print("\n".join(findings(result.summary)))

# %% [markdown]
# The distance of each head's attention in the two models, from 0 (the same) to 1.

# %%
_, axes = plt.subplots(figsize=(5, 3.2))
shades = axes.imshow(result.summary.head.jensen_shannon.mean, cmap="Blues", vmin=0)
depth, heads = result.summary.head.jensen_shannon.mean.shape
axes.set(xlabel="head", ylabel="layer")
axes.set_xticks(range(heads), range(1, heads + 1))
axes.set_yticks(range(depth), range(1, depth + 1))
plt.colorbar(shades, label="Jensen-Shannon distance")
plt.show()

# %% [markdown]
# Which words gained by rollout, and which lost, each with its interval:

# %%
for word in result.summary.gained("rollout")[:5]:
    print(word)

# %% [markdown]
# `jf.explore(before, texts, other=after)` opens both in one page, side by side.
