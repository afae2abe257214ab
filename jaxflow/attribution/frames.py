"""Examples as a tidy data frame."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxflow._checks import missing_extra
from jaxflow._typing import ArrayLike, DataFrame


def tidy_frame(examples: Sequence[Any]) -> DataFrame:
    """A `pandas.DataFrame` with a row for each example, layer, query and token; see `Attribution.to_pandas`.

    Args:
        examples: of one question.
    """
    try:
        import pandas as pd
    except ImportError:
        raise missing_extra("pandas", "frames", "a data frame of pandas") from None
    parts = [_columns(number, example) for number, example in enumerate(examples)]
    names = parts[0] if parts else {}
    # One array a column, not a frame an example.
    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in names})


def _columns(number: int, example: Any) -> dict[str, np.ndarray]:
    """One example's columns; the token changes from row to row, then the query, then the layer."""
    tokens, queries = np.array(example.tokens, object), np.asarray(example.queries)
    shape = (len(example.layers), len(queries), len(tokens))

    def along(values: ArrayLike, axis: int) -> np.ndarray:
        """Values of one axis at every row."""
        return np.broadcast_to(np.expand_dims(values, [each for each in range(3) if each != axis]), shape).ravel()

    methods = example.relevance | ({} if example.certified is None else {"certified": example.certified})
    methods |= {f"{name}:saturated": values for name, values in example.saturation.items()}
    answer = example.answer
    predicted = {} if answer is None else {"answer": along(answer, 1), "answer_token": along(tokens[answer], 1)}
    return {
        "example": np.full(np.prod(shape), number),
        "layer": along(np.array(example.layers), 0),
        "query": along(queries, 1),
        "query_token": along(tokens[queries], 1),
        **predicted,
        "position": along(np.arange(len(tokens)), 2),
        "token": along(tokens, 2),
        "source": along(np.array(example.source), 2),
        "prediction": np.full(np.prod(shape), example.prediction, object),
        **{name: np.asarray(values).ravel() for name, values in methods.items()},
    }
