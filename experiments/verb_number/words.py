"""Text into words as the model's tokenizer cuts it, and prose into sentences."""

import re
from collections.abc import Iterator

# The model's tokenizer is made of the same three pieces (`tokenizer.py`), in the same order; a test compares them.
# Quotes and dashes become ASCII; of numbers only their having several digits is kept.
REPLACEMENTS = (
    ("[‘’`´]{2}|[“”„]|''", '"'),
    ("[‘’`´]", "'"),
    ("[–—―−]|--+", "-"),
    ("[0-9]{2,}", "00"),
)
# The English clitics apart, as treebanks have them: do n't, it 's.
PATTERN = r"n't\b|'(?:s|re|ve|ll|d|m)\b|[^\W_]+?(?=n't\b)|[^\W_]+|[^\w\s]"

_compiled = [(re.compile(pattern), new) for pattern, new in REPLACEMENTS]
_word = re.compile(PATTERN)
# A sentence ends with its point where a capital, a quote or an opening bracket follows.
_end = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z])")
_abbreviation = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|e\.g|i\.e|etc|cf|vs|Mr|Mrs|Ms|Dr|St|No|Prof|Gen|Col|Jr|Sr|vol|fig|Fig)\.$"
)


def words(text: str) -> list[str]:
    """The words of a text, lower case."""
    text = text.lower()
    for pattern, new in _compiled:
        text = pattern.sub(new, text)
    return _word.findall(text)


def sentences(paragraph: str) -> Iterator[str]:
    """The sentences of a paragraph of prose."""
    held = ""
    for piece in _end.split(" ".join(paragraph.split())):
        held = f"{held} {piece}" if held else piece
        if not _abbreviation.search(held):
            yield held
            held = ""
    if held:
        yield held


def listed(text: str) -> tuple[str, ...]:
    """The words of a list as it is written in code, apart by spaces."""
    return tuple(text.split())
