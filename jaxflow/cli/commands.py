"""The commands by name, and what each is for: read for the help, before the modules of commands are imported."""

# Each is a module of this folder.
COMMANDS = {
    "attribute": "attribute texts: raw attention, rollout, flow",
    "compare": "compare two models on the same texts",
    "explore": "a page to explore one model, or two",
    "summarize": "what the results in a folder say as a whole",
    "fetch": "get a built-in model, once",
}
USAGE = """examples:
  jaxflow fetch minilm
  jaxflow attribute --text "The keys to the cabinet" --out out
  jaxflow attribute --input reviews.csv --column review --model minilm --layers 1,6 --out out
  cat sentences.txt | jaxflow attribute --model minilm --methods raw,rollout --out out
  jaxflow attribute --images photos/ --model vit-folder --queries classifier --out out
  jaxflow summarize out

The folder given by --out gets Parquet files with one row an example, and in its folder
__about__ report.html (open it in a browser) and manifest.json, which says what made
them. A run that was stopped goes on by the same command. Started any number of times
at once, here or on other hosts that see the folder, the command shares the work.
"""
