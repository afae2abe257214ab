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
# # A data set, on one machine or on many
#
# A sweep reads texts from a file or any iterable, and writes Parquet shard by shard. It may be killed at any moment and
# goes on where it was.

# %%
import subprocess
import sys
import tempfile
from pathlib import Path

import jaxflow as jf

folder = Path(tempfile.mkdtemp())
subjects = ["The key", "The keys", "The author of the books", "The pictures near the window"]
rows = ["id,text\n", *(f"{number},{subjects[number % 4]} that we saw\n" for number in range(2500))]
_ = (folder / "texts.csv").write_text("".join(rows))

model = jf.load_model("verb-number")
results = jf.run_sweep(model, folder / "texts.csv", folder / "results", column="text", methods=("rollout", "flow"))
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

# %% [markdown]
# ## Many machines
#
# Start the same command as often as you like, on any machines that see the folder: `sbatch --array=1-20 ...` on a
# cluster, or by hand. Nobody coordinates. Each process takes a shard of about a thousand texts that nobody works on,
# and ends when all are done; what a killed process had begun is made by another. Here two processes on this machine
# stand for them.

# %%
command = [sys.executable, "-m", "jaxflow", "attribute", "--input", "texts.csv", "--column", "text"]
command += ["--methods", "rollout,flow", "--model", "verb-number", "--out", "shared", "--top", "0"]
processes = [
    subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for _ in range(2)
]
made = [process.communicate()[0] for process in processes]
assert [process.returncode for process in processes] == [0, 0]
print(len(jf.open_sweep(folder / "shared")), "examples, made by two processes")

# %% [markdown]
# Both ways give the same numbers:

# %%
one, shared = results[2000].relevance["flow"], jf.open_sweep(folder / "shared")[2000].relevance["flow"]
print(abs(one - shared).max())

# %% [markdown]
# Ray, Spark, signals of a cluster and stores of objects are in [the guide to data sets](../data_sets.md).
