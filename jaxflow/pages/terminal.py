"""Results as lines for a terminal."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from jaxflow._words import readable
from jaxflow.pages.carried import saturation_words, tied
from jaxflow.pages.pieces import predicted_at
from jaxflow.store.arrow import Row, relevance_columns

# Most characters of a word or token that are shown.
WORD_MOST = 40

BOLD, DIM, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def top_tokens(
    row: Row,
    count: int,
    *,
    carried: str | None = None,
    meanings: Mapping[str, str] | None = None,
    special: bool = True,
    color: bool = False,
    width: int = 100,
) -> list[str]:
    """The tokens that count most for the first query at the last layer, one column a method; an "=" marks ties.

    Args:
        row: of a store.
        count: how many tokens.
        carried: the words that carry the prediction, as a line says it.
        meanings: of names of classes, where they are known.
        special: whether special tokens, which often hold the most, are among them.
        color: whether to use the terminal's bold and dim type.
        width: most characters of the heading.
    """
    # The last layer and the first query: one place, for all methods.
    layer, query = int(row["layers"][-1]), int(row["queries"][0])
    heading = _styled(_cut(f"{row['id']}  {visible(_text(row, width))}", width), BOLD, color)
    about = f"   layer {layer}, for position {query} {shortened(readable(row['tokens'][query]))}"
    predicted = predicted_at(row, query)
    if predicted is not None:
        about += f", which predicted {shortened(readable(row['tokens'][predicted]))}"
    if row["prediction"] is not None:
        known = (meanings or {}).get(row["prediction"])
        meaning = "" if known is None else f", {known}"
        about += f"; prediction: {shortened(readable(row['prediction']))}{meaning}{_probability(row)}"
    answer = [] if carried is None else [f"   {visible(carried)}"]
    words = np.asarray(row["source"]) >= 0
    listed = np.flatnonzero(words if words.any() and not special else np.ones(len(words), bool))
    columns = [_column(row, method, listed, count) for method in relevance_columns(row)]
    notes = [f"    {visible(line)}" for line in saturation_words(row)]
    return [heading, _styled(about, DIM, color), *answer, *_side_by_side(columns), *notes, ""]


def number(value: float) -> str:
    """A value in four digits; small ones, such as those of gradients, and very large ones with a power of ten."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.4f}"
    return f"{value:.1e}" if abs(value) < 1 else f"{value:.3e}"


def unknown_words(rows: Iterable[Row], unknown: str) -> list[str]:
    """Words of the texts that a model read as `unknown`, its token for words it does not know: each once, in order."""
    # A dict as an ordered set.
    words: dict[str, None] = {}
    for row in rows:
        texts = (row["text"], row["pair"] or "")
        for token, source, (start, end) in zip(row["tokens"], row["source"], row["offsets"], strict=True):
            if token == unknown and source >= 0:
                words[texts[int(source)][int(start) : int(end)]] = None
    return list(words)


def visible(text: str) -> str:
    """Text without characters that would steer a terminal: those are written as escapes."""
    return "".join(_escaped(character) for character in text)


def shortened(word: str) -> str:
    """A word or token as `visible` gives it, cut where it is long, with its length."""
    if len(word) <= WORD_MOST:
        return visible(word)
    return f"{visible(word[:WORD_MOST])}... ({len(word):,} characters)"


def _escaped(character: str) -> str:
    # Controls, and format characters such as those that turn the direction of writing around. The joiners of emoji
    # and of scripts that need them stay.
    steering = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in "\u200c\u200d"
    return character.encode("unicode_escape").decode() if steering else character


def _text(row: Row, most: int) -> str:
    """A row's text and pair, of each as much as can be shown and one character more."""
    text = row["text"][: most + 1]
    return text if row["pair"] is None else f"{text} | {row['pair'][: most + 1]}"


def _probability(row: Row) -> str:
    probability = (row["probabilities"] or {}).get(row["prediction"])
    return "" if probability is None else f" ({probability:.3f})"


def _column(row: Row, method: str, listed: Int[np.ndarray, " place"], count: int) -> list[str]:
    """Heading and lines of one method, of the tokens at some places: position, token and value."""
    values: Float[np.ndarray, " token"] = row[method][-1, 0]
    # By size, as what speaks against an explained number counts no less; ties in the order of the text.
    best = listed[np.argsort(-np.abs(values[listed]), kind="stable")[:count]]
    places = [f"{index:>3} {shortened(readable(row['tokens'][index]))}" for index in best]
    widest = max(map(_width, places))
    ties = tied(values)
    # Room for the mark where any value of the column has it.
    marks = ["" if not ties[best].any() else " =" if ties[i] else "  " for i in best]
    lines = [
        f"{_padded(place, widest)}  {number(float(values[i]))}{mark}"
        for place, i, mark in zip(places, best, marks, strict=True)
    ]
    return [f"    {method}", *lines]


def _side_by_side(columns: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(_width, column)) for column in columns]
    for cells in zip(*columns, strict=True):
        yield "    ".join(_padded(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Columns that a text takes in a terminal."""
    # Wide signs take two columns, marks and joiners none.
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    marks = sum(unicodedata.category(character) in ("Mn", "Me") or character in "\u200c\u200d" for character in text)
    return len(text) + wide - marks


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    end = width - 1
    # A letter keeps its marks, or goes with them.
    while end and unicodedata.category(text[end]).startswith("M"):
        end -= 1
    return text[:end] + "…"


def _styled(text: str, style: str, color: bool) -> str:
    return f"{style}{text}{PLAIN}" if color else text
