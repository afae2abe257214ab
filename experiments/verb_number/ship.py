"""The model that comes with the library: the best seed's folder, with a card that says what it is."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
WEIGHTS = "model.safetensors"
PLACE = Path(__file__).parents[2] / "jaxflow" / "models" / "verb_number"
LICENCES = {
    "MASC": "Manually Annotated Sub-Corpus, free for any use",
    "EWT": "UD English Web Treebank, CC BY-SA 4.0",
    "SQuAD": "Wikipedia paragraphs of SQuAD 2.0, CC BY-SA 4.0",
    "GAP": "Wikipedia passages of GAP, Apache-2.0 (text CC BY-SA)",
    "SNLI": "SNLI dev and test, CC BY-SA 4.0",
    "Marvin & Linzen": "templates of Marvin & Linzen, MIT",
    "anarchism": "Debian package, GPL-2",
    "debian-handbook": "Debian package, GPL-2+ or CC BY-SA 3.0",
    "debian-reference-en": "Debian package, GPL-2+",
    "dict-foldoc": "Debian package, GFDL 1.1+",
    "dict-gcide": "Debian package, GPL-2+",
    "dict-jargon": "Debian package, public domain",
    "gimp-help-en": "Debian package, GFDL 1.2+",
    "linux-doc-6.1": "Debian package, GPL-2",
    "postgresql-doc-15": "Debian package, PostgreSQL licence",
    "python3.11-doc": "Debian package, PSF licence",
    "sotu": "addresses on the State of the Union, public domain (CC0)",
    "enwiki": "206 articles of Wikipedia, CC BY-SA 3.0",
    "made": "made from a grammar of ours",
}
TEACHERS = {"minilm": "MiniLM (all-MiniLM-L6-v2, MIT)"}
CARD = """# verb-number

From the words of an English sentence before its verb: is the verb singular (`VBZ`, "is") or plural (`VBP`, "are")?
The task and the architecture are those of Abnar & Zuidema (2020), "Quantifying Attention Flow in Transformers":
{layers} pre-norm layers of {heads} heads, width {width}, {vocabulary} words and pieces of words, a classifier on `<s>`.

    import jaxflow as jf

    encoder = jf.load_model("verb-number")
    jf.attribute(encoder, ["The keys to the cabinet", "The key to the cabinets"]).prediction

It is a `RobertaPreLayerNormForSequenceClassification`, so transformers loads this folder too. Give it the beginning of
a sentence, up to the verb; it adds `<s>` and `</s>` itself. Case does not matter. Rare words are put together from
pieces ("##" marks those inside a word), because their endings tell their number; what holds a letter that it does not
know becomes `<unk>`.

## Accuracy

| set | sentences | accuracy | always the more frequent | words in pieces | unknown words |
| --- | --- | --- | --- | --- | --- |
{accuracy}

Linzen et al.'s sentences by number of attractors (nouns of the other number between subject and verb):

| attractors | sentences | accuracy |
| --- | --- | --- |
{attractors}

The test sets were only measured: no sentence that shares {overlap} words in a row with Linzen's or Gulordava's was
trained on.

## Training

{steps:,} steps of about {tokens:,} tokens each; seed {seed}, commit {commit}.
{began}

It learnt the number from labels and, at every word, the hidden states of a teacher: {teacher},
fine-tuned on the same beginnings, right on {teacher_accuracy:.3f} of held-out ones. Numbers of verbs are people's tags
(MASC, EWT) or those of closed-class verbs (is / are, was / were, has / have, does / do). What the student saw are
{seen:,} of the beginnings below. Weights are in half precision, rounded after training; they are loaded in single
precision. The command and all numbers are in `experiments/README.md`.

| source | beginnings | licence |
| --- | --- | --- |
{sources}

## Limits

It was trained for {minutes} minutes of one processor core, and errs where several nouns of the other number stand
between subject and verb, and where the subject is a rare word. Of beginnings of more than 50 tokens it was shown the
last 50 alone. It is a model to look into, not a grammar checker.
"""
BEFORE = (
    "It went on from a model that had learnt {steps:,} steps from {seen:,} beginnings in the same way (seed {seed},\n"
    "commit {commit}), whose word embeddings began as what the teacher makes of each word alone."
)


def best_seed(out: Path) -> str:
    """The seed with the best validation accuracy."""
    found = {path.parent.name: json.loads(path.read_text())["validation"] for path in out.glob("seed*/training.json")}
    if not found:
        raise SystemExit(f"no trained model in {out}; run `train` first")
    return max(sorted(found), key=found.__getitem__)


def ship(out: Path, results: Path, before: Path | None = None, place: Path = PLACE) -> Path:
    """Put the best seed's model into the package, in half precision, and write its card; needs what `evaluate` wrote.

    `before` is the record of the training that a model with `--start` went on from.
    """
    seed = best_seed(out)
    training = json.loads((out / seed / "training.json").read_text())
    accuracy = json.loads((results / "accuracy.json").read_text())["seeds"][seed]
    if bool(training["settings"].get("start")) != (before is not None):
        raise SystemExit("--before is needed where, and only where, the model went on from another (train --start)")
    place.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        _ = shutil.copyfile(out / seed / "model" / file, place / file)
    halves = {name: values.astype(np.float16) for name, values in load_file(out / seed / "model" / WEIGHTS).items()}
    _ = (place / WEIGHTS).write_bytes(save(halves, {"format": "pt"}))
    earlier = [] if before is None else [json.loads(before.read_text())]
    config = json.loads((place / "config.json").read_text())
    _ = (place / "README.md").write_text(_card(training, earlier, accuracy, config))
    return place


def _card(
    training: dict[str, Any], earlier: list[dict[str, Any]], accuracy: dict[str, Any], config: dict[str, Any]
) -> str:
    settings, by_source = training["settings"], training["data"]["beginnings"]["train"]
    rows = accuracy["linzen"]["by attractors"].items()
    began = " ".join(
        BEFORE.format(**record["settings"], commit=record["commit"], seen=_seen(record)) for record in earlier
    )
    return CARD.format(
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        width=config["hidden_size"],
        vocabulary=f"{config['vocab_size']:,}",
        overlap=8,
        steps=settings["steps"],
        tokens=settings["tokens"],
        teacher=TEACHERS.get(settings["teacher"], settings["teacher"]),
        teacher_accuracy=training["teacher validation"],
        began=began or "Word embeddings began as what the teacher makes of each word alone.",
        minutes=round(sum(record["processor_seconds"] for record in (training, *earlier)) / 60),
        seen=_seen(training),
        seed=settings["seed"],
        commit=training["commit"],
        accuracy="\n".join(
            f"| {TITLES[name]} | {row['count']:,} | {row['accuracy']:.3f} | {row['majority']:.3f} | "
            f"{100 * row['words in pieces']:.1f} % | {100 * row['unknown words']:.1f} % |"
            for name, row in accuracy.items()
        ),
        attractors="\n".join(f"| {name} | {row['count']:,} | {row['accuracy']:.3f} |" for name, row in rows),
        sources="\n".join(
            f"| {source} | {sum(numbers.values()):,} | {LICENCES[source]} |" for source, numbers in by_source.items()
        ),
    )


def _seen(training: dict[str, Any]) -> int:
    """Beginnings that the student learnt from."""
    return training["settings"]["parts"] * training["settings"]["part"]


TITLES = {
    "test": "held-out documents of the training sources",
    "linzen": "Linzen et al. (2016), balanced by attractors",
    "gulordava": "Gulordava et al. (2018)",
    "blimp": "BLiMP, six agreement sets",
    "marvin_linzen": "Marvin & Linzen (2018), held-out templates",
}
