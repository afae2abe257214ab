"""Who runs a command's work: this process, or the workers of a cluster."""

import argparse
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from jaxflow._checks import InputError, missing_extra, one_of
from jaxflow._parser import count_or_any
from jaxflow._paths import is_address, local_path
from jaxflow.cli.arguments import texts_are_shared

T = TypeVar("T")
ENGINES = ("local", "ray")
# As many workers as there are processes of the same command.
ANY = "any"


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add who runs the work."""
    about = "engine (without one any number of processes share the work: start the command as often as you like)"
    add = parser.add_argument_group(about).add_argument
    _ = add("--engine", default="local", metavar="E", help="local: this process (the default); ray: workers of Ray's")
    _ = add("--address", metavar="A", help="of the Ray cluster (default: the one that is found, or a new one here)")
    workers = (
        "any: this process is one of any number on hosts that see --out, and makes what no other does (the default)"
    )
    workers += "; with Ray a number of its workers (default: one an accelerator, else one a host)"
    _ = add("--workers", type=count_or_any, metavar="W", help=workers)


def by_engine(work: Callable[[argparse.Namespace], T], arguments: argparse.Namespace) -> T:
    """The work's outcome, wherever it is done.

    Args:
        work: done by each worker; workers share what there is to do by the folder that it fills.
        arguments: of the command.

    Raises:
        InputError: the engine is not known, not installed or not reached, or does not fit what was asked.
    """
    one_of("engine", arguments.engine, ENGINES)
    workers = arguments.workers
    if arguments.engine == "ray":
        if workers == ANY:
            got, way_out = repr(workers), "leave it out for one an accelerator, else one a host"
            raise InputError("workers", "be a number with `engine='ray'`", got, way_out)
        return _by_ray(work, _as_seen_by_all(arguments))
    if arguments.address is not None:
        raise InputError("address", "go with an engine that has it", str(arguments.address), "add `engine='ray'`")
    # Each process joins those that fill the folder anyway.
    if workers not in (None, ANY):
        way_out = "add `engine='ray'`, or start the same command as often as you like"
        raise InputError("workers", f"be {ANY!r} without an engine that has workers", str(workers), way_out)
    return work(arguments)


def _as_seen_by_all(arguments: argparse.Namespace) -> argparse.Namespace:
    """The arguments as workers need them, who have other working folders and no terminal."""
    texts_are_shared(arguments)
    # Addresses, which are text, mean the same everywhere.
    out = arguments.out if isinstance(arguments.out, str) else arguments.out.absolute()
    fields = vars(arguments) | {"quiet": True, "out": out}
    for name in ("input", "model"):
        value = fields[name]
        # As addresses do, and names of models.
        if value is not None and not is_address(value) and os.path.lexists(path := local_path(name, value)):
            fields[name] = str(path.absolute())
    return argparse.Namespace(**fields)


def _by_ray(work: Callable[[argparse.Namespace], T], arguments: argparse.Namespace) -> T:
    try:
        import ray  # pyright: ignore[reportMissingImports]
        from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise missing_extra("ray", "ray", "workers of Ray's") from None
    try:
        _ = ray.init(
            address=arguments.address, include_dashboard=None, log_to_driver=False, logging_level=logging.ERROR
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        got = f"{arguments.address!r} ({next(iter(str(error).splitlines()), type(error).__name__)})"
        raise InputError("address", "be that of a Ray cluster", got, "start one by `ray start --head`") from None
    try:
        accelerators = int(ray.cluster_resources().get("GPU", 0))
        workers = arguments.workers or accelerators or sum(node["Alive"] for node in ray.nodes())
        options: dict[str, Any] = {"num_gpus": 1 if accelerators else 0, "scheduling_strategy": "SPREAD"}
        remote = ray.remote(work).options(**options)
        waiting, error = [remote.remote(arguments) for _ in range(workers)], None
        outcomes = []
        for each in waiting:
            try:
                outcomes.append(ray.get(each))
            except RayError as failure:
                # The others make what a worker left; one that ends well has seen all done.
                cause = getattr(failure, "cause", None)
                error = error or (cause if isinstance(cause, Exception) else failure)
        if not outcomes:
            assert error is not None
            raise error
        # The one that made most says what this run did.
        return max(outcomes, key=lambda swept: swept.summary.tally.examples)
    finally:
        with suppress(Exception):
            ray.shutdown()
