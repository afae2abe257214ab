"""Classifiers trained here on texts whose evidence was planted: a word, a pair of words that must agree, a count."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments._say import say
from experiments.ground_truth.table import Asked
from jaxflow.models import TextEncoder, new_encoder

FILLERS = (
    "river",
    "stone",
    "cloud",
    "paper",
    "window",
    "garden",
    "letter",
    "winter",
    "music",
    "table",
    "bread",
    "shadow",
)
ONES, OTHERS = ("red", "blue"), ("north", "south")
TRIGGER = ("alarm",)
WORDS = (*FILLERS, *ONES, *OTHERS, *TRIGGER)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Lengths of texts in words; a text stands between two special tokens.
SHORTEST, LONGEST = 8, 12
STEPS, BATCH, RATE = 1500, 64, 3e-3

Words = list[str]
# Words, whether the answer is yes, and the places that it depends on.
Example = tuple[Words, bool, list[int]]


def _planted(rng: np.random.Generator, words: Words) -> tuple[Words, list[int]]:
    """Fillers with some words put among them, and where these stand."""
    length = int(rng.integers(SHORTEST, LONGEST + 1))
    text = [str(word) for word in rng.choice(FILLERS, length)]
    places = rng.choice(length, len(words), replace=False)
    for place, word in zip(places, words, strict=True):
        text[int(place)] = word
    return text, sorted(map(int, places))


def trigger(rng: np.random.Generator) -> Example:
    """Yes where the text has the trigger; without it nothing is evidence."""
    yes = bool(rng.random() < 0.5)
    text, places = _planted(rng, list(TRIGGER) if yes else [])
    return text, yes, places


def pair(rng: np.random.Generator) -> Example:
    """Yes where the two words agree; neither says anything without the other."""
    one, other = int(rng.integers(2)), int(rng.integers(2))
    text, places = _planted(rng, [ONES[one], OTHERS[other]])
    return text, one == other, places


def count(rng: np.random.Generator) -> Example:
    """Yes where there are more of the one word than of the other, by one; both are evidence."""
    fewer, yes = int(rng.integers(0, 3)), bool(rng.random() < 0.5)
    many, few = (ONES[0], ONES[1]) if yes else (ONES[1], ONES[0])
    text, places = _planted(rng, [many] * (fewer + 1) + [few] * fewer)
    return text, yes, places


TASKS: dict[str, Callable[[np.random.Generator], Example]] = {"trigger": trigger, "pair": pair, "count": count}


@dataclass(frozen=True, eq=False)
class Trained:
    """A classifier and its accuracy on texts that it was not trained on."""

    model: TextEncoder
    accuracy: float


def new_model(seed: int) -> TextEncoder:
    """A small encoder with a classifier of two classes on its first token, untrained."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    ids = {word: index for index, word in enumerate((*SPECIAL, *WORDS))}
    words: Any = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))  # noqa: S106
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    names = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, **names)
    config = transformers.BertConfig(
        vocab_size=len(ids),
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=LONGEST + 2,
        initializer_range=0.1,
        id2label={0: "no", 1: "yes"},
        label2id={"no": 0, "yes": 1},
    )
    return new_encoder(config, tokenizer, head="sequence_classification", seed=seed)


def _batch(model: TextEncoder, examples: list[Example]) -> Any:
    """Examples of one padded length, so that one program serves all batches."""
    return model.pad(model.tokenize([" ".join(words) for words, _, _ in examples]), LONGEST + 2)


def trained(task: str, seed: int, steps: int = STEPS, held_out: int = 1000) -> Trained:
    """A classifier of a task, trained on new texts at every step."""
    rng, draw, model = np.random.default_rng((seed, len(task))), TASKS[task], new_model(seed)
    graph, parameters = nnx.split(model.module)
    optimizer = _optimizer(steps)
    state = optimizer.init(parameters)
    # A pool of texts is drawn and tokenized once; each step takes some of it.
    pool = [draw(rng) for _ in range(8192)]
    batch, labels = _batch(model, pool), jnp.asarray([int(yes) for _, yes, _ in pool])
    for begin in range(0, steps, 500):
        picks = jnp.asarray(rng.integers(0, len(pool), (min(500, steps - begin), BATCH)))
        parameters, state, loss = _steps(graph, optimizer, parameters, state, batch, labels, picks)
        say(f"{task}, seed {seed}, step {begin + len(picks)}: loss {float(loss):.4f}")
    nnx.update(model.module, parameters)
    fresh = [draw(rng) for _ in range(held_out)]
    answers = np.asarray(model(_batch(model, fresh)).logits).argmax(-1)
    return Trained(model, float(np.mean(answers == [yes for _, yes, _ in fresh])))


# One object, so that the steps are compiled once for all seeds.
@cache
def _optimizer(steps: int) -> optax.GradientTransformation:
    rise = steps // 10
    ramps = [optax.linear_schedule(0, RATE, rise), optax.linear_schedule(RATE, 0, steps - rise)]
    schedule = optax.join_schedules(ramps, [rise])
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=0.01))


@partial(jax.jit, static_argnums=(0, 1))
def _steps(graph: Any, optimizer: Any, parameters: Any, state: Any, batch: Any, labels: Any, picks: Any) -> Any:
    """Many steps in one program; the mean loss of all of them."""

    def loss_of(parameters: Any, rows: Any, answers: Any) -> Any:
        logits = nnx.merge(graph, parameters)(rows, return_attention=False, return_hidden_states=False).logits
        return optax.softmax_cross_entropy_with_integer_labels(logits, answers).mean()

    def step(carry: Any, pick: Any) -> Any:
        parameters, state = carry
        rows = jax.tree.map(lambda leaf: leaf[pick], batch)
        loss, gradient = jax.value_and_grad(loss_of)(parameters, rows, labels[pick])
        updates, state = optimizer.update(gradient, state, parameters)
        return (optax.apply_updates(parameters, updates), state), loss

    (parameters, state), losses = jax.lax.scan(step, (parameters, state), picks)
    return parameters, state, losses.mean()


def asked_of(task: str, model: TextEncoder, texts: int, seed: int) -> list[Asked]:
    """New texts with evidence that the model answers rightly, and what is known of them."""
    rng, draw = np.random.default_rng((seed, 7)), TASKS[task]
    # A text without evidence is no question.
    fresh = [each for each in (draw(rng) for _ in range(4 * texts)) if each[2]]
    answers = np.asarray(model(_batch(model, fresh)).logits).argmax(-1)
    kept = [each for each, answer in zip(fresh, answers, strict=True) if answer == each[1]][:texts]
    width = 2 + max(len(words) for words, _, _ in kept)
    evidence, part = np.zeros((len(kept), width), bool), np.zeros((len(kept), width), bool)
    for row, (words, _, places) in enumerate(kept):
        # Behind [CLS], which takes no part.
        evidence[row, [1 + place for place in places]] = True
        part[row, 1 : 1 + len(words)] = True
    return [Asked(model, [" ".join(words) for words, _, _ in kept], evidence, part, {"queries": "classifier"})]
