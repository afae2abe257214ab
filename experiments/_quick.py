"""What `--quick` decides by itself."""

import argparse

from jaxflow import InputError


def checked(options: argparse.Namespace, parser: argparse.ArgumentParser, *decided: str) -> argparse.Namespace:
    """The options of a parser, where those that `--quick` decides are left out beside it.

    Raises:
        InputError: for one that is given too: it would be passed over in silence.
    """
    for name in decided if options.quick else ():
        given, option = getattr(options, name), f"--{name}"
        if given != parser.get_default(name):
            shown = " ".join(map(str, given)) if isinstance(given, list | tuple) else str(given)
            raise InputError("quick", f"stand without {option}, which it decides", f"{option} {shown}", "leave one out")
    return options
