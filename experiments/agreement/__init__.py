"""How well mixings, functionals and references agree with blank-out."""
