"""Greedy continuations of prompts."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxflow._checks import InputError, not_forked, shown
from jaxflow.models.answers import Generates, answer_of, continues, with_answer
from jaxflow.models.batch import TokenBatch
from jaxflow.models.forward import ForwardOptions
from jaxflow.models.model import Model, Module, as_model
from jaxflow.models.recording import RecordsBatches
from jaxflow.models.tokens import Encoding

# Most tokens of an answer, where nothing else is said.
NEW_TOKENS = 64
# Prompts that are continued together.
TOGETHER = 8
# Rows of ids are as long as a multiple of this, so that few programs are compiled.
STEP = 64


def generate(model: Model, prompts: Any, new_tokens: int = NEW_TOKENS) -> list[str]:
    """The likeliest continuation of each prompt: at each place the likeliest next token, until the text's end.

        answers = jf.generate(model, prompts)
        result = jf.attribute(model, prompts, pairs=answers, queries="answer")

    Args:
        model: a decoder with its language-modelling head, from `load_model` or as a `TorchModel`.
        prompts: a sequence of texts, or one; or conversations, each a list of messages, see `as_prompts`.
        new_tokens: most tokens of an answer; fewer where the model's length ends.

    Returns:
        A text for each prompt, without the token that ended it; one that is empty ended at once. Cost: a decoder of
        transformers keeps keys and values, so a token costs one position's pass; one that runs in JAX is run anew for
        each token, in one compiled loop.

    Raises:
        InputError: the model continues no texts; a prompt cannot be read, or leaves no room for an answer.
    """
    not_forked()
    model = as_model("model", model)
    prompts = as_prompts(model, prompts)
    encodings = model.tokenize(prompts)
    return [_text(model, ids) for ids in generate_ids(model, encodings, new_tokens)]


def generate_answers(model: Model, prompts: Sequence[Encoding], tokens: int) -> list[tuple[str, Encoding]]:
    """A generated answer to each prompt: its text, and the tokens of both.

    Raises:
        InputError: as `generate`.
    """
    made = []
    for prompt, ids in zip(prompts, generate_ids(model, prompts, tokens), strict=True):
        text, answer = answer_of(_tokenizer(model), ids)
        made.append((text, with_answer(prompt, answer)))
    return made


def generate_ids(model: Model, prompts: Sequence[Encoding], tokens: int) -> list[tuple[int, ...]]:
    """The ids of the answer to each prompt, without the token that ends it."""
    check_generates(model)
    check_tokens(tokens)
    for index, prompt in enumerate(prompts):
        if len(prompt) >= model.max_length:
            expected = f"have at most {model.max_length - 1} tokens, so that one can follow"
            raise InputError(f"texts[{index}]", expected, str(len(prompt)), "shorten it")
    if isinstance(model, Generates):
        return model.generate(prompts, int(tokens))
    return _in_jax(model, prompts, int(tokens))


def prompt_length(model: Model, max_length: int | None, tokens: int, *, truncate: bool) -> int:
    """Most tokens of a prompt that an answer is generated to: one may follow, or all `tokens` where prompts are cut."""
    limit = model.max_length if max_length is None else min(max_length, model.max_length)
    return limit - (tokens if truncate else 1)


def check_tokens(tokens: Any) -> None:
    """Refuse a number of new tokens that is none.

    Raises:
        InputError: it is no whole number above 0.
    """
    if isinstance(tokens, bool) or not isinstance(tokens, int | np.integer) or tokens < 1:
        raise InputError("new_tokens", "be a whole number, 1 or more", shown(tokens))


def check_generates(model: Model) -> None:
    """Refuse a model that continues no texts.

    Raises:
        InputError: it is no decoder with a language-modelling head, or has no tokenizer.
    """
    can = continues(model.head, causal=model.causal) and model.head.name == "next_token"
    if can and not isinstance(model, Generates) and isinstance(model, RecordsBatches):
        can = False
    if not can or getattr(model, "tokenizer", None) is None:
        expected = "be a decoder with a language-modelling head and a tokenizer, to generate answers"
        raise InputError("model", expected, model.name, "pass the answers as `pairs`")


def as_prompts(model: Model, prompts: Any) -> Any:
    """Prompts as texts; conversations by the tokenizer's chat template.

    A conversation is a list of messages, dictionaries of `role` and `content`. Its text is what the template makes of
    it, with the beginning of an answer; what the tokenizer puts in front of every text is not put there twice.

    Raises:
        InputError: a conversation goes with no template, or the template refuses it.
    """
    if isinstance(prompts, str):
        return [prompts]
    if not isinstance(prompts, Sequence):
        return prompts
    if prompts and all(isinstance(each, Mapping) for each in prompts):
        return [_conversation(model, prompts, "texts")]
    return [
        each if isinstance(each, str) or not _is_conversation(each) else _conversation(model, each, f"texts[{index}]")
        for index, each in enumerate(prompts)
    ]


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _conversation(model: Model, messages: Sequence[Any], argument: str) -> str:
    tokenizer: Any = getattr(model, "tokenizer", None)
    if getattr(tokenizer, "chat_template", None) is None:
        got = f"a conversation, and the tokenizer of {model.name} has no chat template"
        raise InputError(argument, "be a text", got, "pass the prompt as one text")
    try:
        text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    except Exception as error:  # Templates raise what they like.
        raise InputError(argument, "be messages that the chat template takes", shown(str(error))) from error
    first = tokenizer.bos_token
    # A tokenizer that puts the first token in front of every text would put it there a second time.
    begins = first is not None and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(first) if begins else text


def _tokenizer(model: Any) -> Any:
    return model.tokenizer


def _text(model: Model, ids: tuple[int, ...]) -> str:
    return answer_of(_tokenizer(model), ids)[0] if ids else ""


def _in_jax(model: Model, prompts: Sequence[Encoding], tokens: int) -> list[tuple[int, ...]]:
    """Answers of a model that runs in JAX: batches of prompts of like length, each in one compiled loop."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    end = getattr(_tokenizer(model), "eos_token_id", None)
    answers: dict[int, tuple[int, ...]] = {}
    for start in range(0, len(order), TOGETHER):
        chosen = order[start : start + TOGETHER]
        batch = [prompts[index] for index in chosen]
        longest = max(map(len, batch))
        length = min(-(-(longest + tokens) // STEP) * STEP, model.max_length)
        padded = model.pad(batch, length)
        # No more than fits behind the longest prompt of all; each row stops at its own end as well.
        ids, sizes = _loop(model.module, padded, jnp.int32(-1 if end is None else end), jnp.int32(tokens))
        rows, sizes = np.asarray(ids), np.asarray(sizes)
        for index, prompt, row, size in zip(chosen, batch, rows, sizes, strict=True):
            answers[index] = tuple(map(int, row[len(prompt) : int(size)]))
    return [answers[index] for index in range(len(prompts))]


@partial(jax.jit)
def _loop(
    module: Module, batch: TokenBatch, end: Int[Array, ""], tokens: Int[Array, ""]
) -> tuple[Int[Array, "row token"], Int[Array, " row"]]:
    """The ids of prompts with their answers, and how many of each are real; the token that ends a text is not."""
    length = batch.mask.shape[-1]
    before = jnp.sum(batch.mask, axis=-1, dtype=jnp.int32)
    places = jnp.arange(length)

    def goes_on(state: tuple[Array, Array, Bool[Array, " row"]]) -> Bool[Array, ""]:
        return ~jnp.all(state[2])

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        ids, sizes, done = state
        # Tokens that are not there yet are padding.
        now = TokenBatch(ids, places < sizes[:, None], jnp.zeros_like(ids))
        hidden, _ = module.run(now, lambda carry, layer: carry, None, ForwardOptions())
        following = jnp.argmax(module.logits(hidden, now), axis=-1).astype(jnp.int32)
        done = done | (following == end)
        ids = jnp.where((places == sizes[:, None]) & ~done[:, None], following[:, None], ids)
        sizes = sizes + (~done).astype(sizes.dtype)
        return ids, sizes, done | (sizes - before >= tokens) | (sizes >= length)

    ids, sizes, _ = jax.lax.while_loop(goes_on, step, (batch.input_ids, before, before >= length))
    return ids, sizes
