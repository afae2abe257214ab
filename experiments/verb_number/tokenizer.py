"""The model's tokenizer: a vocabulary of whole words, as transformers loads it."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from experiments.verb_number.words import PATTERN, REPLACEMENTS

# The numbers are RoBERTa's; positions count from the one behind padding's.
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
START, PADDING, END, UNKNOWN = 0, 1, 2, 3


def vocabulary(counts: Counter[str], size: int) -> list[str]:
    """The special tokens and the most frequent words, `size` in all."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [*SPECIALS, *(word for word, _ in ranked[: size - len(SPECIALS)])]


def make_tokenizer(known: Iterable[str], longest: int) -> Any:
    """Transformers' fast tokenizer: `<s> w1 .. wk </s>`; what is too long loses its beginning, not its end."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(known)}, unk_token="<unk>"))  # noqa: S106
    replacing = [normalizers.Replace(Regex(pattern), new) for pattern, new in REPLACEMENTS]
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *replacing])
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", START), ("</s>", END)]
    )
    names = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=longest,
        truncation_side="left",
        **{f"{name}_token": token for name, token in names.items()},
    )
