"""From a trained network to an integer program: reading the recorded forward, thresholds, scores, the proof."""
