"""Facts and where they are kept: records, run folders, whole files. No plotting, no torch at import."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.results.calibration import Bin, calibration_error, reliability
    from linnet.results.classification import classification_records
    from linnet.results.files import atomic_path, atomic_write
    from linnet.results.interval import mean_interval, share_interval, t_interval
    from linnet.results.provenance import command, commit, environment, machine, versions
    from linnet.results.record import Record, append_record, read_records, write_records
    from linnet.results.run_folder import RunFolder

__all__ = [
    "Bin",
    "Record",
    "RunFolder",
    "append_record",
    "atomic_path",
    "atomic_write",
    "calibration_error",
    "classification_records",
    "command",
    "commit",
    "environment",
    "machine",
    "mean_interval",
    "read_records",
    "reliability",
    "share_interval",
    "t_interval",
    "versions",
    "write_records",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "classification": "classification_records",
        "provenance": "command commit environment machine versions",
        "files": "atomic_path atomic_write",
        "interval": "mean_interval share_interval t_interval",
        "record": "Record append_record read_records write_records",
        "calibration": "Bin calibration_error reliability",
        "run_folder": "RunFolder",
    },
)
