"""What every benchmark writes beside its numbers: of which commit, when, with what and on which machine."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def provenance(*packages: str) -> dict[str, Any]:
    """The command, the commit, the date, the processor and its load, and the versions of `packages`."""
    # Folders are the machine's own and say nothing.
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return {
        "command": " ".join([f"scripts/{Path(sys.argv[0]).name}", *words]),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }


def commit() -> str:
    """The checkout's commit, with a plus where tracked files other than results differ from it."""
    root = Path(__file__).parents[1]
    differing = ["diff", "--quiet", "HEAD", "--", ":!scripts/results"]
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607
        dirty = subprocess.run(["git", *differing], cwd=root, check=False).returncode  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if dirty else "")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def version(package: str) -> str | None:
    """The installed version; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
