"""The same convolution and the same small network in onnxruntime, float32 and int8, on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d


def session(nodes: list[Any], weights: dict[str, np.ndarray], shape: tuple[int, ...], kind: int) -> Callable[..., Any]:
    """An onnxruntime session of one thread; call it with the input."""
    graph = helper.make_graph(
        nodes,
        "rival",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8 if kind == TensorProto.UINT8 else kind, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    ready = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: ready.run(None, {"x": x})[0]


def float_conv(kernels: np.ndarray, side: int) -> Callable[..., Any]:
    """float32 convolution without padding."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=kernels.shape[2:])
    shape = (1, kernels.shape[1], side, side)
    return session([node], {"w": kernels.astype(np.float32)}, shape, TensorProto.FLOAT)


def int8_conv(kernels: np.ndarray, side: int) -> Callable[..., Any]:
    """QLinearConv: 8-bit unsigned activations, 8-bit signed weights."""
    inputs = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"]
    node = helper.make_node("QLinearConv", inputs, ["y"], kernel_shape=kernels.shape[2:])
    one, zero = np.float32(1.0), np.uint8(128)
    weights = {
        "w": kernels.astype(np.int8), "xs": np.array(one), "xz": np.array(zero), "ws": np.array(one),
        "wz": np.array(np.int8(0)), "ys": np.array(np.float32(8.0)), "yz": np.array(zero),
    }  # fmt: skip
    return session([node], weights, (1, kernels.shape[1], side, side), TensorProto.UINT8)


def float_net(net: nn.Sequential, side: int) -> Callable[..., Any]:
    """The same layers with the same numbers in float32: convolution, batch norm, sign as the comparison it is."""
    nodes: list[Any] = []
    weights: dict[str, np.ndarray] = {
        "zero": np.array(np.float32(0)),
        "up": np.array(np.float32(1)),
        "down": -np.ones((), np.float32),
    }
    at = "x"
    for k, layer in enumerate(net):
        to = f"v{k}" if k < len(net) - 1 else "y"
        if isinstance(layer, (JetConv2d, BinaryConv2d)):
            weights[f"w{k}"] = layer.kernels().numpy().astype(np.float32)
            nodes.append(helper.make_node("Conv", [at, f"w{k}"], [to], kernel_shape=[layer.kernel_size] * 2))
        elif isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm1d)):
            names = [f"{word}{k}" for word in ("g", "b", "m", "q")]
            values = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
            weights |= {n: v.detach().numpy() for n, v in zip(names, values, strict=True) if v is not None}
            nodes.append(helper.make_node("BatchNormalization", [at, *names], [to], epsilon=layer.eps))
        elif isinstance(layer, nn.MaxPool2d):
            nodes.append(helper.make_node("MaxPool", [at], [to], kernel_shape=[2, 2], strides=[2, 2]))
        elif isinstance(layer, nn.Flatten):
            nodes.append(helper.make_node("Flatten", [at], [to]))
        elif isinstance(layer, BinaryLinear):
            weights[f"w{k}"] = layer.kernels().numpy().astype(np.float32).T.copy()
            nodes.append(helper.make_node("MatMul", [at, f"w{k}"], [to]))
        else:  # Sign
            nodes.append(helper.make_node("GreaterOrEqual", [at, "zero"], [f"c{k}"]))
            nodes.append(helper.make_node("Where", [f"c{k}", "up", "down"], [to]))
        at = to
    return session(nodes, weights, (1, 1, side, side), TensorProto.FLOAT)
