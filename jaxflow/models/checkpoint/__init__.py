"""Folders of checkpoints: their configuration, weights and tokenizer, read and mapped to our names."""
