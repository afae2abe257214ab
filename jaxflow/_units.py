"""What our own sentences call the parts of an input: they are written for texts, and speak of patches for images."""

import re

_OF_IMAGES = {"word": "patch", "words": "patches", "text": "image", "texts": "images"}


def in_units(said: str, *, images: bool) -> str:
    """A sentence of ours about texts and words, or as it is for images and patches.

    What the data say never goes through here. The pages' scripts have the same in `shared/units.js`.
    """
    if not images:
        return said
    return re.sub(r"\b(an? )?(words?|texts?)\b", lambda found: _for_images(found[1] or "", found[2]), said, flags=re.I)


def _for_images(article: str, name: str) -> str:
    said = _OF_IMAGES[name.lower()]
    if article:
        article = f"{article[0]}{'n' * said.startswith('i')} "
    return article + (said.capitalize() if name[0].isupper() else said)
