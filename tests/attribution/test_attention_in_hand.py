"""Attention in hand: what users of other frameworks hold, through all that a result can do."""

import re
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from tokenizers import decoders, pre_tokenizers

import jaxflow as jf
from jaxflow._checks import InputError
from tests.flow.oracles import all_pairs
from tests.problems import softmax_attention
from tests.tiny_text_model import model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

TEXTS = ["the key to the cabinets is on", "The keys", "is unbelievable on table!"]
LAYERS, HEADS, LENGTHS, LENGTH = 3, 2, (6, 3, 5), 7


class Tensor:
    """An array of a framework that is not known, such as TensorFlow's: it has a shape, and turns into NumPy's."""

    def __init__(self, array):
        self.array = array

    @property
    def shape(self):
        return self.array.shape

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)


def problem(side="right", causal=False):
    """Attention `example layer head query key`, its mask, and each example's tokens."""
    mask = np.arange(LENGTH) < np.array(LENGTHS)[:, None]
    mask = mask if side == "right" else mask[:, ::-1]
    attention = softmax_attention(5, (3, LAYERS, HEADS, LENGTH, LENGTH), 2.0, mask, causal).astype(np.float32)
    return attention, mask, [[f"w{example}{place}" for place in range(n)] for example, n in enumerate(LENGTHS)]


def by_hand(attention, mask):
    """Raw attention, rollout and flow of every pair of one example's tokens, in NumPy and by OR-Tools."""
    heads = attention[:, :, mask][..., mask].astype(np.float64)
    mean = heads.mean(1)
    raw = mean / mean.sum(-1, keepdims=True)
    capacity = 0.5 * raw + 0.5 * np.eye(raw.shape[-1])
    rollout = [capacity[0]]
    for layer in capacity[1:]:
        rollout.append(layer @ rollout[-1])
    flow = [all_pairs(capacity, layer) for layer in range(1, len(capacity) + 1)]
    return {"raw": raw, "rollout": np.stack(rollout), "flow": np.stack(flow)}


@pytest.mark.parametrize(
    "hold",
    [
        torch.tensor,
        jnp.asarray,
        Tensor,
        lambda array: tuple(torch.tensor(array[:, layer]) for layer in range(LAYERS)),
        lambda array: [Tensor(array[:, layer]) for layer in range(LAYERS)],
    ],
    ids=["torch", "jax", "other", "torch layers", "other layers"],
)
def test_every_form_gives_the_numbers_of_the_definition(hold):
    attention, mask, tokens = problem("left")
    result = jf.attribute_attention(hold(attention), tokens, mask=torch.tensor(mask.copy()).long(), queries=None)
    for index, example in enumerate(result):
        assert example.tokens == tuple(tokens[index])
        for name, expected in by_hand(attention[index], mask[index]).items():
            np.testing.assert_allclose(example.relevance[name], expected, atol=2e-6, err_msg=name)
    assert result.certified_share == 1


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_is_found_on_either_side(side, causal):
    attention, mask, tokens = problem(side, causal)
    if causal and side == "left":
        # Rows of padding in front, which may look nowhere, are even over all keys.
        attention[np.broadcast_to(~mask[:, None, None, :, None], attention.shape)] = 1 / LENGTH
    padded = [["[PAD]"] * (LENGTH - len(row)) for row in tokens]
    named = [row + fill if side == "right" else fill + row for row, fill in zip(tokens, padded, strict=True)]
    expected = jf.attribute_attention(attention, tokens, mask=mask, methods="rollout", causal=causal)
    # Padding by its name, by None, and by the number of tokens.
    for given in (
        named,
        [[piece if piece in words else None for piece in row] for row, words in zip(named, tokens, strict=True)],
        tokens,
    ):
        result = jf.attribute_attention(attention, given, methods="rollout", causal=causal)
        assert result.tokens == expected.tokens
        for ours, other in zip(result.relevance["rollout"], expected.relevance["rollout"], strict=True):
            np.testing.assert_array_equal(ours, other)


def test_a_single_example_with_or_without_its_axis():
    attention, mask, tokens = problem()
    attention, tokens = attention[:1, :, :, : LENGTHS[0], : LENGTHS[0]], tokens[0]
    # The order of bertviz's `head_view(attention, tokens)`: a tuple of layers with a batch of one, and a list.
    layers = tuple(torch.tensor(attention[:, layer]) for layer in range(LAYERS))
    forms = (layers, attention[0], attention, [layer[0] for layer in layers])
    results = [jf.attribute_attention(form, tokens, methods="rollout")[0] for form in forms]
    results.append(jf.attribute_attention(attention, [tokens], mask=mask[0, : len(tokens)], methods="rollout")[0])
    for result in results:
        np.testing.assert_array_equal(result.relevance["rollout"], results[0].relevance["rollout"])


def test_sixteen_bits_are_taken_as_they_are():
    attention, mask, tokens = problem()
    half = torch.tensor(attention).bfloat16()
    result = jf.attribute_attention(half, tokens, mask=mask, methods="rollout", queries=None)
    for index, example in enumerate(result):
        expected = by_hand(half[index].float().numpy(), mask[index])["rollout"]
        np.testing.assert_allclose(example.relevance["rollout"], expected, atol=2e-6)


@pytest.fixture(scope="module")
def classifier():
    folder = model_folder()
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    return model.eval(), transformers.AutoTokenizer.from_pretrained(folder), jf.load_model(folder)


def outputs_of(model, tokenizer, side="right"):
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True, padding_side=side)
    tokens = [tokenizer.convert_ids_to_tokens(ids) for ids in batch["input_ids"]]
    return batch, model(**batch, output_attentions=True), tokens


def test_a_model_of_transformers_gives_what_the_native_one_gives(classifier):
    model, tokenizer, native = classifier
    batch, outputs, tokens = outputs_of(model, tokenizer)
    chances = torch.softmax(outputs.logits, -1)
    predictions = [dict(zip(native.labels, row.tolist(), strict=True)) for row in chances]
    result = jf.attribute_attention(
        outputs.attentions, tokens, mask=batch["attention_mask"], texts=TEXTS, predictions=predictions
    )
    # The derivative of the predicted class's logit, for a mixing that needs it.
    slopes = torch.autograd.grad(outputs.logits.max(-1).values.sum(), outputs.attentions)
    by_class = jf.attribute_attention(
        outputs.attentions, tokens, mask=batch["attention_mask"], gradients=slopes, mixing="attention-gradient"
    )
    # Attention alone knows of no class, which the native model is asked about where no question is passed.
    expected = jf.attribute(native, TEXTS, jf.Question())
    expected_by_class = jf.attribute(native, TEXTS, mixing="attention-gradient")
    for index, example in enumerate(expected):
        ours = result[index]
        # Special tokens, and places in the text, are found without the tokenizer.
        assert (ours.text, ours.offsets, ours.source) == (example.text, example.offsets, example.source)
        assert ours.prediction == example.prediction
        for name in example.relevance:
            np.testing.assert_allclose(ours.relevance[name], example.relevance[name], atol=1e-5)
            np.testing.assert_allclose(
                by_class[index].relevance[name], expected_by_class[index].relevance[name], atol=1e-4
            )


def test_pages_of_attention_in_hand(classifier, tmp_path):
    model, tokenizer, native = classifier
    batch, outputs, tokens = outputs_of(model, tokenizer)
    result = jf.attribute_attention(outputs.attentions, tokens, mask=batch["attention_mask"], name="my model")
    page = jf.write_page(result, tmp_path / "report.html").read_text()
    assert "cabinets" in page
    # Stored as any result, and read back.
    result.save(tmp_path / "results")
    stored = jf.open_sweep(tmp_path / "results")
    assert stored[0].tokens == result[0].tokens
    np.testing.assert_allclose(stored[2].relevance["flow"], result[2].relevance["flow"])
    assert set(result.to_pandas()["example"]) == set(range(len(TEXTS)))
    exploration = jf.explore_attention(
        outputs.attentions, tokens, mask=batch["attention_mask"], texts=TEXTS, labels=["yes", "no", "yes"], roles=True
    )
    expected = jf.explore(native, TEXTS, roles=True)
    (side,), (other,) = exploration.sides, expected.sides
    assert side.roles == other.roles
    for ours, theirs in zip(side.attention, other.attention, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    page = jf.write_page(exploration, tmp_path / "explorer.html").read_text()
    assert "attention in hand" in page


@pytest.mark.parametrize(
    ("tokens", "text", "offsets"),
    [
        (("[CLS]", "un", "##believ", "##able", "[SEP]"), "unbelievable", ((-1, -1), (0, 2), (2, 8), (8, 12), (-1, -1))),
        (("<s>", "▁The", "▁key", "s", "</s>"), "The keys", ((-1, -1), (0, 3), (4, 7), (7, 8), (-1, -1))),
        (("The", "ĠStra", "ÃŁ", "e", "<|endoftext|>"), "The Straße", ((0, 3), (4, 8), (8, 9), (9, 10), (-1, -1))),
        (("the", "key", "."), "the key .", ((0, 3), (4, 7), (8, 9))),
    ],
)
def test_texts_are_put_together_from_any_kind_of_pieces(tokens, text, offsets):
    size = len(tokens)
    attention = softmax_attention(1, (1, 1, 1, size, size))
    (example,) = jf.attribute_attention(attention, tokens, methods="raw")
    assert (example.text, example.offsets) == (text, offsets)
    # A given text is held against the pieces, in upper case as well.
    (example,) = jf.attribute_attention(attention, tokens, methods="raw", texts=text.capitalize())
    assert (example.text, example.offsets) == (text.capitalize(), offsets)


def byte_level(text):
    """Pieces of a byte-level vocabulary, a letter a byte, cut at random, and what they stand for."""
    letters = "".join(piece for piece, _ in pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text))
    return letters, decoders.ByteLevel().decode


def sentence_pieces(text):
    """Pieces of SentencePiece, of which a sign that the vocabulary lacks is cut into its bytes."""
    last = "\N{REPLACEMENT CHARACTER}"
    signs = ([sign] if sign <= last else [f"<0x{b:02X}>" for b in sign.encode()] for sign in f"▁{text}")
    read = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return [piece.replace(" ", "▁") for pieces in signs for piece in pieces], read.decode


@pytest.mark.parametrize("pieces_of", [byte_level, sentence_pieces])
@pytest.mark.parametrize("text", ["Say hi 😀 to Zoë, kings", "Il-Ġorġ u ċ-Ċensu 👩‍👩‍👧", "日本語 🎉 ok 🎉"])
def test_texts_and_answers_are_what_the_tokenizers_library_reads(pieces_of, text):
    units, read = pieces_of(text)
    rng = np.random.default_rng(len(text))
    cuts = [0, *sorted(rng.choice(np.arange(1, len(units)), len(units) // 2, replace=False)), len(units)]
    tokens = ["".join(units[a:b]) for a, b in pairwise(cuts)] if pieces_of is byte_level else units
    attention = np.tril(np.ones((1, 1, 1, len(tokens), len(tokens))))
    attention /= attention.sum(axis=-1, keepdims=True)
    (example,) = jf.attribute_attention(attention, tokens, methods="raw", causal=True)
    assert example.text == read(tokens).strip() == text
    # Where each token's characters are: a character of several tokens is the last one's.
    for count, (_, end) in enumerate(example.offsets, 1):
        assert text[:end].rstrip() == read(tokens[:count]).rstrip("�").strip()
    # An answer without the beginning of a word is spelled as its prompt is.
    borders = [n for n in range(1, len(tokens)) if "�" not in read(tokens[:n])]
    for start in borders:
        (example,) = jf.attribute_attention(attention, tokens, methods="raw", answer_starts=start)
        assert (example.text, example.pair) == (read(tokens[:start]).strip(), read(tokens[start:]).strip())


def test_a_text_without_the_beginning_of_a_word_is_spelled_as_the_others_are():
    attention = softmax_attention(1, (2, 1, 1, 2, 2))
    result = jf.attribute_attention(attention, [["k", "ings"], ["The", "Ġkey"]], methods="raw")
    assert [example.text for example in result] == ["kings", "The key"]
    # A character whose end did not come cannot be read.
    (example,) = jf.attribute_attention(attention[:1], [["Ġhi", "ĠðŁĺ"]], methods="raw")
    assert (example.text, example.offsets) == ("hi �", ((0, 2), (3, 4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attentions": ()}, 'attn_implementation="eager"'),
        ({"attentions": (None, None)}, 'attn_implementation="eager"'),
        ({"tokens": "the key"}, "`tokens` must be a list of tokens an example"),
        ({"tokens": [[1, 2, 3]] * 3}, r"`tokens\[0\]` must hold strings, got 1 of int; .*convert_ids_to_tokens"),
        ({"tokens": torch.zeros(3, LENGTH, dtype=torch.long)}, "convert_ids_to_tokens"),
        ({"tokens": [["a"] * 4] * 2}, "one list for each of 3 examples, got 2"),
        ({"tokens": [["a"] * 9] * 3, "mask": None}, r"`tokens\[0\]` must have 7 tokens, .*got 9"),
        ({"tokens": [["a"] * 2] * 3, "mask": None}, r"`tokens\[0\]` must have a token for each of 7 .*attention_mask"),
        ({"tokens": [["a"] * 2] * 3}, r"`tokens\[0\]` must have 7 tokens, or the 6 real ones, got 2"),
        ({"mask": np.ones((2, 7))}, r"`mask` must have shape \(3, 7\)"),
        ({"mask": np.ones((3, 5))}, r"`mask` must have shape \(3, 7\), got \(3, 5\); .* a 1 more for each token that"),
        ({"texts": ["a"]}, "`texts` must be a text for each of 3"),
        ({"predictions": ["a"]}, "`predictions` must have an entry for each of 3"),
        ({"predictions": [1, 2, 3]}, r"`predictions\[0\]` must be a label, or probabilities by label, got 1"),
        ({"gradients": np.zeros((3, 2, 2, 7, 7))}, "`gradients` must have attention's shape"),
        ({"mixing": "attention-gradient"}, "`gradients` must be passed for the mixing 'attention-gradient'"),
        ({"queries": "classifier"}, "no head that reads one token"),
        ({"queries": 3}, r"text 1: `queries` must be positions of tokens, from 0 to 2"),
    ],
)
def test_what_does_not_fit_gets_one_line(change, message):
    attention, mask, tokens = problem()
    given = {"attentions": attention, "tokens": tokens, "mask": mask} | change
    with pytest.raises(InputError, match=message) as caught:
        jf.attribute_attention(given.pop("attentions"), given.pop("tokens"), **given)
    assert len(str(caught.value).splitlines()) == 1


def test_a_decoder_that_looks_ahead_is_warned_of():
    attention, mask, tokens = problem()
    with pytest.warns(UserWarning, match="attention looks ahead, first at example 0, layer 1, head 1, query 0, key 1"):
        _ = jf.attribute_attention(attention, tokens, mask=mask, methods="raw", causal=True)


def test_what_generate_gives_is_put_together():
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=30, n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=None
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    model.set_attn_implementation("eager")
    prompt = torch.tensor([[3, 5, 7, 9]])
    made = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=4,
        do_sample=False,
        output_attentions=True,
        return_dict_in_generate=True,
        pad_token_id=0,
    )
    tokens = [f"t{number}" for number in made.sequences[0, :-1].tolist()]
    with pytest.raises(InputError, match=r"run one forward pass over prompt and answer.*jaxflow\.stack_generated"):
        _ = jf.attribute_attention(made.attentions, tokens)
    stacked = jf.stack_generated(made.attentions)
    np.testing.assert_array_equal(jf.stack_generated(made), stacked)
    whole = model(made.sequences[:, :-1], output_attentions=True).attentions
    np.testing.assert_allclose(stacked, torch.stack(whole, 1).detach().numpy(), atol=1e-6)
    result = jf.attribute_attention(stacked, tokens, causal=True, queries="last", methods="rollout")
    assert result[0].queries.tolist() == [len(tokens) - 1]
    # Keys of a cache of fixed size are not all tokens up to the step.
    steps = tuple(tuple(np.pad(layer.detach(), [(0, 0)] * 3 + [(0, 2)]) for layer in step) for step in made.attentions)
    with pytest.raises(InputError, match=re.escape("have shape (1, 2, 4, 4) in every layer at step 1")):
        _ = jf.stack_generated(steps)
    beams = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=4,
        num_beams=3,
        do_sample=False,
        output_attentions=True,
        return_dict_in_generate=True,
        pad_token_id=0,
    )
    with pytest.raises(InputError, match="be of one sequence a row, got a beam search; pass num_beams=1, or run one"):
        _ = jf.stack_generated(beams)


def test_the_patches_of_an_image_are_tokens_too():
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, image_size=16, patch_size=8
    )
    model = transformers.ViTModel(config).eval()
    model.set_attn_implementation("eager")
    attentions = model(torch.randn(2, 3, 16, 16), output_attentions=True).attentions
    tokens = ["[CLS]"] + [f"{row},{column}" for row in range(2) for column in range(2)]
    result = jf.attribute_attention(attentions, [tokens] * 2, texts=["first.png", "second.png"])
    for index, example in enumerate(result):
        heads = torch.stack(attentions, 1)[index].detach().numpy()
        expected = by_hand(heads, np.ones(5, bool))
        for name in ("raw", "rollout", "flow"):
            np.testing.assert_allclose(example.relevance[name][:, 0], expected[name][:, 0], atol=2e-6)
        assert example.source == (-1, 0, 0, 0, 0)
