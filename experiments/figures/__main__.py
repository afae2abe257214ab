"""The paper's figures 1 to 4, and whether "rollout focuses, flow spreads".

    python -m experiments.figures --out experiments/figures/results --texts en_ewt-ud-test.conllu --classifier MODEL

MODEL is what `python -m experiments.sst2 train --epochs 0.3` left; the treebank is
UniversalDependencies/UD_English-EWT's test set.
Device: CPU, 2 cores shared with other work; 2 minutes.
Result (results/): over 400 sentences the entropy of [CLS]'s flow at layer 6 is .988 of the largest, its rollout's .517,
difference .471 [.468, .474]; over the other positions alone .999 and .888, .112 [.108, .116]. In every sentence.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

from experiments._figures import save_figure
from experiments._pieces import pieces_of
from experiments._quick import checked
from experiments._record import provenance, write_record
from experiments._say import ended, say
from experiments.figures.entropy import METHODS, RESAMPLES, draw_entropy, entropies, entropy_record
from experiments.figures.graphs import draw_graphs
from experiments.figures.maps import draw_methods, draw_raw
from jaxflow import InputError, attribute, load_model
from jaxflow._checks import shown
from jaxflow.models import TextEncoder

GRAPH = "The author talked to Sara about his book."
# Written for this figure.
SENTENCES = (
    "The keys to the cabinets in the old kitchen are lost.",
    "Mary convinced John of her love, although he had doubts.",
)
# Written for this figure: sentiment, with what a reader would call each. The last ones are hard.
JUDGED = (
    ("A warm, funny and beautifully acted film.", "positive"),
    ("The plot is dull and the jokes fall flat.", "negative"),
    ("Hardly a masterpiece, yet I would gladly see it again.", "positive"),
    ("If only the rest had been as good as the poster.", "negative"),
    ("I expected to hate it, and for once I was wrong.", "positive"),
    ("It has all the charm of a dentist's waiting room.", "negative"),
    ("You will laugh, but only at how little was spent on it.", "negative"),
    ("There is nothing here that I would want to miss.", "positive"),
)
LEAST, MOST, SEED = 6, 40, 0


def main(arguments: list[str] | None = None) -> int:
    """Draw what was asked for; 2 on bad input, 130 where it was interrupted."""
    parser = _parser()
    options = parser.parse_args(arguments)
    return ended(lambda: _run(checked(options, parser, "number")))


def _run(options: argparse.Namespace) -> None:
    encoder = load_model(options.model)
    _draw(encoder, options.out)
    if options.texts is not None:
        _entropy(encoder, options)
    if options.classifier is not None:
        _judged(load_model(options.classifier), options.out)


def _draw(encoder: TextEncoder, out: Path) -> None:
    (example,) = attribute(encoder, [GRAPH], methods=METHODS, queries=None, flow="exact")
    matrices = {name: np.asarray(values) for name, values in example.relevance.items()}
    save_figure(draw_graphs(example.tokens, matrices), out / "figure1")
    save_figure(draw_raw(list(attribute(encoder, SENTENCES, methods="raw"))), out / "figure2")
    say("figures 1 and 2 drawn")


def _judged(classifier: TextEncoder, out: Path) -> None:
    """Figure 3: two sentences that the classifier gets right and, where there is one, one that it gets wrong."""
    labels = set(classifier.labels or ())
    if not {"negative", "positive"} <= {label.lower() for label in labels}:
        expected, got = "have the labels negative and positive", shown(classifier.labels)
        raise InputError(None, expected, got, place=classifier.name)
    texts = [text for text, _ in JUDGED]
    result = attribute(classifier, texts, methods=METHODS, flow="exact")
    said = [str(label).lower() for label in result.prediction]
    right = [place for place, (_, label) in enumerate(JUDGED) if said[place] == label]
    wrong = [place for place in range(len(JUDGED)) if place not in right]
    chosen = right[:2] + wrong[:1]
    titles = [
        f"{texts[place]}  —  {said[place]}, {'right' if place in right else 'wrong'} "
        f"(p = {max(result[place].scores.values()):.2f})"
        for place in chosen
    ]
    save_figure(draw_methods([result[place] for place in chosen], titles), out / "figure3")
    record = {
        **provenance(model=classifier.name, flow="exact"),
        "sentences": [
            {"text": text, "label": label, "predicted": said[place], "scores": result[place].scores}
            for place, (text, label) in enumerate(JUDGED)
        ],
    }
    write_record(out / "figure3.json", record)
    say(f"figure 3 drawn; {len(right)} of {len(JUDGED)} sentences are judged right")


def _entropy(encoder: TextEncoder, options: argparse.Namespace) -> None:
    texts = _sample(options.texts, 16 if options.quick else options.number)
    found = entropies(encoder, texts, pieces_of(encoder, texts, options.out, say))
    record = {
        **provenance(
            model=encoder.name, texts=options.texts.name, sentences=len(texts), words=(LEAST, MOST), seed=SEED
        ),
        **entropy_record(found, 199 if options.quick else RESAMPLES),
    }
    write_record(options.out / "figure4.json", record)
    save_figure(draw_entropy(record), options.out / "figure4")
    last = str(encoder.layers)
    for kind in found:
        for pair, cells in record[kind]["differences"].items():
            cell = cells[last]
            say(
                f"{kind}, layer {last}, {pair}: {cell['mean']:+.3f} [{cell['low']:+.3f}, {cell['high']:+.3f}], "
                f"p = {cell['p']:.1e}"
            )


def _sample(path: Path, number: int) -> list[str]:
    """That many sentences of a file, drawn with a fixed seed: lines of text, or a treebank's `# text = ` lines."""
    if not path.is_file():
        got = f"{shown(str(path))}, which does not exist"
        raise InputError("texts", "name a file of sentences", got)
    data = path.read_bytes()
    lines = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8").splitlines()
    if ".conllu" in path.name:
        lines = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]
    found = [line.strip() for line in lines]
    fitting = sorted({text for text in found if LEAST <= len(text.split()) <= MOST})
    if not fitting:
        raise InputError("texts", f"hold a sentence of {LEAST} to {MOST} words", "none", place=str(path))
    drawn = np.random.default_rng(SEED).permutation(len(fitting))[:number]
    return [fitting[place] for place in drawn]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.figures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("--out", type=Path, required=True, help="where figures and records go")
    _ = parser.add_argument("--model", default="minilm", help="the encoder of figures 1, 2 and 4")
    _ = parser.add_argument("--texts", type=Path, help="sentences for figure 4: a text file, or a treebank's .conllu")
    _ = parser.add_argument("--number", type=int, default=400, help="how many of them")
    _ = parser.add_argument("--classifier", help="a classifier of sentiment, for figure 3")
    _ = parser.add_argument("--quick", action="store_true", help="16 sentences for figure 4, in under a minute")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
