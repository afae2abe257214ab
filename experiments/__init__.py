"""Experiments of papers, reproduced; each is a package with a command line of its own."""
