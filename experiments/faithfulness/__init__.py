"""How faithful mixings, functionals and references are, by every protocol and removal at once."""
