"""The results of measures of single tokens."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class TokenScores:
    """Score of each token for a classifier, from the classifier's own behaviour.

    Attributes:
        values: `example token`; 0 on padding and on positions that were not chosen.
        signed: the scores with their signs; equal to `values` where the measure keeps them.
        mask: true on real tokens.
        value: the explained number (a probability, say) of each example as it stands.
        classes: the class that was explained.
        unresolved: true where a score may be float32's rounding alone: its terms cancel (see `Gradient`), or the logits
            did not move.
        completeness_error: distance of an example's summed scores from the number they share out; None for measures
            that share out nothing.
    """

    values: Float[np.ndarray, "example token"]
    signed: Float[np.ndarray, "example token"]
    mask: Bool[np.ndarray, "example token"]
    value: Float[np.ndarray, " example"]
    classes: Int[np.ndarray, " example"]
    unresolved: Bool[np.ndarray, "example token"]
    completeness_error: Float[np.ndarray, " example"] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Float[np.ndarray, " token"]:
        """Scores of one example, padding cut away."""
        return self.values[index, self.mask[index]]
