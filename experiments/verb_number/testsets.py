"""What is only measured: the test sets of others, as beginnings."""

import csv
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from experiments.verb_number.beginnings import UNKNOWN, VBP, VBZ, Beginning, beginning
from experiments.verb_number.readers import marvin_linzen, number_of_pair
from experiments.verb_number.words import words

BLIMP = (
    "distractor_agreement_relational_noun",
    "distractor_agreement_relative_clause",
    "irregular_plural_subject_verb_agreement_1",
    "irregular_plural_subject_verb_agreement_2",
    "regular_plural_subject_verb_agreement_1",
    "regular_plural_subject_verb_agreement_2",
)
# Marvin & Linzen's templates: some may be trained on, the others are only measured.
TRAINED_TEMPLATES = ("simple_agrmt", "prep_anim", "sent_comp", "vp_coord")
HELD_OUT_TEMPLATES = (
    "subj_rel",
    "long_vp_coord",
    "prep_inanim",
    "obj_rel_across_anim",
    "obj_rel_across_inanim",
    "obj_rel_no_comp_across_anim",
    "obj_rel_no_comp_across_inanim",
    "obj_rel_within_anim",
    "obj_rel_within_inanim",
    "obj_rel_no_comp_within_anim",
    "obj_rel_no_comp_within_inanim",
)


def linzen(folder: Path) -> Iterator[Beginning]:
    """Linzen et al.'s test sentences with balanced numbers of attractors."""
    place = folder / "agreement" / "linzen_filtered_testset"
    texts = (place / "subj_agr_filtered.text").read_text("utf-8").splitlines()
    golds = (place / "subj_agr_filtered.gold").read_text("utf-8").splitlines()
    for text, gold in zip(texts, golds, strict=True):
        at, right, wrong, attractors = gold.split("\t")
        pair = number_of_pair([right], [wrong])
        # A few of the file's "verbs" are none ("wherein").
        if pair is not None:
            before = words(" ".join(text.split()[: int(at)]))
            yield beginning(before, pair[0], "linzen", int(attractors))


def gulordava(folder: Path) -> Iterator[Beginning]:
    """Gulordava et al.'s sentences, the original ones and the meaningless ones."""
    with (folder / "agreement" / "gulordava_english" / "generated.tab").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["class"] == "correct":
                number = {"sing": VBZ, "plur": VBP}[row["correct_number"]]
                text = row["sent"].split()[: int(row["len_prefix"])]
                yield beginning(words(" ".join(text)), number, f"gulordava {row['type']}", int(row["n_attr"]))


def blimp(folder: Path) -> Iterator[Beginning]:
    """BLiMP's agreement sets; where the verb stays and the subject changes, each pair gives two beginnings."""
    with zipfile.ZipFile(folder / "agreement" / "BLiMP.zip") as archive:
        for name in BLIMP:
            for line in archive.read(f"data/{name}.jsonl").decode("utf-8").splitlines():
                yield from _of_pair(json.loads(line), f"blimp {name}")


def _of_pair(row: dict[str, str], source: str) -> Iterator[Beginning]:
    if "one_prefix_prefix" in row:
        pair = number_of_pair([row["one_prefix_word_good"]], [row["one_prefix_word_bad"]])
        if pair is not None:
            yield beginning(words(row["one_prefix_prefix"]), pair[0], source)
        return
    verb = row["two_prefix_word"].removesuffix("n't")
    number = VBZ if verb in ("is", "was", "has", "does") or verb.endswith("s") else VBP
    yield beginning(words(row["two_prefix_prefix_good"]), number, source)
    yield beginning(words(row["two_prefix_prefix_bad"]), VBP if number == VBZ else VBZ, source)


def test_sets(folder: Path) -> dict[str, list[Beginning]]:
    """Every set by name."""
    sets = {"linzen": list(linzen(folder)), "gulordava": list(gulordava(folder)), "blimp": list(blimp(folder))}
    sets["marvin_linzen"] = list(marvin_linzen(folder, HELD_OUT_TEMPLATES))
    return {name: [b for b in found if b.attractors >= UNKNOWN and b.words] for name, found in sets.items()}
