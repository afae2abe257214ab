"""Prompts that try to take a language model over, and harmless ones; written for this experiment, free for any use.

What makes a prompt an injection is marked by braces in the files. Half of the harmless ones hold marked phrases too, of
much the same words.
"""

import re
from collections import Counter
from pathlib import Path

from experiments.attention_change.texts import Marked, frequency

FILES = {"injection": "injections.txt", "benign": "benign.txt"}
WORDS = r"\w+(?:['’-]\w+)*"


def read_prompts(counts: Counter[str]) -> list[Marked]:
    """All prompts, harmless ones last; marked are the words within braces."""
    return [
        marked_prompt(line, counts, group)
        for group, name in FILES.items()
        for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    ]


def marked_prompt(line: str, counts: Counter[str], group: str = "") -> Marked:
    """The text of a line without its braces, and its words, those within them marked."""
    text, marked = "", []
    for number, part in enumerate(re.split(r"[{}]", line)):
        if number % 2:
            marked.append((len(text), len(text) + len(part)))
        text += part
    spans = tuple(match.span() for match in re.finditer(WORDS, text))
    labels = tuple(any(start <= span[0] < end for start, end in marked) for span in spans)
    return Marked(text, spans, labels, tuple(frequency(text[a:b], counts) for a, b in spans), group)
