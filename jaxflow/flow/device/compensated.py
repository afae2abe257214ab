"""Sums whose rounding errors are carried along, as the min-sum product adds."""

from jaxtyping import Array

# Terms that are added as a tree before they join the sum.
BLOCK = 16


def tree_sum(terms: list[Array]) -> Array:
    """Their sum, by pairs: four roundings a term where one after the other would take fifteen."""
    while len(terms) > 1:
        terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]


def add_exactly(total: Array, lost: Array, term: Array) -> tuple[Array, Array]:
    """The sum with a term more, and the rounding errors so far: Knuth's two-sum, `raised + error` is `total + term`."""
    raised = total + term
    back = raised - total
    error = (total - (raised - back)) + (term - back)
    return raised, lost + error
