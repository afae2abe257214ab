"""Tiny random PyTorch models of many architectures, made from their configurations."""

from dataclasses import dataclass
from typing import Any

import torch
import transformers

from tests.tiny_text_model import tokenizer

WORDS = tokenizer("the", "key", "to", "cabinets", "is", "on", "table", "##s")
SIZE = len(WORDS)
# The parts that configurations of one kind have in common.
BERT = {
    "vocab_size": SIZE,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "initializer_range": 0.4,
    "pad_token_id": 0,
}
LLAMA = BERT | {"num_key_value_heads": 1, "head_dim": 8, "bos_token_id": 2, "eos_token_id": 3}
GPT = {"vocab_size": SIZE, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "initializer_range": 0.4}
GPT |= {"bos_token_id": 2, "eos_token_id": 3}
SIDES = {
    f"{side}_{part}": size
    for side in ("encoder", "decoder")
    for part, size in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 24))
}
BART = {"vocab_size": SIZE, "d_model": 16, "max_position_embeddings": 32, "pad_token_id": 0, "init_std": 0.4, **SIDES}
VISION = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 16,
    "patch_size": 8,
}


@dataclass(frozen=True)
class Architecture:
    """One row of the table.

    Attributes:
        title: its name for people.
        config: the class of its configuration.
        changes: the configuration's values.
        kind: the class of the model, or an `Auto` class.
        part: takes the side of the model that is passed.
        loaded: the attention that it is loaded with; None is its default.
    """

    title: str
    config: str
    changes: dict[str, Any]
    kind: str = "AutoModel"
    part: str | None = None
    loaded: str | None = None

    def make(self) -> Any:
        """A random model, the same every time."""
        torch.manual_seed(11)
        config = getattr(transformers, self.config)(**self.changes)
        kind = getattr(transformers, self.kind)
        given = {} if self.loaded is None else {"attn_implementation": self.loaded}
        model = kind.from_config(config, **given) if self.kind.startswith("Auto") else kind(config)
        part = model if self.part is None else getattr(model, self.part)
        return (part() if self.part == "get_encoder" else part).eval()


def classifier(title: str, config: str, changes: dict[str, Any]) -> Architecture:
    return Architecture(title, config, changes | {"num_labels": 3}, "AutoModelForSequenceClassification")


def decoder(title: str, config: str, changes: dict[str, Any]) -> Architecture:
    return Architecture(title, config, changes, "AutoModelForCausalLM")


def written(title: str, config: str, changes: dict[str, Any]) -> Architecture:
    return Architecture(title, config, changes, "AutoModelForSeq2SeqLM")


RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8}
XLNET = {"vocab_size": SIZE, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24, "initializer_range": 0.4}
MODERN = {"local_attention": 4, "global_attn_every_n_layers": 2, "cls_token_id": 2, "sep_token_id": 3}
NEO = {"vocab_size": SIZE, "hidden_size": 16, "num_layers": 2, "num_heads": 2, "max_position_embeddings": 32}
NEO |= {"attention_types": [[["global", "local"], 1]], "window_size": 4, "bos_token_id": 2, "eos_token_id": 3}
OPT = {"vocab_size": SIZE, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 24}
OPT |= {"max_position_embeddings": 32, "word_embed_proj_dim": 16, "pad_token_id": 0}
BLOOM = {"vocab_size": SIZE, "hidden_size": 16, "n_layer": 2, "n_head": 2}
T5 = {"vocab_size": SIZE, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
DISTIL = {"vocab_size": SIZE, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": 32}
XLM = {"vocab_size": SIZE, "emb_dim": 16, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 32, "pad_index": 0}
SLIDING = {"sliding_window": 4}
MIXED = SLIDING | {"layer_types": ["sliding_attention", "full_attention"]}
EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
TEXT_TOWER = {name: value for name, value in BERT.items() if name != "pad_token_id"}
WHISPER = BART | {"max_source_positions": 8, "max_target_positions": 8, "num_mel_bins": 4, "bos_token_id": 2}
WHISPER |= {"eos_token_id": 3, "decoder_start_token_id": 2}

ARCHITECTURES = (
    classifier("BERT", "BertConfig", BERT),
    classifier("RoBERTa", "RobertaConfig", BERT),
    classifier("CamemBERT", "CamembertConfig", BERT),
    classifier("XLM-RoBERTa", "XLMRobertaConfig", BERT),
    classifier("DistilBERT", "DistilBertConfig", DISTIL),
    classifier("ALBERT", "AlbertConfig", BERT | {"embedding_size": 8}),
    classifier("ELECTRA", "ElectraConfig", BERT | {"embedding_size": 16}),
    classifier("MPNet", "MPNetConfig", BERT),
    classifier("DeBERTa", "DebertaConfig", BERT | RELATIVE),
    classifier("DeBERTa-v2", "DebertaV2Config", BERT | RELATIVE),
    classifier("ModernBERT", "ModernBertConfig", BERT | MODERN),
    classifier("NomicBERT", "NomicBertConfig", BERT),
    classifier("RoFormer", "RoFormerConfig", BERT),
    classifier("ConvBERT", "ConvBertConfig", BERT | {"embedding_size": 16, "head_ratio": 1}),
    classifier("MobileBERT", "MobileBertConfig", BERT | {"embedding_size": 16, "intra_bottleneck_size": 16}),
    classifier("ESM", "EsmConfig", BERT | {"mask_token_id": 4}),
    classifier("XLM", "XLMConfig", XLM),
    classifier("XLNet", "XLNetConfig", XLNET),
    classifier("SqueezeBERT", "SqueezeBertConfig", BERT | {"embedding_size": 16}),
    classifier("Longformer", "LongformerConfig", BERT | {"attention_window": 4}),
    classifier("BigBird", "BigBirdConfig", BERT | {"block_size": 4}),
    classifier("BigBird, full attention", "BigBirdConfig", BERT | {"attention_type": "original_full"}),
    classifier("FNet", "FNetConfig", BERT),
    classifier("I-BERT", "IBertConfig", BERT),
    classifier("CANINE", "CanineConfig", {name: value for name, value in BERT.items() if name != "vocab_size"}),
    Architecture("T5, encoder", "T5Config", T5, part="get_encoder"),
    Architecture("BART, encoder", "BartConfig", BART, part="get_encoder"),
    Architecture("CLIP, text tower", "CLIPTextConfig", TEXT_TOWER, "CLIPTextModel"),
    decoder("GPT-2", "GPT2Config", GPT),
    classifier("GPT-2, classifier without padding", "GPT2Config", GPT),
    decoder("GPT-Neo", "GPTNeoConfig", NEO),
    decoder("GPT-J", "GPTJConfig", GPT | {"rotary_dim": 4}),
    decoder("GPT-NeoX", "GPTNeoXConfig", BERT),
    decoder("OPT", "OPTConfig", OPT),
    decoder("OPT, narrow embeddings", "OPTConfig", OPT | {"word_embed_proj_dim": 8, "do_layer_norm_before": False}),
    decoder("BLOOM", "BloomConfig", BLOOM),
    decoder("Falcon", "FalconConfig", BERT),
    Architecture("Falcon, loaded eager", "FalconConfig", BERT, "AutoModelForCausalLM", loaded="eager"),
    decoder("Llama", "LlamaConfig", LLAMA),
    decoder("Mistral", "MistralConfig", LLAMA | SLIDING),
    decoder("Mixtral", "MixtralConfig", LLAMA | EXPERTS),
    decoder("Qwen2", "Qwen2Config", LLAMA),
    decoder("Qwen3", "Qwen3Config", LLAMA),
    decoder("Gemma", "GemmaConfig", LLAMA),
    decoder("Gemma 2", "Gemma2Config", LLAMA | SLIDING),
    decoder("Gemma 3", "Gemma3TextConfig", LLAMA | MIXED),
    decoder("Phi", "PhiConfig", BERT),
    decoder("Phi-3", "Phi3Config", LLAMA),
    decoder("OLMo 2", "Olmo2Config", LLAMA),
    decoder("SmolLM3", "SmolLM3Config", LLAMA),
    decoder("gpt-oss", "GptOssConfig", LLAMA | EXPERTS),
    decoder("LFM2", "Lfm2Config", LLAMA | {"layer_types": ["conv", "full_attention"]}),
    decoder("Mamba", "MambaConfig", {"vocab_size": SIZE, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}),
    written("T5", "T5Config", T5),
    written("mT5", "MT5Config", T5),
    written("BART", "BartConfig", BART),
    written("mBART", "MBartConfig", BART),
    written("Marian", "MarianConfig", BART | {"decoder_start_token_id": 0}),
    written("Pegasus", "PegasusConfig", BART),
    written("M2M100", "M2M100Config", BART),
    Architecture("BART without a head", "BartConfig", BART),
    Architecture("BART, classifier", "BartConfig", BART, "BartForSequenceClassification"),
    written("LED", "LEDConfig", BART | {"attention_window": 4}),
    written("LongT5", "LongT5Config", T5 | {"local_radius": 2}),
    Architecture("Whisper", "WhisperConfig", WHISPER),
    Architecture("CLIP", "CLIPConfig", {"text_config": TEXT_TOWER, "vision_config": VISION}),
)


def of(title: str) -> Architecture:
    """An architecture by its title."""
    return next(each for each in ARCHITECTURES if each.title == title)
