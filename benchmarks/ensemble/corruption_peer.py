"""imagecorruptions, one image at a time, in this or another interpreter; asked over a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

WHERE = "LINNET_IMAGECORRUPTIONS"
"""Names a Python in which imagecorruptions can be imported; it needs older NumPy and scikit-image than linnet."""

_SERVE = """
import sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from imagecorruptions import corrupt, get_corruption_names
images, names = np.load(sys.argv[1]), get_corruption_names("all")
print("ready", flush=True)
for _ in sys.stdin:
    done = 0
    for name in names:
        for severity in range(1, 6):
            for image in images:
                done += len(corrupt(image, corruption_name=name, severity=severity)) > 0
    print(done, flush=True)
"""


class Peer:
    """The whole suite of imagecorruptions, on the same images at each call.

    Args:
        images: uint8 (N, H, W, 3).

    Raises:
        RuntimeError: imagecorruptions can't be imported; the message says why.
    """

    def __init__(self, images: np.ndarray) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "images.npy"
            np.save(path, images)
            self._process = subprocess.Popen(
                [os.environ.get(WHERE, sys.executable), "-c", _SERVE, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            )
            if self._read() != "ready":
                _, errors = self._process.communicate()
                raise RuntimeError((errors or "it ended").strip().splitlines()[-1])

    def __call__(self) -> int:
        """Does the suite once; gives the number of pictures made."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return int(self._read())

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
