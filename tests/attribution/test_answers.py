"""Answers of decoders: every token explained by the position that predicted it, against torch's own numbers."""

import warnings

import numpy as np
import pytest
import tokenizers
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.evaluation.token_target import token_id
from jaxflow.mixing import AttentionGradient
from tests.attribution.test_attention_in_hand import by_hand
from tests.models.torch_architectures import GPT, WORDS, of
from tests.tiny_text_model import model_folder

pytestmark = pytest.mark.usefixtures("few_sizes")

PROMPTS = ["the key to the cabinets", "keys", "the key is on the table to"]
ANSWERS = ["is on the table", "is", "the cabinets is the key"]
SIZES = AttentionGradient(own="none")


def torch_model(made, tokenizer=WORDS, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*eager attention is switched on", UserWarning)
        return jf.TorchModel(made, tokenizer, **options)


@pytest.fixture(scope="module", params=["GPT-2", pytest.param("Llama", marks=pytest.mark.slow)])
def decoder(request):
    torch.manual_seed(3)
    return torch_model(of(request.param).make())


def ids_of(prompt, answer):
    """The prompt's ids and the answer's, each as the tokenizer cuts it alone."""
    return WORDS(prompt)["input_ids"], WORDS(answer, add_special_tokens=False)["input_ids"]


def outputs_of(model, ids):
    return model.model(input_ids=torch.tensor([ids]), output_attentions=True)


def column_sums(model, ids, number):
    """Sums of `relu(gradient * attention)`, mean over heads, over queries and layers: autograd on a whole text."""
    outputs = outputs_of(model, ids)
    gradients = torch.autograd.grad(number(outputs.logits[0]), outputs.attentions)
    products = [(a * g).clamp(min=0)[0].mean(0) for a, g in zip(outputs.attentions, gradients, strict=True)]
    return torch.stack(products).sum((0, 1)).detach().numpy()


def test_rows_are_those_of_the_positions_that_predicted_the_tokens(decoder):
    result = jf.attribute(decoder, PROMPTS, pairs=ANSWERS, queries="answer")
    assert result.certified_share == 1
    for prompt, answer, example in zip(PROMPTS, ANSWERS, result, strict=True):
        before, after = ids_of(prompt, answer)
        assert example.tokens == tuple(WORDS.convert_ids_to_tokens(before + after))
        assert example.prompt_tokens == tuple(WORDS.convert_ids_to_tokens(before))
        assert example.answer_tokens == tuple(WORDS.convert_ids_to_tokens(after))
        assert example.answer.tolist() == list(range(len(before), len(before) + len(after)))
        assert example.queries.tolist() == [place - 1 for place in example.answer]
        attention = torch.stack(outputs_of(decoder, before + after).attentions, 1)[0].detach().numpy()
        for name, expected in by_hand(attention, np.ones(attention.shape[-1], bool)).items():
            np.testing.assert_allclose(example.relevance[name], expected[:, example.queries], atol=3e-6, err_msg=name)


@pytest.mark.parametrize("left", [True, False])
def test_attention_in_hand_explains_the_answer_from_where_it_begins(decoder, left, tmp_path):
    expected = jf.attribute(decoder, PROMPTS, jf.Question(queries="answer"), pairs=ANSWERS)
    length = max(len(example.tokens) for example in expected)
    attentions, mask, tokens, starts = [], np.zeros((len(PROMPTS), length), bool), [], []
    for index, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        before, after = ids_of(prompt, answer)
        heads = torch.stack(outputs_of(decoder, before + after).attentions, 1)[0].detach().numpy()
        own = heads.shape[-1]
        first = length - own if left else 0
        attentions.append(np.zeros((*heads.shape[:2], length, length), np.float32))
        attentions[-1][..., first : first + own, first : first + own] = heads
        mask[index, first : first + own] = True
        row = WORDS.convert_ids_to_tokens(before + after)
        tokens.append(["[PAD]"] * first + row + ["[PAD]"] * (length - own - first))
        starts.append(first + len(before))
    result = jf.attribute_attention(np.stack(attentions), tokens, mask=mask, answer_starts=starts, texts=PROMPTS)
    assert result.question == expected.question
    for ours, other in zip(result, expected, strict=True):
        for name in ("text", "pair", "tokens", "prompt_tokens", "answer_tokens", "source", "offsets"):
            assert getattr(ours, name) == getattr(other, name), name
        np.testing.assert_array_equal(ours.queries, other.queries)
        np.testing.assert_array_equal(ours.answer, other.answer)
        for name in ("raw", "rollout", "flow"):
            np.testing.assert_allclose(ours.relevance[name], other.relevance[name], atol=3e-6, err_msg=name)
    _ = jf.write_page(result, tmp_path / "report.html")
    # One position for all, as that of padded prompts; and other positions, where they are asked for.
    single = jf.attribute_attention(attentions[0], tokens[0], mask=mask[0], answer_starts=np.int64(starts[0]))
    np.testing.assert_array_equal(single[0].relevance["flow"], result[0].relevance["flow"])
    (last,) = jf.attribute_attention(attentions[0], tokens[0], mask=mask[0], answer_starts=starts[0], queries="last")
    assert (last.queries.tolist(), last.answer) == ([len(last.tokens) - 1], None)


def test_each_token_is_explained_by_its_own_logit(decoder):
    ask = {"queries": "answer", "mixing": SIZES, "methods": ("column-sums", "flow", "rollout@attention")}
    result = jf.attribute(decoder, PROMPTS, pairs=ANSWERS, **ask)
    plain = jf.attribute(decoder, PROMPTS, pairs=ANSWERS, queries="answer", methods="rollout")
    for prompt, answer, example, other in zip(PROMPTS, ANSWERS, result, plain, strict=True):
        before, after = ids_of(prompt, answer)
        assert (example.tokens, example.offsets, example.source) == (other.tokens, other.offsets, other.source)
        for row, place in zip(example.relevance["column-sums"][-1], example.answer, strict=True):
            wanted = (before + after)[place]
            expected = column_sums(
                decoder, before + after, lambda logits, at=place - 1, token=wanted: logits[at, token]
            )
            np.testing.assert_allclose(row, expected, atol=2e-6, rtol=2e-4)
        # Nothing flows from what follows, and other mixings have the numbers that they have without a target.
        assert not example.relevance["flow"][:, 0, example.answer[0] :].any()
        assert example.certified.all()
        assert example.saturation["flow"].shape == example.relevance["flow"].shape
        np.testing.assert_allclose(example.relevance["rollout@attention"], other.relevance["rollout"], atol=1e-6)
    assert sum(result.stages.values()) > 0


@pytest.mark.parametrize("target", [jf.Token("is", "to"), jf.Token("is")])
def test_a_token_against_a_foil_at_every_token_of_an_answer(decoder, target):
    result = jf.attribute(
        decoder, PROMPTS, pairs=ANSWERS, queries="answer", mixing=SIZES, methods="column-sums", target=target
    )
    word, foil = (WORDS.get_vocab()[each] for each in ("is", "to"))
    against = not (isinstance(target, jf.Token) and target.against is None)
    for prompt, answer, example in zip(PROMPTS, ANSWERS, result, strict=True):
        before, after = ids_of(prompt, answer)
        for row, place in zip(example.relevance["column-sums"][-1], example.answer, strict=True):
            expected = column_sums(
                decoder, before + after, lambda logits, at=place - 1: logits[at, word] - against * logits[at, foil]
            )
            np.testing.assert_allclose(row, expected, atol=2e-6, rtol=2e-4)


@pytest.mark.parametrize("target", [jf.Token("is", "to"), ("is", "to"), None])
def test_the_next_token_against_a_foil_in_a_batch(decoder, target):
    # What follows the last token, for texts of different lengths.
    result = jf.attribute(decoder, PROMPTS, mixing=SIZES, methods="column-sums", target=target)
    word, foil = (WORDS.get_vocab()[each] for each in ("is", "to"))
    for prompt, example in zip(PROMPTS, result, strict=True):
        ids = WORDS(prompt)["input_ids"]
        number = {
            None: lambda logits: logits[-1].max(),
        }.get(target, lambda logits: logits[-1, word] - logits[-1, foil])
        row = example.relevance["column-sums"][-1, 0]
        np.testing.assert_allclose(row, column_sums(decoder, ids, number), atol=2e-6, rtol=2e-4)


def test_a_token_that_the_vocabulary_writes_otherwise():
    # Byte-level vocabularies write a blank as a letter: " is" is "Ġis".
    words = {letter: number for number, letter in enumerate("Ġisare")} | {"Ġi": 6, "Ġis": 7}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(words, [("Ġ", "i"), ("Ġi", "s")]))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made = transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT | {"vocab_size": 8}))
    model = torch_model(made, transformers.PreTrainedTokenizerFast(tokenizer_object=backend))
    assert [token_id(model, each) for each in (" is", "Ġis", "i", 3, "3")] == [7, 7, 1, 3, 3]
    with pytest.raises(InputError, match=r"be one token .* which is 4 of them"):
        token_id(model, " are")


def test_answers_are_generated_greedily_and_end_with_the_text(decoder):
    end = decoder.model.config.eos_token_id
    ids = [WORDS(prompt)["input_ids"] for prompt in PROMPTS]
    wanted = []
    for row in ids:
        answer = []
        while len(answer) < 6 and (not answer or answer[-1] != end):
            answer.append(int(outputs_of(decoder, row + answer).logits[0, -1].argmax()))
        wanted.append([each for each in answer if each != end])
    assert jf.generate(decoder, PROMPTS, new_tokens=6) == [WORDS.decode(answer) for answer in wanted]
    result = jf.attribute(decoder, PROMPTS, queries="answer", methods="raw", new_tokens=6)
    for row, answer, example in zip(ids, wanted, result, strict=True):
        # An answer of none is explained as the token that ended the text.
        assert example.tokens == tuple(WORDS.convert_ids_to_tokens(row + (answer or [end])))
        assert example.answer.tolist() == list(range(len(row), len(example.tokens)))
        assert example.pair == WORDS.decode(answer or [end])


def test_generation_stops_at_the_token_that_ends_a_text(decoder):
    ids = WORDS(PROMPTS[0])["input_ids"]
    first = int(outputs_of(decoder, ids).logits[0, -1].argmax())
    before = decoder.model.generation_config.eos_token_id
    try:
        decoder.model.generation_config.eos_token_id = first
        assert jf.generate(decoder, PROMPTS[0]) == [""]
    finally:
        decoder.model.generation_config.eos_token_id = before
    assert len(WORDS(jf.generate(decoder, PROMPTS[0], new_tokens=3)[0])["input_ids"]) >= 1


def test_results_are_stored_and_shown(decoder, tmp_path):
    result = jf.attribute(decoder, PROMPTS, pairs=ANSWERS, queries="answer", methods=("rollout", "flow"))
    frame = result.to_pandas()
    assert list(frame["answer"]) == list(frame["query"] + 1)
    first = frame[(frame["example"] == 0) & (frame["layer"] == 1) & (frame["position"] == 0)]
    assert first["answer_token"].tolist() == list(result[0].answer_tokens)
    opened = jf.open_sweep(result.save(tmp_path / "results"))
    for again, example in zip(opened, result, strict=True):
        assert again.answer.tolist() == example.answer.tolist()
        assert again.answer_tokens == example.answer_tokens
        np.testing.assert_array_equal(again.relevance["flow"], example.relevance["flow"])
    assert jf.Question(queries="answer") == jf.Question.from_json(jf.Question(queries="answer").as_json())
    others = jf.attribute(decoder, PROMPTS, methods="raw")
    assert others[0].answer is None
    assert "answer" not in others.to_pandas()


def test_a_prompt_that_is_cut_keeps_its_end(decoder):
    (encoding,) = decoder.tokenize(PROMPTS[:1], ANSWERS[:1], max_length=7, truncate=True)
    assert encoding.tokens == ("[CLS]", "cabinets", "[SEP]", "is", "on", "the", "table")
    (encoding,) = decoder.tokenize(PROMPTS[:1], ANSWERS[:1], max_length=4, truncate=True)
    assert encoding.tokens == ("[CLS]", "[SEP]", "is", "on")
    with pytest.raises(InputError, match="at most 7 tokens with its answer, got 11"):
        decoder.tokenize(PROMPTS[:1], ANSWERS[:1], max_length=7)


def test_what_cannot_be_answered_is_said_in_one_line(decoder):
    ask = {"queries": "answer", "methods": "raw"}
    with pytest.raises(InputError, match=r"`queries` must be positions .* is no decoder that continues texts"):
        jf.attribute(jf.load_model(str(model_folder())), PROMPTS, **ask)
    bare = torch_model(
        transformers.GPT2Model(decoder.model.config)
        if "gpt" in decoder.model.config.model_type
        else transformers.LlamaModel(decoder.model.config)
    )
    with pytest.raises(InputError, match=r"language-modelling head and a tokenizer.*pass the answers as `pairs`"):
        jf.attribute(bare, PROMPTS, **ask)
    # Without the head there is no number to explain, and still attention to follow.
    assert jf.attribute(bare, PROMPTS, pairs=ANSWERS, **ask)[1].answer_tokens == ("is",)
    with pytest.raises(InputError, match=r"`pairs\[1\]` must be a text that is not empty"):
        jf.attribute(decoder, PROMPTS, pairs=["is", " ", "on"], **ask)
    with pytest.raises(InputError, match="`pairs` must have one text for each of the 3"):
        jf.attribute(decoder, PROMPTS, pairs=["is"], **ask)
    long = torch_model(decoder.model, max_length=32)
    with pytest.raises(InputError, match=r"`texts\[0\]` must have at most 31 tokens, got 42"):
        jf.attribute(long, ["the " * 40], **ask)
    with pytest.raises(InputError, match=r"`texts\[0\]` must have at most 31 tokens, so that one can follow, got 32"):
        jf.generate(long, ["the " * 30])
    (cut,) = jf.attribute(long, ["the " * 40], new_tokens=8, truncate=True, **ask)
    assert len(cut.prompt_tokens) == 24
    with pytest.raises(InputError, match="`new_tokens` must be a whole number"):
        jf.generate(decoder, PROMPTS, 0)
    with pytest.raises(InputError, match="be what follows a decoder's text, got at 3; leave `at` out"):
        jf.attribute(decoder, PROMPTS, mixing=SIZES, target=jf.Token("is", at=3))
    with pytest.raises(InputError, match="be one token of the model's vocabulary, got 'unheard'"):
        jf.attribute(decoder, PROMPTS, mixing=SIZES, target=jf.Token("unheard"))


def test_progress_counts_texts_not_their_parts(decoder):
    told = []
    _ = jf.attribute(
        decoder, PROMPTS, pairs=ANSWERS, queries="answer", mixing=SIZES, methods="raw", progress=told.append
    )
    assert sum(told) == len(PROMPTS)
