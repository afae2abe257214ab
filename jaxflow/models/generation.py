"""Greedy continuations of prompts."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Protocol, TypeGuard, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxflow._checks import InputError, as_count, not_forked, shown
from jaxflow._pytree import pytree
from jaxflow._typing import Inputs
from jaxflow._untyped import Tokenizer
from jaxflow.models.answers import Continuation, Generates, answer_of, continues, with_answer
from jaxflow.models.batch import TokenBatch
from jaxflow.models.encoder.on_cpu import compiler_options, layers_apart, runs_here
from jaxflow.models.forward import ForwardOptions
from jaxflow.models.groups import groups_of
from jaxflow.models.model import Model, Module, as_model
from jaxflow.models.recording import RecordsBatches
from jaxflow.models.tokens import Encoding
from jaxflow.models.two_streams import Writes, encoder_layers_of

# Most tokens of an answer, where nothing else is said.
NEW_TOKENS = 64
# Rows of ids are as long as a multiple of this, so that few programs are compiled.
STEP = 64


def generate(model: Model, prompts: Inputs, new_tokens: int = NEW_TOKENS) -> list[str]:
    """The likeliest continuation of each prompt: at each place the likeliest next token, until the text's end.

        answers = jf.generate(model, prompts)
        result = jf.attribute(model, prompts, pairs=answers, queries="answer")

    Args:
        model: a decoder with its language-modelling head, from `load_model` or as a `TorchModel`; or an
            encoder-decoder, whose texts are the targets that it writes to the prompts.
        prompts: a sequence of texts, or one; or conversations, each a list of messages, see `as_prompts`.
        new_tokens: most tokens of an answer; fewer where the model's length ends.

    Returns:
        A text for each prompt, without the token that ended it; one that is empty ended at once. Cost: keys and values
        are kept, so a token costs one position's pass; a model of your own in JAX is run anew for each token unless its
        module is a `Continues`.

    Raises:
        InputError: the model continues no texts; a prompt cannot be read, or leaves no room for an answer.
    """
    not_forked()
    model = as_model("model", model)
    if encoder_layers_of(model):
        check_generates(model)
        new_tokens = as_count("new_tokens", new_tokens)
        assert isinstance(model, Writes)
        written = model.write([prompts] if isinstance(prompts, str) else prompts, new_tokens)
        return [each.written or "" for each in written]
    encodings = model.tokenize(as_prompts(model, prompts))
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
    tokens = as_count("new_tokens", tokens)
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


def settled_tokens(model: Model, tokens: int | None) -> int:
    """Most tokens of what a model writes: as asked; or where nothing is said its own number, or `NEW_TOKENS`.

    Raises:
        InputError: it is no whole number above 0, or the model is an encoder-decoder that takes none.
    """
    targets = bool(encoder_layers_of(model))
    if tokens is None:
        return model.new_tokens if targets and isinstance(model, Writes) else NEW_TOKENS
    tokens = as_count("new_tokens", tokens)
    if targets and not isinstance(model, Writes):
        got = f"{tokens}, and {model.name} has no `write` that takes it"
        raise InputError("new_tokens", "be left out where a model writes its targets another way", got)
    return tokens


def check_generates(model: Model) -> None:
    """Refuse a model that continues no texts.

    Raises:
        InputError: it is no decoder with a language-modelling head, or has no tokenizer.
    """
    reads = bool(encoder_layers_of(model)) and isinstance(model, Writes)
    can = (reads or continues(model.head, causal=model.causal)) and model.head.name == "next_token"
    if can and not reads and not isinstance(model, Generates) and isinstance(model, RecordsBatches):
        can = False
    if not can or getattr(model, "tokenizer", None) is None:
        expected = "be a decoder or an encoder-decoder with a language-modelling head and a tokenizer, to write answers"
        raise InputError("model", expected, model.name, "pass the answers as `pairs`")


def as_prompts(model: Model, prompts: Inputs) -> Any:
    """Prompts as texts; conversations by the tokenizer's chat template.

    A conversation is a list of messages, dictionaries of `role` and `content`. Its text is what the template makes of
    it, with the beginning of an answer; what the tokenizer puts in front of every text is not put there twice. Content
    in parts of text goes to templates that take none as the parts' text, one behind the other.

    Raises:
        InputError: a conversation goes with no template, or the template refuses it.
    """
    if isinstance(prompts, str):
        return [prompts]
    if not isinstance(prompts, Sequence):
        return prompts
    if _is_conversation(prompts):
        return [_conversation(model, prompts, "texts")]
    return [
        each if isinstance(each, str) or not _is_conversation(each) else _conversation(model, each, f"texts[{index}]")
        for index, each in enumerate(prompts)
    ]


def _is_conversation(value: object) -> TypeGuard[Sequence[Mapping[str, object]]]:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _conversation(model: Model, messages: Sequence[Mapping[str, object]], argument: str) -> str:
    tokenizer: Tokenizer = getattr(model, "tokenizer", None)
    if getattr(tokenizer, "chat_template", None) is None:
        got = f"a conversation, and the tokenizer of {model.name} has no chat template"
        raise InputError(argument, "be a text", got, "pass the prompt as one text")
    text = _by_template(tokenizer, messages, argument)
    first = tokenizer.bos_token
    # A tokenizer that puts the first token in front of every text would put it there a second time.
    begins = first is not None and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(str(first)) if begins else text


def _by_template(tokenizer: Tokenizer, messages: Sequence[Mapping[str, object]], argument: str) -> str:
    """A conversation's text; parts of content as one text where the template takes no parts."""

    def written(given: Sequence[Mapping[str, object]]) -> str:
        return tokenizer.apply_chat_template(list(given), tokenize=False, add_generation_prompt=True)

    in_parts = [each for each in messages if _is_conversation(each.get("content"))]
    joined = [
        {**each, "content": _joined(each["content"], argument)} if each in in_parts else each for each in messages
    ]
    if in_parts:
        with suppress(Exception):
            text = written(messages)
            # Templates of texts may print a list as Python does.
            if not any(str(each["content"]) in text for each in in_parts):
                return text
    try:
        return written(joined)
    except Exception as error:  # Templates raise what they like.
        expected, way_out = (
            "be messages that the chat template takes",
            "as in {'role': 'user', 'content': 'a text'}",
        )
        raise InputError(argument, expected, shown(str(error)), way_out) from error


def _joined(content: Any, argument: str) -> str:
    """Parts of text as one text."""
    other = next((part for part in content if not isinstance(part.get("text"), str)), None)
    if other is not None:
        got, way_out = f"a part of type {shown(other.get('type'))}", "leave out what is no text"
        raise InputError(argument, "be messages of text", got, way_out)
    return "".join(str(part["text"]) for part in content)


def _tokenizer(model: Any) -> Tokenizer:
    return model.tokenizer


def _text(model: Model, ids: tuple[int, ...]) -> str:
    return answer_of(_tokenizer(model), ids)[0] if ids else ""


@runtime_checkable
class Continues(Module, Protocol):
    """A module that keeps what it needs of the tokens so far, so that a token more costs one position's pass."""

    def begin(self, batch: TokenBatch, room: int) -> tuple[Float[Array, "row vocabulary"], PyTree]:
        """Scores of the token behind each text, padded on the right, and what is kept, with room for so many more."""
        ...

    def follow(
        self, ids: Int[Array, " row"], real: Bool[Array, " row"], kept: PyTree
    ) -> tuple[Float[Array, "row vocabulary"], PyTree]:
        """Scores of the token behind one more of each text; `real` are the texts that have one."""
        ...


def _in_jax(model: Model, prompts: Sequence[Encoding], tokens: int) -> list[tuple[int, ...]]:
    """Answers of a model that runs in JAX: batches of prompts of like length, each in one compiled loop."""
    end = getattr(_tokenizer(model), "eos_token_id", None)
    answers: dict[int, tuple[int, ...]] = {}
    for chosen in groups_of([len(prompt) for prompt in prompts], alike=False):
        batch = [prompts[index] for index in chosen]
        length = min(-(-max(map(len, batch)) // STEP) * STEP, model.max_length)
        # Each answer ends where the model's length does.
        most = [min(tokens, model.max_length - len(prompt)) for prompt in batch]
        rows = continued(model, model.pad(batch, length), most, () if end is None else (int(end),))
        answers |= {index: row.ids for index, row in zip(chosen, rows, strict=True)}
    return [answers[index] for index in range(len(prompts))]


def continued(model: Model, batch: TokenBatch, most: Sequence[int], ends: Sequence[int]) -> list[Continuation]:
    """The likeliest ids behind each text of a batch, at most so many of each, and the one that ended it."""
    module, options = model.module, ()
    leaves, shape = jax.tree.flatten(module)
    if runs_here(module, batch):
        apart = layers_apart(module, model.kept)
        leaves, shape, options = apart.parameters, apart.shape, tuple(compiler_options().items())
    # So that few programs are compiled, there is room for a multiple of `STEP`.
    room = -(-max(most) // STEP) * STEP
    limits = jnp.asarray(most, jnp.int32)
    # Padded with a number that no token has, so that models with more or fewer ends share a program.
    last = jnp.asarray(([*ends, -1, -1, -1, -1])[: max(4, len(ends))], jnp.int32)
    ids, sizes = _loop(options)(tuple(leaves), batch, limits, last, shape=shape, room=room)
    rows = zip(np.asarray(ids).tolist(), np.asarray(sizes).tolist(), most, strict=True)
    # Where there are fewer than there may be, the end stands behind them.
    return [Continuation(tuple(row[:size]), row[size] if size < limit else None) for row, size, limit in rows]


# One jitted function for each set of options, so that all models share its cache.
@cache
def _loop(options: tuple[tuple[str, str], ...]) -> Callable[..., tuple[Int[Array, "row token"], Int[Array, " row"]]]:
    def run(
        parameters: tuple[Array, ...],
        batch: TokenBatch,
        limits: Int[Array, " row"],
        ends: Int[Array, " end"],
        *,
        shape: Any,
        room: int,
    ) -> tuple[Int[Array, "row token"], Int[Array, " row"]]:
        """The ids of the answers, and how many of each are real."""
        module = jax.tree.unflatten(shape, parameters)
        module = module if isinstance(module, Continues) else Anew(module)

        def chosen(state: _Written, scores: Array, kept: PyTree) -> _Written:
            following = jnp.argmax(scores, axis=-1).astype(jnp.int32)
            done = state.done | jnp.isin(following, ends)
            ids = jax.lax.dynamic_update_slice_in_dim(state.ids, following[:, None], state.count, 1)
            sizes = state.sizes + (~done).astype(jnp.int32)
            return _Written(ids, sizes, done | (sizes >= limits), state.count + 1, kept)

        def step(state: _Written) -> _Written:
            last = jax.lax.dynamic_index_in_dim(state.ids, state.count - 1, 1, keepdims=False)
            return chosen(state, *module.follow(last, ~state.done, state.kept))

        none = jnp.zeros_like(limits)
        ids = jnp.zeros((limits.shape[0], room), jnp.int32)
        first = chosen(_Written(ids, none, none > 0, jnp.int32(0), None), *module.begin(batch, room))
        state = jax.lax.while_loop(lambda state: ~jnp.all(state.done), step, first)
        return state.ids, state.sizes

    return jax.jit(run, static_argnames=("shape", "room"), compiler_options=dict(options))


@pytree
class _Written:
    """The answers so far: their ids, how many of each are real, which are done, steps taken, what the model keeps."""

    ids: Int[Array, "row token"]
    sizes: Int[Array, " row"]
    done: Bool[Array, " row"]
    count: Int[Array, ""]
    kept: PyTree


@pytree
class Anew:
    """`Continues` for any module, which is run anew over the whole text for each token.

    Attributes:
        module: a decoder.
    """

    module: Module

    def begin(self, batch: TokenBatch, room: int) -> tuple[Float[Array, "row vocabulary"], PyTree]:
        """Keeps the texts themselves, and how long each is."""
        ids = jnp.pad(batch.input_ids, ((0, 0), (0, room)))
        sizes = jnp.sum(batch.mask, axis=-1, dtype=jnp.int32)
        return self._scores(ids, sizes), (ids, sizes)

    def follow(
        self, ids: Int[Array, " row"], real: Bool[Array, " row"], kept: PyTree
    ) -> tuple[Float[Array, "row vocabulary"], PyTree]:
        """One more token, and the whole text again."""
        texts, sizes = kept
        here = (jnp.arange(texts.shape[-1]) == sizes[:, None]) & real[:, None]
        texts, sizes = jnp.where(here, ids[:, None], texts), sizes + real.astype(sizes.dtype)
        return self._scores(texts, sizes), (texts, sizes)

    def _scores(self, ids: Int[Array, "row token"], sizes: Int[Array, " row"]) -> Float[Array, "row vocabulary"]:
        # Tokens that are not there yet are padding.
        batch = TokenBatch(ids, jnp.arange(ids.shape[-1]) < sizes[:, None], jnp.zeros_like(ids))
        hidden, _ = self.module.run(batch, lambda carry, layer: carry, None, ForwardOptions())
        return self.module.logits(hidden, batch)
