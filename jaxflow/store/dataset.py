"""A sweep's files as a data set of Arrow, which compares each file with its checksum when it opens it."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from jaxflow._untyped import ArrowData


def dataset_of(folder: Path, files: Sequence[Path], check: Callable[[Path], None], schema: ArrowData) -> ds.Dataset:
    """Files as a `pyarrow.dataset.Dataset`.

    Args:
        folder: where they are; names of folders in it, such as `year=2024`, are columns.
        files: Parquet files.
        check: called with each file before it is opened; its errors end the reading of the data set.
        schema: of all files together; None where each has that of the others.
    """
    # With a file system of its own no path is taken for an address.
    system = fs.PyFileSystem(_CheckedFiles(check))
    return ds.dataset(
        [os.fspath(path) for path in files],
        schema=schema,
        format="parquet",
        filesystem=system,
        partitioning="hive",
        partition_base_dir=os.fspath(folder),
    )


class _CheckedFiles(fs.FileSystemHandler):
    """Local files for reading only."""

    def __init__(self, check: Callable[[Path], None]):
        self.check, self.local = check, fs.LocalFileSystem()

    # Arrow compares the file systems of data sets that it joins.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, _CheckedFiles) and other.check == self.check

    def __hash__(self) -> int:
        return hash(_CheckedFiles)

    def get_type_name(self) -> str:
        return "jaxflow"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return self.local.get_file_info(paths)

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        return self.local.get_file_info(selector)

    # Every read begins here, whatever engine reads: files are checked before a byte is used.
    def open_input_file(self, path: str) -> pa.NativeFile:
        self.check(Path(path))
        return pa.OSFile(path)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return self.open_input_file(path)

    # The handler's abstract methods that write, all refused.
    def create_dir(self, *_: object) -> None:
        raise NotImplementedError("a sweep's files are only read")

    delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = create_dir
    move = copy_file = open_output_stream = open_append_stream = create_dir
