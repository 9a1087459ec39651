"""What leaves an ensemble: one ONNX file with uncertainty as outputs, or one small network."""
