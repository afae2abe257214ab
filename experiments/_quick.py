"""What `--quick` decides by itself."""

import argparse
import tempfile
from pathlib import Path

from experiments._say import say
from jaxflow import InputError


def checked(options: argparse.Namespace, parser: argparse.ArgumentParser, *decided: str) -> argparse.Namespace:
    """The parser's options as they are, unless `--quick` stands beside one of `decided`, whose value it chooses itself.

    Raises:
        InputError: for an option of `decided` that is given with `--quick`; it would have no effect.
    """
    for name in decided if options.quick else ():
        given, option = getattr(options, name), f"--{name}"
        if given != parser.get_default(name):
            shown = " ".join(map(str, given)) if isinstance(given, list | tuple) else str(given)
            raise InputError("quick", f"stand without {option}, which it decides", f"{option} {shown}", "leave one out")
    return options


def folder_of(options: argparse.Namespace, results: Path) -> Path:
    """Where a run's record and pictures go: `--out`, or with the experiment; a quick run's never there.

    Quick figures say nothing, so without `--out` they go into a new folder, which is named.
    """
    new = options.quick and options.out is None
    out = Path(tempfile.mkdtemp(prefix="quick-")) if new else options.out or results
    say(f"the record goes into {out}")
    return out
