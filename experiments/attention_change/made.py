"""Small data and small models, made here, for a quick run."""

import gzip
import itertools
import re
from pathlib import Path
from typing import Any

import transformers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from experiments.attention_change.pairs import PAIRS, QUICK, Pair, read_texts
from experiments.attention_change.sentiment import FILE as SENTENCES
from experiments.attention_change.texts import TREEBANK, treebank, word_counts
from experiments.pronouns.data import FILE as PEOPLE
from experiments.pronouns.data import read_winogender
from jaxflow.models import TextEncoder, new_encoder

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
GOOD, BAD = ("great", "lovely", "funny"), ("dull", "awful", "slow")
NOUNS, ADVERBS = ("film", "story", "cast"), ("really", "often", "never")
# With the length of a chain that makes them as long as each other.
REACTIONS = (
    ("[CH3:1][C:2](=[O:3])[Cl:9].[NH2:4][CH3:5]>>[CH3:1][C:2](=[O:3])[NH:4][CH3:5]", 12),
    ("[CH3:1][C:2](=[O:3])[OH:9].[OH:4][CH2:5][CH3:6]>>[CH3:1][C:2](=[O:3])[O:4][CH2:5][CH3:6]", 11),
    ("[CH3:1][CH:2]=[O:3]>>[CH3:1][CH2:2][OH:3]", 17),
    (
        (
            "[c:4]1([Br:9])[cH:2][cH:3][cH:8][cH:5][cH:6]1.[NH2:7][CH3:1]"
            ">>[c:4]1([NH:7][CH3:1])[cH:2][cH:3][cH:8][cH:5][cH:6]1"
        ),
        7,
    ),
)
# Entries of every tokenizer, so that models of all pairs have one shape.
VOCABULARY = 256
SMILES = r"\[[^\]]+]|Br?|Cl?|[NOSPFIbcnops().=#+\-\\/:~@?*$]|>>?|%\d\d|\d"
WORD = r"\w+|[^\w\s]"


def made_data(folder: Path) -> Path:
    """A folder laid out as the data sets are."""
    for name in ("reactions", "sst", "coref", "ud/EWT"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = [
        "id,class,reactants>reagents>production",
        *(f"made,{i % 4 + 1},{_lengthened(*each)}" for i, each in enumerate(REACTIONS * 2)),
    ]
    _pack(folder / "reactions/uspto50k_mapped_test.csv.gz", rows)
    _ = (folder / "reactions/rxnclass2id.json").write_text('{"1.1.1": 0, "2.1.1": 1, "3.1.1": 2}')
    sentences, trees = [], []
    for number, (noun, adverb, which) in enumerate(itertools.product(NOUNS, ADVERBS, range(3))):
        label = number % 2
        word = (BAD, GOOD)[label][which]
        sentences.append(f"the {noun} is {adverb} {word} .\t{label}")
        trees.append(f"({3 * label} (2 the) (2 {noun}) (2 is) (2 {adverb}) ({3 * label + 1 - label} {word}) (2 .))")
    _pack(folder / "sst" / SENTENCES, ["sentence\tlabel", *sentences])
    _pack(folder / "sst/sst_trees_dev.txt.gz", trees)
    people = ["sentid\tsentence"]
    for person, (gender, one) in itertools.product(("nurse", "doctor", "clerk"), (("male", "he"), ("female", "she"))):
        people.append(f"{person}.someone.0.{gender}.txt\tThe {person} said {one} left.")
        people.append(f"{person}.someone.1.{gender}.txt\tDull, so {one} told the {person}.")
    _ = (folder / "coref" / PEOPLE).write_text("\n".join(people) + "\n")
    _pack(folder / TREEBANK, _trees())
    return folder


def made_models(pair: Pair, data: Path) -> tuple[TextEncoder, TextEncoder]:
    """Two models with random weights and the pair's classes."""
    _ = made_data(data) if not data.exists() else data
    texts = [text.text for text in read_texts(pair, data, QUICK, word_counts(()))]
    if pair.english:
        texts += [sentence.text for sentence in (*treebank(data), *read_winogender(data / "coref"))]
    tokenizer = _tokenizer(texts, SMILES if pair is PAIRS["reactions"] else WORD)
    labels = {"reactions": [f"LABEL_{i}" for i in range(3)], "sentiment": ["negative", "positive"]}.get(pair.name, [])
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 96,
        "initializer_range": 0.4,
    }
    # The first has the classes too: what is compiled for one then serves both.
    named = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    head = "sequence_classification" if labels else "bare"
    first, second = (
        new_encoder(transformers.BertConfig(**sizes, **(named if labels else {})), tokenizer, head=head, seed=seed)
        for seed in (0, 1)
    )
    return first, second


def _tokenizer(texts: list[str], pattern: str) -> transformers.PreTrainedTokenizerFast:
    lower = pattern is WORD
    pieces = sorted({piece for text in texts for piece in re.findall(pattern, text.lower() if lower else text)})
    words = {word: place for place, word in enumerate((*SPECIAL, *pieces))}
    assert len(words) <= VOCABULARY
    names = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
    backend = Tokenizer(models.WordLevel(words, unk_token=names["unk_token"]))
    if lower:
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, words[name]) for name in ("[CLS]", "[SEP]")],
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=96, **names)


def _lengthened(reaction: str, chain: int) -> str:
    """A reaction with a chain at one of its ends, for it to be as long as those that are measured."""
    middle = "".join(f"[CH2:{number}]" for number in range(20, 20 + chain))
    # At its front the first atom's bond goes on to the chain, at its back the last atom's.
    if reaction.startswith("[CH3:1]"):
        return reaction.replace("[CH3:1]", f"[CH3:1]{middle}")
    return reaction.replace("[CH3:1]", f"{middle}[CH3:1]")


def _trees() -> list[str]:
    """Sentences "the noun verb the noun in the noun ." with their trees."""
    lines = []
    for one, two, three in itertools.product(
        ("dog", "man", "girl", "bird"), ("cat", "ball", "tree"), ("park", "house", "yard")
    ):
        words = ("The", one, "saw", "the", two, "in", "the", three, ".")
        heads = (2, 3, 0, 5, 3, 8, 8, 3, 3)
        names = ("det", "nsubj", "root", "det", "obj", "case", "det", "obl", "punct")
        for number, (word, head, name) in enumerate(zip(words, heads, names, strict=True), 1):
            lines.append("\t".join((str(number), word, word.lower(), "X", "_", "_", str(head), name, "_", "_")))
        lines.append("")
    return lines


def _pack(path: Path, lines: list[str]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as sink:
        _ = sink.write("\n".join(lines) + "\n")
