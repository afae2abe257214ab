"""Tiny random vision models of transformers, their image processor, and small images."""

import warnings

import numpy as np
import torch
import transformers
from PIL import Image

import jaxflow as jf

SIZE, PATCH = 24, 8
VISION = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": SIZE,
    "patch_size": PATCH,
    "initializer_range": 0.4,
    "id2label": {0: "cat", 1: "dog", 2: "tree"},
    "label2id": {"cat": 0, "dog": 1, "tree": 2},
}


def processor(height=SIZE, width=SIZE):
    """An image processor that stretches images to a size."""
    return transformers.ViTImageProcessorPil(size={"height": height, "width": width})


def vision_model(kind, config, **changes):
    """A random model, the same every time; norms and layer scales are no ones."""
    torch.manual_seed(5)
    known = VISION if not {"num_heads", "hidden_sizes"} & changes.keys() else {"image_size": SIZE}
    made = getattr(transformers, kind)(getattr(transformers, config)(**(known | changes))).eval()
    for parameter in made.parameters():
        if parameter.ndim == 1:
            parameter.data.normal_(1, 0.3)
    return made


def torch_images(made, taken=None, **options):
    """The model as jaxflow takes it, without the warning of eager attention."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*eager attention is switched on", UserWarning)
        return jf.TorchModel(made, taken or processor(), **options)


def image(seed=0, height=31, width=40):
    """Colours, bright in the upper left corner."""
    colours = np.random.default_rng(seed).integers(0, 90, (height, width, 3))
    colours[: height // 3, : width // 3] += 150
    return colours.astype(np.uint8)


def folder_of_images(path, count=3):
    """PNG and JPEG files, one of them in a folder of its own, and a file that is no image."""
    (path / "more").mkdir(parents=True)
    for number in range(count):
        Image.fromarray(image(number)).save(path / f"{number:02}.png")
    Image.fromarray(image(7)).save(path / "more" / "last.jpg", quality=95)
    _ = (path / "notes.txt").write_text("no image")
    return path
