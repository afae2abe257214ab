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
# # Quick start
#
# Which words does a prediction rest on? We ask a small model that comes with the package. It reads the beginning of a
# sentence and says whether the next verb is plural (VBP) or singular (VBZ). For a model of your own in PyTorch, see
# [the next tutorial](pytorch.py); everything below stays the same.

# %%
import tempfile

import jaxflow as jf

model = jf.load_model("verb-number")
result = jf.attribute(model, ["The keys to the old cabinet", "The author of the books"])
result

# %% [markdown]
# Each text leads with the words that carry its prediction. Below stand four readings of the same attention, each a row
# of shaded words; point at a word for its number:
#
# - **raw**: where the last layer looks.
# - **rollout**: from which tokens the position's content came, over all layers.
# - **flow**: how much could get from a token to the position at most. In deep layers it often *saturates*: it then
#   tells few tokens apart, which is said below the rows, and those tokens are underlined.
# - **flow@attention-gradient**: flow through attention weighted by the gradient of the predicted class. It is the one
#   that asks about the prediction, and it is there where a model has classes.
#
# ## The numbers
#
# Relevance is an array by method: layer, position that is explained, token. By default one position is explained at
# every layer, the one that the head reads.

# %%
example = result[0]
print(example.prediction, example.relevance["rollout"].shape)
for token, value in zip(example.tokens, example.relevance["flow@attention-gradient"][-1, 0]):
    print(f"{token:>10} {value:.4f}")

# %% [markdown]
# Every flow comes with a proof that it is the maximum:

# %%
print("certified:", result.certified_share, " saturated:", result.saturated_share)

# %% [markdown]
# ## Another question
#
# A question's parts are passed by name: `methods`, `mixing` (what the capacities are made of), `target` (a class, or a
# difference of two), `queries` (positions to explain), `layers`. Here: what speaks for the *other* class, beside
# occlusion, which takes each token away and looks at what happens.

# %%
asked = jf.attribute(
    model, ["The keys to the old cabinet"], methods=("flow@attention-gradient", "occlusion"), target="VBZ", layers=6
)
asked

# %% [markdown]
# ## Keep it
#
# A page that opens offline, a table, a folder of Parquet:

# %%
folder = tempfile.mkdtemp()
page = jf.write_page(result, f"{folder}/report.html")
kept = result.save(f"{folder}/results")  # jf.open_sweep(kept) reads it
result.to_pandas().head(3)

# %% [markdown]
# Next: [what rollout and flow mean](four_tokens.py), on four tokens with a pencil;
# [which method for which question](../methods.md); [a data set](data_set.py) with the same question;
# [comparing two models](comparing.py).
