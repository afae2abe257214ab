"""Encoder-decoders in JAX: T5 and BART by configuration, over sources and targets as one sequence."""
