"""`python -m benchmarks.nuclei.rehearsal`: writes the pictures that teaching shows again, from the train part."""

from importlib.resources import files
from pathlib import Path

from linnet.data import data_root, read_nucleus_set
from linnet.nuclei.training.rehearsal import NAME, rehearsal, write_rehearsal


def main() -> None:
    """Writes the archive beside the default weights."""
    place = Path(str(files("linnet.nuclei") / "weights" / NAME))
    write_rehearsal(read_nucleus_set(data_root() / "nuclei_dsb2018", "train"), place)
    print(
        f"{place}: {place.stat().st_size / 1e6:.2f} MB, {len(rehearsal())} pictures. Next: python -m benchmarks readme"
    )


if __name__ == "__main__":
    main()
