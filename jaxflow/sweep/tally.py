"""What a run has done so far, and what it did in the end."""

from collections import Counter
from dataclasses import dataclass

from jaxflow._untyped import JsonObject
from jaxflow.store.record import Record


@dataclass(frozen=True)
class Tally:
    """How far a run is, the shards that were there before left out.

    Attributes:
        rows: of the input, skipped ones included, and those of shards that other processes made.
        examples: that were attributed.
        tokens: of these, special ones included.
        flows: that were asked for.
        certified: of them, those that are proven.
        idle: seconds for which the device had no batch, as `attribute_shards` tells them.
    """

    rows: int = 0
    examples: int = 0
    tokens: int = 0
    flows: int = 0
    certified: int = 0
    idle: float = 0.0


@dataclass(frozen=True)
class Summary:
    """What a sweep did.

    Attributes:
        before: examples that were there already.
        elsewhere: examples that other processes made meanwhile.
        seconds: the time this run took for the others, without loading the model.
        tally: what this run did.
        records: of all shards that are in the folder.
    """

    before: int
    elsewhere: int
    seconds: float
    tally: Tally
    records: tuple[Record, ...]

    @property
    def examples(self) -> int:
        """Rows in the store."""
        return sum(record.examples for record in self.records)

    @property
    def certified(self) -> float | None:
        """Share of the store's flows that are certified; None without flow."""
        flows = sum(record.flows for record in self.records)
        return sum(record.certified for record in self.records) / flows if flows else None

    @property
    def stages(self) -> dict[str, int]:
        """How many flows each stage settled, as `FlowSolution.stages` has it; empty where it is not known."""
        counts: Counter[str] = Counter()
        for record in self.records:
            counts.update(record.stages)
        return dict(counts)

    @property
    def skipped(self) -> tuple[JsonObject, ...]:
        """Rows of the input that were left out, as records have them."""
        return tuple(row for record in self.records for row in record.skipped)


class Stopped(KeyboardInterrupt):
    """The user stopped the sweep.

    Attributes:
        kept: how much is kept and where, in words; empty where nothing was finished yet.
    """

    def __init__(self, kept: str) -> None:
        super().__init__(kept)
        self.kept = kept

    def in_words(self, way_on: str = "the same call") -> str:
        """As one line; `way_on` says what continues it."""
        return f"stopped: {self.kept}; {way_on} continues" if self.kept else "stopped: nothing was finished yet"

    def __str__(self) -> str:
        return self.in_words()
