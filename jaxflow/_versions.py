"""Versions of this package and of those that its numbers depend on."""

import platform
from importlib import metadata

# The name on the package index, where `jaxflow` is another project. The import name is `jaxflow`.
DISTRIBUTION = "jaxflow-attention"
# Another version of one of these may change the last digits of a result.
PACKAGES = ("jax", "numpy", "transformers", "pyarrow")


def own_version() -> str:
    """The version of this package."""
    return metadata.version(DISTRIBUTION)


def result_versions() -> dict[str, str]:
    """Versions as manifests have them: Python's, this package's, and those of `PACKAGES`."""
    others = {package: metadata.version(package) for package in PACKAGES}
    return {"python": platform.python_version(), "jaxflow": own_version(), **others}
