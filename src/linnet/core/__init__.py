"""The shared ideas: channels (one graph, one number per channel) and capture (one pair of tensors per layer).

Imports torch and numpy only.
"""

from linnet.core import rules
from linnet.core.capture import Capture
from linnet.core.channels import ChannelGraph
from linnet.core.classes import ChannelClass, Slot
from linnet.core.cost import Cost, cost
from linnet.core.layer_capture import Call, LayerCapture
from linnet.core.program import Node, Program, Ref, Value
from linnet.core.resize import Resized, resize
from linnet.core.trace import record

__all__ = [
    "Call",
    "Capture",
    "ChannelClass",
    "ChannelGraph",
    "Cost",
    "LayerCapture",
    "Node",
    "Program",
    "Ref",
    "Resized",
    "Slot",
    "Value",
    "cost",
    "record",
    "resize",
    "rules",
]
