"""ONNX files of networks, and the runtimes that run them."""
