"""Models to train: new ones, and new heads on old ones."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from jaxflow._checks import InputError, one_of, shown
from jaxflow._typing import DTypeLike
from jaxflow._untyped import HubConfig, Tokenizer
from jaxflow.models.checkpoint.huggingface import token_limit
from jaxflow.models.checkpoint.restore import ParameterPath
from jaxflow.models.config import EncoderConfig, Problem
from jaxflow.models.encoder.images import ImageEncoder
from jaxflow.models.encoder.module import Encoder
from jaxflow.models.encoder.texts import TextEncoder
from jaxflow.models.families import FAMILIES
from jaxflow.models.load import configure
from jaxflow.models.tokens import check_template

# Path and shape of a parameter -> its numbers.
Fill: TypeAlias = Callable[[ParameterPath, tuple[int, ...]], Array]


def new_encoder(source: HubConfig, tokenizer: Tokenizer = None, *, head: str = "bare", seed: int = 0) -> TextEncoder:
    """An encoder with random weights.

    Args:
        source: transformers' configuration of a supported family; its labels are the head's.
        tokenizer: a fast tokenizer whose ids the configuration's vocabulary holds; of images their processor.
        head: on top of the layers.
        seed: of the weights.

    Raises:
        InputError: the family or the head is not supported.
    """
    model_type = getattr(source, "model_type", None)
    if model_type not in FAMILIES:
        raise InputError("source", f"be a configuration of {', '.join(FAMILIES)}", shown(model_type))
    config = configure(source, FAMILIES[model_type], head, "the source")
    rng = np.random.default_rng(seed)
    module = _filled(config, _random(rng, float(getattr(source, "initializer_range", 0.02)), jnp.float32, config))
    if config.patches is not None:
        return ImageEncoder(f"new {model_type}", config, module, None, config.max_length, source, tokenizer)
    # Without a tokenizer the encoder is fed token ids, and its own limit holds.
    limit = config.max_length
    if tokenizer is not None:
        limit = token_limit(tokenizer, limit, "the tokenizer")
        check_template(tokenizer, config, "`tokenizer`")
    return TextEncoder(f"new {model_type}", config, module, tokenizer, limit, source)


def with_head(
    encoder: TextEncoder,
    head: str,
    *,
    labels: tuple[str, ...] = (),
    problem: Problem = "single_label",
    seed: int = 0,
) -> TextEncoder:
    """The same encoder under a new head with random weights, to be fine-tuned.

    Args:
        encoder: whose layers are kept (shared, not copied).
        head: one of the family's.
        labels: names of the classes, for heads with classes.
        problem: meaning of the head's numbers.
        seed: of the head's weights.

    Raises:
        InputError: the family has no such head, or labels are missing.
    """
    family = FAMILIES[encoder.config.family]
    one_of("head", head, tuple(family.heads))
    source_config = configure(encoder.source, family, head, encoder.name)
    fresh = source_config.head
    # Other heads have fixed outputs, from the family's configuration.
    if head in ("sequence_classification", "token_classification"):
        if not labels:
            raise InputError("labels", "name the classes of the new head", "none")
        fresh = dataclasses.replace(fresh, outputs=len(labels), labels=tuple(labels), problem=problem, distilled=False)
    config = dataclasses.replace(encoder.config, head=fresh)
    own = {path: value.get_value() for path, value in nnx.to_flat_state(nnx.state(encoder.module))}
    # The new head takes the type of the encoder's own parameters.
    dtype = encoder.module.layers.output.kernel[...].dtype
    new = _random(np.random.default_rng(seed), 0.02, dtype, config)
    # Old arrays are shared, not copied: JAX never changes an array.
    module = _filled(config, lambda path, shape: new(path, shape) if path[0] == "head" else own[path])
    return dataclasses.replace(encoder, config=config, module=module)


def _filled(config: EncoderConfig, fill: Fill) -> Encoder:
    """An encoder of that configuration whose parameters are `fill(path, shape)`."""
    # Shapes alone: the constructor's own random weights are never made.
    graph, abstract = nnx.split(nnx.eval_shape(lambda: Encoder(config, nnx.Rngs(0))))
    flat = nnx.to_flat_state(abstract)
    leaves = [(path, value.replace(fill(path, value.get_value().shape))) for path, value in flat]
    return nnx.merge(graph, nnx.from_flat_state(leaves))


def _random(rng: np.random.Generator, scale: float, dtype: DTypeLike, config: EncoderConfig) -> Fill:
    """Normal maps and tables, unit scales, no biases. On the host: compiling the draws would take longer."""

    def fill(path: ParameterPath, shape: tuple[int, ...]) -> Array:
        if path[-1] == "scale":
            # Stored less the norms' offset.
            return jnp.full(shape, 1 - config.norm_offset, dtype)
        drawn = np.zeros(shape) if path[-1] == "bias" else rng.normal(0, scale, shape)
        return jnp.asarray(drawn.astype(np.float32), dtype)

    return fill
