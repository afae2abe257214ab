"""The targets of an encoder-decoder in PyTorch: their first token, and those that the model writes itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jaxflow._untyped import HubConfig, HubModel
from jaxflow.models.answers import Continuation
from jaxflow.models.targets import Ids
from jaxflow.models.torch.forward import evaluating

# Beginnings of targets, where a configuration names none for the decoder.
STARTS = ("decoder_start_token_id", "bos_token_id", "pad_token_id")


@dataclass(frozen=True, eq=False)
class TorchTargets:
    """What the decoder of a model begins with, and goes on with.

    Attributes:
        model: of transformers.
        limit: most tokens of the targets.
    """

    model: HubModel
    limit: int

    @property
    def start(self) -> int:
        """The token that the decoder begins with."""
        known = (getattr(self.model, "generation_config", None), self.model.config)
        named = (getattr(config, name, None) for name in STARTS for config in known if config is not None)
        return int(next((number for number in named if number is not None), 0))

    def first(self, labels: Ids) -> int:
        """The decoder's first token, given the ids of the labels."""
        shift = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
        if shift is not None and getattr(self.model.config, "decoder_start_token_id", None) is None:
            # Some begin with the last label, a language's name (mBART); others cannot shift without a first token.
            try:
                return int(shift(torch.tensor([labels]))[0, 0])
            except (AttributeError, ValueError, AssertionError):
                return self.start
        return self.start

    def write(self, rows: list[Ids], new_tokens: int) -> list[Continuation]:
        """The decoder's first token and at most so many likeliest ones; sources are of one length."""
        device = self.model.get_input_embeddings().weight.device
        ids = torch.tensor(np.array(rows, np.int64), device=device)
        with evaluating(self.model), torch.no_grad():
            sequences = self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                num_beams=1,
                # The first token is one of the targets.
                max_new_tokens=min(new_tokens, self.limit - 1),
                decoder_start_token_id=self.start,
                # The cache of transformers has as many layers as T5's encoder: too few for a deeper decoder.
                use_cache=not _is_deeper(self.model.config),
            )
        ends = _as_set(getattr(self.model.generation_config, "eos_token_id", None))
        made = []
        for row in sequences.tolist():
            # The end, and what fills a row up behind it, were never read.
            stop = next((place for place, number in enumerate(row) if place and number in ends), len(row))
            made.append(Continuation(tuple(row[:stop]), row[stop] if stop < len(row) else None))
        return made


def _is_deeper(config: HubConfig) -> bool:
    """Whether the decoder has more layers than the encoder, by the names of T5."""
    encoder, decoder = (getattr(config, name, None) for name in ("num_layers", "num_decoder_layers"))
    return encoder is not None and decoder is not None and decoder > encoder


def _as_set(ids: int | Sequence[int] | None) -> set[int]:
    return set() if ids is None else {int(ids)} if isinstance(ids, int) else set(map(int, ids))
