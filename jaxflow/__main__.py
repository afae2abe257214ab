"""`python -m jaxflow` is the command line."""

from jaxflow.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
