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
# # A decoder's answer, token by token
#
# A decoder writes its answer one token after the other. Which tokens of the prompt, and of the answer so far, did each
# of them come from? We take a tiny Llama with random weights, so that this runs anywhere: its numbers mean nothing, but
# their shapes and rules are those of a model of yours. Put its name in the place of the next cell:
# `AutoModelForCausalLM.from_pretrained(name)` and `AutoTokenizer.from_pretrained(name)`.

# %%
import tempfile
import warnings

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

import jaxflow as jf

words = "<unk> <s> </s> the keys key to cabinet table is are on lost and found ."
vocabulary = {word: number for number, word in enumerate(words.split())}
backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
backend.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")

torch.manual_seed(0)
config = transformers.LlamaConfig(
    vocab_size=len(vocabulary),
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=4,
    initializer_range=0.3,
)
llama = transformers.LlamaForCausalLM(config)

# %% [markdown]
# ## An answer that you have
#
# Prompts are the `texts`, answers the `pairs`, and `queries="answer"` asks about every token of the answer. Each is
# explained by the position that predicted it, the one before.

# %%
with warnings.catch_warnings(action="ignore"):
    model = jf.TorchModel(llama, tokenizer)
result = jf.attribute(
    model, ["the keys to the cabinet"], pairs=["are on the table ."], queries="answer", methods=("rollout", "flow")
)
example = result[0]
print(example.prompt_tokens, "->", example.answer_tokens)
print("layer, token of the answer, token:", example.relevance["rollout"].shape)
example

# %% [markdown]
# What was not written yet has no part in it: a token's row ends before the token. Rollout's rows sum to 1.

# %%
rows = example.relevance["rollout"][-1]
for token, place, row in zip(example.answer_tokens, example.answer, rows):
    assert not row[place:].any()
    print(f"{token:>6}", " ".join(f"{value:.2f}" for value in row[:place]))
assert np.allclose(rows.sum(-1), 1, atol=1e-5)

# %% [markdown]
# ## The first tokens stand on more paths
#
# Every later position sees the first tokens, so rollout favours them whatever the attention is. The corrected method
# divides by what even attention would give: 1 is what the place alone gives.

# %%
corrected = jf.attribute(
    model, ["the keys to the cabinet"], pairs=["are on the table ."], queries="answer", methods="rollout-corrected"
)[0].relevance["rollout-corrected"][-1, 0]
for token, before, after in zip(example.prompt_tokens, rows[0], corrected):
    print(f"{token:>8} {before:6.2f} {after:6.2f}")

# %% [markdown]
# ## An answer that the model writes
#
# Without `pairs` the model writes one itself, the likeliest token each time, up to `new_tokens`. In the page point at a
# token of the answer: what it came from is shaded.

# %%
written = jf.attribute(model, ["the key to the table"], queries="answer", methods="rollout", new_tokens=4)
print(written[0].answer_tokens)
page = jf.write_page(written, tempfile.mkdtemp() + "/report.html")

# %% [markdown]
# Data sets, conversations, a token against another (`target=jf.Token(" is", " are")`) and attention sinks are in
# [the guide to decoders](../decoders.md).
