"""The page of a data set's summary: charts by layer and position, tokens to sort, where methods disagree most."""

from pathlib import Path

from jaxflow._untyped import JsonObject, JsonValue
from jaxflow._words import readable
from jaxflow.pages.page import mixings_words, whole_page, write_html
from jaxflow.store.results import Store
from jaxflow.summary.summary import DataSummary

# Of the vocabulary, those that occur most; the rest is in the table beside the page.
TOKENS = 2000


def write_summary_page(summary: DataSummary, results: Store, path: Path) -> Path:
    """Write the page.

    Args:
        summary: from `summarize`.
        results: that it is of; they say which model, which input, and whether all of it.
        path: of the page; an ordinary file there is replaced in one step, and keeps its mode.

    Returns:
        The path.

    Raises:
        InputError: the file cannot be written.
    """
    return write_html(render_summary(summary, results), path)


def render_summary(summary: DataSummary, results: Store) -> str:
    """The page as HTML; it asks the network for nothing, and text of the data is nowhere markup."""
    return whole_page("summary", summary_data(summary, results), draws=True)


def summary_data(summary: DataSummary, results: Store) -> JsonObject:
    """What the page shows, as JSON has it: counts as they are, other numbers with six digits."""
    # layer position
    positions = {method: values.tolist() for method, values in summary.positions.items()}
    known = summary.as_json(TOKENS)
    return _rounded(
        known
        | {
            "tokens": [row | {"token": readable(row["token"])} for row in known["tokens"]],
            "special_tokens": list(map(readable, known["special_tokens"])),
            "model": results.manifest.get("model", ""),
            "input": results.manifest["input"]["name"],
            "images": bool(results.files) and "image" in results.dataset().schema.names,
            "mixing": mixings_words(results.manifest["question"]),
            "complete": results.complete,
            "vocabulary": len(summary.token_counts),
            "positions": {"counts": summary.position_counts, **positions},
        }
    )


def _rounded(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if not isinstance(value, float):
        return value
    # A whole number needs no ".0", and the page has many.
    return int(value) if value.is_integer() else float(f"{value:.6g}")
