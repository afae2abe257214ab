"""Wrong predictions, worked through as a user would: which words, which heads, and does taking them away show it?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.special

from experiments.attention_change.blanks import blanked, run
from experiments.attention_change.classes import ALONE, class_values
from experiments.attention_change.marks import of_spans
from experiments.attention_change.statistics import cells
from experiments.attention_change.taken import taken_record
from experiments.attention_change.texts import Marked
from jaxflow.compare import ComparedText, head_importance
from jaxflow.heads.names import head_number
from jaxflow.models import TextEncoder
from jaxflow.running.readers import Logits

# Of the wrong predictions the surest that is short enough to be read.
SHORT = 20


def debugging_record(
    model: TextEncoder, texts: Sequence[Marked], compared: Sequence[ComparedText], seed: int = 0
) -> dict[str, Any]:
    """All wrong predictions: does blanking the word that a method names first turn the prediction? And one in full.

    Blanking puts the unknown token in the place of one word at a time, all its pieces. A word chosen at random is what
    blanking gives by chance: the mean over the words of the text.
    """
    labels = model.labels or ()
    wrong = [place for place, (t, c) in enumerate(zip(texts, compared, strict=True)) if c.b.prediction != t.group]
    if not wrong:
        return {"texts": len(texts), "wrong": 0}
    chosen = [texts[place] for place in wrong]
    predicted = np.array([labels.index(str(compared[place].b.prediction)) for place in wrong])
    falls = _falls(model, chosen, predicted)
    by_class = class_values(model, chosen, predicted)
    named: dict[str, list[np.ndarray]] = {
        name: [
            of_spans(compared[place].b.relevance[name][-1, 0][None], compared[place].units, texts[place].spans)[0]
            for place in wrong
        ]
        for name in ("raw", "rollout", "flow")
    }
    named["class attention"] = [values[0] for values in by_class]
    named["most relevance gained"] = [
        of_spans(compared[place].change["raw"][-1, 0][None], compared[place].units, texts[place].spans)[0]
        for place in wrong
    ]
    rows = {
        name: [_first(fall, values) for fall, values in zip(falls, found, strict=True)] for name, found in named.items()
    }
    rows["a random word"] = [(fall["fall"].mean(), fall["turned"].mean()) for fall in falls]
    rows["the best word there is"] = [(fall["fall"].max(), fall["turned"].max()) for fall in falls]
    table = np.array(list(rows.values()), float).transpose(1, 0, 2)
    chance = table[:, list(rows).index("a random word")][:, None]
    beyond = cells((table - chance).reshape(len(wrong), -1), against=0.0, seed=seed)
    plain = cells(table.reshape(len(wrong), -1))
    record = {
        name: {
            what: {**plain[2 * row + column].record(), "less_chance": beyond[2 * row + column].record()}
            for column, what in enumerate(("fall of probability", "prediction turned"))
        }
        for row, name in enumerate(rows)
    }
    sure = [
        max(compared[place].b.scores.values()) if len(text.spans) <= SHORT else 0.0
        for place, text in zip(wrong, chosen, strict=True)
    ]
    case = int(np.argmax(sure))
    return {
        "texts": len(texts),
        "wrong": len(wrong),
        "words": record,
        "taken": taken_record(model, chosen, predicted, case),
        "case": _case(model, chosen[case], compared[wrong[case]], int(predicted[case]), falls[case], by_class[case]),
    }


def _falls(model: TextEncoder, texts: Sequence[Marked], predicted: np.ndarray) -> list[dict[str, np.ndarray]]:
    """By text what blanking each word takes off the class's probability, and whether another class then wins."""
    encodings = model.tokenize([text.text for text in texts])
    copies = [blanked(model, encoding, text.spans) for text, encoding in zip(texts, encodings, strict=True)]
    logits = run(model, [copy for each in copies for copy in each], Logits())
    chances = scipy.special.softmax(logits.astype(np.float64), axis=-1)
    found, start = [], 0
    for each, number in zip(copies, predicted, strict=True):
        own = chances[start : start + len(each)]
        start += len(each)
        turned = (own[1:].argmax(axis=-1) != number).astype(float)
        found.append({"fall": own[0, number] - own[1:, number], "turned": turned})
    return found


def _first(fall: dict[str, np.ndarray], values: np.ndarray) -> tuple[float, float]:
    place = int(np.argmax(np.nan_to_num(values, nan=-np.inf)))
    return float(fall["fall"][place]), float(fall["turned"][place])


def _case(
    model: TextEncoder,
    text: Marked,
    compared: ComparedText,
    number: int,
    fall: dict[str, np.ndarray],
    by_class: np.ndarray,
) -> dict[str, Any]:
    """One wrong prediction: its words by each method, and the heads without which it would be another."""
    taken = head_importance(model, [text.text], "ablation", classes=number, batch_tokens=ALONE).signed[0]
    order = np.argsort(-taken, axis=None)[:5]
    words = [text.text[start:end] for start, end in text.spans]
    sides = {side: getattr(compared, side).relevance for side in ("a", "b")}
    values = {
        f"{method} {when}": of_spans(sides[side][method][-1, 0][None], compared.units, text.spans)[0]
        for method in ("raw", "rollout", "flow")
        for side, when in (("a", "before"), ("b", "after"))
    }
    return {
        "text": text.text,
        "people": text.group,
        "model": compared.b.prediction,
        "scores": compared.b.scores,
        "words": [
            {
                "word": word,
                "marked": text.labels[place],
                **{name: numbers[place] for name, numbers in values.items()},
                "class attention": by_class[0, place],
                "blanked": {"fall": fall["fall"][place], "turned": bool(fall["turned"][place])},
            }
            for place, word in enumerate(words)
        ],
        "heads": [
            {
                **head_number(*divmod(int(place), taken.shape[1])),
                "fall of log p": taken.flat[place],
            }
            for place in order
        ],
    }
