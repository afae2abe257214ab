"""Run as a process of its own: `Attributor` in Ray Data, one of two actors killed in the middle."""

import os
import signal
import sys
from pathlib import Path

import pyarrow as pa
import ray

import jaxflow as jf


class Mortal(jf.Attributor):
    """One of its actors dies at a certain row, the first time that any comes to it."""

    def __init__(self, marker, *arguments, **options):
        super().__init__(*arguments, **options)
        self.marker = marker

    def __call__(self, batch):
        if 30 in batch.column("id").to_pylist():
            try:
                Path(self.marker).touch(exist_ok=False)
            except FileExistsError:
                return super().__call__(batch)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)


def main(model, folder):
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)
    table = pa.table({"id": range(48), "sentence": [f"the key {number} is on the table" for number in range(48)]})
    dataset = ray.data.from_arrow([table.slice(first, 6) for first in range(0, 48, 6)])
    asked = {"model": model, "column": "sentence", "methods": ("raw", "flow"), "flow": "bounds"}
    result = dataset.map_batches(
        Mortal,
        fn_constructor_kwargs={"marker": f"{folder}/died", **asked},
        batch_format="pyarrow",
        batch_size=6,
        concurrency=2,
    )
    result.write_parquet(f"{folder}/results")
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
