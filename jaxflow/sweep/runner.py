"""The loop: shard by shard through a model, onto disk, and on from where a killed run stopped."""

import dataclasses
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jaxflow._checks import InputError
from jaxflow.attribution import attribute
from jaxflow.models import TextEncoder
from jaxflow.sweep import arrow, store
from jaxflow.sweep.plan import Plan, Settings, make_plan, shards
from jaxflow.sweep.source import Example, Source


@dataclass(frozen=True)
class Summary:
    """What a sweep did.

    Attributes:
        examples: rows in the store.
        before: of them, those that were there already.
        seconds: the time this run took for the others, without loading the model.
        certified: share of the flows that are certified, over the whole store; None without flow.
        stages: how many flows each stage settled, as `FlowSolution.stages` has it; empty where it is not known.
    """

    examples: int
    before: int
    seconds: float
    certified: float | None
    stages: dict[str, int]


class Stopped(KeyboardInterrupt):
    """The user stopped the sweep; the message says what is kept."""


@dataclass(frozen=True)
class Sweep:
    """A sweep that was checked and can run. Make it by `prepare`.

    Attributes:
        encoder: the model.
        source: the texts.
        folder: where results go: `manifest.json` and Parquet shards of one row an example.
        settings: what is computed.
        plan: its shards.
        manifest: as on disk; the shards listed in it are done.
    """

    encoder: TextEncoder
    source: Source
    folder: Path
    settings: Settings
    plan: Plan
    manifest: dict[str, Any]

    @property
    def done(self) -> int:
        """Examples that are in the folder."""
        return sum(shard["examples"] for shard in self.manifest["shards"])

    def run(self, batch_size: int = 32, progress: Callable[[int], None] = lambda _: None) -> Summary:
        """Attribute what is not done yet.

        The folder is made when there is something to put into it. A shard counts as done once the manifest lists it,
        so a run that is killed at any moment loses at most the shard in work.

        Args:
            batch_size: texts in a batch, at most.
            progress: called with the number of texts that were just finished.

        Raises:
            InputError: the folder cannot be written.
            Stopped: on a keyboard interrupt.
        """
        before, start = self.done, time.perf_counter()
        try:
            self._fill(batch_size, progress)
        except KeyboardInterrupt:
            raise Stopped(self._what_is_kept()) from None
        shards = self.manifest["shards"]
        flows = sum(shard["flows"] for shard in shards)
        certified = sum(shard["certified"] for shard in shards) / flows if flows else None
        stages: Counter[str] = Counter()
        for shard in shards:
            stages.update(shard.get("stages") or {})
        return Summary(self.done, before, time.perf_counter() - start, certified, dict(stages))

    def _fill(self, batch_size: int, progress: Callable[[int], None]) -> None:
        done = {shard["file"]: shard for shard in self.manifest["shards"]}
        for index, examples in enumerate(shards(self.source, self.plan)):
            file = f"part-{index:05d}.parquet"
            if file not in done:
                done[file] = self._make_shard(self.folder / file, examples, batch_size, progress)
                listed = [done[name] for name in sorted(done)]
                store.write_manifest(self.folder, self.manifest | {"shards": listed})
                self.manifest["shards"] = listed

    def _make_shard(
        self, path: Path, examples: Sequence[Example], batch_size: int, progress: Callable[[int], None]
    ) -> dict[str, Any]:
        paired = examples[0].pair is not None
        attribution = attribute(
            self.encoder,
            [example.text for example in examples],
            [example.pair for example in examples] if paired else None,
            batch_size=batch_size,
            progress=progress,
            **dataclasses.asdict(self.settings),
        )
        rows = list(arrow.rows_of([example.id for example in examples], attribution))
        about = {key: self.manifest[key] for key in ("model", "settings", "versions")}
        self._begin()
        store.write_shard(path, rows, {"jaxflow": json.dumps(about)})
        certified = [row["certified"] for row in rows if "certified" in row]
        return {
            "file": path.name,
            "sha256": store.checksum(path),
            "examples": len(rows),
            "flows": sum(each.size for each in certified),
            "certified": sum(int(each.sum()) for each in certified),
            "stages": attribution.stages,
        }

    def _what_is_kept(self) -> str:
        # As on disk: the interrupt may have come between writing the manifest and noting it here.
        written = (self.folder / store.MANIFEST).exists()
        shards = store.open_store(self.folder).manifest["shards"] if written else []
        done = sum(shard["examples"] for shard in shards)
        if not done:
            return "stopped: nothing was finished yet"
        kept = f"{done} of {self.plan.examples} examples are kept in {str(self.folder)!r}"
        return f"stopped: {kept}; the same command with --resume continues"

    def _begin(self) -> None:
        """Make the folder, and the manifest first: what has one is known for a sweep that can go on."""
        if (self.folder / store.MANIFEST).exists():
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot make the folder {str(self.folder)!r}: {error.strerror}; name another with --out"
            ) from None
        store.write_manifest(self.folder, self.manifest)


def prepare(encoder: TextEncoder, source: Source, folder: Path, settings: Settings, *, resume: bool = False) -> Sweep:
    """Check the folder and every text, and plan the sweep; writes nothing.

    Args:
        encoder: from `load_encoder`.
        source: the texts.
        folder: where results will go.
        settings: what will be computed.
        resume: go on with what the folder holds.

    Raises:
        InputError: the input, the settings or the folder cannot be used.
    """
    check_folder(folder, resume)
    _ = arrow.pyarrow()
    plan = make_plan(encoder, source, settings)
    manifest = _new_manifest(encoder, source, settings, plan)
    if resume and (folder / store.MANIFEST).exists():
        manifest = _continued(folder, manifest, plan)
    return Sweep(encoder, source, folder, settings, plan, manifest)


def check_folder(folder: Path, resume: bool) -> None:
    """Refuse a folder that results cannot go into, before any work, without touching anything.

    Raises:
        InputError: it holds something already (and `resume` is false), is no folder, or cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{str(folder)!r} is a file; name a folder with --out")
        if folder.is_dir() and not store.is_empty(folder):
            _check_filled(folder, resume)
        parent = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    except OSError as error:
        raise InputError(f"cannot write to {str(folder)!r}: {error.strerror}; name another folder with --out") from None
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {str(folder)!r}: no permission in {str(parent)!r}; name another with --out")


def _check_filled(folder: Path, resume: bool) -> None:
    if not (folder / store.MANIFEST).exists():
        raise InputError(
            f"{str(folder)!r} exists and is not empty, and holds no results of jaxflow; name another --out"
        )
    if not resume:
        raise InputError(f"{str(folder)!r} holds results already; go on with them by --resume, or name another --out")


def _new_manifest(encoder: TextEncoder, source: Source, settings: Settings, plan: Plan) -> dict[str, Any]:
    packages = ("jaxflow", "jax", "numpy", "transformers", "pyarrow")
    versions = {package: metadata.version(package) for package in packages}
    return {
        "format": store.FORMAT,
        "model": encoder.name,
        "settings": settings.as_json(),
        "input": {
            "name": source.name,
            "column": source.column,
            "pair_column": source.pair_column,
            "sha256": source.sha256(),
            "examples": plan.examples,
        },
        "versions": {"python": platform.python_version(), **versions, "device": jax.devices()[0].device_kind},
        "shards": [],
    }


def _continued(folder: Path, wanted: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The manifest of the folder, less shards that are damaged, if it is of the same sweep.

    Raises:
        InputError: it is of another one; says what differs.
    """
    found = store.open_store(folder).manifest
    differing = [
        f"{name} (there {_short(old)}, now {_short(new)})" for name, old, new in _compared(found, wanted) if old != new
    ]
    if differing:
        raise InputError(
            f"{str(folder)!r} holds results of another run, which --resume cannot go on with: it differs in "
            f"{', '.join(differing)}; name another --out"
        )
    store.remove_leftovers(folder)
    files = {f"part-{index:05d}.parquet": size for index, size in enumerate(plan.shards)}
    whole = [
        shard
        for shard in found["shards"]
        if shard["examples"] == files.get(shard["file"]) and store.is_whole(folder / shard["file"], shard.get("sha256"))
    ]
    return found | {"shards": whole}


def _compared(found: dict[str, Any], wanted: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    yield "the model", found.get("model"), wanted["model"]
    old, new = found.get("settings", {}), wanted["settings"]
    for name in new:
        yield f"--{name.replace('_', '-')}", old.get(name), new[name]
    old, new = found.get("input", {}), wanted["input"]
    for name in ("column", "pair_column"):
        yield f"--{name.replace('_', '-')}", old.get(name), new[name]
    yield "the input's content (sha256)", old.get("sha256"), new["sha256"]


def _short(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else text[:12] + "..."
