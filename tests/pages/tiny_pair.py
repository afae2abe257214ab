"""Two tiny classifiers, the second a little moved from the first, as fine-tuning does; and texts with labels."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch
import transformers

from tests.tiny_text_model import LABELS, model_folder

TEXTS = [
    "the key to the cabinets is on the table",
    "unbelievable key",
    "<b>is</b> the cabinets",
    "to the key to the table is the un",
    "tables is on keys",
]
TRUTH = [0, "good", 2, None, 0]
HOSTILE_TEXTS = ["</script><b>x</b>", "<img onerror=a()>", "key \u202eis\u200f {{data}}"]


@cache
def moved_folder() -> Path:
    """The tiny model with noise on its weights, and the same tokenizer."""
    folder = Path(tempfile.mkdtemp(prefix="jaxflow-tiny-moved-"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model_folder() / name, folder / name)
    transformers.utils.logging.disable_progress_bar()
    model = transformers.BertForSequenceClassification.from_pretrained(model_folder())
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.25 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return folder


@cache
def other_folder(layers: int, heads: int) -> Path:
    """A random classifier of another depth or number of heads, with the same tokenizer and labels."""
    folder = Path(tempfile.mkdtemp(prefix="jaxflow-tiny-other-"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model_folder() / name, folder / name)
    transformers.utils.logging.disable_progress_bar()
    config = transformers.BertConfig.from_pretrained(
        model_folder(), num_hidden_layers=layers, num_attention_heads=heads
    )
    torch.manual_seed(8)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


__all__ = ["HOSTILE_TEXTS", "LABELS", "TEXTS", "TRUTH", "model_folder", "moved_folder", "other_folder"]
