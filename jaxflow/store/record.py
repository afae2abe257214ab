"""Records of finished shards, and JSON files that may be damaged."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from jaxflow._checks import FACTS
from jaxflow._paths import open_regular
from jaxflow._untyped import JsonObject, JsonValue

# The field that holds a checksum of all others.
CHECK = "check"
# Rows of a shard beyond which a record is taken for damaged: a shard has about a thousand.
MOST = 2**40


@dataclass(frozen=True)
class Record:
    """A finished shard.

    Attributes:
        index: number of the shard, from 0.
        rows: rows of the input that it covers, skipped ones included.
        input_sha256: a hash of these rows.
        last: whether the input ends with them.
        examples: rows of its Parquet file; without any there is no file.
        sha256: of the file.
        tokens: of its texts, special ones included.
        flows: number of flows.
        certified: number of proven flows.
        stages: number of flows that each stage settled.
        skipped: rows left out: `id`, the row or line number, `reason`, in Python's words, and `facts`, of which these
            are made, as `InputError` has them; folders of earlier versions have none.
        sweep: name of its sweep, as in the manifest; None in folders of earlier versions.
    """

    index: int
    rows: int
    input_sha256: str
    last: bool
    examples: int
    sha256: str | None
    tokens: int
    flows: int
    certified: int
    stages: dict[str, int]
    skipped: tuple[JsonObject, ...]
    sweep: str | None = None

    @property
    def file(self) -> str:
        """The name of its Parquet file."""
        return shard_file(self.index)

    def of_sweep(self, sweep: str | None) -> "Record":
        """The same record of a named sweep."""
        return replace(self, sweep=sweep)


def shard_file(index: int) -> str:
    """The name of a shard's Parquet file."""
    return f"part-{index:05d}.parquet"


def record_file(index: int) -> str:
    """The name of a shard's record."""
    return f"part-{index:05d}.json"


def parsed(path: Path) -> JsonValue:
    """The content of a JSON file.

    Raises:
        ValueError: it cannot be read, or is no JSON; the message is one line and does not name the file.
    """
    try:
        with open_regular(path) as file:
            return json.loads(file.read().decode("utf-8"))
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None


def checked(fields: JsonObject) -> JsonObject:
    """The fields, with a checksum of all of them."""
    return fields | {CHECK: check_of(fields)}


def check_of(fields: JsonObject) -> str:
    """A checksum of fields, as JSON has them."""
    # Through JSON and back, so that tuples and numeric keys give what they will when they are read again.
    plain = json.loads(json.dumps(fields))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def unchecked(fields: JsonValue) -> JsonObject:
    """The fields that were passed to `checked`.

    Raises:
        ValueError: they were changed since, or there are no fields at all.
    """
    try:
        if isinstance(fields, dict) and fields.pop(CHECK, None) == check_of(fields):
            return fields
    except RecursionError:
        pass
    raise ValueError("its content was changed: its checksum differs")


def read_record(path: Path) -> Record:
    """A shard's record.

    Raises:
        ValueError: it cannot be read, or is not as it was written; the message is one line and does not name the file.
    """
    # A right checksum is not enough: a record may come from another version, or under another shard's name.
    fields = unchecked(parsed(path))
    if not _is_record(fields):
        raise ValueError("its fields are not those of a record")
    fields["skipped"] = tuple(fields["skipped"])
    record = Record(**fields)
    if path.name != record_file(record.index):
        raise ValueError(f"it is the record of {record.file}")
    return record


def _is_record(fields: JsonObject) -> bool:
    """Whether all fields are there, none besides, and each of its type."""
    counts = ("index", "rows", "examples", "tokens", "flows", "certified")
    kinds = {"input_sha256": str, "last": bool, "stages": dict, "skipped": list, "sha256": (str, type(None))}
    if fields.keys() - {"sweep"} != {*counts, *kinds} or not isinstance(fields.get("sweep"), str | None):
        return False
    stages, skipped = fields["stages"], fields["skipped"]
    return (
        all(isinstance(fields[name], kind) for name, kind in kinds.items())
        and all(_is_count(value) for value in [*(fields[name] for name in counts), *stages.values()])
        and all(map(_is_skipped, skipped))
        and fields["examples"] <= fields["rows"] <= MOST
        and (fields["sha256"] is not None or not fields["examples"])
    )


def _is_skipped(row: JsonValue) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("reason"), str) or "id" not in row:
        return False
    facts = row.get("facts")
    if facts is None:
        return True
    return (
        isinstance(facts, dict) and facts.keys() == {*FACTS} and all(isinstance(x, str | None) for x in facts.values())
    )


def _is_count(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
