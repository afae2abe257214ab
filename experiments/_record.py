"""Records that JSON can hold, with what they were made by."""

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments._run import environment, write_json


def provenance(**settings: Any) -> dict[str, Any]:
    """Date, command, versions, device and commit, and the settings (seeds, sizes) that are handed in."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "command": " ".join(["python", "-m", _module(), *map(nameless, sys.argv[1:])]),
        **environment(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "settings": {name: nameless(value) for name, value in plain(settings).items()},
    }


def nameless(value: Any) -> Any:
    """A path of this machine by its last part alone; anything else as it is."""
    return Path(value).name if isinstance(value, str) and os.sep in value and Path(value).exists() else value


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record as JSON, whole or not at all."""
    write_json(path, plain(record))


def plain(value: Any) -> Any:
    """A record in JSON's own types: arrays become lists, NaN becomes null, numbers have six digits."""
    match value:
        case dict():
            return {str(key): plain(entry) for key, entry in value.items()}
        case list() | tuple():
            return [plain(entry) for entry in value]
        case np.ndarray():
            return plain(value.tolist())
        case bool() | np.bool_():
            return bool(value)
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return float(f"{value:.6g}") if np.isfinite(value) else None
        case Path():
            return str(value)
        case _:
            return value


def _module() -> str:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
