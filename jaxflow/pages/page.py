"""The page: one HTML file that holds its data, style and script, and asks the network for nothing."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import numpy as np

from jaxflow._checks import InputError
from jaxflow._paths import local_path
from jaxflow._untyped import JsonObject, JsonValue
from jaxflow._words import readable, readable_scores
from jaxflow.attribution import Question
from jaxflow.attribution.registry import is_flow, method_name
from jaxflow.models.builtin import MEANINGS
from jaxflow.pages.carried import carried_by, class_method
from jaxflow.pages.pictures import picture_data
from jaxflow.pages.pieces import joined, pieces, predicted_at, second_part
from jaxflow.store.arrow import Row, picture_of_row, relevance_columns, saturation_of
from jaxflow.store.output import write_text
from jaxflow.store.results import Store

# A page of more would open slowly; the rest is in the Parquet files. Numbers are relevance values.
MOST_EXAMPLES = 200
VALUES = 3_000_000
# Of a single text: with these the page stays below 2 MB, and opens at once.
ALONE = 300_000
# Most characters of a field of the mixing.
WORDS = 40


def write_report(store: Store, path: Path) -> Path:
    """Write the page of a store's first examples.

    Args:
        store: the results.
        path: of the page; an ordinary file there is replaced in one step, and keeps its mode.

    Returns:
        The path.

    Raises:
        InputError: the file cannot be written.
    """
    return write_html(render(page_data(store.manifest, store.rows())), path)


def write_html(html: str, path: str | Path) -> Path:
    """Write a page that is finished, so that a page that cannot be made leaves the old one; its path."""
    target = local_path("path", path)
    write_text(target, html)
    return target


def page_data(manifest: JsonObject, rows: Iterable[Row]) -> JsonObject:
    """The page's data as JSON."""
    question = manifest["question"]
    return {
        "model": manifest["model"],
        "input": manifest["input"]["name"],
        "total": manifest["input"]["examples"],
        "versions": manifest.get("versions", {}),
        # Whether the same numbers are in Parquet files beside the page.
        "stored": manifest.get("stored", True),
        "settings": page_settings(question),
        "methods": _methods(question),
        "flows": [method_name(method) for method in question["methods"] if is_flow(method)],
        "encoder_layers": manifest.get("encoder_layers", 0),
        "meanings": dict(MEANINGS.get(str(manifest["model"]), {})),
        # As many as a page can hold, the first ones.
        "examples": [
            example | {"carried": _carried(row, manifest)}
            for row, example in _within_budget(
                rows, min(VALUES, ALONE) if manifest["input"]["examples"] == 1 else VALUES
            )
        ],
    }


def _methods(question: Mapping[str, JsonValue]) -> list[str]:
    """The methods' names, the one of the class first: it answers what a prediction rests on."""
    names, of_class = list(map(method_name, question["methods"])), class_method(question)
    return names if of_class is None else sorted(names, key=lambda name: name != of_class[0])


def _parts(row: Row, queries: int) -> JsonObject | None:
    """Where the second part of a row begins (targets, an answer), and the token that each query explains.

    A position explains the token that it predicted, the one behind it, or None where that is not in the second part.
    A text in one part gives None.
    """
    start = second_part(row)
    if start is None:
        return None
    explained = [predicted_at(row, int(query)) for query in row["queries"][:queries]]
    targets = row.get("first_target") is not None
    names = ["Source", "Target"] if targets else ["Prompt", "Answer"]
    # A decoder's attention goes to the first token where it has no use for it.
    return {"start": start, "names": names, "explained": explained, "sink": None if targets else 0}


def _picture(row: Row) -> JsonObject | None:
    """What the model saw of an image, and its patches; None for a text."""
    picture = picture_of_row(row)
    return None if picture is None else picture_data(picture)


def _carried(row: Row, manifest: JsonObject) -> JsonObject | None:
    carried = carried_by(row, manifest)
    return None if carried is None else asdict(carried)


def page_settings(question: Mapping[str, JsonValue]) -> JsonObject:
    """What pages show of a question's JSON.

    The mixings that are read, in words; the residual to draw arcs with; flow's solver; and the method of the class,
    which leads.
    """
    flow, of_class = question["flow"], class_method(question)
    fields = _mixing_fields(question["mixing"])
    residual = fields.get("residual", fields.get("own"))
    return {
        "mixing": mixings_words(question),
        # Another mixing's field of that name may be anything.
        "residual": residual if isinstance(residual, int | float) else 0.5,
        "lead": None if of_class is None else of_class[0],
        "flow": flow if isinstance(flow, str) else flow["class"].rpartition(":")[2],
    }


def mixings_words(question: Mapping[str, JsonValue]) -> str:
    """All mixings that a question's methods read, by its JSON."""
    try:
        asked = Question.from_json(question)
    except InputError:
        # A method of a user's own that is not at hand: the question's mixing, which most methods read.
        return mixing_words(question["mixing"])
    return "; ".join(map(mixing_words, asked.read_mixings())) or "none is read"


def mixing_words(mixing: Mapping[str, JsonValue]) -> str:
    """A mixing's name and fields, by its JSON: `attention (heads mean, residual 0.5)`."""
    fields = {name: str(value) for name, value in _mixing_fields(mixing).items()}
    # Weights of all heads are too many to show.
    words = [f"{name} {text if len(text) <= WORDS else f'{text[:WORDS]}...'}" for name, text in fields.items()]
    return f"{mixing['name']} ({', '.join(words)})" if words else mixing["name"]


def _mixing_fields(mixing: Mapping[str, JsonValue]) -> JsonObject:
    # Known mixings have their fields beside the name; a user's own have theirs apart, some with name and needs there.
    fields = mixing.get("fields", mixing)
    return {name: value for name, value in fields.items() if name not in ("name", "class", "needs")}


def render(data: JsonObject) -> str:
    """The page as HTML."""
    return whole_page("report", data, pictures=any(example["picture"] for example in data["examples"]))


def whole_page(name: str, data: JsonObject, *, draws: bool = False, pictures: bool = False, rest: str = "") -> str:
    """A page that loads nothing, as HTML.

    Text of the data is nowhere markup: it stands in a JSON block with all of HTML's signs escaped. The policy in its
    head lets only these very scripts and this style run, and nothing be loaded.

    Args:
        name: of the page, and of the files of its body, style and script. Scripts are bundles that are checked in;
            scripts/pages has their sources.
        data: what the script finds under `data`.
        draws: whether it draws with D3, whose script then stands in front of it, its licence behind.
        pictures: whether it shows pictures that stand in its data; pictures from elsewhere are never loaded.
        rest: what follows the scripts.
    """
    look = asset("shared.css") + asset(f"{name}.css")
    scripts = [asset("d3.js")] * draws + [asset(f"{name}.js")]
    # A comment ends at two hyphens.
    licence = [f"<!-- {asset('d3-licence.txt').replace('--', '- -')} -->"] * draws
    return page_of_parts(
        "shell.html",
        # No network, no frames, no forms: of scripts and styles those with these hashes run.
        policy=(
            f"default-src 'none'; style-src {source_hash(look)}; script-src {' '.join(map(source_hash, scripts))}; "
            f"base-uri 'none'; form-action 'none'{'; img-src data:' * pictures}"
        ),
        title=f"jaxflow {name}",
        style=look,
        body=page_of_parts(
            "scripted.html",
            body=asset(f"{name}.html"),
            data=as_json_block(data),
            scripts="\n".join([*(f"<script>{script}</script>" for script in scripts), *licence, rest]),
        ),
    )


def page_of_parts(shell: str, **parts: str) -> str:
    """A page: a file of the pages' parts, with each name in double braces replaced."""
    # One pass, so that what is put in is not searched again.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], asset(shell))


def as_json_block(data: JsonValue) -> str:
    """JSON that can stand between script tags, whatever its texts hold."""
    # NaN is no JSON: better an error here than a page that does not open.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Signs of HTML could end the block; the others end lines in old scripts, or are dropped by browsers.
    return re.sub("[<>&\u2028\u2029\x7f\ufeff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _within_budget(rows: Iterable[Row], left: int) -> Iterator[tuple[Row, JsonObject]]:
    for count, row in enumerate(rows):
        methods = relevance_columns(row)
        per_query = len(methods) * len(row["layers"]) * len(row["tokens"])
        # The first example is always shown, whatever its size.
        if count == MOST_EXAMPLES or (count and per_query * len(row["queries"]) > left):
            return
        # If it is too large alone, with its first positions.
        shown = max(1, min(len(row["queries"]), left // per_query))
        left -= per_query * shown
        yield row, _example(row, methods, shown)


def _example(row: Row, methods: list[str], queries: int) -> JsonObject:
    example = {name: row[name] for name in ("id", "text", "pair")}
    # Names as they are read; tables keep the tokenizer's own.
    example["tokens"] = list(map(readable, row["tokens"]))
    example["prediction"] = None if row["prediction"] is None else readable(row["prediction"])
    example["probabilities"] = readable_scores(row["probabilities"] or {}) or None
    example |= {name: row[name].tolist() for name in ("source", "layers")}
    example |= {"queries": row["queries"][:queries].tolist(), "queries_total": len(row["queries"])}
    example["pieces"] = pieces(row)
    example["joined"] = joined(row, example["pieces"])
    example["parts"] = _parts(row, queries)
    example["picture"] = _picture(row)
    # float32 is enough: the page shows six digits.
    example["values"] = {method: as_base64(row[method][:, :queries], "<f4") for method in methods}
    # Where no flow of a method is saturated nothing needs to be said of each.
    saturation = {name: values[:, :queries] for name, values in saturation_of(row).items()}
    example["saturated"] = {
        name: as_base64(values, "u1") if values.any() else None for name, values in saturation.items()
    }
    if "certified" in row:
        certified = row["certified"][:, :queries]
        example["certified_share"] = row["certified_share"]
        # Most often all are, and then nothing needs to be said of each.
        example["certified"] = None if certified.all() else as_base64(certified, "u1")
    return example


def as_base64(array: np.ndarray, kind: str) -> str:
    """Numbers of a type such as `"<f4"`, little-endian, as the pages' scripts read them."""
    return base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode("ascii")


def asset(name: str) -> str:
    """A file of the page's parts, as text."""
    return files("jaxflow.pages").joinpath("assets", name).read_text("utf-8")


def source_hash(text: str) -> str:
    """The hash by which a page's policy names a script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
