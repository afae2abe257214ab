"""Greedy answers of a PyTorch model, by transformers' own `generate`."""

from collections.abc import Sequence

import torch

from jaxflow._checks import InputError
from jaxflow._untyped import HubModel, Tokenizer
from jaxflow.models.checkpoint.huggingface import quiet_transformers
from jaxflow.models.groups import TOGETHER, groups_of
from jaxflow.models.tokens import Encoding
from jaxflow.models.torch.forward import evaluating, out_of_memory


def generated(
    model: HubModel, tokenizer: Tokenizer, prompts: Sequence[Encoding], tokens: int, limit: int, *, together: bool
) -> list[tuple[int, ...]]:
    """The ids of each prompt's answer, up to the token that ends a text.

    Args:
        model: of transformers, with a language-modelling head.
        tokenizer: of the model.
        prompts: to be continued.
        tokens: most tokens of an answer.
        limit: most tokens of a prompt with its answer.
        together: whether the model takes several texts at once.

    Raises:
        InputError: the model has no `generate`.
    """
    if not getattr(model, "can_generate", lambda: False)():
        raise InputError("model", "be one that can generate", type(model).__name__, "pass the answers as `pairs`")
    ends = ending_ids(model, tokenizer)
    answers: dict[int, tuple[int, ...]] = {}
    for chosen in groups_of([len(prompt) for prompt in prompts], most=TOGETHER if together else 1, alike=True):
        length = len(prompts[chosen[0]])
        ids = _continued(model, [prompts[index].input_ids for index in chosen], min(tokens, limit - length), ends)
        answers |= {index: _up_to(row[length:], ends) for index, row in zip(chosen, ids, strict=True)}
    return [answers[index] for index in range(len(prompts))]


def ending_ids(model: HubModel, tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that end a text, by the model's own settings or else by its tokenizer."""
    named = getattr(model.generation_config, "eos_token_id", None)
    named = tokenizer.eos_token_id if named is None else named
    return frozenset() if named is None else frozenset(named if isinstance(named, list) else [named])


def _continued(model: HubModel, ids: list[tuple[int, ...]], tokens: int, ends: frozenset[int]) -> list[list[int]]:
    device = model.get_input_embeddings().weight.device
    rows = torch.tensor(ids, dtype=torch.int64, device=device)
    own = model.generation_config
    with quiet_transformers() as transformers, evaluating(model), torch.no_grad():
        # Nothing of the model's own settings: they may sample, or punish repetition.
        plain = transformers.GenerationConfig(
            max_new_tokens=tokens, do_sample=False, eos_token_id=sorted(ends) or None, pad_token_id=min(ends, default=0)
        )
        try:
            # `generate` fills what is left open from the model's settings, which are put aside meanwhile.
            model.generation_config = plain
            return model.generate(rows, attention_mask=torch.ones_like(rows), generation_config=plain).tolist()
        except torch.OutOfMemoryError as error:
            raise out_of_memory(error) from None
        finally:
            model.generation_config = own


def _up_to(ids: list[int], ends: frozenset[int]) -> tuple[int, ...]:
    """The ids before the first that ends a text; rows that ended are filled up behind it."""
    end = next((place for place, number in enumerate(ids) if number in ends), len(ids))
    return tuple(ids[:end])
