"""Sources and targets of an encoder-decoder as tokens: given ones, and those that it writes itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from jaxflow._checks import InputError, arguments_named, as_count, as_flag, shown
from jaxflow._typing import Given, Inputs, Pairs
from jaxflow._untyped import Coded, Tokenizer
from jaxflow.models import tokens
from jaxflow.models.answers import Continuation
from jaxflow.models.given_tokens import encoding_of
from jaxflow.models.groups import groups_of
from jaxflow.models.tokens import Encoding, TakesTokens
from jaxflow.models.two_streams import with_targets

Ids: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PairTokens:
    """Cuts texts into sources, and their pairs into targets as the decoder reads them.

    Attributes:
        tokenizer: of the model; a slow one is read without its own offsets.
        takes: what tokens must fit.
        limit: most tokens of the sources, and of the targets.
        first: the decoder's first token, given the ids of the labels.
        write: of sources of one length each, at most so many targets that the model writes, the first token included;
            None where it has no head that can.
        new_tokens: most targets that are written, where nothing else is said.
    """

    tokenizer: Tokenizer
    takes: TakesTokens
    limit: int
    first: Callable[[Ids], int]
    write: Callable[[list[Ids], int], list[Continuation]] | None
    new_tokens: int

    def __call__(self, texts: Inputs, pairs: Pairs, *, max_length: int | None, truncate: Given[bool]) -> list[Encoding]:
        """Sources and targets of each text, as one encoding.

        Raises:
            InputError: a text cannot be read; or there are no pairs, and the model writes none.
        """
        truncate = as_flag("truncate", truncate)
        if pairs is None:
            return self.written(texts, self.new_tokens, max_length=max_length, truncate=truncate)
        limit = tokens.as_limit(self.tokenizer, self.limit, max_length, paired=False)
        sources = self._side(texts, limit, truncate, target=False)
        with arguments_named(texts="pairs"):
            # The decoder's first token is one of the targets.
            labels = self._side(pairs, max(1, limit - 1), truncate, target=True)
        if len(labels) != len(sources):
            expected = f"have one text for each of the {len(sources)} `texts`"
            raise InputError("pairs", expected, str(len(labels)))
        return [with_targets(own, self._shifted(other)) for own, other in zip(sources, labels, strict=True)]

    def written(
        self,
        texts: Inputs,
        new_tokens: int,
        *,
        max_length: int | None = None,
        truncate: bool = False,
        answers: bool = False,
    ) -> list[Encoding]:
        """Sources with the targets that the model writes to them, as `Writes.write` has it.

        Raises:
            InputError: a text cannot be read, or the model writes nothing.
        """
        new_tokens = as_count("new_tokens", new_tokens)
        limit = tokens.as_limit(self.tokenizer, self.limit, max_length, paired=False)
        sources = self._side(texts, limit, truncate, target=False)
        if not sources:
            return []
        if self.write is None:
            expected = "hold the targets of each text where the model has no head that writes any"
            raise InputError("pairs", expected, "none", "pass the targets as `pairs`")
        made: dict[int, Encoding] = {}
        # Of one length, so that nothing is padded.
        for here in groups_of([len(each) for each in sources], alike=True):
            rows = self.write([sources[index].input_ids for index in here], new_tokens)
            for index, row in zip(here, rows, strict=True):
                text, targets = self._targets(row.ids)
                if answers and all(targets.special):
                    text, targets = self._without_words(row)
                made[index] = with_targets(sources[index], targets, text)
        return [made[index] for index in range(len(sources))]

    def _side(self, texts: Inputs, limit: int, truncate: bool, *, target: bool) -> list[Encoding]:
        """The tokens of sources, or of targets as labels are."""

        def call(texts: str | list[str], pairs: object = None, **options: Any) -> Coded:
            # Some tokenizers cut targets another way, or put another language's token there.
            return self.tokenizer(text_target=texts, **options) if target else self.tokenizer(texts, **options)

        if getattr(self.tokenizer, "is_fast", False):
            return tokens.tokenize(call, texts, None, limit, truncate, self.takes)
        return [
            self._slow(call, text, index, limit, truncate)
            for index, text in enumerate(tokens.as_strings("texts", texts))
        ]

    def _slow(self, call: Callable[..., Coded], text: str, index: int, limit: int, truncate: bool) -> Encoding:
        """A text's tokens by a tokenizer in Python, which knows no offsets: they are found in the text."""
        ids = [int(number) for number in call(text)["input_ids"]]
        if len(ids) > limit and truncate:
            ids = [int(number) for number in call(text, truncation=True, max_length=limit)["input_ids"]]
        if len(ids) > limit:
            raise InputError(f"texts[{index}]", f"have at most {limit} tokens", str(len(ids)), tokens.SHORTEN)
        if not ids or max(ids) >= self.takes.vocabulary:
            expected = f"hold tokens, and none but the model's {self.takes.vocabulary}"
            raise InputError(f"texts[{index}]", expected, shown(text[:40]), tokens.OWN_TOKENIZER)
        return self._encoding(ids, text)

    def _encoding(self, ids: Sequence[int], text: str) -> Encoding:
        """The encoding of a text's ids."""
        pieces = [str(piece) for piece in self.tokenizer.convert_ids_to_tokens(list(ids))]
        special = tuple(number in self.tokenizer.all_special_ids for number in ids)
        _, found = encoding_of(pieces, text, 0)
        return replace(
            found,
            input_ids=tuple(ids),
            special=special,
            source=tuple(-1 if each else 0 for each in special),
            offsets=tuple((-1, -1) if each else span for each, span in zip(special, found.offsets, strict=True)),
        )

    def _shifted(self, labels: Encoding) -> Encoding:
        """Labels as the decoder reads them: behind its first token, without the last, which is only predicted."""
        # The end of the targets is special; without one the last token is read too.
        end = -1 if labels.special[-1] and len(labels) > 1 else None
        return self._behind(self.first(labels.input_ids), labels, end)

    def _behind(self, first: int, labels: Encoding, end: int | None) -> Encoding:
        """Labels up to an end behind a first token."""
        return Encoding(
            input_ids=(first, *labels.input_ids[:end]),
            segments=(0, *labels.segments[:end]),
            tokens=(str(self.tokenizer.convert_ids_to_tokens([first])[0]), *labels.tokens[:end]),
            offsets=((-1, -1), *labels.offsets[:end]),
            source=(-1, *labels.source[:end]),
            special=(True, *labels.special[:end]),
        )

    def _targets(self, ids: Ids) -> tuple[str, Encoding]:
        """Targets that were written, the first token included: their text and their encoding."""
        text = self.tokenizer.decode(list(ids[1:]), skip_special_tokens=True).strip()
        first, *rest = ids
        return text, self._behind(first, self._encoding(rest, text), None) if rest else self._encoding(ids, "")

    def _without_words(self, row: Continuation) -> tuple[str, Encoding]:
        """Targets without a word, whose one answer is the token that ended them, or else the last of them."""
        ids = row.ids if row.end is None else (*row.ids, row.end)
        text = self.tokenizer.decode([ids[-1]], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        count = len(ids) - 1
        return text, Encoding(
            input_ids=ids,
            segments=(0,) * len(ids),
            tokens=tuple(map(str, self.tokenizer.convert_ids_to_tokens(list(ids)))),
            offsets=((-1, -1),) * count + ((0, len(text)),),
            source=(-1,) * count + (1,),
            special=(True,) * count + (False,),
        )
