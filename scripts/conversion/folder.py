"""The Hugging Face folder: weights, configuration and tokenizer."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from jaxflow._checks import InputError, shown
from jaxflow.models import load_model

# How reaction SMILES are cut into tokens (Schwaller et al. 2019).
SMILES = (
    r"\%\([0-9]{3}\)|\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\||\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?|\*|\$"
    r"|\%[0-9]{2}|[0-9]"
)
SPECIAL = {
    name: f"[{name[:-6].upper()}]" for name in ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
}

# The files of a tokenizer, of all kinds.
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt"),
    *("vocab.json", "merges.txt", "spm.model", "spiece.model", "sentencepiece.bpe.model"),
)


def smiles_tokenizer(vocabulary: Path) -> Any:
    """A tokenizer of reaction SMILES from a list of tokens."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(vocabulary.read_text().splitlines())}
    backend = Tokenizer(models.WordLevel(words, unk_token=SPECIAL["unk_token"]))
    # What the pattern doesn't match is dropped, as the original's findall does.
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(SMILES), behavior="removed", invert=True)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, words[name]) for name in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=512, **SPECIAL)


def write(
    out: Path,
    state: dict[str, np.ndarray],
    config: dict[str, Any],
    tokenizer: Any,
    check: Callable[[Path], None] | None = None,
) -> Path:
    """The Hugging Face folder; a tokenizer's files are copied from its folder or written.

    It is loaded beside its place first, and moves there only if it loads.

    Raises:
        InputError: there is something at `out`, it cannot be written, or what was made does not load.
    """
    from safetensors.numpy import save_file

    if out.exists() or out.is_symlink():
        raise InputError("out", "be a new folder", f"{out}, which exists", "name another")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name[:100]}-") as scratch:
            made = Path(scratch) / "model"
            made.mkdir()
            save_file(state, made / "model.safetensors", metadata={"format": "pt"})
            _ = (made / "config.json").write_text(json.dumps(config, indent=2) + "\n")
            if isinstance(tokenizer, Path):
                for name in TOKENIZER:
                    if (tokenizer / name).is_file():
                        _ = shutil.copy(tokenizer / name, made / name)
            else:
                tokenizer.save_pretrained(made)
            (check or _check)(made)
            _ = made.rename(out)
    except OSError as error:
        raise InputError("out", "be a folder that can be written", f"{out} ({error.strerror or error})") from error
    return out


def check_in_torch(made: Path) -> None:
    """Load a decoder by transformers, which names weights that it misses or does not know.

    Raises:
        InputError: there are some.
    """
    from transformers import AutoModelForCausalLM

    _, found = cast("tuple[Any, dict[str, Any]]", AutoModelForCausalLM.from_pretrained(made, output_loading_info=True))
    wrong = [*found["missing_keys"], *found["unexpected_keys"], *found["mismatched_keys"]]
    if wrong:
        raise InputError("weights", "be those of its configuration", shown(wrong), place="the converted model")


def _check(made: Path) -> None:
    """Load what was made; where its names don't fit, say how they can be changed."""
    try:
        _ = load_model(made)
    except InputError as error:
        moved = error.at("the converted model, which was not kept")
        # Names of tensors that do not fit a checkpoint are those of the file that was converted.
        if error.argument == "name_or_path":
            moved = moved.also(
                "cut what stands before all names off by `strip`, leave out tensors that are not the model's by "
                "`drop`, name the class by `architecture`"
            )
        raise moved from error
