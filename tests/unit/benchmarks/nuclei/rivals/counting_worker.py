"""A library that learns nothing: it counts its budgets and finds the true points, with scores that fall."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[5] / "benchmarks" / "nuclei" / "rivals" / "workers"))

import numpy as np
from protocol import main

COUNT = "count.txt"


class Counting:
    """Each budget adds one to a file."""

    def train(self, train, val, folder, seconds):
        """Counts."""
        count = len((folder / COUNT).read_text()) if (folder / COUNT).exists() else 0
        (folder / COUNT).write_text("x" * (count + 1))
        print("what a library prints")
        return {"steps": len(train), "train_cpu_s": seconds, "judges": len(val)}

    def load(self, folder, threshold):
        """Two points in any picture, one with a low score."""
        scores = np.array([0.9, 0.2])

        def find(pixels):
            kept = scores >= (0.0 if threshold is None else threshold)
            return np.array([[1.0, 2.0], [3.0, 4.0]])[kept], scores[kept]

        return find


if __name__ == "__main__":
    main(Counting())
