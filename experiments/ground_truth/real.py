"""Real models whose evidence is known: a fact that is copied, a pronoun, a mapped atom, reacting atoms, a subject."""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import jaxflow as jf
from experiments._words import words_of_tokens
from experiments.attention_change.reactions import FILE as REACTIONS
from experiments.attention_change.reactions import read_reactions, superclasses
from experiments.attention_change.smiles import parse, without_map
from experiments.ground_truth.table import Asked
from experiments.pronouns.data import read_winogender
from experiments.verb_number.readers import marvin_linzen
from jaxflow.models import Encoding

NAMES = ("Alice", "Bob", "Carol", "David", "Emma", "Frank", "Mary", "John", "Anna", "Peter", "Laura", "James")
CITIES = ("Paris", "Rome", "London", "Madrid", "Berlin", "Tokyo", "Vienna", "Moscow", "Dublin", "Athens", "Boston")
THINGS = ("apple", "book", "key", "ball", "hat", "cup", "ring", "pen", "coin", "lamp")
COLOURS = ("red", "blue", "green", "black", "white", "yellow", "brown", "pink")
# In these templates the verb's subject is the second word, and another noun stands between them.
TEMPLATES = ("prep_inanim", "subj_rel", "obj_rel_across_anim", "obj_rel_across_inanim")
SUBJECT = 1
# Characters of a mapped reaction without its map.
LONGEST = 70
# Of a class that a pronoun tells.
GENDERS = ("male", "female")

Span = tuple[int, int]


def facts(model: Any, count: int, seed: int) -> list[Asked]:
    """A city or a colour that is said once, among other facts: the model repeats it, and its token is the evidence."""
    rng, texts, spans, answers = np.random.default_rng(seed), [], [], []
    for _ in range(2 * count):
        name, friend = map(str, rng.permutation(NAMES)[:2])
        city, thing, colour = (str(rng.choice(each)) for each in (CITIES, THINGS, COLOURS))
        said = [f"the city of {name} is {city}", f"the color of the {thing} is {colour}"]
        asked = int(rng.integers(2))
        order = [str(each) for each in rng.permutation([*said, f"the friend of {name} is {friend}"])]
        front = "".join(f"{each[0].upper()}{each[1:]}. " for each in order)
        question, answer = said[asked].rsplit(" ", 1)
        texts.append(f"{front}Again, {question}")
        end = front.lower().index(said[asked].lower()) + len(said[asked])
        spans.append((end - len(answer) - 1, end))
        answers.append(answer)
    labels = jf.attribute(model, texts, methods="raw", queries="last", layers=1).prediction
    right = [str(label).strip("Ġ ") == answer for label, answer in zip(labels, answers, strict=True)]
    return [_asked(model, *_right(texts, spans, right, count), "last")]


def pronouns(model: Any, data: Path, count: int, seed: int) -> list[Asked]:
    """Winogender's sentences whose gender the classifier tells: the pronoun alone says it."""
    sentences = [each for each in read_winogender(data / "coref") if each.gender in GENDERS]
    sentences = [sentences[index] for index in np.random.default_rng(seed).permutation(len(sentences))[: 2 * count]]
    texts = [each.text for each in sentences]
    labels = jf.attribute(model, texts, methods="raw", queries="classifier", layers=1).prediction
    right = [str(label) == each.gender for label, each in zip(labels, sentences, strict=True)]
    return [_asked(model, *_right(texts, [each.pronoun for each in sentences], right, count), "classifier")]


def subjects(model: Any, data: Path, count: int, seed: int) -> list[Asked]:
    """Beginnings whose verb's number the model tells: the subject's noun says it, another noun stands between."""
    found = sorted({(each.words, each.number) for each in marvin_linzen(data, TEMPLATES)})
    found = [found[index] for index in np.random.default_rng(seed).permutation(len(found))[: 2 * count]]
    texts = [" ".join(words) for words, _ in found]
    ends = [(len(f"{words[0]} "), len(" ".join(words[: SUBJECT + 1]))) for words, _ in found]
    labels = jf.attribute(model, texts, methods="raw", queries="classifier", layers=1).prediction
    right = [str(label) == ("VBZ", "VBP")[number] for label, (_, number) in zip(labels, found, strict=True)]
    return [_asked(model, *_right(texts, ends, right, count), "classifier")]


def agreement(model: Any, data: Path, count: int, seed: int) -> list[Asked]:
    """A decoder's *is* or *are* behind the beginnings of `subjects`: by how much the right one beats the other."""
    asked = []
    for number, (right, wrong) in enumerate(((" is", " are"), (" are", " is"))):
        found = sorted({each.words for each in marvin_linzen(data, TEMPLATES) if each.number == number})
        found = [found[index] for index in np.random.default_rng(seed).permutation(len(found))[:count]]
        texts = [" ".join(words) for words in found]
        # A decoder's token begins with the blank.
        ends = [(len(words[0]), len(" ".join(words[: SUBJECT + 1]))) for words in found]
        ids = [_token(model, each) for each in (right, wrong)]
        # Of what follows the last token.
        logits = np.asarray(model(model.pad(model.tokenize(texts))).logits)
        better = logits[:, ids[0]] > logits[:, ids[1]]
        one = _asked(model, *_right(texts, ends, better.tolist(), count // 2), "last")
        asked.append(replace(one, question={**one.question, "target": jf.Token(*ids)}))
    return asked


def reacting(model: Any, data: Path, count: int, seed: int) -> list[Asked]:
    """Reactions whose class the classifier tells: among all atoms those with a bond that is made, broken or changed."""
    found = [each for each in read_reactions(data / "reactions", 8 * count, seed) if len(each.text) <= LONGEST]
    names, texts = superclasses(data / "reactions"), [each.text for each in found]
    labels = jf.attribute(model, texts, methods="raw", queries="classifier", layers=1).prediction
    classes = [names.get(int(str(label).removeprefix("LABEL_")), "") for label in labels]
    kept = [each for each, told in zip(found, classes, strict=True) if told == each.group][:count]
    marked = [[span for span, yes in zip(each.spans, each.labels, strict=True) if yes] for each in kept]
    return [_asked(model, [each.text for each in kept], marked, "classifier", [each.spans for each in kept])]


def atoms(model: Any, data: Path, count: int, seed: int) -> list[Asked]:
    """One atom of a reaction's product, and the reactants' atoms: evidence is the one that it is mapped to."""
    with gzip.open(data / "reactions" / REACTIONS.rsplit("/", 1)[-1], "rt", encoding="utf-8") as lines:
        mapped = [line.rsplit(",", 1)[1].strip() for line in lines][1:]
    rng, texts, spans, candidates, queries = np.random.default_rng(seed), [], [], [], []
    for index in rng.permutation(len(mapped)):
        before, _, after = mapped[index].split(">")
        (left, places), (right, others) = without_map(before), without_map(after)
        if len(left) + len(right) + 2 > LONGEST or len(texts) == count:
            continue
        numbers = [atom.number for atom in parse(before).atoms]
        chosen = rng.choice([place for place, atom in enumerate(parse(after).atoms) if atom.number in numbers])
        texts.append(f"{left}>>{right}")
        spans.append(places[numbers.index(parse(after).atoms[chosen].number)])
        candidates.append(places)
        queries.append(others[chosen][0] + len(left) + 2)
    encodings = model.tokenize(texts)
    at = [_token_at(encoding, start) for encoding, start in zip(encodings, queries, strict=True)]
    # The map is read off attention; no number of the model's is explained.
    asked = _asked(model, texts, [[span] for span in spans], tuple((token,) for token in at), candidates)
    return [replace(asked, explains=False)]


def _right(
    texts: Sequence[str], spans: Sequence[Span], right: Sequence[bool], count: int
) -> tuple[list[str], list[list[Span]]]:
    """Texts that the model answers rightly, and where their evidence stands."""
    kept = [pair for pair, fine in zip(zip(texts, spans, strict=True), right, strict=True) if fine][:count]
    return [text for text, _ in kept], [[span] for _, span in kept]


def _asked(
    model: Any,
    texts: Sequence[str],
    spans: Sequence[Sequence[Span]],
    queries: Any,
    candidates: Sequence[Sequence[Span]] | None = None,
) -> Asked:
    """Texts with their evidence as tokens; all but special tokens take part, or those of the candidates alone."""
    encodings = model.tokenize(list(texts))
    width = max(map(len, encodings))
    evidence, part = np.zeros((len(texts), width), bool), np.zeros((len(texts), width), bool)
    for row, (encoding, each) in enumerate(zip(encodings, spans, strict=True)):
        evidence[row, : len(encoding)] = words_of_tokens(encoding, each) >= 0
        among = ~np.array(encoding.special) if candidates is None else words_of_tokens(encoding, candidates[row]) >= 0
        part[row, : len(encoding)] = among
        if queries == "last":
            # Its own stream leads to the position's own token by construction.
            part[row, len(encoding) - 1] = False
    assert evidence.any(-1).all()
    return Asked(model, list(texts), evidence, part, {"queries": queries})


def _token_at(encoding: Encoding, start: int) -> int:
    """The token that begins at a character."""
    return [begin for begin, _ in encoding.offsets].index(start)


def _token(model: Any, text: str) -> int:
    """The one token that a text is."""
    (token,) = (int(each) for each in model.tokenize([text])[0].input_ids)
    return token
