"""How soon each optimizer reaches an accuracy: `python -m benchmarks.time_to_target --scale smoke|cpu|gpu`."""
