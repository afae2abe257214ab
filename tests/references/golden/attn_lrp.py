"""Makes attn_lrp.json and the tiny models beside it: AttnLRP by LXT's own package, which ours is held against.

LXT 2.1 imports parts of transformers that version 5 no longer has, so it cannot run beside what the tests need. Make an
environment of its own, and run it there from the repository's root:

    pip install torch==2.13 transformers==4.51.3 tabulate && pip install --no-deps lxt==2.1
    python tests/references/golden/attn_lrp.py

Models are random, in double precision; each text runs alone. The relevance is of each word embedding for one class.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch
import transformers
from transformers.models.bert import modeling_bert
from transformers.models.gpt2 import modeling_gpt2
from transformers.models.llama import modeling_llama
from transformers.models.qwen3 import modeling_qwen3

HERE = Path(__file__).parent
SIZES = {
    "vocab_size": 32,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 16,
    "initializer_range": 0.4,
    "num_labels": 3,
    "pad_token_id": 0,
}
# GPT-2's names for the same, and what the other decoders have of their own.
GPT2 = {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_inner": 24, "n_positions": 16, "use_cache": False}
LLAMA = {"num_key_value_heads": 1, "use_cache": False}
# The module that LXT patches, the classifier in it, and what else its configuration says.
MODELS = {
    "bert": (modeling_bert, "BertForSequenceClassification", {}),
    "gpt2": (modeling_gpt2, "GPT2ForSequenceClassification", GPT2),
    "llama": (modeling_llama, "LlamaForSequenceClassification", LLAMA),
    "qwen3": (modeling_qwen3, "Qwen3ForSequenceClassification", {**LLAMA, "head_dim": 8}),
}
TEXTS = [[2, 9, 17, 30, 11, 3], [2, 3], [2, 25, 8, 8, 3]]
CLASSES = [0, 2, 1]


def monkey_patch(module):
    """Puts LXT's rules into a module of transformers."""
    # LXT imports torchvision for its images, which has no part here and fits few builds of torch.
    names = ("torchvision", "torchvision.models", "torchvision.models.vision_transformer")
    stand_ins = {name: ModuleType(name) for name in names}
    stand_ins["torchvision.models"].vision_transformer = stand_ins[names[-1]]
    stand_ins[names[-1]].nn = torch.nn
    with mock.patch.dict(sys.modules, stand_ins):
        from lxt.efficient import monkey_patch
    monkey_patch(module)


def relevance(model, ids, label):
    """Logits of one text, and the sum of each token's gradient times word embedding under LXT's rules."""
    words = model.get_input_embeddings()(torch.tensor([ids])).detach().requires_grad_()
    logits = model(inputs_embeds=words).logits
    logits[0, label].backward()
    terms = (words * words.grad)[0].detach()
    return {
        "ids": ids,
        "logits": logits[0].tolist(),
        "relevance": terms.sum(-1).tolist(),
        "sizes": terms.abs().sum(-1).tolist(),
    }


def main():
    made = {"versions": {name: version(name) for name in ("lxt", "torch", "transformers")}, "classes": CLASSES}
    for seed, (name, (module, kind, own)) in enumerate(MODELS.items()):
        monkey_patch(module)
        torch.manual_seed(seed)
        config = transformers.AutoConfig.for_model(name, **{**SIZES, **own}, attn_implementation="eager")
        # By the module, as LXT puts another BERT in the place of transformers'.
        model = getattr(module, kind)(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.3 * torch.randn_like(parameter))
        model.save_pretrained(HERE / name)
        model = model.double()
        made[name] = [relevance(model, ids, label) for ids, label in zip(TEXTS, CLASSES, strict=True)]
    _ = (HERE / "attn_lrp.json").write_text(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
