"""Configuration of an encoder-decoder, in one vocabulary for all families."""

from dataclasses import dataclass, field

from jaxflow.models.config import HeadConfig


@dataclass(frozen=True)
class PairConfig:
    """An encoder-decoder's shape, and the differences between families.

    Attributes:
        family: the checkpoint's `model_type`.
        vocabulary: rows of the word embeddings.
        width: of the hidden states.
        heads: attention heads of a layer, in both sides.
        head_width: of one head.
        feed_forward: inner width of the feed-forward part, of the encoder and of the decoder.
        encoder_layers: how many.
        decoder_layers: how many.
        activation: of the feed-forward part.
        epsilon: of the norms.
        max_length: most sources, and most targets; `UNLIMITED` where there is no limit.
        start: the decoder's first token.
        ends: tokens that end the targets.
        pad_id: the padding token.
        gated: whether the activation gates a second map of the same input.
        root_norm: whether norms divide by the root mean square alone, without a bias.
        bias: whether maps have biases.
        pre_norm: whether blocks normalise their input; each side's last output is then normalised once more.
        scaled: whether scores are divided by the root of the head's width.
        positions: rows of each side's position embeddings, 0 where positions are only relative.
        position_offset: the row of the first position.
        buckets: rows of each side's table of distances, 0 for none; all layers of a side share it.
        farthest: distance from which on all share a bucket.
        embedding_norm: whether each side normalises its embeddings.
        embedding_scale: factor of the word embeddings.
        output_scale: factor of the last hidden states before the head.
        tied: whether the head's map is the word embeddings.
        output_bias: whether the head has a bias.
        head: the next target, or none.
    """

    family: str
    vocabulary: int
    width: int
    heads: int
    head_width: int
    feed_forward: tuple[int, int]
    encoder_layers: int
    decoder_layers: int
    activation: str
    epsilon: float
    max_length: int
    start: int
    ends: tuple[int, ...]
    pad_id: int
    gated: bool = False
    root_norm: bool = False
    bias: bool = True
    pre_norm: bool = False
    scaled: bool = True
    positions: int = 0
    position_offset: int = 0
    buckets: int = 0
    farthest: int = 0
    embedding_norm: bool = False
    embedding_scale: float = 1.0
    output_scale: float = 1.0
    tied: bool = True
    output_bias: bool = False
    head: HeadConfig = field(default_factory=HeadConfig)

    @property
    def layers(self) -> int:
        """Layers of the graph: the encoder's, and two for each of the decoder's."""
        return self.encoder_layers + 2 * self.decoder_layers
