"""What a run has done so far, and what it did in the end."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tally:
    """How far a run is, the shards that were there before left out.

    Attributes:
        rows: of the input, skipped ones included.
        examples: that were attributed.
        tokens: of these, special ones included.
        flows: that were asked for.
        certified: of them, those that are proven.
        waited: seconds for which nothing was handed to the device because the host was reading or writing.
    """

    rows: int = 0
    examples: int = 0
    tokens: int = 0
    flows: int = 0
    certified: int = 0
    waited: float = 0.0


@dataclass(frozen=True)
class Summary:
    """What a sweep did.

    Attributes:
        examples: rows in the store, of all processes as far as this one knows.
        before: of them, those that were there already.
        seconds: the time this run took for the others, without loading the model.
        tally: what this run did.
        certified: share of the flows that are certified, over the whole store; None without flow.
        stages: how many flows each stage settled, as `FlowSolution.stages` has it; empty where it is not known.
        skipped: rows of the input that were left out: `id` and `reason`.
    """

    examples: int
    before: int
    seconds: float
    tally: Tally
    certified: float | None
    stages: dict[str, int]
    skipped: tuple[dict[str, Any], ...]
