"""Tracr's models as encoders of ours: the same numbers, by an encoder whose norms do nothing."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

import jaxflow as jf
from experiments.ground_truth.programs import BEGIN, BLANK, LENGTH, PROGRAMS, WEIGHTS, texts_of
from experiments.ground_truth.table import Asked
from jaxflow.models import Encoder, HeadConfig, TextEncoder
from jaxflow.models.config import EncoderConfig

# Tracr's models have no norms. A root of the mean square beside which the states vanish is one number, a power of two,
# which the scale takes off again: rounding aside, such a norm gives what it gets.
NOTHING = 2.0**40
# All programs in one shape, so that models of the same depth share compiled programs; zeros fill up.
WIDTH, INNER, HEAD, TOKENS, OUTPUTS = 64, 72, 24, 10, 8


@dataclass(frozen=True)
class Compiled:
    """A compiled program.

    Attributes:
        model: with a head over tokens, whose classes are the answers' values.
        values: the names of the answers, None for a number.
        texts: that Tracr's own model was run on.
        answers: of that model, one for each token.
        states: of that model behind the last layer, `token width` for each text, the beginning included.
        places: the entries of the states that hold the answer.
    """

    model: TextEncoder
    values: tuple[str | None, ...]
    texts: list[str]
    answers: list[list[str]]
    states: list[np.ndarray]
    places: list[int]


@cache
def compiled(name: str) -> Compiled:
    """The model of a program, from the weights that `compile_programs` wrote."""
    with np.load(WEIGHTS) as found:
        parts = {key.split("|")[1]: found[key] for key in found.files if key.split("|")[0] == name}
    about = json.loads(str(parts.pop("about")))
    states = [parts.pop(f"states/{index}") for index in range(len(about["texts"]))]
    config = _config(about["layers"], about["heads"])
    module = Encoder(config, nnx.Rngs(0))
    flat = nnx.to_flat_state(nnx.state(module))
    filled = [(path, value.replace(_filled(path, value.get_value().shape, parts, about))) for path, value in flat]
    nnx.update(module, nnx.from_flat_state(filled))
    model = TextEncoder(name, config, module, _tokenizer(about["tokens"]), LENGTH + 1, None)
    values = tuple(None if value == "None" else value for value in about["values"])
    return Compiled(model, values, about["texts"], about["answers"], states, about["places"])


def _config(layers: int, heads: int) -> EncoderConfig:
    head = HeadConfig("token_classification", outputs=OUTPUTS, labels=tuple(map(str, range(OUTPUTS))))
    return EncoderConfig(
        family="tracr",
        vocabulary=TOKENS,
        width=WIDTH,
        heads=heads,
        feed_forward=INNER,
        rows=tuple(range(layers)),
        activation="relu",
        epsilon=NOTHING,
        positions=LENGTH + 1,
        max_length=LENGTH + 1,
        embedding_width=WIDTH,
        pre_norm=True,
        rms=True,
        embedding_norm=False,
        head_size=HEAD,
        head=head,
    )


def _filled(path: tuple[Any, ...], shape: tuple[int, ...], parts: dict[str, np.ndarray], about: dict[str, Any]) -> Any:
    """A parameter's numbers: Tracr's, and zeros around them."""
    room = np.zeros(shape, np.float32)
    match path:
        case (*_, "scale"):
            room[...] = NOTHING**0.5
        case ("embeddings", kind, _):
            _put(room, parts["token_embed/embeddings" if kind == "words" else "pos_embed/embeddings"])
        case ("head", "out", "kernel"):
            room[about["places"], range(len(about["places"]))] = 1
        case ("head", "out", "bias"):
            # Answers that the program does not have are never the likeliest.
            room[len(about["places"]) :] = -1e3
        case ("layers", part, kind):
            for layer in range(shape[0]):
                _put(room[layer], _of_layer(part, kind, parts, layer, about["heads"]))
    return jnp.asarray(room)


def _of_layer(part: str, kind: str, parts: dict[str, np.ndarray], layer: int, heads: int) -> np.ndarray:
    """A layer's parameter as ours are laid out, without the zeros around it."""

    def weights(name: str) -> np.ndarray:
        return parts[f"transformer/layer_{layer}/{name}/{'w' if kind == 'kernel' else 'b'}"]

    if part in ("up", "down"):
        return weights("mlp/linear_1" if part == "up" else "mlp/linear_2")
    if part == "output":
        found = weights("attn/linear")
        return found.reshape(heads, -1, found.shape[-1]) if kind == "kernel" else found
    # Scores are divided by the root of a head's width, which is larger here. In front: query, key, value.
    own = weights("attn/key").shape[-1] // heads
    three = [weights("attn/query") * (HEAD / own) ** 0.5, weights("attn/key"), weights("attn/value")]
    split = [each.reshape(*each.shape[:-1], heads, own) for each in three]
    return np.stack(split, axis=-3)


def _put(room: np.ndarray, found: np.ndarray) -> None:
    room[tuple(map(slice, found.shape))] = found


def _tokenizer(tokens: list[str]) -> Any:
    """One token for each word between blanks, behind the beginning."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {token: index for index, token in enumerate(tokens)}
    words = Tokenizer(models.WordLevel(ids, unk_token=BLANK))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    words.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, ids[BEGIN])]
    )
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token=BLANK, bos_token=BEGIN, pad_token=BLANK)


def asked_of(name: str, count: int, seed: int) -> list[Asked]:
    """Texts of a program, each asked at one place, those of one place together."""
    found, program, rng = compiled(name), PROGRAMS[name], np.random.default_rng(seed)
    places: dict[int, list[tuple[str, set[int]]]] = {}
    for text in texts_of(name, 4 * count, seed):
        words = tuple(text.split())
        known = {place: program.evidence(words, place) for place in range(len(words))}
        # Where nothing or everything is evidence there is nothing to rank.
        known = {place: tokens for place, tokens in known.items() if tokens and len(tokens) < len(words)}
        if known:
            place = int(rng.choice(list(known)))
            places.setdefault(place, []).append((text, known[place]))
    most, asked = -(-count // len(places)), []
    for place, entries in sorted(places.items()):
        texts = [text for text, _ in entries[:most]]
        evidence = np.zeros((len(texts), 1 + max(len(text.split()) for text in texts)), bool)
        part = np.zeros_like(evidence)
        for row, (text, tokens) in enumerate(entries[:most]):
            # Behind the beginning, which takes no part.
            evidence[row, [1 + token for token in tokens]] = True
            part[row, 1 : 1 + len(text.split())] = True
        # A number is one entry of the answer; of several values the likeliest is explained.
        target = jf.Token("0" if found.values[0] is None else "predicted", at=place + 1)
        asked.append(Asked(found.model, texts, evidence, part, {"queries": place + 1, "target": target}))
    return asked
