"""Benchmarks of jets and binarized convolution: C beside onnxruntime, sizes, operations, training."""
