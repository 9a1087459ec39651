"""Peak memory of one detection in a large image, in a process of its own: `python -m benchmarks.memory IMAGE`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile

from linnet.data import fluorescence_field
from linnet.results import Record

_FIELD_PX = 500


def memory_records(*, side_px: int) -> list[Record]:
    """Peak resident memory while a square image of this side is read in tiles and searched."""
    with TemporaryDirectory() as folder:
        path = write_large_image(Path(folder) / "large.tif", side_px)
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", str(path)], capture_output=True, text=True, check=True
        )
    measured = json.loads(run.stdout)
    context = {"side_px": side_px, "nuclei": measured["nuclei"], "before_mb": measured["before_mb"]}
    return [
        Record.measured("nuclei.peak_memory", measured["peak_mb"], unit="MB", n=1, context=context),
        Record.measured("nuclei.large_image_s", measured["wall_s"], unit="s", n=1, context=context),
    ]


def write_large_image(path: Path, side_px: int) -> Path:
    """An 8-bit TIFF of this side, made of one synthetic field again and again, written a row of fields at a time."""
    field, _ = fluorescence_field((_FIELD_PX, _FIELD_PX), 220, rng_seed=0)
    low, high = np.percentile(field, [0.1, 99.9])
    tile = np.clip((field - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    band = np.tile(tile, (1, -(-side_px // _FIELD_PX)))[:, :side_px]
    image = tifffile.memmap(path, shape=(side_px, side_px), dtype=np.uint8)
    for top in range(0, side_px, _FIELD_PX):
        image[top : top + _FIELD_PX] = band[: side_px - top]
    image.flush()
    return path


def peak_mb() -> float:
    """Most resident memory that this process ever had, in MB (10^6 bytes).

    From /proc where it is: what `getrusage` says there also counts the parent's memory at the time of the fork.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def main(path: str) -> None:
    """Searches the image and prints what it took, as JSON."""
    import linnet.nuclei
    from linnet.nuclei.read.images import open_picture

    detector = linnet.nuclei.load("default")
    before = peak_mb()
    begin = time.perf_counter()
    found = detector(open_picture(path).pixels)
    wall_s = time.perf_counter() - begin
    print(json.dumps({"peak_mb": peak_mb(), "before_mb": before, "wall_s": wall_s, "nuclei": len(found.points)}))


if __name__ == "__main__":
    main(sys.argv[1])
