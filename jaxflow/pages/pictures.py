"""What pictures of patches have in common: their colours, their values, and their shares of full shade."""

import base64

import numpy as np
from jaxtyping import Float, Shaped

from jaxflow._untyped import JsonObject
from jaxflow.attribution import Example
from jaxflow.inputs.images import Picture

# Blue for the number, orange against it, which colour-blind readers tell apart. Over a picture in grey the largest
# covers so much.
FOR, AGAINST, COVER = (20, 105, 255), (255, 140, 0), 0.82


def uri_of(picture: Picture) -> str:
    """The picture as an address that holds it."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture.data).decode('ascii')}"


def picture_data(picture: Picture) -> JsonObject:
    """The picture and its patches, as the pages' scripts read them."""
    rows, columns = picture.grid
    return {"uri": uri_of(picture), "rows": rows, "columns": columns}


def cover(share: float) -> str:
    """The colour of a patch over a picture, as styles have it."""
    return f"rgba({', '.join(map(str, AGAINST if share < 0 else FOR))}, {COVER * min(1.0, abs(share)):.2f})"


def patch_values(example: Example, row: Shaped[np.ndarray, " token"]) -> Shaped[np.ndarray, "rows columns"]:
    """The values of an image's patches out of a row of all tokens."""
    assert example.picture is not None
    return row[np.array(example.source) == 0].reshape(example.picture.grid)


def shares(example: Example, row: Float[np.ndarray, " token"]) -> tuple[float, Float[np.ndarray, "rows columns"]]:
    """The value of full shade, the largest of any patch, and each patch's share of it."""
    values = patch_values(example, row).astype(np.float64)
    top = float(np.abs(values).max(initial=0.0)) or 1.0
    return top, values / top
