"""What lets users of other tools stay where they are: results in the shapes that captum, Quantus and inseq take.

bertviz's arguments need nothing from here: `jaxflow.explore_attention` takes them as they are.
"""

from jaxflow.interop.captum import CaptumAttribution, captum_records
from jaxflow.interop.inseq import read_inseq, write_inseq
from jaxflow.interop.quantus import QuantusExplanation

__all__ = ["CaptumAttribution", "QuantusExplanation", "captum_records", "read_inseq", "write_inseq"]
