"""The loop of a sweep: shard by shard through a model and onto disk, resumable at any moment."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxflow._checks import InputError, not_forked
from jaxflow.attribution import Attribution, EncodedText, Example, attribute_shards
from jaxflow.attribution.answers import check_answers
from jaxflow.attribution.question import Question
from jaxflow.inputs.source import InlineSource, Source
from jaxflow.models import Model
from jaxflow.models.generation import NEW_TOKENS
from jaxflow.store import arrow
from jaxflow.store import shards as store
from jaxflow.store.claims import Claim, check_claims
from jaxflow.store.manifest import check_same, new_manifest
from jaxflow.store.record import Record
from jaxflow.sweep.background import Ahead, Behind
from jaxflow.sweep.checks import (
    check_folder,
    check_images,
    check_process,
    check_question,
    check_unchanged,
    finished,
    make_folder,
)
from jaxflow.sweep.shards import BadRowError, Lengths, Shard, cuts, encode, settled_lengths
from jaxflow.sweep.tally import Stopped, Summary, Tally
from jaxflow.sweep.together import PeerError

__all__ = ["Stopped", "Sweep", "prepare"]

# Shards that are read and tokenised beforehand, and that are written or wait for it. More would only cost memory.
AHEAD, BEHIND = 2, 2
# Seconds that a process waits for the first one to write the manifest.
MANIFEST_WAIT = 600.0


@dataclass(frozen=True)
class Sweep:
    """A sweep that was checked and can run. Make it by `prepare`.

    Attributes:
        model: that reads the texts.
        source: the texts.
        folder: where results go.
        question: the question to every text.
        lengths: how long texts may be.
        manifest: what makes the results.
        done: records of the shards that are in the folder.
        on_error: "stop" or "skip", at a row that cannot be used.
        process_index: which of the processes that fill the folder this is.
        process_count: how many there are. Each makes the shards whose index leaves its own when divided by this.
    """

    model: Model
    source: Source
    folder: Path
    question: Question
    lengths: Lengths
    manifest: dict[str, Any]
    done: dict[int, Record]
    on_error: str
    process_index: int
    process_count: int

    @property
    def rows_done(self) -> int:
        """Rows of the input in shards of this process that are in the folder."""
        return sum(record.rows for record in self.done.values() if self.is_mine(record.index))

    def rows(self) -> int | None:
        """Rows of the input that fall to this process, more or less, where that can be known."""
        count = self.source.count()
        return None if count is None else -(-count // self.process_count)

    def is_mine(self, index: int) -> bool:
        """Whether this process makes a shard."""
        return index % self.process_count == self.process_index

    def run(self, batch_size: Any = 32, progress: Callable[[Tally], None] = lambda _: None, **options: Any) -> Summary:
        """Attribute what is not done yet.

        Texts are read and tokenised, and results written, in threads, while the device computes. The folder is made
        when there is something to put into it. A shard counts as done once its record is there, so a run that is
        killed at any moment loses at most the shards in work.

        Args:
            batch_size: texts in a batch, at most.
            progress: called when texts were finished, and now and then while this waits.
            options: for `attribute_shards`.

        Raises:
            InputError: a row cannot be used (with `on_error="stop"`), the input cannot be read on or has changed, or
                the folder cannot be written; what was computed before is kept.
            Stopped: on a keyboard interrupt.
        """
        start = time.perf_counter()
        work = _Run(self, progress)
        # A new folder is claimed when it is made.
        if self.folder.is_dir():
            work.claim.take()
        try:
            work(batch_size, options)
        except KeyboardInterrupt:
            kept = self._kept()
            # The tally would count what is not written yet; the disk says what is kept.
            raise Stopped(kept and f"{kept} in {str(self.folder)!r}") from None
        except PeerError:
            # Its way out is said already.
            raise
        except InputError as error:
            for way_out in self._ways_on(error):
                error = error.also(way_out)
            raise error
        finally:
            work.claim.end()
        before = sum(record.examples for record in self.done.values())
        return Summary(before, time.perf_counter() - start, work.tally, tuple(work.records.values()))

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
        return [*ways, f"{kept}, and `resume=True` goes on from there"] if kept else ways


class _Run:
    """One run of a sweep, while it lasts."""

    def __init__(self, sweep: Sweep, progress: Callable[[Tally], None]):
        self.sweep, self.progress = sweep, progress
        self.records = dict(sweep.done)
        self.tally = Tally()
        self.ahead = Ahead(self._read(), AHEAD, self._tell)
        self.behind = Behind(self._write, BEHIND, self._tell)
        # Three threads meet here: one reads, one writes, and this one keeps the device busy between them. `begun` holds
        # shards between reading and attribution; a failed reader leaves its error in `failure`; `broken` tells the
        # writer to wait for no manifest any more.
        self.begun: deque[Shard] = deque()
        self.failure: Exception | None = None
        self.broken = threading.Event()
        self.named: str | None = None
        self.claim = Claim(sweep.folder, sweep.process_index, sweep.process_count)

    def __call__(self, batch_size: Any, options: dict[str, Any]) -> None:
        attributed = attribute_shards(
            self.sweep.model,
            self._texts(),
            self.sweep.question,
            batch_size=batch_size,
            new_tokens=self.sweep.lengths.get("new_tokens", NEW_TOKENS),
            progress=self._count,
            idle=self._idle,
            **options,
        )
        # Left in the order of the last to the first: what was computed is written whatever happens.
        with closing(self.behind), closing(self.ahead), closing(attributed):
            try:
                for attribution in attributed:
                    self.behind.put((self.begun.popleft(), attribution))
                self.behind.finish()
                # The device's last idle time comes after the last texts.
                self._tell()
            except BaseException:
                self.broken.set()
                raise
        if self.failure is not None:
            raise self.failure

    def _read(self) -> Iterator[Shard]:
        """In the thread that reads: shards to do, tokenised."""
        sweep, any_shard = self.sweep, False
        for rows in cuts(sweep.source.rows(), sweep.model, sweep.question, sweep.lengths["max_length"]):
            any_shard = True
            if sweep.is_mine(rows.index):
                # Read all the same: its hash tells whether the input has changed.
                if rows.index in sweep.done:
                    check_unchanged(sweep.folder, sweep.done[rows.index], rows)
                else:
                    yield encode(sweep.model, rows, sweep.question, sweep.lengths, sweep.on_error)
        if not any_shard:
            raise InputError(None, "hold a text", "none", place=sweep.source.name)

    def _texts(self) -> Iterator[Sequence[EncodedText]]:
        """Shards for the device. Where reading fails they end, so that what is on its way is still finished."""
        while True:
            try:
                shard = next(self.ahead)
            except StopIteration:
                return
            except PeerError:
                # No failure of reading: `progress` looked at the other processes while this waited.
                raise
            except Exception as error:
                self.failure = error
                if isinstance(error, OSError):
                    why, name = str(error.strerror or error), self.sweep.source.name
                    self.failure = InputError(None, "be readable to its end", why, place=name)
                return
            self.begun.append(shard)
            if self.sweep.process_count > 1 and self.sweep.process_index == 0:
                # The other processes wait for the manifest.
                _ = self._begin()
            self.tally = replace(self.tally, rows=self.tally.rows + len(shard.skipped))
            yield shard.texts

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
        self.progress(self.tally)

    def _idle(self, seconds: float) -> None:
        self.tally = replace(self.tally, idle=self.tally.idle + seconds)

    def _write(self, done: tuple[Shard, Attribution]) -> None:
        """In the thread that writes: a shard onto disk."""
        shard, attribution = done
        if not self._begin():
            return
        rows = list(arrow.rows_of(shard.ids, attribution))
        # Counted from the rows that are written, so that records and files agree.
        certified = [row["certified"] for row in rows if "certified" in row]
        record = Record(
            index=shard.cut.index,
            rows=len(shard.cut.rows),
            input_sha256=shard.cut.sha256(),
            last=shard.cut.last,
            examples=len(rows),
            sha256=None,
            tokens=sum(len(row["tokens"]) for row in rows),
            flows=sum(each.size for each in certified),
            certified=sum(int(each.sum()) for each in certified),
            stages=attribution.stages or {},
            skipped=tuple({"id": row.id, "reason": row.reason} for row in shard.skipped),
            sweep=self.named,
        )
        about = {key: self.sweep.manifest.get(key) for key in ("model", "question", "versions")}
        record = store.write_shard(self.sweep.folder, record, rows, {"jaxflow": json.dumps(about)})
        self.records[record.index] = record

    def _begin(self) -> bool:
        """Make the folder with its manifest, or wait for process 0 to do so; False if this run breaks off meanwhile.

        The manifest comes first: by it a folder is known for a sweep that can go on.
        """
        sweep, start = self.sweep, time.monotonic()
        while not store.has_manifest(sweep.folder):
            if sweep.process_index == 0:
                make_folder(sweep.folder)
                self.claim.take()
                store.write_manifest(sweep.folder, sweep.manifest)
            elif time.monotonic() - start > MANIFEST_WAIT:
                way_out = "look at the messages of process 0, which should have written it"
                got = f"{str(sweep.folder)!r} without manifest.json"
                raise InputError("folder", "get its manifest from process 0", got, way_out)
            elif self.broken.wait(0.05):
                return False
        self.claim.take()
        found = store.read_manifest(sweep.folder)
        # Another process, or an earlier run, may have written it for another question.
        check_same(sweep.folder, found, sweep.manifest)
        # Process 0 has named the sweep.
        self.named = found.get("sweep")
        if sweep.process_index == 0 and found != sweep.manifest:
            got = f"{str(sweep.folder)!r}, which another run began to fill"
            raise InputError("folder", "be filled by one run alone", got, "name another `folder`")
        return True


def prepare(
    model: Model,
    source: Source,
    folder: Path,
    question: Question,
    *,
    max_length: int | None = None,
    truncate: bool = False,
    new_tokens: int = NEW_TOKENS,
    resume: bool = False,
    on_error: str = "stop",
    process_index: int = 0,
    process_count: int = 1,
) -> Sweep:
    """Check the folder and the question, and what there is to go on with; reads no new text, and writes nothing.

    Of what an earlier run left, half-written files go, and the records of shards that were damaged since.

    Args:
        model: from `load_model`.
        source: the texts.
        folder: where results will go.
        question: the question to every text.
        max_length: most tokens of a text.
        truncate: cut longer texts rather than refuse them.
        new_tokens: most tokens of an answer that is generated.
        resume: go on with what the folder holds, made by any number of processes.
        on_error: what to do at a row that cannot be used: "stop", or "skip" it.
        process_index: which of the processes that fill the folder together this is. The first one must find it as one
            process would; the others take what they find there if it is of the same sweep.
        process_count: how many there are.

    Raises:
        InputError: the question or the folder cannot be used, or the folder holds results of another sweep.
    """
    not_forked()
    check_process(on_error, process_index, process_count)
    # Processes start at different times: to the later ones the folder looks like one to go on with.
    resume = resume or process_index > 0
    check_folder(folder, resume)
    _ = arrow.pyarrow()
    check_images(model, source)
    check_answers(question, model, given=source.paired)
    lengths = settled_lengths(model, question, source.paired, max_length, truncate, new_tokens)
    check_question(question, model, lengths, paired=source.paired)
    manifest = new_manifest(model, source, question, lengths)
    sweep = Sweep(model, source, folder, question, lengths, manifest, {}, on_error, process_index, process_count)
    if resume and folder.is_dir():
        # Leftovers may be files that another run is writing.
        check_claims(folder, process_index, process_count)
        store.remove_leftovers(folder, process_index, process_count)
    if not resume or not store.has_manifest(folder):
        return sweep
    done = finished(folder, manifest, model, source, question, sweep.is_mine)
    # A record whose shard is gone or damaged would count as done.
    unusable = {*store.read_records(folder), *store.damaged_records(folder)} - done.keys()
    store.remove_records(folder, filter(sweep.is_mine, sorted(unusable)))
    return replace(sweep, manifest=store.read_manifest(folder), done=done)
