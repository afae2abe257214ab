"""`explore_attention`: as `explore`, for attention that was computed elsewhere."""

from collections.abc import Iterable
from typing import Any, Unpack

from jaxflow._typing import ArrayLike, Attentions, Pairs, Tokens
from jaxflow.attribution.question import Asked, GivenQuestion
from jaxflow.models.in_hand import attention_in_hand
from jaxflow.pages.exploration import Exploration
from jaxflow.pages.explore import explore


def explore_attention(
    attentions: Attentions,
    tokens: Tokens,
    question: GivenQuestion = None,
    *,
    mask: ArrayLike | None = None,
    texts: Pairs = None,
    predictions: Any = None,
    labels: Iterable[Any] | None = None,
    gradients: Attentions | None = None,
    causal: bool = False,
    roles: bool = False,
    name: str = "attention in hand",
    **changes: Unpack[Asked],
) -> Exploration:
    """Keep all that the explorer's page shows, of attention in hand, from any framework.

    Args:
        attentions: as `attribute_attention` takes them, and so are the others that are not named here.
        tokens: strings, a list an example.
        question: what is asked about each example; by default every position is explained, as by `explore`.
        mask: true on real tokens.
        texts: the text of each example.
        predictions: of each example.
        labels: what each example should be taken for; None where it is not known.
        gradients: for mixings that need them.
        causal: whether it is a decoder's.
        roles: also say what each head does.
        name: of the model.
        changes: fields of the question by name.

    Raises:
        InputError: as `attribute_attention` and `explore` do.
    """
    model = attention_in_hand(
        attentions,
        tokens,
        mask=mask,
        texts=texts,
        predictions=predictions,
        gradients=gradients,
        causal=causal,
        name=name,
    )
    return explore(model, model.texts, question, labels=labels, roles=roles, **changes)
