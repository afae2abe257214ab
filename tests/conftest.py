"""Every test runs with shapes checked, strict dtype promotion and several virtual devices."""

import os

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_dtype_promotion", "strict")
install_import_hook("jaxflow", "beartype.beartype")
