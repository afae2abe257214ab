"""Roles of heads: made-up heads that have one role each are known by it; counts against a direct loop."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow.compare import PATTERNS, head_relations, head_roles, read_conllu, role_changes
from jaxflow.heads.patterns import head_patterns
from tests.compare.models import HEADS, LAYERS, TEXTS, attention_of, model, tuned

pytestmark = pytest.mark.usefixtures("few_sizes")

SENTENCES = """\
# sent_id = 1
# text = The keys don't lock the table.
1	The	the	DET	_	_	2	det	_	_
2	keys	key	NOUN	_	_	5	nsubj	_	_
3-4	don't	_	_	_	_	_	_	_	_
3	do	do	AUX	_	_	5	aux	_	_
4	n't	not	PART	_	_	5	advmod	_	_
5	lock	lock	VERB	_	_	0	root	_	_
5.1	it	it	PRON	_	_	_	_	_	_
6	the	the	DET	_	_	7	det	_	_
7	table	table	NOUN	_	_	5	obj:x	_	SpaceAfter=No
8	.	.	PUNCT	_	_	5	punct	_	_

# no text here
1	un	un	DET	_	_	2	det	_	SpaceAfter=No
2	lost	lost	NOUN	_	_	0	root	_	_

"""


def test_heads_of_one_role_each_are_known_by_it():
    tokens = 9
    heads = np.full((5, tokens, tokens), 1e-3, np.float32)
    for query in range(tokens):
        for head, key in enumerate((query - 1, query, query + 1)):
            heads[head, query, min(max(key, 0), tokens - 1)] = 1
        heads[3, query, tokens - 1] = 1
        heads[4, query] = 1
    # The first word has no word before it, and the last none behind it; they look elsewhere.
    heads[0, 1, 4] = heads[2, tokens - 2, 3] = 0.5
    heads /= heads.sum(-1, keepdims=True)
    role = np.array([1, *[0] * (tokens - 2), 2])
    found = np.asarray(head_patterns(jnp.asarray(heads), jnp.ones(tokens, bool), jnp.asarray(role)))
    shares = dict(zip(PATTERNS, found.T, strict=True))
    np.testing.assert_allclose(
        np.stack([shares[name][:3] for name in ("previous", "own", "next")]), np.eye(3), atol=1e-6
    )
    assert shares["separators"][3] > 0.98
    assert shares["leading"][4] == pytest.approx(1 / tokens)
    assert shares["entropy"][4] == pytest.approx(np.log2(tokens))


def test_padding_changes_nothing():
    rng = np.random.default_rng(0)
    heads = rng.dirichlet(np.ones(6), size=(3, 6)).astype(np.float32)
    role = np.array([1, 0, 0, 0, 0, 2])
    alone = head_patterns(jnp.asarray(heads), jnp.ones(6, bool), jnp.asarray(role))
    wide = np.zeros((3, 8, 8), np.float32)
    wide[:, :6, :6] = heads
    mask = np.arange(8) < 6
    found = head_patterns(jnp.asarray(wide), jnp.asarray(mask), jnp.asarray(np.pad(role, (0, 2))))
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_the_rarest_word_is_that_of_the_counts():
    encoder = model()
    counts = {"the": 100, "key": 3, "to": 50, "cabinets": 1, "table": 7, "##s": 20, "is": 60, "on": 30}
    roles = head_roles(encoder, TEXTS, counts=counts, batch_size=8)
    shares, chances = [], []
    for text in TEXTS:
        encoding, weights = attention_of(encoder, text)
        words = [i for i, special in enumerate(encoding.special) if not special]
        numbers = {i: counts.get(encoding.tokens[i], 0) for i in words}
        rarest = [i for i in words if numbers[i] == min(numbers.values())]
        hits = np.zeros((LAYERS, HEADS))
        for query in words:
            largest = np.array(words)[weights[:, :, query][:, :, words].argmax(axis=-1)]
            hits += np.isin(largest, rarest)
        shares.append(hits / len(words))
        chances.append(len(rarest) / len(words))
    np.testing.assert_allclose(roles.rarest.mean, np.mean(shares, axis=0), atol=1e-6)
    assert roles.rarest_by_chance == pytest.approx(np.mean(chances))
    assert roles.texts == len(TEXTS)
    counted = head_roles(encoder, TEXTS, batch_size=8)
    assert counted.rarest.mean.shape == (LAYERS, HEADS)
    names = roles.names(least=0.0)
    assert all(name for row in names for name in row)
    assert roles.names(least=1.01) == [[""] * HEADS] * LAYERS


def test_before_and_after_are_set_side_by_side():
    encoder = model()
    before, after = head_roles(encoder, TEXTS, batch_size=8), head_roles(tuned(encoder), TEXTS, batch_size=8)
    table = role_changes(before, after, least=0.3)
    assert len(table) == LAYERS * HEADS
    row = table[HEADS + 1]
    assert (row["layer"], row["head"]) == (2, 2)
    assert row["entropy"] == pytest.approx(
        (after.patterns.mean - before.patterns.mean)[1, 1, PATTERNS.index("entropy")]
    )
    assert all(abs(row[name]) < 1e-12 for row in role_changes(before, before) for name in PATTERNS)
    with pytest.raises(InputError, match="as many layers and heads as `before`"):
        role_changes(before, dataclasses.replace(after, rarest=after.patterns))


def test_conllu_gives_words_heads_and_where_they_stand(tmp_path):
    path = tmp_path / "some.conllu"
    _ = path.write_text(SENTENCES)
    first, second = read_conllu(path)
    assert first.text == "The keys don't lock the table."
    assert first.words == ("The", "keys", "do", "n't", "lock", "the", "table", ".")
    assert first.heads == (1, 4, 4, 4, -1, 6, 4, 4)
    assert first.relations == ("det", "nsubj", "aux", "advmod", "root", "det", "obj", "punct")
    spelt = [first.text[slice(*span)] for span in first.offsets]
    assert spelt == ["The", "keys", "don't", "don't", "lock", "the", "table", "."]
    assert second.text == "unlost"
    assert second.offsets == ((0, 2), (2, 6))
    assert next(read_conllu(path, subtypes=True)).relations[6] == "obj:x"
    assert list(read_conllu(SENTENCES.splitlines())) == [first, second]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1\ta\tb"], "line 1 of the lines must have CoNLL-U's 10 columns, got 3"),
        (
            ["# text = b", "1\ta\ta\tX\t_\t_\t0\troot\t_\t_"],
            "must have its words in its text, got 'a', and the text 'b'",
        ),
        (["1\ta\ta\tX\t_\t_\t7\troot\t_\t_"], "the head in line 1 of the lines must be"),
        (["x\ta\ta\tX\t_\t_\t0\troot\t_\t_"], "must be a word's number"),
        # Digits of other scripts, and numbers that Python does not read or that nobody counts to.
        (["\u0662\ta\ta\tX\t_\t_\t0\troot\t_\t_"], "must be a word's number"),
        (["9" * 5000 + "\ta\ta\tX\t_\t_\t0\troot\t_\t_"], "must be a word's number"),
        (["1-9999999999\ta\ta\tX\t_\t_\t0\troot\t_\t_", "1\ta\ta\tX\t_\t_\t0\troot\t_\t_"], "must be a word's number"),
        (["1.\ta\ta\tX\t_\t_\t0\troot\t_\t_"], "must be a word's number"),
        (["1\ta\ta\tX\t_\t_\t" + "9" * 5000 + "\troot\t_\t_"], "the head in line 1 of the lines must be"),
        (["1\ta\ta\tX\t_\t_\t\u0661\troot\t_\t_"], "the head in line 1 of the lines must be"),
    ],
)
def test_malformed_conllu_is_named(lines, said):
    with pytest.raises(InputError, match=said):
        list(read_conllu(lines))
    with pytest.raises(InputError, match="`source` must be a file that can be read"):
        list(read_conllu("nowhere.conllu"))


def test_a_mark_at_the_beginning_is_no_part_of_a_sentence(tmp_path):
    path = tmp_path / "some.conllu"
    for content in (SENTENCES, "\n".join(line for line in SENTENCES.splitlines() if not line.startswith("# text"))):
        _ = path.write_text(f"\ufeff{content}", "utf-8")
        expected = list(read_conllu(content.splitlines()))
        assert list(read_conllu(path)) == list(read_conllu(f"\ufeff{content}".splitlines())) == expected


def test_sentences_that_were_tagged_and_not_parsed_have_no_heads():
    tagged = ["1\tthe\t_\tDET\t_\t_\t_\t_\t_\t_", "2\tkeys\t_\tNOUN\t_\t_\t_\t_\t_\t_"]
    (sentence,) = read_conllu(tagged)
    assert (sentence.text, sentence.tags, sentence.heads) == ("the keys", ("DET", "NOUN"), (None, None))
    with pytest.raises(InputError, match="hold a word with a head"):
        head_relations(model(), [sentence])
    parsed = list(read_conllu(SENTENCES.splitlines()))
    both, alone = head_relations(model(), [sentence, *parsed]), head_relations(model(), parsed)
    assert both.relations == alone.relations
    np.testing.assert_array_equal(both.count, alone.count)


def test_sentences_that_cannot_be_used_are_left_out_and_said(tmp_path):
    bad = [
        '# text = say "go"\n1\t``\t_\tX\t_\t_\t0\troot\t_\t_',
        "1\ta\tb\n2\tb\tb\tX\t_\t_\t0\troot\t_\t_",
        "1\ta\ta\tX\t_\t_\t9\troot\t_\t_",
        "1-2\tab\t_\t_\t_\t_\t_\t_\t_\t_\n3\tc\tc\tX\t_\t_\t0\troot\t_\t_\n1\ta\ta\tX\t_\t_\t0\troot\t_\t_\n0\tb\tb\tX\t_\t_\t0\troot\t_\t_",
        "1\t\udce9\ta\tX\t_\t_\t0\troot\t_\t_",
    ]
    path = tmp_path / "some.conllu"
    blocks = [*bad, SENTENCES.strip("\n")]
    _ = path.write_text("\n\n".join(blocks) + "\n", "utf-8", errors="surrogateescape")
    said: list[str] = []
    assert list(read_conllu(path, skipped=said.append)) == list(read_conllu(SENTENCES.splitlines()))
    parts = ["got '``', and the text", "line 4 of", "the head in line", "must come in order", "must be UTF-8"]
    assert len(said) == len(bad)
    for reason, part in zip(said, parts, strict=True):
        assert part in reason
    with pytest.raises(InputError, match="must have its words in its text"):
        list(read_conllu(path))


def test_relations_are_found_as_a_loop_finds_them():
    encoder = model()
    sentences = list(read_conllu(SENTENCES.splitlines()))
    found = head_relations(encoder, sentences, batch_size=2)
    hits, counts, offsets = {}, {}, {}
    for sentence in sentences:
        encoding, weights = attention_of(encoder, sentence.text)
        tokens = [
            [i for i, (a, b) in enumerate(encoding.offsets) if 0 <= a < end and b > start]
            for start, end in sentence.offsets
        ]
        words = np.zeros((LAYERS, HEADS, len(tokens), len(tokens)))
        for row, own in enumerate(tokens):
            for column, other in enumerate(tokens):
                words[:, :, row, column] = weights[:, :, own][:, :, :, other].sum(-1).mean(-1)
        for word in range(len(tokens)):
            words[:, :, word, word] = -1
        for dependent, (head, name) in enumerate(zip(sentence.heads, sentence.relations, strict=True)):
            if head < 0:
                continue
            counts[name] = counts.get(name, 0) + 1
            for direction, (one, two) in enumerate(((dependent, head), (head, dependent))):
                hits[name, direction] = hits.get((name, direction), 0) + (words[:, :, one].argmax(-1) == two)
                offsets.setdefault((name, direction), []).append(two - one)
    assert dict(zip(found.relations, found.count.tolist(), strict=True)) == counts
    assert found.relations[0] == "det"
    assert counts["det"] == 3
    for index, name in enumerate(found.relations):
        for direction in range(2):
            np.testing.assert_allclose(found.share[index, direction], hits[name, direction] / counts[name])
            most = max(offsets[name, direction].count(each) for each in offsets[name, direction])
            assert found.baseline[index, direction] == pytest.approx(most / counts[name])
    assert found.baseline[0].tolist() == [1, 1]
    assert found.offset[0].tolist() == [1, -1]
    best = found.best()
    assert len(best) == 2 * len(counts)
    assert best[0]["share"] == found.share[0, 0].max()
    # Counted from 1, as the rows of other tables.
    assert best[0]["share"] == found.share[0, 0, best[0]["layer"] - 1, best[0]["head"] - 1]
    with pytest.raises(InputError, match="at least one sentence"):
        head_relations(encoder, [])
