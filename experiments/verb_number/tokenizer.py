"""The model's tokenizer: a vocabulary of words, and of pieces that the other words are put together from.

A plain `<unk>` would hide the number of every rare noun, which its ending tells. (Linzen et al. replaced rare words by
their part of speech, which tells it too.)
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from experiments.verb_number.words import PATTERN, REPLACEMENTS

# The numbers are RoBERTa's; positions count from the one behind padding's.
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
START, PADDING, END, UNKNOWN = 0, 1, 2, 3
# What a piece inside a word begins with.
INSIDE = "##"
# Letters that pieces are made of, the most frequent ones; a word with another is `<unk>`.
LETTERS = 60


def vocabulary(counts: Counter[str], size: int, pieces: int = 0) -> list[str]:
    """The special tokens, the most frequent words, and pieces for the rest: `size` in all."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    found = [word for word, _ in ranked[: size - len(SPECIALS) - pieces]]
    if pieces:
        known = set(found)
        found += [piece for piece in _pieces(ranked[len(found) :], pieces) if piece not in known]
    return [*SPECIALS, *found]


def _pieces(ranked: Sequence[tuple[str, int]], size: int) -> list[str]:
    """Pieces that these words fall into, as BERT's are found, single letters among them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    backend = Tokenizer(models.WordPiece(unk_token="<unk>"))  # noqa: S106
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, limit_alphabet=LETTERS, continuing_subword_prefix=INSIDE, show_progress=False
    )
    backend.train_from_iterator((" ".join([word] * count) for word, count in ranked), trainer)
    return [piece for piece, _ in sorted(backend.get_vocab().items(), key=lambda item: item[1])]


def make_tokenizer(known: Iterable[str], longest: int) -> Any:
    """Transformers' fast tokenizer: `<s> w1 .. wk </s>`; what is too long loses its beginning, not its end."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    table = {word: i for i, word in enumerate(known)}
    backend = Tokenizer(models.WordPiece(table, unk_token="<unk>", continuing_subword_prefix=INSIDE))  # noqa: S106
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


def coded(tokenizer: Any, texts: Iterable[Sequence[str]], chunk: int = 20_000) -> Iterable[list[int]]:
    """Ids of each text's words, without `<s>` and `</s>`."""
    texts = iter(texts)
    while part := list(islice(texts, chunk)):
        rows = tokenizer.backend_tokenizer.encode_batch(
            [list(words) for words in part], is_pretokenized=True, add_special_tokens=False
        )
        yield from (row.ids for row in rows)
