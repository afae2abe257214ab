"""The table of supported models, made from the families."""

from dataclasses import dataclass

from jaxflow.models.encoder_decoder.families import FAMILIES as PAIRS
from jaxflow.models.families import FAMILIES

HEAD_TITLES = {
    "bare": "bare",
    "masked_lm": "masked LM",
    "sequence_classification": "sequence classification",
    "token_classification": "token classification",
    "multiple_choice": "multiple choice",
    "question_answering": "question answering",
    "next_sentence": "next sentence",
    "discriminator": "discriminator",
    "next_token": "next token",
}


@dataclass(frozen=True)
class Supported:
    """One family.

    Attributes:
        family: its name for people.
        model_type: its name in config.json.
        heads: names of its heads, for people.
        note: terms of its attention beyond products of contents.
    """

    family: str
    model_type: str
    heads: tuple[str, ...]
    note: str


def supported_models() -> list[Supported]:
    """Every family with its heads."""
    return [
        Supported(
            family.title,
            family.model_type,
            tuple(HEAD_TITLES[head] for head in HEAD_TITLES if head in family.heads),
            family.note,
        )
        for family in FAMILIES.values()
    ] + [
        Supported(family.title, family.model_type, ("bare", "next token"), "sources and targets, `PairModel`")
        for family in PAIRS.values()
    ]


def supported_table() -> str:
    """The table of supported models, in Markdown, with one row a family and one column a head."""
    lines = [
        "| family | `model_type` | " + " | ".join(HEAD_TITLES.values()) + " |",
        "| --- | --- |" + " :-: |" * len(HEAD_TITLES),
    ]
    for row in supported_models():
        marks = ["yes" if title in row.heads else "" for title in HEAD_TITLES.values()]
        lines.append(f"| {row.family} | `{row.model_type}` | " + " | ".join(marks) + " |")
    notes = [f"{row.family}: {row.note}." for row in supported_models() if row.note]
    return "\n".join([*lines, "", *notes])
