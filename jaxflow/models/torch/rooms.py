"""Room for what PyTorch gave of a batch, filled pass by pass."""

from collections.abc import Sequence

import numpy as np

from jaxflow.models.recording import room_for
from jaxflow.models.torch.forward import TorchPass, array_of, gradients_of
from jaxflow.models.torch.parts import LayerParts


class Rooms:
    """Room for a batch's arrays, which passes fill row by row."""

    def __init__(self, layers: int, heads: int, mask: np.ndarray, each_token: bool) -> None:
        # Whether the head's numbers stand for tokens.
        self.mask, self.each_token = mask, each_token
        rows, length = mask.shape
        self.attention = room_for(rows, layers, heads, length, length)
        self.hidden: np.ndarray | None = None
        self.scores: np.ndarray | None = None
        self.inside: dict[str, np.ndarray] = {}

    def put(self, rows: np.ndarray, seen: TorchPass, *, scored: bool) -> None:
        """One pass into its rows."""
        real = self.mask[rows]
        self._put_pairs(self.attention, rows, [array_of(each) for each in seen.attentions], real)
        if seen.hidden is not None:
            count, length = self.mask.shape
            if self.hidden is None:
                width = seen.hidden[0].shape[-1]
                self.hidden = room_for(count, len(seen.hidden), length, width)
            for layer, states in enumerate(seen.hidden):
                # What the last layer gave may have been cut to another width behind it (OPT-350m): it is not known.
                known = states.shape[-1] == self.hidden.shape[-1]
                self.hidden[rows, layer, : states.shape[1]] = array_of(states) if known else np.nan
        if scored and seen.logits is not None:
            logits = array_of(seen.logits)
            if self.scores is None:
                room = (self.mask.shape[1], *logits.shape[2:]) if self.each_token else logits.shape[1:]
                self.scores = np.zeros((len(self.mask), *room), np.float32)
            self.scores[(rows, slice(logits.shape[1])) if self.each_token else rows] = logits

    def put_inside(self, rows: np.ndarray, seen: TorchPass, parts: LayerParts) -> None:
        """What was seen of the layers' parts into its rows."""
        assert seen.inside is not None
        self._put_tokens("embedded", rows, (), array_of(seen.embedded), 1)
        for layer in range(len(parts.layers)):
            self._put_tokens("values", rows, (layer,), array_of(parts.values(seen.inside, layer)), 2)
            self._put_tokens("attended", rows, (layer,), array_of(parts.attended(seen.inside, layer)), 1)
            if parts.has_norms:
                self._put_tokens("deviations", rows, (layer,), array_of(parts.deviations(seen.inside, layer)), 2)

    def _put_tokens(self, name: str, rows: np.ndarray, layer: tuple[int, ...], values: np.ndarray, axis: int) -> None:
        """Values of tokens, which stand on an axis, into a room `row (layer) ...`; 1 on padding, as deviations are."""
        count, length = self.mask.shape
        room = (*values.shape[1:axis], length, *values.shape[axis + 1 :])
        layers = (self.attention.shape[1],) if layer else ()
        whole = self.inside.setdefault(name, np.full((count, *layers, *room), 1, np.float32))
        place = (slice(None),) * (axis - 1) + (slice(values.shape[axis]),)
        for row, value in zip(rows, values, strict=True):
            whole[(row, *layer, *place)] = value

    def gradients(self, passes: Sequence[tuple[np.ndarray, TorchPass]], slopes: np.ndarray) -> np.ndarray:
        """The derivative in attention of a number whose derivative in the head's numbers is known."""
        room = room_for(*self.attention.shape)
        for rows, seen in passes:
            given = slopes[rows]
            given = given[:, : seen.logits.shape[1]] if self.each_token else given
            self._put_pairs(room, rows, gradients_of(seen.logits, given, seen.attentions), self.mask[rows])
        return room

    def _put_pairs(self, room: np.ndarray, rows: np.ndarray, layers: Sequence[np.ndarray], real: np.ndarray) -> None:
        for layer, values in enumerate(layers):
            end = values.shape[-1]
            for row, value, tokens in zip(rows, values, real[:, :end], strict=True):
                # Rooms hold 0 to begin with, so tokens that the mask leaves out are passed over.
                where = True if tokens.all() else tokens[:, None] & tokens
                np.copyto(room[row, layer, :, :end, :end], value, where=where)


def alike(ends: np.ndarray, together: bool) -> list[np.ndarray]:
    """Rows of texts that end at the same place; one at a time where the model takes one alone."""
    groups = [np.flatnonzero(ends == end) for end in np.unique(ends)]
    return groups if together else [rows[each : each + 1] for rows in groups for each in range(len(rows))]
