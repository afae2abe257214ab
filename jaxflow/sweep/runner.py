"""The loop of a sweep: shard by shard through a model and onto disk, resumable at any moment.

Any number of processes may fill a folder together; `claims` has how they agree.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxflow._checks import InputError, as_flag, not_forked, one_of
from jaxflow._typing import Given
from jaxflow._untyped import JsonObject
from jaxflow.attribution import Attribution, EncodedText, Example, attribute_shards
from jaxflow.attribution.answers import check_answers
from jaxflow.attribution.question import Question
from jaxflow.inputs.source import InlineSource, Source
from jaxflow.models import Model
from jaxflow.models.generation import NEW_TOKENS
from jaxflow.store import arrow
from jaxflow.store import shards as store
from jaxflow.store.manifest import new_manifest
from jaxflow.store.place import Place
from jaxflow.store.places import place_of
from jaxflow.store.record import Record
from jaxflow.sweep.background import Ahead, Behind
from jaxflow.sweep.checks import check_folder, check_images, check_question, finished
from jaxflow.sweep.claims import Claims
from jaxflow.sweep.shards import ON_ERROR, BadRowError, Lengths, Shard, cuts, encode, settled_lengths
from jaxflow.sweep.tally import Stopped, Summary, Tally

__all__ = ["Stopped", "Sweep", "prepare"]

# Shards that are read and tokenised beforehand, and that are written or wait for it. More would only cost memory.
AHEAD, BEHIND = 2, 2
# Seconds between two looks at what other processes are doing, where this one waits for them.
PERIOD = 0.5
# The lease of a process that looks through the shards that are there.
CHECK = "check"


@dataclass(frozen=True)
class Sweep:
    """A sweep that was checked and can run. Make it by `prepare`.

    Attributes:
        model: that reads the texts.
        source: the texts.
        place: where results go.
        question: the question to every text.
        lengths: how long texts may be.
        manifest: what makes the results.
        done: records of the shards that are in the folder.
        on_error: "stop" or "skip", at a row that cannot be used.
    """

    model: Model
    source: Source
    place: Place
    question: Question
    lengths: Lengths
    manifest: JsonObject
    done: dict[int, Record]
    on_error: str

    @property
    def folder(self) -> Path:
        """Where results go; of a store the copy here."""
        return self.place.folder

    @property
    def rows_done(self) -> int:
        """Rows of the input in shards that are in the folder."""
        return sum(record.rows for record in self.done.values())

    def run(
        self,
        batch_size: int | np.integer | None = 32,
        progress: Callable[[Tally], None] = lambda _: None,
        ending: Callable[[], bool] = lambda: False,
        **options: Any,
    ) -> Summary:
        """Attribute what is not done yet, together with any other process that does so, until all is done.

        Texts are read and tokenised, and results written, in threads, while the device computes. A shard counts as done
        once its record is there, so a run that is killed at any moment loses at most the shards in work; other
        processes take these over.

        Args:
            batch_size: texts in a batch, at most.
            progress: called when texts were finished, and now and then while this waits.
            ending: whether to end after the shards in work.
            options: for `attribute_shards`.

        Raises:
            InputError: a row cannot be used (with `on_error="stop"`), the input cannot be read on or has changed, or
                the folder cannot be written; what was computed before is kept.
            Stopped: on a keyboard interrupt, and where it was to end before all was done.
        """
        start = time.perf_counter()
        work = _Run(self, progress, ending)
        try:
            work(batch_size, options)
        except KeyboardInterrupt:
            kept = self._kept()
            # The tally would count what is not written yet; the disk says what is kept.
            raise Stopped(kept and f"{kept} in {str(self.place)!r}") from None
        except InputError as error:
            for way_out in self._ways_on(error):
                error = error.also(way_out)
            raise error
        before = sum(record.examples for record in self.done.values())
        records = tuple(record for _, record in sorted(work.claims.records.items()))
        elsewhere = sum(record.examples for record in records) - before - work.tally.examples
        return Summary(before, max(0, elsewhere), time.perf_counter() - start, work.tally, records)

    def _kept(self) -> str:
        """What is on disk, in words; "" for nothing."""
        done = sum(record.examples for record in store.read_records(self.folder).values())
        if not done:
            return ""
        try:
            count = self.source.count()
        except (OSError, InputError):
            # The source itself may be what went wrong.
            count = None
        of = "" if count is None else f"of {count} "
        return f"{done} {of}examples are kept"

    def _ways_on(self, error: InputError) -> list[str]:
        skip = isinstance(error, BadRowError) and not isinstance(self.source, InlineSource)
        ways = ['leave such rows out with `on_error="skip"`'] if skip else []
        kept = self._kept()
        return [*ways, f"{kept}, and the same run goes on from there"] if kept else ways


class _Run:
    """One run of a sweep, while it lasts."""

    def __init__(self, sweep: Sweep, progress: Callable[[Tally], None], ending: Callable[[], bool]):
        self.sweep, self.progress, self.ending = sweep, progress, ending
        self.claims, self.tally = Claims(sweep.place, sweep.manifest, sweep.done), Tally()
        # Three threads meet here: one reads, one writes, and this one keeps the device busy between them. `begun` holds
        # shards between reading and attribution; a failed reader leaves its error in `failure`.
        self.begun: deque[Shard] = deque()
        self.failure: Exception | None = None

    def __call__(self, batch_size: int | np.integer | None, options: dict[str, Any]) -> None:
        with closing(self.claims):
            # Once is enough, unless a process dies that had a shard in work.
            self._round(batch_size, options)
            while self._wait():
                self._round(batch_size, options)
            self.claims.finish()

    def _round(self, batch_size: int | np.integer | None, options: dict[str, Any]) -> None:
        """Read the input once, and make every shard that nobody else makes."""
        ahead, behind = Ahead(self._read(), AHEAD, self._tell), Behind(self._write, BEHIND, self._tell)
        attributed = attribute_shards(
            self.sweep.model,
            self._texts(ahead),
            self.sweep.question,
            batch_size=batch_size,
            new_tokens=self.sweep.lengths.get("new_tokens", NEW_TOKENS),
            progress=self._count,
            idle=self._idle,
            **options,
        )
        # Left in the order of the last to the first: what was computed is written whatever happens.
        with closing(behind), closing(ahead), closing(attributed):
            for attribution in attributed:
                behind.put((self.begun.popleft(), attribution))
            behind.finish()
            # The device's last idle time comes after the last texts.
            self._tell()
        if self.failure is not None:
            raise self.failure

    def _read(self) -> Iterator[Shard]:
        """In the thread that reads: shards that nobody makes, tokenised."""
        sweep, any_shard = self.sweep, False
        for rows in cuts(sweep.source.rows(), sweep.model, sweep.question, sweep.lengths["max_length"]):
            any_shard = True
            # Read all the same where it is done: its hash tells whether the input has changed.
            if self.claims.is_free(rows):
                yield encode(sweep.model, rows, sweep.question, sweep.lengths, sweep.on_error)
        if not any_shard:
            raise InputError(None, "hold a text", "none", place=sweep.source.name)
        self.claims.all_read = True

    def _texts(self, ahead: Iterator[Shard]) -> Iterator[Sequence[EncodedText]]:
        """Shards for the device. Where reading fails they end, so that what is on its way is still finished."""
        while not self.ending():
            try:
                shard = next(ahead)
            except StopIteration:
                return
            except Exception as error:
                self.failure = error
                if isinstance(error, OSError):
                    why, name = str(error.strerror or error), self.sweep.source.name
                    self.failure = InputError(None, "be readable to its end", why, place=name)
                return
            # Shards are taken late, as the device needs them: what a process has tokenised, another may take.
            if self.claims.take(shard.cut.index):
                self.begun.append(shard)
                self.tally = replace(self.tally, rows=self.tally.rows + len(shard.skipped))
                yield shard.texts

    def _wait(self) -> bool:
        """Wait until no shard is missing, or one can be taken; whether there is one."""
        # A round that was to end early knows nothing of the shards that it did not read.
        if not self.claims.all_read:
            raise KeyboardInterrupt
        while missing := self.claims.missing():
            if self.ending():
                raise KeyboardInterrupt
            if self.claims.can_take(missing):
                if not self.sweep.source.once:
                    return True
                got, way_out = "one that can be read only once", "pass it anew: the same run goes on"
                raise InputError("source", "be read again for what another process left undone", got, way_out)
            self._tell()
            time.sleep(PERIOD)
        return False

    def _count(self, examples: Sequence[Example]) -> None:
        proven = [example.certified for example in examples if example.certified is not None]
        self.tally = replace(
            self.tally,
            rows=self.tally.rows + len(examples),
            examples=self.tally.examples + len(examples),
            tokens=self.tally.tokens + sum(len(example.tokens) for example in examples),
            flows=self.tally.flows + sum(each.size for each in proven),
            certified=self.tally.certified + sum(int(each.sum()) for each in proven),
        )
        self._tell()

    def _tell(self) -> None:
        self.progress(replace(self.tally, rows=self.tally.rows + self.claims.rows_elsewhere))

    def _idle(self, seconds: float) -> None:
        self.tally = replace(self.tally, idle=self.tally.idle + seconds)

    def _write(self, done: tuple[Shard, Attribution]) -> None:
        """In the thread that writes: a shard onto disk."""
        shard, attribution = done
        rows = list(arrow.rows_of(shard.ids, attribution))
        # Counted from the rows that are written, so that records and files agree.
        certified = [row["certified"] for row in rows if "certified" in row]
        record = Record(
            index=shard.cut.index,
            rows=len(shard.cut.rows),
            input_sha256=self.claims.hashes[shard.cut.index],
            last=shard.cut.last,
            examples=len(rows),
            sha256=None,
            tokens=sum(len(row["tokens"]) for row in rows),
            flows=sum(each.size for each in certified),
            certified=sum(int(each.sum()) for each in certified),
            stages=attribution.stages or {},
            skipped=tuple({"id": row.id, "reason": row.reason, "facts": row.error.facts} for row in shard.skipped),
        )
        about = {key: self.sweep.manifest.get(key) for key in ("model", "question", "versions")}
        self.claims.write(record, rows, {"jaxflow": json.dumps(about)})


def prepare(
    model: Model,
    source: Source,
    folder: Given[Path | Place],
    question: Question,
    *,
    max_length: int | None = None,
    truncate: Given[bool] = False,
    new_tokens: int | None = None,
    resume: Given[bool] = True,
    on_error: str = "stop",
) -> Sweep:
    """Check the folder and the question, and what there is to go on with; reads no new text, and writes no results.

    Of what an earlier run left, half-written files go, and the records of shards that were damaged since, unless
    another process is filling the folder.

    Args:
        model: from `load_model`.
        source: the texts.
        folder: where results will go.
        question: the question to every text.
        max_length: most tokens of a text.
        truncate: cut longer texts rather than refuse them.
        new_tokens: most tokens that the model writes where there are no pairs; None for its own number.
        resume: go on with what the folder holds of the same run, or join the processes that fill it.
        on_error: what to do at a row that cannot be used: "stop", or "skip" it.

    Raises:
        InputError: the question or the folder cannot be used, or the folder holds results of another sweep.
    """
    not_forked()
    one_of("on_error", on_error, ON_ERROR)
    truncate = as_flag("truncate", truncate)
    place = place_of("folder", folder)
    check_folder(place, as_flag("resume", resume))
    _ = arrow.pyarrow()
    check_images(model, source)
    check_answers(question, model, given=source.paired)
    lengths = settled_lengths(model, question, source.paired, max_length, truncate, new_tokens)
    check_question(question, model, lengths, paired=source.paired)
    manifest = new_manifest(model, source, question, lengths)
    sweep = Sweep(model, source, place, question, lengths, manifest, {}, on_error)
    folder = place.folder
    if not folder.is_dir():
        return sweep
    with closing(place.leases()) as leases:
        # Leftovers may be files that another process is writing; and one is enough to read all that is there.
        alone = leases.take(CHECK) and not leases.others()
        if alone:
            store.remove_leftovers(folder)
        if not store.has_manifest(folder):
            return sweep
        done = finished(place, manifest, model, source, question, alone=alone)
        if alone:
            # A record whose shard is gone or damaged would count as done.
            unusable = {*store.read_records(folder), *store.damaged_records(folder)} - done.keys()
            place.remove_records(sorted(unusable))
    return replace(sweep, manifest=store.read_manifest(folder), done=done)
