"""Parts of speech of tokens, by the words of parsed sentences."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

from jaxflow.inputs.conllu import Sentence
from jaxflow.store.arrow import Row


class Tags:
    """Parts of speech of a text's tokens, for the texts of given sentences.

    Attributes:
        found: number of rows whose text was among them.
    """

    def __init__(self, sentences: Iterable[Sentence]):
        """The tags of all the sentences, in memory.

        Args:
            sentences: from `read_conllu`; a text is looked up letter by letter.
        """
        self.found = 0
        self._words = {
            sentence.text: (np.asarray(sentence.offsets, np.int64).reshape(-1, 2), sentence.tags)
            for sentence in sentences
        }

    @property
    def sentences(self) -> int:
        """The number of different texts."""
        return len(self._words)

    def of(self, row: Row) -> tuple[Int[np.ndarray, " found"], list[str]]:
        """Positions of a row's tokens that stand in a word, and the words' tags; none where its text is not known.

        Of several words written as one (a "du" for "de le"), the first one's tag is taken.
        """
        known = self._words.get(row["text"]) if row["pair"] is None else None
        if known is None or not len(known[0]):
            return np.zeros(0, np.int64), []
        self.found += 1
        spans, tags = known
        # The first word that ends behind the token's start; some tokens begin with the blank in front of their word.
        words = np.searchsorted(spans[:, 1], row["offsets"][:, 0], "right")
        # Behind the last word there is none, which begins nowhere.
        begins = np.append(spans[:, 0], np.iinfo(np.int64).max)[words]
        inside = (row["source"] == 0) & (begins < row["offsets"][:, 1])
        return np.flatnonzero(inside), [tags[word] for word in words[inside]]
