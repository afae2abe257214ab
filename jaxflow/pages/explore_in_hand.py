"""`explore_attention`: as `explore`, for attention that was computed elsewhere."""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from jaxflow._typing import ArrayLike, Attentions, Given, Pairs, Tokens
from jaxflow.attribution.in_hand import DECODERS, asked_of
from jaxflow.attribution.question import GivenQuestion, Question
from jaxflow.models.in_hand import GivenPredictions, Starts, looks_like_a_decoder
from jaxflow.pages.exploration import Exploration
from jaxflow.pages.explore import explore
from jaxflow.pages.head_view import HeadView


def explore_attention(
    attentions: Attentions | None = None,
    tokens: Tokens | None = None,
    question: GivenQuestion = None,
    *,
    mask: ArrayLike | None = None,
    target_tokens: Tokens | None = None,
    target_mask: ArrayLike | None = None,
    texts: Pairs = None,
    predictions: GivenPredictions = None,
    labels: Iterable[object] | None = None,
    gradients: Attentions | None = None,
    causal: Given[bool | None] = None,
    answer_starts: Given[Starts] = None,
    roles: Given[bool] = False,
    name: str = "attention in hand",
    **changes: Any,
) -> Exploration:
    """Keep all that the explorer's page shows, of attention in hand, from any framework.

    bertviz's `head_view(...)` becomes `explore_attention(...)` with the same arguments, by place or by name:
    `attention`, `tokens`, `sentence_b_start`, `layer`, `heads` (counted from 0, as there), `include_layers`; and of an
    encoder-decoder `encoder_attention`, `decoder_attention`, `cross_attention`, `encoder_tokens`, `decoder_tokens`,
    which the page shows as one sequence, sources first (see `jaxflow.encoder_decoder_graph`). So it does the whole
    output of an encoder-decoder, with the tokens of both sides as `attribute_attention` takes them.

    Args:
        attentions: as `attribute_attention` takes them, and so are the others that are not named here.
        tokens: strings, a list an example.
        question: what is asked about each example; by default every position is explained, as by `explore`. A number
            here is bertviz's `sentence_b_start`.
        mask: true on real tokens.
        target_tokens: of an encoder-decoder the tokens that its decoder read.
        target_mask: true on real targets.
        texts: the text of each example.
        predictions: of each example.
        labels: what each example should be taken for; None where it is not known.
        gradients: for mixings that need them.
        causal: whether it is a decoder's; None is taken for False, with a warning where it looks like a decoder's.
        answer_starts: of a decoder where the answer begins, which the page then shows behind the prompt.
        roles: also say what each head does.
        name: of the model.
        changes: fields of the question by name, and arguments of bertviz's `head_view`.

    Raises:
        InputError: as `attribute_attention` and `explore` do.
    """
    view = HeadView(**{each: changes.pop(each) for each in HeadView.names() & changes.keys()})
    if isinstance(question, int):
        # The third argument by place, in bertviz's order.
        view, question = replace(view, sentence_b_start=question), None
    options: dict[str, Any] = {"mask": mask, "texts": texts, "predictions": predictions, "gradients": gradients}
    targets = {"target_tokens": target_tokens, "target_mask": target_mask}
    options |= {"causal": causal, "answer_starts": answer_starts, "name": name}
    model = view.model(attentions, tokens, **targets, **options)
    first = view.first(model)
    _ = asked_of(model, question, changes, Question(queries=None))
    if causal is None and looks_like_a_decoder(model):
        message = (
            f"{DECODERS}, and the page begins with position 0, which sees itself alone; pass `causal=True`, with which "
            "it begins with the last one, or `causal=False` if position 0 is meant"
        )
        warnings.warn(message, stacklevel=2)
    exploration = explore(model, model.texts, question, labels=labels, roles=roles, **changes)
    return replace(exploration, settings={**exploration.settings, "first": first}) if first else exploration
