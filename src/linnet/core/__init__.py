"""The shared ideas: channels (one graph, one number per channel) and capture (one pair of tensors per layer).

Imports torch and numpy only.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.core.capture.capture import Capture
    from linnet.core.capture.layer_capture import Call, LayerCapture
    from linnet.core.capture.layers.coverage import add_layer_rule
    from linnet.core.capture.layers.layer_rule import LayerRule
    from linnet.core.channels import rules
    from linnet.core.channels.classes import ChannelClass, Slot
    from linnet.core.channels.graph import ChannelGraph
    from linnet.core.channels.layer_attributes import Layer, add_layer
    from linnet.core.channels.rule_call import rule
    from linnet.core.edit.optimizer_state import ApproximateState
    from linnet.core.edit.resizing import Resized, resize
    from linnet.core.program.operation_cost import Cost, cost
    from linnet.core.program.operators import Operator, add_operator
    from linnet.core.program.program import Node, Program, Ref, Value
    from linnet.core.program.recorder import record
    from linnet.core.program.window import Window

__all__ = [
    "ApproximateState",
    "Call",
    "Capture",
    "ChannelClass",
    "ChannelGraph",
    "Cost",
    "Layer",
    "LayerCapture",
    "LayerRule",
    "Node",
    "Operator",
    "Program",
    "Ref",
    "Resized",
    "Slot",
    "Value",
    "Window",
    "add_layer",
    "add_layer_rule",
    "add_operator",
    "cost",
    "record",
    "resize",
    "rule",
    "rules",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "capture.capture": "Capture",
        "channels": "rules",
        "channels.graph": "ChannelGraph",
        "channels.rule_call": "rule",
        "edit.optimizer_state": "ApproximateState",
        "channels.classes": "ChannelClass Slot",
        "program.operation_cost": "Cost cost",
        "capture.layer_capture": "Call LayerCapture",
        "capture.layers.coverage": "add_layer_rule",
        "capture.layers.layer_rule": "LayerRule",
        "channels.layer_attributes": "Layer add_layer",
        "program.operators": "Operator add_operator",
        "program.window": "Window",
        "program.program": "Node Program Ref Value",
        "edit.resizing": "Resized resize",
        "program.recorder": "record",
    },
)
