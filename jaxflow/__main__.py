"""`python -m jaxflow` is the command line."""

from jaxflow.cli.main import process

if __name__ == "__main__":
    raise SystemExit(process())
