"""Networks as ONNX models in memory, and what runs them."""
