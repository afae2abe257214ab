"""How the experiments' figures look: colours that colour-blind readers tell apart, a vector file beside a PNG."""

from pathlib import Path
from typing import Any

# Okabe and Ito's; the methods differ in their markers too.
COLOURS = {"raw": "#0072B2", "rollout": "#D55E00", "flow": "#009E73"}
MARKERS = {"raw": "o", "rollout": "s", "flow": "^"}
GREYS = ("#000000", "#555555", "#888888", "#AAAAAA")
STYLES = ("-", "--", ":", "-.")
# Of maps: even in lightness.
MAP = "cividis"


def new_figure(width: float, height: float) -> Any:
    """An empty figure of that size in inches; drawing it opens no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, path: Path) -> None:
    """Write `path` as SVG and as PNG; the same figure gives the same bytes."""
    import matplotlib as mpl

    path.parent.mkdir(parents=True, exist_ok=True)
    # Names of the parts of an SVG are random without a salt.
    with mpl.rc_context({"svg.hashsalt": "jaxflow", "svg.fonttype": "path"}):
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), dpi=120, metadata={"Software": None})
