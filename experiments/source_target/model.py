"""A small T5 that reads and writes dates: its tokenizer, its random weights, and its folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.source_target.dates import DAYS, LEADS, MONTHS, THINGS, ordinal
from jaxflow.models.checkpoint.huggingface import quiet_transformers
from jaxflow.models.config import HeadConfig
from jaxflow.models.encoder_decoder.config import PairConfig
from jaxflow.models.encoder_decoder.export import export_pair_weights
from jaxflow.models.encoder_decoder.families import FAMILIES
from jaxflow.models.encoder_decoder.model import PairModel
from jaxflow.models.encoder_decoder.module import PairModule
from jaxflow.models.prediction import pieces_of

LAYERS, HEADS, WIDTH = 2, 4, 32
SPECIALS = ("<pad>", "</s>", "<unk>")
PADDING, END, UNKNOWN = 0, 1, 2
# Numbers of one or two digits are one piece, with their endings; those of more digits are cut into single ones.
PATTERN = r"\p{L}+|(?<!\d)\d{1,2}(?:st|nd|rd|th)|(?<!\d)\d{1,2}(?!\d)|\d|[^\s\w]"


def new_tokenizer() -> Any:
    """Transformers' fast tokenizer of words, numbers and digits, which ends each text. Decoding puts no blanks."""
    import transformers
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    numbers = [*map(str, range(10)), *map(str, range(10, DAYS + 1)), *(f"{number:02d}" for number in range(10))]
    ordinals = map(ordinal, range(1, DAYS + 1))
    known = [*SPECIALS, *numbers, *ordinals, *MONTHS, *THINGS, *LEADS, "the", "of", ",", "/", "-"]
    words: Any = Tokenizer(models.WordLevel({word: index for index, word in enumerate(known)}, unk_token="<unk>"))  # noqa: S106
    words.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True)
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    words.decoder = decoders.Fuse()
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, **names)


def new_config(tokenizer: Any, width: int) -> Any:
    """Transformers' configuration of a T5 of two layers on each side."""
    import transformers

    kind: Any = transformers.T5Config
    return kind(
        architectures=["T5ForConditionalGeneration"],
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=width // HEADS,
        num_heads=HEADS,
        d_ff=2 * width,
        num_layers=LAYERS,
        num_decoder_layers=LAYERS,
        relative_attention_num_buckets=16,
        relative_attention_max_distance=32,
        dropout_rate=0.0,
        pad_token_id=PADDING,
        eos_token_id=END,
        decoder_start_token_id=PADDING,
    )


def new_model(seed: int, width: int = WIDTH) -> PairModel:
    """A model with random weights of T5's sizes."""
    tokenizer = new_tokenizer()
    config = FAMILIES["t5"].read(new_config(tokenizer, width))
    head = HeadConfig("next_token", outputs=config.vocabulary, labels=pieces_of(tokenizer, config.vocabulary))
    config = replace(config, head=head)
    graph, state = nnx.split(nnx.eval_shape(lambda: PairModule(config, nnx.Rngs(0))))
    rng, filled = np.random.default_rng(seed), []
    for path, value in nnx.to_flat_state(state):
        shape = value.get_value().shape
        numbers = np.ones(shape) if path[-1] == "scale" else rng.normal(0, _scale(path, config), shape)
        filled.append((path, value.replace(jnp.asarray(numbers, jnp.float32))))
    return PairModel("dates", config, nnx.merge(graph, nnx.from_flat_state(filled)), tokenizer, config.max_length)


def _scale(path: tuple[Any, ...], config: PairConfig) -> float:
    """Deviation of a parameter's first numbers, as T5 has them: attention is not divided by the root of its width."""
    if path[0] == "words":
        return 1.0
    if path[-2] == "query":
        return (config.width * config.head_width) ** -0.5
    return (config.feed_forward[0] if path[-2] == "down" else config.width) ** -0.5


def save_model(model: PairModel, folder: Path) -> None:
    """Write the files that `jf.load_model` and transformers read."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(export_pair_weights(model.module), folder / "model.safetensors", metadata={"format": "pt"})
    with quiet_transformers():
        new_config(model.tokenizer, model.config.width).save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
