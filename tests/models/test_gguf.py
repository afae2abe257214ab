"""GGUF files into folders: names, the order of rotated entries, quantised weights, and what is refused."""

import importlib
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers

from jaxflow._checks import InputError

SCRIPTS = Path(__file__).parents[2] / "scripts"
CONFIG = transformers.LlamaConfig(
    vocab_size=40,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    tie_word_embeddings=True,
    initializer_range=0.3,
)
TOKENS = ["<|end|>", "<|start|>", *(chr(code) for code in range(97, 123)), "Ġ", "th", "the", *"0123456789"][:40]
CONTROL = [3 if token.startswith("<|") else 1 for token in TOKENS]


@pytest.fixture(scope="module")
def reading():
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("conversion.gguf")
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(5)
    return transformers.LlamaForCausalLM(CONFIG).eval()


def beside(weights, heads):
    """As llama.cpp writes projections: the two entries of a rotated pair beside each other."""
    rows, width = weights.shape
    return weights.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def written(model, reading, path, *, kind=None, pre="smollm"):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types(CONTROL)
    writer.add_token_merges(["t h", "th e"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    theirs = {name: ours for ours, name in reading.WHOLE.items()} | {
        f"model.layers.{layer}.{name}": f"blk.{layer}.{ours}"
        for layer in range(2)
        for ours, name in reading.LAYER.items()
    }
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        weights = tensor.numpy()
        heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2])
        weights = beside(weights, heads) if heads else weights
        if kind is not None and weights.ndim == 2:
            writer.add_tensor(theirs[name], gguf.quants.quantize(weights, kind), raw_dtype=kind)
        else:
            writer.add_tensor(theirs[name], np.ascontiguousarray(weights))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", [None, gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_1])
def test_a_file_becomes_the_model_that_it_was_made_of(reading, model, tmp_path, kind):
    state, config, tokenizer = reading.read_gguf(written(model, reading, tmp_path / "model.gguf", kind=kind))
    # Numbers of 8 and 4 bits are right to a half of their step, over the range of 32 of them.
    bits = {None: 0, gguf.GGMLQuantizationType.Q8_0: 8, gguf.GGMLQuantizationType.Q4_1: 4}[kind]
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":
            step = 0 if bits == 0 else 2 * float(tensor.abs().max()) / (2**bits - 2)
            np.testing.assert_allclose(state[name], tensor.numpy(), atol=0.51 * step + 1e-7, err_msg=name)
    again = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config)).eval()
    _ = again.load_state_dict({each: torch.tensor(array) for each, array in state.items()}, strict=False)
    again.tie_weights()
    ids = torch.tensor([[5, 9, 30, 2, 17]])
    if kind is None:
        torch.testing.assert_close(again(ids).logits, model(ids).logits, atol=1e-5, rtol=1e-5)
    assert tokenizer.convert_ids_to_tokens(tokenizer("the a12<|end|>")["input_ids"]) == [
        *("the", "Ġ", "a", "1", "2", "<|end|>")
    ]
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|start|>", "<|end|>")


def test_another_tokenizer_is_refused(reading, model, tmp_path):
    path = written(model, reading, tmp_path / "model.gguf", pre="llama-bpe")
    with pytest.raises(InputError, match=r"SmolLM's tokenizer, got architecture llama, tokenizer gpt2 \(llama-bpe\)"):
        reading.read_gguf(path)
