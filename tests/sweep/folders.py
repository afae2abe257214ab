"""What a folder of results holds, to be compared with another one's."""

import json
from pathlib import Path


def contents(folder):
    """Every file: its bytes, or of JSON the fields, less the name that each sweep draws and the checksum."""
    found = {}
    for path in Path(folder).rglob("*"):
        if path.is_file():
            whole = path.read_bytes()
            if path.suffix == ".json":
                whole = {name: value for name, value in json.loads(whole).items() if name not in ("sweep", "check")}
            found[str(path.relative_to(folder))] = whole
    return found
