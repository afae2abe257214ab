"""The only batching engine: any readers over batches of texts, one forward pass of each model over each text.

A `Reader` rides along a forward pass and watches its layers; `Forward` is the program that runs several of them. A
`Task` owns readers: it makes each batch's inputs and turns the outputs into results. An `Engine` does the rest:
batches of like length, padding and packing, devices, programs compiled ahead of time, several batches on their way at
once, and halves of those that a device has no memory for.
"""

from jaxflow.running._engine import Engine, EngineOptions
from jaxflow.running._executables import Compiled
from jaxflow.running._forward import Forward, pair_numbers
from jaxflow.running._item import Item
from jaxflow.running._program import (
    Arrays,
    Call,
    Inputs,
    JoinedPrograms,
    Program,
    filled,
    logits_of,
    same_rows,
    token_batch,
)
from jaxflow.running._reader import (
    GradientReader,
    LayerView,
    Mixed,
    PassOutputs,
    Reader,
    ReaderInputs,
    Target,
    at_layers,
    layer_places,
    layer_room,
    put_layer,
)
from jaxflow.running._sizes import bucket
from jaxflow.running._task import Task
from jaxflow.running._texts import check_faults, rows_on_host, run_calls, run_readers

__all__ = [
    "Arrays",
    "Call",
    "Compiled",
    "Engine",
    "EngineOptions",
    "Forward",
    "GradientReader",
    "Inputs",
    "Item",
    "JoinedPrograms",
    "LayerView",
    "Mixed",
    "PassOutputs",
    "Program",
    "Reader",
    "ReaderInputs",
    "Target",
    "Task",
    "at_layers",
    "bucket",
    "check_faults",
    "filled",
    "layer_places",
    "layer_room",
    "logits_of",
    "pair_numbers",
    "put_layer",
    "rows_on_host",
    "run_calls",
    "run_readers",
    "same_rows",
    "token_batch",
]
