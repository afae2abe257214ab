"""The engine: texts through models, in batches, in the order in which they came."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

import jax
import numpy as np

from jaxflow._checks import as_count_or_none
from jaxflow.devices import as_mesh
from jaxflow.models import Model
from jaxflow.running._executables import Compiled, Executables
from jaxflow.running._item import Item
from jaxflow.running._pipeline import Pipeline
from jaxflow.running._placement import place
from jaxflow.running._recorded import recorded_numbers
from jaxflow.running._sizes import Sizes, batches_of, device_tokens, room
from jaxflow.running._task import Task

ItemT = TypeVar("ItemT", bound=Item)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class EngineOptions:
    """How batches are made and where they run.

    Attributes:
        batch_size: most texts in a batch; None for as many as keep the device busy and fit into its memory.
        batch_tokens: rows times padded length of a batch, about, where `batch_size` is None; None for the device's.
        pair_numbers: numbers that the outputs hold for each pair of tokens of a text (layers * heads where the
            attention of all heads is kept); bounds the memory of a batch.
        pads_freely: whether texts may be padded beyond the models' limits, as where units are more than tokens.
        mesh: devices of this process that each batch is spread over; None runs where the models are.
        compiled: called with each program that was compiled.
        idle: called with the seconds for which a device had no batch.
    """

    batch_size: int | np.integer | None = None
    batch_tokens: int | None = None
    pair_numbers: int = 0
    pads_freely: bool = False
    mesh: jax.sharding.Mesh | None = None
    compiled: Callable[[Compiled], None] | None = None
    idle: Callable[[float], None] = lambda _: None


class Engine(Generic[ItemT, ResultT]):
    """Runs a task over groups of texts: every model once over each batch."""

    def __init__(
        self, models: Sequence[Model], task: Task[ItemT, ResultT], options: EngineOptions = EngineOptions()
    ) -> None:
        """An engine.

        Args:
            models: run over every batch; the task makes a call for each.
            task: makes the calls and the results.
            options: of batches and devices.

        Raises:
            InputError: the batch size is not a whole number above 0, or the mesh is not of this process's devices.
        """
        mesh = None if options.mesh is None else as_mesh(options.mesh)
        batch_size = as_count_or_none("batch_size", options.batch_size)
        batch_tokens = as_count_or_none("batch_tokens", options.batch_tokens)
        # Every model lies on the same devices, so any of them tells the device.
        placements = [place(model, mesh) for model in models]
        device, devices = placements[0].device, placements[0].devices
        self.sizes = Sizes(
            batch_size=batch_size,
            tokens=batch_tokens or device_tokens(device),
            limit=None if options.pads_freely else max(model.max_length for model in models),
            devices=devices,
            packs=all(placement.packs for placement in placements),
            pair_numbers=options.pair_numbers + sum(map(recorded_numbers, models)),
        )
        # A user who names a batch size gets it, as long as the device has the memory.
        space = room(device, sum(placement.bytes for placement in placements)) if batch_size is None else None
        executables = [
            Executables(placement, model, options.compiled) for model, placement in zip(models, placements, strict=True)
        ]
        self._pipeline = Pipeline(task, executables, self.sizes, space, options.idle)

    def run(
        self, groups: Iterable[Sequence[ItemT]], progress: Callable[[Sequence[ResultT]], None] | None = None
    ) -> Generator[list[ResultT], None, None]:
        """The results of each group, in order, each as soon as its last batch is finished.

        A batch holds texts of one group, so a group's numbers do not depend on its neighbours; the device goes from one
        group to the next without a pause. Groups are drawn as they are needed. Close the generator if you do not
        exhaust it, so that nothing goes on solving. An engine runs once.

        Args:
            groups: of texts; no two texts of any groups have the same index.
            progress: called with the results that were just finished.
        """
        # Indices of each group that was begun, oldest first; a group leaves when all of its results are there.
        unfinished: deque[list[int]] = deque()
        results: dict[int, ResultT] = {}

        def batches() -> Iterator[list[ItemT]]:
            for items in groups:
                unfinished.append([item.index for item in items])
                yield from batches_of(items, self.sizes)

        # Closed whatever happens, so that nothing goes on solving behind an error or an interrupt.
        with closing(self._pipeline.run(batches())) as finished:
            # The last, empty step lets groups leave that hold no text.
            for batch_results in chain(finished, ({},)):
                results |= batch_results
                if progress is not None and batch_results:
                    progress(tuple(batch_results.values()))
                # Groups leave in their order, however their batches were finished.
                while unfinished and all(index in results for index in unfinished[0]):
                    yield [results.pop(index) for index in unfinished.popleft()]

    def run_all(
        self, items: Sequence[ItemT], progress: Callable[[Sequence[ResultT]], None] | None = None
    ) -> list[ResultT]:
        """The results of all texts, in order."""
        with closing(self.run([items], progress)) as groups:
            # The one group is complete, so the generator is closed before it asks for another.
            return next(groups)
