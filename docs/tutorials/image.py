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
# # An image, patch by patch
#
# A vision model reads patches as a language model reads tokens. So that we know what is right, we train a tiny ViT for
# a few seconds: is the one coloured square of a grey picture red or blue? Put a model of your own in its place:
# `AutoModelForImageClassification.from_pretrained(name)` and its `AutoImageProcessor`.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
import transformers

import jaxflow as jf

SIZE, PATCH = 32, 8
rng = np.random.default_rng(0)


def picture():
    """A noisy grey picture with a coloured patch, the patch's row and column, and its class: 0 is red, 1 is blue."""
    row, column, colour = *rng.integers(SIZE // PATCH, size=2), rng.integers(2)
    pixels = np.repeat(rng.integers(60, 190, (SIZE, SIZE, 1)), 3, axis=-1)
    square = pixels[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
    square[:] = [(230, 30, 30), (30, 30, 230)][colour]
    return pixels.astype(np.uint8), (row, column), int(colour)


# %% [markdown]
# The class token alone is read by the head, so all that it knows it has from the patches.

# %%
processor = transformers.ViTImageProcessorPil(size={"height": SIZE, "width": SIZE})
torch.manual_seed(0)
config = transformers.ViTConfig(
    image_size=SIZE,
    patch_size=PATCH,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    initializer_range=0.1,
    id2label={0: "red", 1: "blue"},
    label2id={"red": 0, "blue": 1},
)
vit = transformers.ViTForImageClassification(config)
optimizer = torch.optim.AdamW(vit.parameters(), lr=3e-3)
pictures = [picture() for _ in range(256)]
given = processor([pixels for pixels, _, _ in pictures], return_tensors="pt")["pixel_values"]
classes = torch.tensor([colour for _, _, colour in pictures])
for step in range(60):
    chosen = torch.arange(step * 32, step * 32 + 32) % len(pictures)
    loss = torch.nn.functional.cross_entropy(vit(given[chosen]).logits, classes[chosen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss of the last batch: {loss.item():.3f}")
assert loss < 0.1

# %% [markdown]
# ## Which patches did it use?
#
# Images are paths, folders, pictures of Pillow, or arrays. Where the head reads [CLS], that position is explained.

# %%
with warnings.catch_warnings(action="ignore"):
    model = jf.TorchModel(vit.eval(), processor)
shown = [picture() for _ in range(8)]
methods = ("rollout", "flow@norms", "flow@attention-gradient")
result = jf.attribute(model, [pixels for pixels, _, _ in shown], methods=methods)
print(result[0].prediction, result[0].tokens[:4], result[0].picture.grid)

# %% [markdown]
# How often does the coloured patch have the most? A patch's value is that of its token, row by row.

# %%
hits = {}
for method in methods:
    for example, (_, place, _) in zip(result, shown):
        row = example.relevance[method][-1, 0][np.array(example.source) == 0]
        found = np.unravel_index(row.argmax(), example.picture.grid)
        hits[method] = hits.get(method, 0) + (found == place)
    print(f"{method:>24}: {hits[method]} of {len(shown)}")

# %% [markdown]
# Where the class token's content came from is the coloured patch. The gradient asks something else: what more attention
# would add to the predicted class's number. On this model, which is sure of its answer, that seldom names the patch. So
# hold a method against the model before you trust it: `jaxflow.evaluation` says how far the number falls when what a
# method names is taken away.
#
# A figure of the first one, and how a result shows itself in a notebook.

# %%
figure = jf.plot_relevance(result[0])
plt.close(figure)
result[:1]

# %% [markdown]
# `jf.write_page(result, "report.html")` writes all of them as a page; [the guide to images](../images.md) has folders
# as data sets, registers, and which models work.
