"""The tiny model of the sweeps, where reading needs one."""

from tests.sweep.conftest import encoder  # noqa: F401
