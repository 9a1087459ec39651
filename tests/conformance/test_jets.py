"""Jets and the integer program beside other hands' code: scipy, OpenCV, onnxruntime, Brevitas, numpy."""

import numpy as np
import pytest
import torch
from scipy import ndimage, signal
from torch import nn

from linnet.jet import BinaryConv2d, JetConv2d, Sign, freeze, kernel_family


def test_rows_are_scipys_binomials_and_its_sobel():
    image = np.random.default_rng(0).integers(0, 256, (20, 21)).astype(float)
    for axis, name in ((1, (0, 1)), (0, (1, 0))):
        ours = ndimage.correlate(image, kernel_family.kernel(3, *name).astype(float), mode="mirror")
        np.testing.assert_array_equal(ours, -ndimage.sobel(image, axis=axis, mode="mirror"))  # right minus left there
    binomial = np.array([1.0])
    for size in range(2, 6):
        binomial = signal.convolve(binomial, [1.0, 1.0])
        np.testing.assert_array_equal(kernel_family.row(size, 0), binomial)


def test_kernels_are_opencvs_derivative_kernels_up_to_sign():
    cv2 = pytest.importorskip("cv2", reason="OpenCV isn't installed")
    for size in (3, 5):
        for q in range(3):
            theirs = cv2.getDerivKernels(q, 0 if q else 1, size)[0].ravel()  # the kernel across
            ours = kernel_family.row(size, q)
            assert np.array_equal(ours, theirs) or np.array_equal(ours, -theirs), (size, q)


@pytest.mark.parametrize("layer", [JetConv2d(3, 5, 3, stride=2), BinaryConv2d(3, 5, 4), JetConv2d(3, 5, 5)])
def test_a_layer_is_scipys_correlation_summed_over_channels(layer):
    x = torch.randn(1, 3, 12, 13).sign()
    for o, kernels in enumerate(layer.kernels().numpy().astype(int)):
        planes = [signal.correlate(x[0, c].numpy().astype(int), kernels[c], mode="valid") for c in range(3)]
        expected = np.rint(np.sum(planes, 0))[:: layer.stride, :: layer.stride]
        np.testing.assert_array_equal(layer(x)[0, o].detach().numpy(), expected)


@pytest.mark.parametrize("layer", [JetConv2d(4, 6, 3, padding=1, pad_value=1), BinaryConv2d(4, 6, 3, stride=2)])
def test_a_program_is_onnxruntimes_integer_convolution(layer):
    onnx = pytest.importorskip("onnx", reason="the onnx extra isn't installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra isn't installed")
    from onnx import TensorProto, helper, numpy_helper

    net = nn.Sequential(BinaryConv2d(1, 4, 1), Sign(), layer).eval()
    pixels = torch.randint(-5, 6, (2, 1, 9, 9))
    program = freeze(net, pixels, input_range=(-5, 5))
    signs = program.trace(pixels)["1"]
    padded = nn.functional.pad(signs, (layer.padding,) * 4, value=int(layer.pad_value)).numpy()
    node = helper.make_node("ConvInteger", ["x", "w", "zero"], ["y"], strides=[layer.stride] * 2)
    weights = [("w", layer.kernels().numpy()), ("zero", np.array(128, np.uint8))]
    graph = helper.make_graph(
        [node],
        "peer",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, padded.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
        [numpy_helper.from_array(value, name) for name, value in weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    assert onnx.__version__
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"x": (padded + 128).astype(np.uint8)})
    np.testing.assert_array_equal(program.run(pixels).numpy(), theirs)


def test_signs_are_brevitas_binary_quantizers():
    pytest.importorskip("brevitas", reason="Brevitas isn't installed")
    from brevitas.function.ops import binary_sign

    x = torch.tensor([-2.0, -1e-30, 0.0, 1e-30, 3.0])
    assert torch.equal(Sign()(x), binary_sign(x))


def test_packed_words_are_numpys():
    from linnet.jet.c.bit_tables import Layout

    bits = np.random.default_rng(0).integers(0, 2, (3, 70))
    words = Layout(64, 8).packed(bits)
    expected = np.packbits(np.pad(bits, ((0, 0), (0, 58))).astype(np.uint8), axis=1, bitorder="little").view("<u8")
    np.testing.assert_array_equal(words, expected)
