"""Attention times the gradient of an explained number: capacities that depend on the class."""

from dataclasses import dataclass

from jaxflow.mixing._gradients import GradientMixing, Heads
from jaxflow.models import LayerOutput


@dataclass(frozen=True)
class AttentionGradient(GradientMixing):
    """`mean over heads of relu(gradient * attention)` (Chefer, Gur & Wolf 2021): how much arcs raise the number.

    The gradient is the total one, of the number that is explained: attention of later layers moves along. To first
    order an arc's weight is what the number would lose without it, so weights of all layers are of one unit.

    `own` says how large each position's own stream is, and whether weights keep their size:

    - `"wide"`: weights keep their size, and own streams, the same in all layers, are just wide enough to bind no flow
      between two positions (`wide_own`). The measured best for flow, which then is limited by the weights alone. In
      rollout paths of few arcs count most; the wider the streams, the more it is the sum of the query's rows.
    - `"identity"`: weights keep their size beside own streams of 1. Rollout is Chefer et al.'s own (2021b, rules 5 and
      6), `R <- R + weights R`. For flow 1 is as good as wide where weights are well below 1, and binds where they
      are not.
    - `"none"`: weights alone. Flow and rollout then go through arcs of every layer.
    - a share from 0 to 1: rows are scaled to sum to 1, a position's own stream is the share, and the rest is its
      weights'. A row on which the number doesn't rest stays with itself. Rollout gives shares. Flow saturates, as the
      paper's does: no more than 1 flows from any position, and many tokens tie.

    Raw attention is each row of the weights as shares, whatever `own` is.

    Attributes:
        own: own stream of each position: wide, identity, none, or a share from 0 to 1. In Python a number or a word.
    """

    @property
    def name(self) -> str:
        """Its name in `MIXINGS`."""
        return "attention-gradient"

    def terms(self, layer: LayerOutput) -> Heads:
        """The gradient times the attention."""
        assert layer.gradient is not None
        return layer.gradient * layer.attention
