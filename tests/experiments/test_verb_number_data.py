"""The verb-number experiment's data: words, verbs whose number is known, readers, the grammar, what is held out."""

import bz2
import csv
import gzip
import json
import zipfile
from collections import Counter
from xml.sax.saxutils import escape

import pytest

from experiments.verb_number import corpus, made, prose, readers, testsets
from experiments.verb_number.beginnings import VBP, VBZ, Beginning
from experiments.verb_number.closed import verbs
from experiments.verb_number.tokenizer import SPECIALS, coded, make_tokenizer, vocabulary
from experiments.verb_number.words import sentences, words

TEXTS = [
    "The “key” isn't lost, don't the 1990s' keys fit?",
    "the guardian 's (that's) l'oréal x_y ''hello'' we've--I'd",
    "`` A well-known 15th-century café , '' he 'll say ; ca n't",
    "Ünïcode 42 7 3.5 1,000 £5 n't can't won't 'tis —",
]


def test_the_tokenizer_cuts_words_as_the_data_does():
    known = sorted({word for text in TEXTS[:2] for word in words(text)})
    tokenizer = make_tokenizer([*SPECIALS, *known], 64)
    unknown = 0
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        expected = [word if word in known else "<unk>" for word in words(text)]
        assert tokenizer.convert_ids_to_tokens(ids) == ["<s>", *expected, "</s>"]
        unknown += expected.count("<unk>")
    assert unknown > 5
    assert " ".join(words(TEXTS[0])) == "the \" key \" is n't lost , do n't the 00s ' keys fit ?"


def test_a_text_too_long_loses_its_beginning():
    tokenizer = make_tokenizer([*SPECIALS, "a", "b", "c"], 4)
    ids = tokenizer("a b c", truncation=True, max_length=4)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["<s>", "b", "c", "</s>"]


def test_sentences_end_where_they_do():
    text = "Dr. Smith met J. R. Hill. He was late! (Why?) She, e.g. Ann, left."
    assert list(sentences(text)) == ["Dr. Smith met J. R. Hill.", "He was late!", "(Why?", "She, e.g. Ann, left."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the keys to the cabinet are on the table", [(5, VBP)]),
        ("the key that the men have is old", [(5, VBP), (6, VBZ)]),
        ("the man was old and is dead", [(2, VBZ), (5, VBZ)]),
        ("my dogs were barking", [(2, VBP)]),
        ("is the key lost", []),
        ("where is the key", []),
        ("the question is where are they", [(2, VBZ)]),
        ("in the box there are keys", []),
        ("yesterday i was ill", []),
        ("if the man were rich", []),
        ("the man seems to have money", []),
        ("the men would often have time", []),
        ("nor do the men", []),
        ("the things they do", [(3, VBP)]),
        ("what do the men do", []),
        ("however , are they here", []),
    ],
)
def test_verbs_whose_number_is_known(text, expected):
    assert list(verbs(text.split())) == expected


def test_numbers_of_minimal_pairs():
    pair = readers.number_of_pair
    assert pair(["the", "author", "laughs"], ["the", "author", "laugh"]) == (VBZ, ["the", "author"])
    assert pair(["the", "authors", "are"], ["the", "authors", "is"]) == (VBP, ["the", "authors"])
    assert pair(["haven't"], ["hasn't"]) == (VBP, [])
    assert pair(["carries"], ["carry"]) == (VBZ, [])
    assert pair(["they", "hurt", "herself"], ["they", "hurt", "themselves"]) is None
    assert pair(["same"], ["same"]) is None


def number_of_head(b: Beginning, lexicon: made.Lexicon) -> set[int]:
    return {VBZ if word in lexicon.singular else VBP for word in b.words if word in lexicon.singular + lexicon.plural}


def test_the_grammar_makes_sentences_of_the_number_it_says():
    lexicon = made.Lexicon(("cat",), ("dogs",), ("old",), ("now",), ("sees",), ("see",), ("saw",), ("seen",), ("ann",))
    found = made.Grammar(lexicon, 3).beginnings(2000)
    assert [b.number for b in found] == [VBZ, VBP] * 1000
    assert found == made.Grammar(lexicon, 3).beginnings(2000)
    assert found != made.Grammar(lexicon, 4).beginnings(2000)
    # Where all nouns are alike, their number is the sentence's, but for two singulars with "and" between them.
    alike = [b for b in found if len(number_of_head(b, lexicon)) == 1 and "and" not in b.words and "ann" not in b.words]
    assert len(alike) > 200
    assert all(number_of_head(b, lexicon) == {b.number} for b in alike)
    # Behind prepositions alone the first noun is the subject.
    plain = [
        b for b in found if not set(b.words) & {"that", "who", "which", "and", ",", "saw", "sees", "see", ";", "but"}
    ]
    heads = [next(word for word in b.words if word in ("cat", "dogs", "ann")) for b in plain]
    assert len(plain) > 100
    assert all(
        (head == "dogs") == (b.number == VBP)
        for head, b in zip(heads, plain, strict=True)
        if "cat dogs" not in " ".join(b.words)
    )
    assert max(b.attractors for b in found) >= 3


def test_a_lexicon_keeps_words_that_are_one_thing():
    tagged = [("key", "NN")] * 5 + [("keys", "NNS")] * 5 + [("run", "NN")] * 3 + [("run", "VB")] * 3 + [("rare", "NN")]
    found = made.lexicon([*tagged, *[("runs", "VBZ")] * 3, *[("is", "VBZ")] * 9])
    assert (found.singular, found.plural, found.third) == (("key",), ("keys",), ("runs",))


def test_a_vocabulary_is_the_most_frequent_words():
    assert vocabulary(Counter({"b": 2, "a": 2, "c": 3, "d": 1}), 8) == [*SPECIALS, "c", "a", "b"]


def test_rare_words_fall_into_pieces_and_frequent_ones_stay_whole():
    stems = ["lamp", "river", "stone", "cloud", "garden", "planet"]
    frequent = Counter(dict.fromkeys(["the", "keys", "of", "is"], 500))
    rare = Counter({stem + end: 9 for stem in stems for end in ("", "s", "ed", "ing")})
    known = vocabulary(frequent + rare, 79, pieces=70)
    assert len(set(known)) == len(known) <= 79
    assert known[5:9] == ["is", "keys", "of", "the"]
    tokenizer = make_tokenizer(known, 64)
    words_of_each = [["the", "keys"], *([word] for word in rare)]
    whole, *pieces = (tokenizer.convert_ids_to_tokens(ids) for ids in coded(tokenizer, words_of_each))
    assert whole == ["the", "keys"]
    for word, found in zip(rare, pieces, strict=True):
        assert "".join(piece.removeprefix("##") for piece in found) == word
    # A word nobody saw is put together from its letters; one with a letter nobody saw is unknown.
    seen, unseen = coded(tokenizer, [["steds"], ["ж"]])
    assert len(seen) > 1
    assert tokenizer.convert_ids_to_tokens(unseen) == ["<unk>"]


def test_prose_of_packages(tmp_path):
    speech = tmp_path / "sotu" / "package" / "data" / "1790_someone.txt"
    speech.parent.mkdir(parents=True)
    speech.write_text("The fruits of the year have blessed our country. Nothing follows.\n")
    page = "{{Box|a=b}}\n{|\n| the rows are many\n|}\nThe '''keys''' of [[Paris|the city]] are old{{note}} and "
    page += "rusty, and nobody used them before that year.<ref>The note is left out.</ref> It rains.\n"
    page += "* The list is left out because it is a list of things.\n"
    dump = f'<mediawiki xmlns="http://x/"><page><revision><text>{escape(page)}</text></revision></page></mediawiki>'
    place = tmp_path / "enwiki" / "enwiki-pages-articles1.xml.bz2"
    place.parent.mkdir()
    place.write_bytes(bz2.compress(dump.encode()))
    found = {s.document.split(" ")[0]: s for s in prose.prose(tmp_path) if s.beginnings}
    assert found["sotu"].beginnings == (Beginning(("the", "fruits", "of", "the", "year"), VBP, "sotu"),)
    assert found["enwiki"].beginnings == (Beginning(("the", "keys", "of", "the", "city"), VBP, "enwiki"),)
    assert "note" not in found["enwiki"].words


@pytest.fixture
def public_data(tmp_path):
    """A folder laid out as the public data sets are, with a few sentences of each."""
    for name in (
        "tagged",
        "ud/EWT",
        "pairs",
        "coref",
        "agreement/linzen_filtered_testset",
        "agreement/gulordava_english",
    ):
        (tmp_path / name).mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "tagged" / "masc_tagged.zip", "w") as archive:
        lines = (
            "The_DT keys_NNS of_IN Ann_NNP open_VBP doors_NNS ._.\nDoes_VBZ he_PRP know_VB ?_.\nHe_PRP laughs_VBZ ._."
        )
        archive.writestr("masc_tagged/written/a.txt", lines)
    rows = [
        "1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_",
        "2\tkey\tkey\tNOUN\tNN\t_\t6\tnsubj\t_\t_",
        "3\tto\tto\tADP\tIN\t_\t5\tcase\t_\t_",
        "4\tthe\tthe\tDET\tDT\t_\t5\tdet\t_\t_",
        "5\tcabinets\tcabinet\tNOUN\tNNS\t_\t2\tnmod\t_\t_",
        "6\topens\topen\tVERB\tVBZ\t_\t0\troot\t_\t_",
    ]
    with gzip.open(tmp_path / "ud" / "EWT" / "all_sources.conllu.gz", "wt") as file:
        file.write("# newdoc id = d\n" + "\n".join(rows) + "\n\n")
    for part in ("dev", "test"):
        for side, text in (("s1", "Two dogs are running . "), ("s2", f"The dogs of {part} are asleep . ")):
            with gzip.open(tmp_path / "pairs" / f"snli_{side}.{part}.gz", "wt") as file:
                file.write(f"{text}\n{text}\n")
    article = {"title": "T", "paragraphs": [{"context": "The river is long. Its banks are high."}]}
    with gzip.open(tmp_path / "pairs" / "squad2_dev.json.gz", "wt") as file:
        json.dump({"data": [article]}, file)
    for part in ("development", "test", "validation"):
        with (tmp_path / "coref" / f"gap-{part}.tsv").open("w") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerow(["ID", "Text"])
            writer.writerow(
                [f"{part}-1", f"The mayor of {part} was born in a town that nobody here has ever seen before."]
            )
    with gzip.open(tmp_path / "agreement" / "marvin_linzen.tsv.gz", "wt") as file:
        file.write("template\tcondition\tgood\tbad\nsimple_agrmt\tx\tthe author laughs\tthe author laugh\n")
        file.write("subj_rel\tx\tthe author that likes him laughs\tthe author that likes him laugh\n")
    place = tmp_path / "agreement" / "linzen_filtered_testset"
    (place / "subj_agr_filtered.text").write_text("the mayor of test was born in a town that they like . <eos>\n")
    (place / "subj_agr_filtered.gold").write_text("4\twas\twere\t0\n")
    (tmp_path / "agreement" / "gulordava_english" / "generated.text").write_text("nothing <eos>\n")
    return tmp_path


def test_readers(public_data):
    tagged = [(s.words, s.beginnings) for s in readers.masc(public_data)]
    assert tagged[0][1] == (Beginning(("the", "keys", "of", "ann"), VBP, "MASC"),)
    assert tagged[1][1] == tagged[2][1] == ()
    (tree,) = readers.english_web_treebank(public_data)
    assert tree.beginnings == (Beginning(("the", "key", "to", "the", "cabinets"), VBZ, "EWT", 1),)
    assert [s.beginnings[0].words for s in readers.snli(public_data)] == [
        ("two", "dogs"),
        ("the", "dogs", "of", "dev"),
        ("the", "dogs", "of", "test"),
    ]
    assert [s.beginnings[0].number for s in readers.squad(public_data)] == [VBZ, VBP]
    assert len(list(readers.gap(public_data))) == 3
    (linzen,) = testsets.linzen(public_data)
    assert linzen == Beginning(("the", "mayor", "of", "test"), VBZ, "linzen", 0)


def test_the_corpus_keeps_test_sentences_and_repetitions_out(public_data, tmp_path):
    built = corpus.build(public_data, None, tmp_path / "out", size=2060, made_up=10)
    found = [b for split in built.splits.values() for b in split]
    assert built.counts["left out"]["sentences that overlap test sets"] == 1
    assert not any("test" in b.words for b in found if b.source == "GAP")
    assert len({b.words for b in found if b.source != "made"}) == sum(b.source != "made" for b in found)
    assert sum(b.source == "made" for b in built.splits["train"]) == 10
    assert [b.words for b in built.splits["train"] if b.source == "Marvin & Linzen"] == [("the", "author")]
    assert built.vocabulary[:5] == list(SPECIALS)
    again = corpus.load(tmp_path / "out")
    assert again == built
