"""Blank-out scores: the fall of a prediction when one token is replaced by a blank."""

import numpy as np

from jaxflow._typing import ArrayLike, Given
from jaxflow.evaluation.batches import BATCH_TOKENS, variant_logits
from jaxflow.evaluation.inputs import Texts, token_inputs
from jaxflow.evaluation.removals import as_removal
from jaxflow.evaluation.scores import TokenScores
from jaxflow.evaluation.target import ON_HOST, Classes, Target, as_target, resolve, scale_of, target_value
from jaxflow.models import Model

# A move of the logits below this share of their size may be float32's rounding alone.
RESOLUTION = 2e-6


def occlusion_scores(
    model: Model,
    texts: Texts,
    *,
    target: Given[Classes | Target] = "predicted",
    blank: Given[str | int | None] = None,
    positions: str | ArrayLike = "tokens",
    batch_tokens: int = BATCH_TOKENS,
) -> TokenScores:
    """Score each token by how far the explained number moves when that token alone becomes a blank.

    `|p(correct) - p'(correct)|` with `target` the correct labels (Abnar & Zuidema 2020, section 4; they replace
    tokens by `<unk>`, `<bos>` too, and leave the last position, which scores 0: `positions="all_but_last"`). The
    class is settled on the text as it stands. Copies of all examples run together, in batches of bounded size.

    Args:
        model: a model that classifies texts.
        texts: anything that `token_inputs` takes.
        target: a `Target`, or its classes: `"predicted"`, an index or label, or one for each example.
        blank: the token or id put in; None is the tokenizer's unknown token, or its mask where it has none.
        positions: which are blanked: `"tokens"`, `"words"`, `"all_but_last"` or a mask, see `TokenInputs.positions`.
        batch_tokens: rows times length of a batch, about; bounds memory.

    Returns:
        Scores `example token`; `signed` is the fall, positive where the token spoke for the class. In float64 from
        the model's float32 logits. Cost: one forward pass of each example per blanked token.

    Raises:
        InputError: the model does not classify texts, or an argument does not fit, see `token_inputs`, `Target`.
    """
    inputs, target = token_inputs(model, texts), as_target(target)
    scale, change = scale_of(model, target), as_removal("blank", blank).change(model)
    example, position = np.nonzero(inputs.positions(positions))
    # Copies: first each example as it stands, whose blanked position is nowhere (-1), then one for each blanked token.
    owners = np.concatenate([np.arange(len(inputs)), example])
    places = np.concatenate([np.full(len(inputs), -1), position])
    columns = np.arange(inputs.mask.shape[1])
    logits = variant_logits(
        model,
        inputs,
        owners,
        lambda rows: places[rows, None] == columns,
        change=change,
        batch_tokens=batch_tokens,
    )
    classes, against = resolve(model, target, len(inputs), lambda: logits[: len(inputs)])
    numbers = target_value(ON_HOST[scale](logits), classes[owners], None if against is None else against[owners])
    value = numbers[: len(inputs)]
    signed = np.zeros(inputs.mask.shape)
    # Fall of the number: positive where the token spoke for the class.
    signed[example, position] = value[example] - numbers[len(inputs) :]
    # `blanked label`: a score counts as resolved if any logit moved by more than rounding.
    whole, copies = logits[example], logits[len(inputs) :]
    moved = np.abs(copies - whole).max(axis=-1)
    unresolved = np.zeros(inputs.mask.shape, bool)
    unresolved[example, position] = moved <= RESOLUTION * np.maximum(1, np.abs(whole).max(axis=-1))
    return TokenScores(np.abs(signed), signed, inputs.mask, value, classes, unresolved)
