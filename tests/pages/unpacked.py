"""The numbers of an explorer's page, unpacked as its script does it."""

import base64
import re
import zlib

import numpy as np


def unpacked(html, index, number, data):
    """The numbers of one sentence and model, as the page's script reads them."""
    found = re.search(rf'id="numbers-{index}-{number}">([^<]*)<', html)
    packed = zlib.decompress(base64.b85decode(found[1].translate(str.maketrans(",./:", "<>&`"))))
    sentence, model = data["sentences"][index], data["models"][number]
    size, kept = len(sentence["sides"][0]["tokens"]), sentence["kept"]
    count, halves = model["layers"] * size * size, []
    for place in range(len(data["methods"]) - len(kept["fused"])):
        low, high = np.frombuffer(packed, np.uint8, 2 * count, 2 * count * place).reshape(2, -1).astype(np.int64)
        folded = (low + 256 * high).reshape(-1, size, size)
        # The last bit is the sign; each query adds to the one before.
        codes = np.cumsum(np.where(folded % 2, -(folded + 1) // 2, folded // 2), axis=1) % 2**16
        halves.append((codes << (10 - kept["bits"])).astype("<u2").view("<f2"))
    levels = np.frombuffer(packed, np.uint8, offset=2 * count * len(halves))
    shape = (model["layers"], model["heads"], size, size)
    return np.array(halves), (levels.reshape(shape).swapaxes(-1, -2) / kept["steps"]) ** 2
