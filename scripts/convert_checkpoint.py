#!/usr/bin/env python3
"""Turn old pickled, ONNX or GGUF weights into a Hugging Face folder with safetensors, which `jaxflow` loads.

    scripts/convert_checkpoint.py WEIGHTS OUT --config config.json --tokenizer FOLDER --architecture BertForMaskedLM
    scripts/convert_checkpoint.py --package rxnmapper OUT
    scripts/convert_checkpoint.py model.gguf OUT

A GGUF file holds its configuration and tokenizer; its weights, quantised or not, become single precision. Those of the
Llama shape with SmolLM's tokenizer are read (`--package smollm2`).
Pickles are read by torch with `weights_only=True`, so nothing in them is run. Needs torch, or onnx for ONNX files,
or gguf (`pip install '.[convert]'`); the library itself never needs this script.
"""

import argparse
import json
import sys
from pathlib import Path

from conversion.folder import check_in_torch, smiles_tokenizer, write
from conversion.gguf import read_gguf
from conversion.packages import PACKAGES, convert_package
from conversion.weights import KEEP, read_state, renamed

from jaxflow._checks import InputError, shown
from jaxflow.models import load_model

WEIGHTS = "a .bin, .pt, .ckpt, .onnx, .gguf or .safetensors file; of shards any, or their index"
# What errors name as options.
OPTIONS = ("strip", "drop", "config", "labels", "architecture", "tokenizer")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    _ = parser.add_argument(
        "weights",
        type=Path,
        nargs="?",
        help=WEIGHTS,
    )
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
    _ = parser.add_argument("--drop", default=KEEP, help="leave out keys that this regular expression matches whole")
    options = parser.parse_args()
    if (options.weights is None) == (options.package is None):
        parser.error("name either the weights or a --package")
    try:
        _ = convert_package(options.package, options.out) if options.package else convert_file(options)
    except InputError as error:
        print(f"error: {error.in_words(lambda name: f'--{name}' if name in OPTIONS else name)}", file=sys.stderr)
        return 2
    config = json.loads((options.out / "config.json").read_text("utf-8"))
    if config.get("architectures") == ["LlamaForCausalLM"]:
        # Checked by transformers already.
        print(f"{options.out}: llama, head next_token, {config['num_hidden_layers']} layers")
        return 0
    model = load_model(options.out)
    print(f"{options.out}: {model.config.family}, head {model.head.name}, {model.layers} layers")
    return 0


def convert_file(options: argparse.Namespace) -> Path:
    """Convert what the command line names."""
    if not options.weights.is_file():
        got = f"{shown(str(options.weights))}, which does not exist"
        raise InputError("weights", "be a file", got, "check the path")
    if options.weights.suffix == ".gguf":
        return write(options.out, *read_gguf(options.weights), check_in_torch)
    beside = options.weights.parent
    path = options.config or beside / "config.json"
    if not path.is_file():
        raise InputError("config", "be a file", f"{shown(str(path))}, which does not exist", "name it by `config`")
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError("config", "be a file of JSON", f"{path} ({error})") from error
    if not isinstance(config, dict):
        raise InputError("config", "hold a JSON object", f"{path}, which holds a {type(config).__name__}")
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


if __name__ == "__main__":
    raise SystemExit(main())
