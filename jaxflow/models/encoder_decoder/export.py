"""An encoder-decoder's parameters under transformers' names: the inverse of loading."""

import numpy as np
from flax import nnx

from jaxflow.models.encoder_decoder.families import FAMILIES
from jaxflow.models.encoder_decoder.load import names_of
from jaxflow.models.encoder_decoder.module import PairModule


def export_pair_weights(module: PairModule) -> dict[str, np.ndarray]:
    """Every parameter of a module by the name that its family's checkpoints have, one a layer, in their layout."""
    config, tensors = module.config, dict[str, np.ndarray]()
    for parts, value in nnx.to_flat_state(nnx.state(module)):
        path, array = tuple(map(str, parts)), np.asarray(value.get_value())
        names = names_of(path, array.shape, config, FAMILIES[config.family])
        for name, row in zip(names, array if "layers" in path else [array], strict=True):
            # Ours is (inputs..., outputs...), theirs (output, input); only attention's output contracts two axes.
            if path[-1] == "kernel":
                inputs = 2 if path[-2:] == ("output", "kernel") else 1
                row = row.reshape(int(np.prod(row.shape[:inputs])), -1).T
            elif path[-1] == "bias":
                # Theirs is flat, but for the head's, which BART keeps as a row.
                row = row[None] if path == ("bias",) else row.ravel()
            # Safetensors writes memory as it lies, so a transposed view would come back scrambled.
            tensors[name] = np.ascontiguousarray(row)
    return tensors
