"""Manifests: what made a sweep's results, enough to resume the sweep and to refuse a different one."""

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax

from jaxflow._checks import InputError, shown
from jaxflow._untyped import JsonObject, JsonValue
from jaxflow._versions import result_versions
from jaxflow.attribution.question import Question
from jaxflow.inputs.source import Source
from jaxflow.models import Model
from jaxflow.models.two_streams import encoder_layers_of
from jaxflow.store import shards as store


def new_manifest(model: Model, source: Source, question: Question, lengths: Mapping[str, JsonValue]) -> JsonObject:
    """The manifest of a new sweep; the input's rows are hashed shard by shard, in the shards' records.

    `sweep` is a random name, which each record repeats: records of another run of the same question do not fit.
    `lengths` decide the numbers beside the question: `max_length` and `truncate`.
    """
    return {
        "format": store.FORMAT,
        "sweep": secrets.token_hex(8),
        "model": model.name,
        "revision": getattr(model, "revision", None),
        "fingerprint": model.fingerprint(),
        # Where the head reads, for pages: relevance to it is what the prediction rests on.
        "reads_at": model.reads_at,
        "encoder_layers": encoder_layers_of(model),
        "question": question.as_json(),
        "lengths": dict(lengths),
        "input": {"name": source.name, "column": source.column, "pair_column": source.pair_column, **source.reading},
        "versions": {**result_versions(), "device": jax.devices()[0].device_kind},
    }


def check_same(folder: Path, found: JsonObject, wanted: JsonObject) -> None:
    """Refuse to resume another sweep.

    Raises:
        InputError: the manifests differ; it names the fields.
    """
    differing = [
        f"{name} (there {there}, now {now})"
        for name, (there, now) in (
            (name, _shorts(old, new)) for name, old, new in _compared(found, wanted) if old != new
        )
    ]
    if differing:
        raise another_run(folder, ", ".join(differing))


def another_run(folder: Path, difference: str) -> InputError:
    """The error for results of another sweep; `difference` names what differs."""
    got = f"{shown(str(folder))}, which differs in {difference}"
    expected = "be new, or hold results of the same run"
    return InputError("folder", expected, got, "name another `folder`")


def _compared(found: JsonObject, wanted: JsonObject) -> Iterator[tuple[str, JsonValue, JsonValue]]:
    old, new = found.get("fingerprint", {}), wanted["fingerprint"]
    # Where the whole model is another, its name says more than hashes.
    named = found.get("model") != wanted["model"] and old.get("weights") != new.get("weights")
    if named:
        yield "the model", found.get("model"), wanted["model"]
    for name, value in new.items() if not named else ():
        yield f"the model's {name}", old.get(name), value
    # The question and lengths, then what is known of the input before it is read: rows are hashed shard by shard.
    old, new = _flat(found), _flat(wanted)
    # A field that is at its default may be named by neither.
    for name in {**new, **old}:
        yield name, old.get(name), new.get(name)
    old, new = found.get("input", {}), wanted["input"]
    for name in ("column", "pair_column"):
        yield name, old.get(name), new[name]
    for name in ("encoding", "separator", "quotes"):
        # Folders of earlier versions don't say; their rows are compared in any case.
        if name in old:
            yield name, old[name], new.get(name)


def _flat(manifest: JsonObject) -> JsonObject:
    """All options that decide the numbers, by name; fields of the mixing, such as `residual`, beside its name."""
    fields = {**manifest["question"], **manifest["lengths"]}
    mixing = fields.pop("mixing")
    return fields | {"mixing": mixing["name"]} | {name: mixing[name] for name in mixing if name != "name"}


def _shorts(old: JsonValue, new: JsonValue) -> tuple[str, str]:
    """Two values that differ as an error shows them; where both have one name, the field that differs."""
    shorts = _short(old), _short(new)
    if shorts[0] != shorts[1]:
        return shorts
    if isinstance(old, list) and isinstance(new, list):
        return _shorts(*next((one, two) for one, two in zip(old, new, strict=False) if one != two))
    if isinstance(old, dict) and isinstance(new, dict):
        name = next(name for name in {**old, **new} if old.get(name) != new.get(name))
        one, two = _shorts(old.get(name), new.get(name))
        return f"{name} {one}", f"{name} {two}"
    # They differ behind what is shown.
    return str(old), str(new)


def _short(value: JsonValue) -> str:
    """A manifest's value as an error shows it: of hashes and lists only the beginning."""
    if isinstance(value, str) and len(value) == 1:
        # Such as a separator.
        return repr(value)
    parts = value if isinstance(value, list) else [value]
    text = ",".join(str(part["name"]) if isinstance(part, dict) and "name" in part else str(part) for part in parts)
    return text if len(text) <= 40 else text[:12] + "..."
