"""The task's contract: the calls for each batch of texts, and the results made of their outputs."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from jaxflow.flow.worker import Worker
from jaxflow.running._item import Item
from jaxflow.running._program import Arrays, Call

ItemT = TypeVar("ItemT", bound=Item)
ResultT_co = TypeVar("ResultT_co", covariant=True)


@runtime_checkable
class Task(Protocol[ItemT, ResultT_co]):
    """The owner of readers: it makes each batch's inputs, and results of the readers' outputs."""

    @property
    def memory_advice(self) -> str:
        """The way out for the error where a device has no memory for a text even alone."""
        ...

    def calls(self, items: list[ItemT], rows: int, length: int) -> Sequence[Call]:
        """Each model's program and inputs.

        Args:
            items: texts of one batch.
            rows: how many examples the batch is filled up to.
            length: that its texts are padded to; a model that takes fewer tokens pads to its own limit.
        """
        ...

    def begin(
        self, items: list[ItemT], outputs: tuple[Arrays, ...], worker: Worker
    ) -> Callable[[], Sequence[ResultT_co]]:
        """Begin the work that follows the models' programs; the function returned waits for one result an item.

        Args:
            items: texts of the batch; the outputs hold their rows first, then those of fillers.
            outputs: each model's, on the device.
            worker: solves on the CPU while the device goes on with the next batch.
        """
        ...
