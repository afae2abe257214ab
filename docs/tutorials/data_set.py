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
# # A data set
#
# A sweep reads texts from a file or any iterable, and writes Parquet shard by shard. It may be killed at any moment and
# goes on where it was.

# %%
import tempfile
from pathlib import Path

import jaxflow as jf

folder = Path(tempfile.mkdtemp())
subjects = ["The key", "The keys", "The author of the books", "The pictures near the window"]
rows = ["id,text\n", *(f"{number},{subjects[number % 4]} that we saw\n" for number in range(200))]
_ = (folder / "texts.csv").write_text("".join(rows))

model = jf.load_model("verb-number")
results = jf.run_sweep(model, folder / "texts.csv", folder / "results", column="text")
print(len(results), "examples")

# %% [markdown]
# Run the same line again after an interruption; it refuses another question, model or input.
# Nothing is read until you ask for it.

# %%
example = results[5]
print(example.text, "->", example.prediction)
results.to_pandas(["id", "text", "prediction"]).head()

# %% [markdown]
# The folder is one table to whatever reads Parquet, and `jaxflow summarize results` says what the whole comes to:

# %%
import pyarrow.parquet as pq

print(pq.read_table(folder / "results").schema.names)
