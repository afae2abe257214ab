"""Images that are none: what is wrong is named, by the argument that holds them."""

import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow.inputs.images import as_image_source, named_images, read_image


def test_an_empty_path_is_named_by_its_argument():
    with pytest.raises(InputError, match="`texts` must be a path, got ''"):
        named_images("texts", [""])
    with pytest.raises(InputError, match="`source` must be a path, got ''"):
        as_image_source([""])


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 0, 3), (3, 3, 0), (0, 3)])
def test_an_array_without_pixels_is_said_to_have_none(shape):
    with pytest.raises(InputError, match=r"image 0 must have pixels, got an array of shape .*; leave it") as caught:
        read_image(np.zeros(shape, np.uint8), "image 0")
    assert str(shape) in str(caught.value)


def test_other_channels_are_still_named():
    with pytest.raises(InputError, match="of 1, 3 or 4 channels, got shape"):
        read_image(np.zeros((5, 5, 2), np.uint8), "image 0")
