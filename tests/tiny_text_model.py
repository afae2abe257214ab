"""A tiny random classifier in a folder, for tests that start from text."""

import tempfile
from functools import cache
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

LABELS = ("bad", "good", "</script><b>other</b>")
LAYERS, LIMIT = 3, 24
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@cache
def model_folder() -> Path:
    """A folder that lives as long as the tests do; every text of letters, digits and signs has tokens."""
    folder = Path(tempfile.mkdtemp(prefix="jaxflow-tiny-"))
    words = tokenizer("the", "key", "to", "cabinets", "is", "on", "table", "un", "##believ", "##able", "##s")
    words.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=LIMIT,
        initializer_range=0.4,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    torch.manual_seed(3)
    transformers.utils.logging.disable_progress_bar()
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def tokenizer(*words: str) -> transformers.PreTrainedTokenizerFast:
    """WordPiece over those words and all signs; two of them with other words cut texts in other places."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = dict.fromkeys([*SPECIAL, *words, *letters, *(f"##{letter}" for letter in letters)])
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    names = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=names["unk_token"]))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **names)
