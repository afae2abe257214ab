"""The layered graph of a Transformer's attention, and its functionals without a solver: raw attention and rollout."""
