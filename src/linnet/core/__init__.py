"""The shared ideas: channels (one graph, one number per channel) and capture (one pair of tensors per layer).

Imports torch and numpy only.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.core.capture.capture import Capture as Capture
    from linnet.core.capture.layer_capture import Call as Call, LayerCapture as LayerCapture
    from linnet.core.capture.layers.coverage import add_layer_rule as add_layer_rule
    from linnet.core.capture.layers.layer_rule import LayerRule as LayerRule
    from linnet.core.channels import rules as rules
    from linnet.core.channels.classes import ChannelClass as ChannelClass, Slot as Slot
    from linnet.core.channels.graph import ChannelGraph as ChannelGraph
    from linnet.core.channels.layer_attributes import Layer as Layer, add_layer as add_layer
    from linnet.core.channels.rule_call import rule as rule
    from linnet.core.edit.optimizer_state import ApproximateState as ApproximateState
    from linnet.core.edit.resizing import Resized as Resized, resize as resize
    from linnet.core.program.operation_cost import Cost as Cost, cost as cost
    from linnet.core.program.operators import Operator as Operator, add_operator as add_operator
    from linnet.core.program.program import Node as Node, Program as Program, Ref as Ref, Value as Value
    from linnet.core.program.recorder import record as record
    from linnet.core.program.window import Window as Window

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
