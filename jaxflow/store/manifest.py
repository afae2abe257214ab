"""Manifests: what made a sweep's results, enough to resume the sweep and to refuse a different one."""

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from jaxflow._checks import InputError, shown
from jaxflow._versions import result_versions
from jaxflow.attribution.question import Question
from jaxflow.inputs.source import Source
from jaxflow.models import Model
from jaxflow.models.two_streams import encoder_layers_of
from jaxflow.store import shards as store


def new_manifest(model: Model, source: Source, question: Question, lengths: Mapping[str, Any]) -> dict[str, Any]:
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


def check_same(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse to resume another sweep.

    Raises:
        InputError: the manifests differ; it names the fields.
    """
    differing = [
        f"{name} (there {_short(old)}, now {_short(new)})" for name, old, new in _compared(found, wanted) if old != new
    ]
    if differing:
        raise another_run(folder, ", ".join(differing))


def another_run(folder: Path, difference: str) -> InputError:
    """The error for results of another sweep; `difference` names what differs."""
    got = f"{shown(str(folder))}, which differs in {difference}"
    expected = "be new, or hold results of the same run"
    return InputError("folder", expected, got, "name another `folder`")


def _compared(found: dict[str, Any], wanted: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
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


def _flat(manifest: dict[str, Any]) -> dict[str, Any]:
    """All options that decide the numbers, by name; fields of the mixing, such as `residual`, beside its name."""
    fields = {**manifest["question"], **manifest["lengths"]}
    mixing = fields.pop("mixing")
    return fields | {"mixing": mixing["name"]} | {name: mixing[name] for name in mixing if name != "name"}


def _short(value: Any) -> str:
    """A manifest's value as an error shows it: of hashes and lists only the beginning."""
    if isinstance(value, str) and len(value) == 1:
        # Such as a separator.
        return repr(value)
    parts = value if isinstance(value, list) else [value]
    text = ",".join(str(part["name"]) if isinstance(part, dict) and "name" in part else str(part) for part in parts)
    return text if len(text) <= 40 else text[:12] + "..."
