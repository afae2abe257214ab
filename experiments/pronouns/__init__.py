"""Pronouns: whether attention finds the word that a classifier of gender goes by, and what a masked one attends to."""
