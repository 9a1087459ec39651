"""Networks made wider or narrower: the edit, the proof, and the optimizer's state that follows."""
