"""The task's contract: what is run on each batch of texts, and what becomes of its outputs."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from jaxflow.flow.worker import Worker
from jaxflow.running._item import Item
from jaxflow.running._program import Arrays, Call

ItemT = TypeVar("ItemT", bound=Item)
ResultT_co = TypeVar("ResultT_co", covariant=True)


@runtime_checkable
class Task(Protocol[ItemT, ResultT_co]):
    """The owner of readers: it makes the inputs of each batch, and results of what the readers give."""

    @property
    def memory_advice(self) -> str:
        """What to do where a device has no memory for a text even alone, for the error."""
        ...

    def calls(self, items: list[ItemT], rows: int, length: int) -> Sequence[Call]:
        """What each model is called with.

        Args:
            items: texts of one batch.
            rows: how many examples the batch is filled up to.
            length: what its texts are padded to; a model that takes fewer tokens pads to its own limit.
        """
        ...

    def begin(
        self, items: list[ItemT], outputs: tuple[Arrays, ...], worker: Worker
    ) -> Callable[[], Sequence[ResultT_co]]:
        """Begin what is left to do when the models' programs are done; give what waits for a result an item.

        Args:
            items: texts of the batch; what filled it up comes behind them in the outputs.
            outputs: what the program of each model gave, on the device.
            worker: solves on the CPU while the device goes on with the next batch.
        """
        ...
