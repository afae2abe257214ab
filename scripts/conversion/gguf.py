"""Decoders of the Llama shape in GGUF files, whose weights may be quantised, as Hugging Face folders."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxflow._checks import InputError, missing_extra

# Names in the file, and in transformers; `{}` is the layer.
WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
# Kinds of tokens that belong to the control of a text.
CONTROL = 3
SPECIAL = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
ROTATED = ("attn_q.weight", "attn_k.weight")


def read_gguf(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], Any]:
    """A file's weights in single precision, its configuration and its tokenizer, as transformers has them.

    Raises:
        InputError: it is of another shape than Llama's, or its tokenizer is of another kind than byte-level BPE.
    """
    try:
        from gguf import GGUFReader
        from gguf.quants import dequantize
    except ImportError:
        raise missing_extra("gguf", "convert", "reading GGUF files") from None
    reader = GGUFReader(path)

    def fact(name: str, default: Any = None) -> Any:
        field = reader.get_field(name)
        return default if field is None else field.contents()

    kinds = fact("general.architecture"), fact("tokenizer.ggml.model"), fact("tokenizer.ggml.pre")
    if kinds != ("llama", "gpt2", "smollm"):
        expected = "be of the Llama shape, with SmolLM's tokenizer"
        raise InputError("weights", expected, f"architecture {kinds[0]}, tokenizer {kinds[1]} ({kinds[2]})")
    heads = fact("llama.attention.head_count")
    groups = fact("llama.attention.head_count_kv", heads)
    state = {}
    for tensor in reader.tensors:
        weights = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), np.float32)
        part = tensor.name.partition(".")[2].partition(".")[2]
        if part in ROTATED:
            weights = halves(weights, heads if part == "attn_q.weight" else groups)
        state[_renamed(tensor.name)] = weights
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": state["model.embed_tokens.weight"].shape[0],
        "hidden_size": fact("llama.embedding_length"),
        "intermediate_size": fact("llama.feed_forward_length"),
        "num_hidden_layers": fact("llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "max_position_embeddings": fact("llama.context_length"),
        # Single precision in the file.
        "rms_norm_eps": float(f"{fact('llama.attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_theta": float(fact("llama.rope.freq_base", 10000.0)),
        "hidden_act": "silu",
        "tie_word_embeddings": "lm_head.weight" not in state,
        "torch_dtype": "float32",
        **{
            f"{name}_id": fact(f"tokenizer.ggml.{key}_token_id") for name, key in SPECIAL.items() if name != "unk_token"
        },
    }
    return state, config, _tokenizer(fact)


def halves(weights: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a projection with each head's pairs of rotated entries apart by half a head, as transformers has them.

    GGUF has the two of a pair beside each other.
    """
    rows, width = weights.shape
    return weights.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def _renamed(name: str) -> str:
    if name in WHOLE:
        return WHOLE[name]
    block, layer, part = name.split(".", 2)
    if block != "blk" or part not in LAYER:
        raise InputError("weights", "hold the tensors of the Llama shape alone", name)
    return f"model.layers.{layer}.{LAYER[part]}"


def _tokenizer(fact: Any) -> Any:
    """The byte-level tokenizer: digits stand alone."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens, kinds = fact("tokenizer.ggml.tokens"), fact("tokenizer.ggml.token_type")
    merges = [tuple(each.split(" ")) for each in fact("tokenizer.ggml.merges")]
    backend = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    digits, bytes_ = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
    backend.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    _ = backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    numbers = {name: fact(f"tokenizer.ggml.{key}_token_id") for name, key in SPECIAL.items()}
    named = {name: tokens[number] for name, number in numbers.items() if number is not None}
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=fact("llama.context_length"),
        clean_up_tokenization_spaces=False,
        **named,
    )
    made.chat_template = fact("tokenizer.chat_template")
    return made
