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
# # You have a PyTorch model, or its `outputs.attentions`
#
# A model of transformers goes in as it stands. Here it is our small verb-number model, written to a folder that
# transformers loads; put your own name in its place. It reads the beginning of a sentence and says whether the next
# verb is singular or plural.

# %%
import tempfile
import warnings

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import jaxflow as jf
from jaxflow.models import save_encoder

name = save_encoder(jf.load_model("verb-number"), tempfile.mkdtemp() + "/model")

# %% [markdown]
# ## Three lines
#
# `TorchModel` runs the model in PyTorch, where it is. Fast attention kernels do not compute the probabilities, so eager
# attention is switched on; a warning says it once.

# %%
hf_model = AutoModelForSequenceClassification.from_pretrained(name)
tokenizer = AutoTokenizer.from_pretrained(name)
with warnings.catch_warnings(action="ignore"):
    model = jf.TorchModel(hf_model, tokenizer)
result = jf.attribute(model, ["The keys to the cabinet"], methods=("rollout", "flow", "flow@attention-gradient"))
jf.write_page(result, tempfile.mkdtemp() + "/report.html")

example = result[0]
print(example.prediction)
for token, value in zip(example.tokens, example.relevance["flow@attention-gradient"][-1, 0]):
    print(f"{token:>10} {value:.4f}")

# %% [markdown]
# The first position, [CLS] or its equivalent, is asked about, as the model's head reads it. The methods' last rows are
# those of the last layer. `target=` asks about another class, and `("plural", "singular")` about the difference of two.
#
# ## Attention in hand
#
# Where you have only what a forward pass returned, pass that. Tokens give the rows their names, and the mask says what
# is padding. The same result comes out: pages, tables and files.

# %%
texts = ["The keys to the cabinet", "The author of the books that we read"]
inputs = tokenizer(texts, padding=True, return_tensors="pt")
hf_model.set_attn_implementation("eager")
with torch.no_grad():
    outputs = hf_model(**inputs, output_attentions=True)

tokens = [tokenizer.convert_ids_to_tokens(ids) for ids in inputs["input_ids"]]
probabilities = [
    dict(zip(hf_model.config.id2label.values(), row)) for row in torch.softmax(outputs.logits, -1).tolist()
]
in_hand = jf.attribute_attention(
    outputs.attentions, tokens, mask=inputs["attention_mask"], texts=texts, predictions=probabilities
)
print(in_hand[0].prediction)

# %% [markdown]
# Both ways give the same numbers.

# %%
difference = np.abs(in_hand[0].relevance["flow"] - example.relevance["flow"]).max()
print(f"largest difference: {difference:.1e}")
assert difference < 1e-5

# %% [markdown]
# Class-specific mixings need gradients, which attention alone does not carry. `TorchModel` takes them from autograd; in
# hand, pass `gradients=`, laid out as the attention is.
#
# `jf.explore_attention(outputs.attentions, tokens, mask=...)` opens the same attention in the explorer: token rings,
# Sankey diagrams, heads.

# %%
in_hand.to_pandas().head()
