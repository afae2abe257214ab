"""How a head is called: layers and heads are counted from 1 wherever a person or a file sees them; arrays from 0."""


def head_number(layer: int, head: int) -> dict[str, int]:
    """A head's place in arrays `layer head`, as the columns of a table have it."""
    return {"layer": int(layer) + 1, "head": int(head) + 1}


def head_name(layer: int | str, head: int) -> str:
    """A head in one word: "L3 H5" is the one at `[2, 4]` of an array.

    Args:
        layer: its place in the array; or words for it, such as "3/6" for two corresponding layers.
        head: its place in the array.
    """
    return f"L{layer if isinstance(layer, str) else layer + 1} H{int(head) + 1}"
