"""The result of `attribute`: examples, one a text."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import SupportsIndex, overload

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxflow._checks import shown
from jaxflow._typing import DataFrame
from jaxflow._views import registered, shown_as_html
from jaxflow.attribution.frames import tidy_frame
from jaxflow.attribution.question import Question
from jaxflow.graph.encoder_decoder import layer_name
from jaxflow.inputs.images import Picture


@dataclass(frozen=True, eq=False)
class Example:
    """One text and what its tokens contributed.

    Attributes:
        text: as it was given; of an image its name.
        pair: the second text, or None.
        tokens: the tokenizer's pieces, special ones included.
        offsets: characters (start, end) of each token in its text; (-1, -1) for special tokens.
        source: 0 for the text's tokens, 1 for the pair's, -1 for special ones.
        queries: positions that relevance was asked for.
        layers: layers it was asked for, counted from 1.
        relevance: by method, `layer query token`.
        certified: whether a flow is proven, `layer query token`; None where no flow was asked for.
        prediction: the model's label, None where it has no classes.
        scores: probability of each class, empty where it has none.
        saturation: by flow method, where a flow is no more than one of the trivial cuts, `layer query token`: all that
            leaves the query, or all that enters the token in the first layer. There flow says nothing of what lies
            between, and many tokens tie. Empty where no flow was asked for, and for results that do not say.
        stages: how many of the flows each stage settled, as `FlowSolution.stages` has it; None where it is not known.
        answer: positions of the answer's tokens, where these were asked for (`queries="answer"`): each query predicted
            the token there. Else None. The text is then the prompt, and the pair the answer.
        first_target: position of an encoder-decoder's first target, behind its sources; None for one sequence.
        encoder_layers: how many of the layers are an encoder's below a decoder; 0 for a model of one sequence.
    """

    text: str
    pair: str | None
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    source: tuple[int, ...]
    queries: Int[np.ndarray, " query"]
    layers: tuple[int, ...]
    relevance: dict[str, Float[np.ndarray, "layer query token"]]
    certified: Bool[np.ndarray, "layer query token"] | None
    prediction: str | None
    scores: dict[str, float]
    saturation: dict[str, Bool[np.ndarray, "layer query token"]] = field(default_factory=dict)
    stages: dict[str, int] | None = None
    picture: Picture | None = None
    answer: Int[np.ndarray, " query"] | None = None
    first_target: int | None = None
    encoder_layers: int = 0

    def __repr__(self) -> str:
        """What it is of, without its arrays."""
        methods = ", ".join(self.relevance)
        said = "" if self.prediction is None else f", prediction {shown(self.prediction)}"
        positions = f"{len(self.queries)} position{'s' * (len(self.queries) != 1)} explained"
        return (
            f"Example({shown(self.text)}: {len(self.tokens)} tokens, {positions}, "
            f"{len(self.layers)} layers, {methods}{said})"
        )

    def _repr_html_(self) -> str | None:
        """Its words, shaded, for notebooks; see `jaxflow._views`."""
        return shown_as_html(self)

    @property
    def answer_tokens(self) -> tuple[str, ...] | None:
        """The answer's tokens, one a query; None where no answer was asked for."""
        return None if self.answer is None else tuple(self.tokens[int(place)] for place in self.answer)

    @property
    def prompt_tokens(self) -> tuple[str, ...] | None:
        """The prompt's tokens, special ones included; None where no answer was asked for."""
        return None if self.answer is None else self.tokens[: int(self.answer[0])]

    @property
    def sources(self) -> tuple[str, ...]:
        """The tokens that an encoder read; all of them where there are no targets."""
        return self.tokens[: self.first_target]

    @property
    def targets(self) -> tuple[str, ...]:
        """The tokens that a decoder read after its encoder; none where there is one sequence."""
        return () if self.first_target is None else self.tokens[self.first_target :]

    @property
    def layer_names(self) -> dict[int, str]:
        """Of an encoder-decoder the name of each layer that was asked for: "encoder 1", "decoder 2 cross"."""
        return {layer: layer_name(layer, self.encoder_layers) for layer in self.layers if self.encoder_layers}

    @property
    def saturated(self) -> Bool[np.ndarray, "layer query token"] | None:
        """Where a flow is saturated, see `saturation`; of several flow methods any. None where it is not known."""
        return np.logical_or.reduce([*self.saturation.values()]) if self.saturation else None


@dataclass(frozen=True, eq=False)
class Attribution(Sequence[Example]):
    """What the tokens of many texts contributed: a sequence of examples, and the same as columns.

    Attributes:
        examples: in the order of the texts.
        model: name of the model that read them.
        question: what was asked about each of them; None where it is not known.
        reads_at: position that the model's head reads, -1 for the last one; None where it reads no one position.
    """

    examples: tuple[Example, ...]
    model: str = ""
    question: Question | None = None
    reads_at: int | None = None

    @overload
    def __getitem__(self, index: SupportsIndex) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> "Attribution": ...

    def __getitem__(self, index: SupportsIndex | slice) -> "Example | Attribution":
        # A slice keeps the columns; a number gives one example.
        return replace(self, examples=self.examples[index]) if isinstance(index, slice) else self.examples[index]

    def __repr__(self) -> str:
        """What it is of, without its arrays."""
        if len(self.examples) == 1:
            return f"Attribution(1 example: {self.examples[0]!r})"
        first = f", the first: {self.examples[0]!r}" if self.examples else ""
        return f"Attribution({len(self.examples)} examples{first})"

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def tokens(self) -> tuple[tuple[str, ...], ...]:
        """Tokens of each example."""
        return tuple(example.tokens for example in self.examples)

    @property
    def prediction(self) -> tuple[str | None, ...]:
        """Label of each example, None where the model has no classes."""
        return tuple(example.prediction for example in self.examples)

    @property
    def relevance(self) -> dict[str, tuple[Float[np.ndarray, "layer query token"], ...]]:
        """By method, the relevance of each example: `layer query token`, padding cut away."""
        # All examples have the same methods.
        names = self.examples[0].relevance if self.examples else {}
        return {name: tuple(example.relevance[name] for example in self.examples) for name in names}

    @property
    def encoder_layers(self) -> int:
        """How many of the layers are an encoder's below a decoder; 0 for a model of one sequence."""
        return self.examples[0].encoder_layers if self.examples else 0

    @property
    def layer_names(self) -> dict[int, str]:
        """Of an encoder-decoder the name of each layer that was asked for: "encoder 1", "decoder 2 cross"."""
        return self.examples[0].layer_names if self.examples else {}

    @property
    def certified_share(self) -> float | None:
        """Share of all flows that are proven; None where no flow was asked for."""
        # Counts are added, not shares: texts differ in their number of flows.
        proven = [example.certified for example in self.examples if example.certified is not None]
        return sum(int(each.sum()) for each in proven) / sum(each.size for each in proven) if proven else None

    @property
    def saturated_share(self) -> dict[str, float]:
        """By flow method, the share of all its flows that are saturated."""
        names = self.examples[0].saturation if self.examples else {}
        parts = {name: [example.saturation[name] for example in self.examples] for name in names}
        return {
            name: sum(int(each.sum()) for each in all_) / sum(each.size for each in all_)
            for name, all_ in parts.items()
        }

    @property
    def stages(self) -> dict[str, int] | None:
        """How many flows of all examples each stage settled; None where it is not known."""
        known = [example.stages for example in self.examples if example.stages is not None]
        return {stage: sum(each[stage] for each in known) for stage in known[0]} if known else None

    def to_pandas(self) -> DataFrame:
        """All values as a tidy `pandas.DataFrame`: a row for each example, layer, query and token.

        Columns: `example` (from 0), `layer` (from 1), `query` and `position` (from 0), `query_token` and `token`,
        `source` (0 for the text, 1 for its pair, -1 for special tokens), `prediction`; then a method's relevance under
        its name, and for flows `certified` and the method's `...:saturated`. Where answers were asked for also
        `answer` and `answer_token`, the position and token that the query predicted.

        Raises:
            InputError: pandas is not installed.
        """
        return tidy_frame(self.examples)

    def save(self, folder: str | Path) -> Path:
        """Keep the results in a folder as a sweep does: Parquet, a row an example; `open_sweep` reads it.

        Args:
            folder: new, or empty.

        Returns:
            The folder.

        Raises:
            InputError: the folder holds something already or cannot be written, or pyarrow is not installed.
        """
        return registered("save", self)(self, folder)

    def _repr_html_(self) -> str | None:
        """The words of the first texts, shaded, for notebooks; see `jaxflow._views`."""
        return shown_as_html(self)
