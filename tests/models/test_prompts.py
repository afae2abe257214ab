"""Prompts of decoders: conversations by the chat template, and what is no sequence of texts."""

import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from tests.models.decoders import make

MESSAGE = {"role": "user", "content": "the key"}
PARTS = [{"role": "user", "content": [{"type": "text", "text": "the "}, {"type": "text", "text": "key"}]}]
OF_TEXT = "{% for each in messages %}{{ each['content'] + ' is' }}{% endfor %}"
OF_PARTS = "{% for each in messages %}{% for part in each['content'] %}on {{ part['text'] }} {% endfor %}{% endfor %}"
PRINTED = "{% for each in messages %}{{ each['content'] }} is{% endfor %}"


@pytest.fixture
def decoder(tmp_path, tiny):
    return make("llama", "next_token", tmp_path, tiny)[1]


def refused(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1


def test_a_dictionary_is_no_sequence_of_texts(decoder):
    for call in (jf.generate, jf.attribute):
        refused(lambda call=call: call(decoder, MESSAGE), "`texts` must be a sequence of texts, got one message; put a")
        refused(lambda call=call: call(decoder, {"text": ["the key"]}), "got dict; pass a column of it")
    refused(lambda: decoder.tokenize({"text": 1}), "`texts` must be a sequence of texts, got dict")
    refused(lambda: jf.attribute(decoder, ["the"], pairs={"key": 1}), "`pairs` must be a sequence of texts, got dict")


@pytest.mark.parametrize(
    ("template", "words"), [(OF_TEXT, "the key is"), (PRINTED, "the key is"), (OF_PARTS, "on the on key")]
)
def test_parts_of_text_are_read_by_every_template(decoder, template, words):
    decoder.tokenizer.chat_template = template
    expected = decoder.tokenize([words])[0].tokens
    (example,) = jf.attribute(decoder, PARTS, methods="raw")
    assert example.tokens == expected
    assert jf.generate(decoder, PARTS, new_tokens=2) == jf.generate(decoder, [words], new_tokens=2)


def test_conversations_that_no_template_takes_get_one_line(decoder):
    decoder.tokenizer.chat_template = OF_TEXT
    picture = [{"role": "user", "content": [{"type": "image", "url": "a.png"}]}]
    refused(lambda: jf.generate(decoder, picture), "`texts` must be messages of text, got a part of type 'image'; ")
    number = [[{"role": "user", "content": 3}]]
    refused(lambda: jf.generate(decoder, number), r"`texts\[0\]` must be messages that .* as in {'role': 'user', 'con")
    decoder.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    refused(lambda: jf.generate(decoder, PARTS), "got 'roles must alternate'; as in")
