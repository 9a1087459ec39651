"""Kernel: one convolution or matrix product of a network, which can be timed alone at any numbers of channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from linnet.core.program.operators import operator_of
from linnet.core.program.program import Node, Program, Ref
from linnet.core.program.window import Window
from linnet.engine.onnx.runtime import onnx_call


@dataclass(frozen=True)
class Kernel:
    """The properties that decide how long an operator takes, but for its numbers of channels.

    Attributes:
        name: "convolution" or "product".
        size: Of the filter, by axis; empty for a product.
        stride: By axis.
        padding: By axis.
        dilation: By axis.
        output_padding: By axis.
        transposed: Whether it is a transposed convolution.
        groups: Of channels; 0 where every channel is a group (depthwise).
        extent: Of the input, by axis; of a product: (rows,).
    """

    name: str
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    transposed: bool
    groups: int
    extent: tuple[int, ...]

    @property
    def key(self) -> str:
        """For the cache."""
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())

    def call(self, inputs: int, outputs: int, runtime: str, *, batch: int, threads: int) -> Callable[[], object]:
        """The operator alone, ready to run with random values.

        Args:
            inputs: Channels that come in.
            outputs: Channels that go out.
            runtime: "onnxruntime" or "torch".
            batch: Samples.
            threads: Of the call.
        """
        draw = np.random.default_rng(0)
        groups = self.groups or inputs
        x = (batch * self.extent[0], inputs) if self.name == "product" else (batch, inputs, *self.extent)
        shape = (inputs, outputs // groups) if self.transposed else (outputs, inputs // groups)
        weight = draw.standard_normal((*shape, *self.size), dtype=np.float32) / math.sqrt(inputs)
        arrays = draw.standard_normal(x, dtype=np.float32), weight, np.zeros(outputs, np.float32)
        return (
            self._in_torch(*arrays, groups)
            if runtime == "torch"
            else onnx_call(self._onnx(*arrays, groups), [arrays[0]], threads=threads)
        )

    def _in_torch(self, x: Any, weight: Any, bias: Any, groups: int) -> Callable[[], object]:
        a, w, b = (torch.from_numpy(array) for array in (x, weight, bias))
        if self.name == "product":
            return lambda: torch.addmm(b, a, w.t())
        stride, padding, dilation = self.stride, self.padding, self.dilation
        transposed, beyond = self.transposed, self.output_padding
        return lambda: torch.convolution(a, w, b, stride, padding, dilation, transposed, beyond, groups)

    def _onnx(self, x: Any, weight: Any, bias: Any, groups: int) -> bytes:
        from onnx import TensorProto, helper, numpy_helper

        if self.name == "product":
            node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
        else:
            options: dict[str, Any] = {
                "kernel_shape": self.size, "strides": self.stride, "pads": (*self.padding, *self.padding),
                "dilations": self.dilation, "group": groups,
            }  # fmt: skip
            if self.transposed:
                options["output_padding"] = self.output_padding
            node = helper.make_node("ConvTranspose" if self.transposed else "Conv", ["x", "w", "b"], ["y"], **options)
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)
        found = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        weights = [numpy_helper.from_array(array, name) for array, name in ((weight, "w"), (bias, "b"))]
        model = helper.make_model(helper.make_graph([node], "kernel", [given], [found], weights))
        model.ir_version, model.opset_import[0].version = 10, 20
        return model.SerializeToString()


@dataclass(frozen=True)
class Use:
    """A kernel at its place in a network.

    Attributes:
        kernel: What runs.
        inputs: (value of the program, axis) that has its input channels.
        outputs: Likewise its output channels.
    """

    kernel: Kernel
    inputs: tuple[int, int]
    outputs: tuple[int, int]


def uses(program: Program) -> list[Use]:
    """The convolutions and products with a weight of a network, in order."""
    weights = {program.values[value].storage for value in program.parameters.values()}
    found = []
    for node in program.nodes:
        known = operator_of(node)
        if known.factor is None or not any(program.values[value].storage in weights for value in node.inputs):
            continue
        x = node.args[known.factor]
        assert isinstance(x, Ref)
        if known.window is not None:
            found.append(_convolution(program, node, x.value, known.window(program, node)))
        elif all(len(program.shape(value)) < 3 for value in node.inputs if value != x.value):
            found.append(_product(program, node, x.value))
    return found


def _convolution(program: Program, node: Node, x: int, window: Window) -> Use:
    shape = program.shape(x)
    groups = 0 if window.depthwise(shape[1]) else window.groups
    kernel = Kernel(
        "convolution", window.size, window.stride, window.padding, window.dilation, window.output_padding,
        window.transposed, groups, shape[2:],
    )  # fmt: skip
    return Use(kernel, (x, 1), (node.outputs[0], 1))


def _product(program: Program, node: Node, x: int) -> Use:
    """`x @ weight` with a matrix."""
    shape, y = program.shape(x), node.outputs[0]
    rows = max(math.prod(shape[:-1]) // program.samples, 1)
    none: tuple[int, ...] = ()
    kernel = Kernel("product", none, none, none, none, none, transposed=False, groups=1, extent=(rows,))
    return Use(kernel, (x, len(shape) - 1), (y, len(program.shape(y)) - 1))
