"""Flow on the device: upper bounds, flows that are built, the relaxation and the smooth flow, in pure JAX."""
