"""Results in hand as a folder of results."""

import hashlib
import json
import secrets
from pathlib import Path

from jaxflow._checks import InputError, shown
from jaxflow._paths import local_path
from jaxflow._untyped import JsonObject
from jaxflow._versions import result_versions
from jaxflow.attribution import Attribution, Question
from jaxflow.store import arrow
from jaxflow.store import shards as store
from jaxflow.store.record import Record

# Examples in a shard, which is in memory twice while it is written.
SHARD = 1024


def save(attribution: Attribution, folder: str | Path) -> Path:
    """Keep results in hand in a folder as a sweep does; `open_sweep` reads it. See `Attribution.save`."""
    _ = arrow.pyarrow()
    path = local_path("folder", folder)
    if not len(attribution):
        raise InputError("result", "hold at least one example", "none")
    _make(path)
    sweep, shards = secrets.token_hex(8), range(0, len(attribution), SHARD)
    manifest = manifest_of(attribution) | {"format": store.FORMAT, "sweep": sweep}
    store.write_manifest(path, manifest)
    about = {key: manifest[key] for key in ("model", "question", "versions")}
    for index, first in enumerate(shards):
        shard = attribution[first : first + SHARD]
        rows = list(arrow.rows_of(range(first + 1, first + 1 + len(shard)), shard))
        certified = [row["certified"] for row in rows if "certified" in row]
        record = Record(
            index=index,
            rows=len(rows),
            # Of the texts alone, as they came from no file.
            input_sha256=hashlib.sha256(json.dumps([(row["text"], row["pair"]) for row in rows]).encode()).hexdigest(),
            last=index == len(shards) - 1,
            examples=len(rows),
            sha256=None,
            tokens=sum(len(row["tokens"]) for row in rows),
            flows=sum(each.size for each in certified),
            certified=sum(int(each.sum()) for each in certified),
            stages=shard.stages or {},
            skipped=(),
            sweep=sweep,
        )
        _ = store.write_shard(path, record, rows, {"jaxflow": json.dumps(about)})
    return path


def manifest_of(attribution: Attribution) -> JsonObject:
    """What made results in hand, as manifests have it, less the marks of a sweep."""
    question = attribution.question or Question(methods=tuple(attribution.examples[0].relevance))
    return {
        "model": attribution.model,
        "revision": None,
        "fingerprint": {},
        "reads_at": attribution.reads_at,
        "encoder_layers": attribution.encoder_layers,
        "question": question.as_json(),
        "lengths": {"max_length": None, "truncate": False},
        "input": {"name": "texts", "column": None, "pair_column": None, "examples": len(attribution)},
        "versions": result_versions(),
    }


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        filled = not store.is_empty(path)
    except (OSError, ValueError) as error:
        got = f"{shown(str(path))}: {getattr(error, 'strerror', None) or error}"
        raise InputError("folder", "be one that can be written", got, "name another `folder`") from None
    if filled:
        raise InputError(
            "folder", "be new, or empty", f"{shown(str(path))}, which is not empty", "name another `folder`"
        )
