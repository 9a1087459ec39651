"""Facts and where they are kept: records, run folders, whole files. No plotting, no torch at import."""

from linnet.results.environment import command, commit, environment, machine, versions
from linnet.results.files import atomic_path, atomic_write
from linnet.results.interval import mean_interval, share_interval, t_interval
from linnet.results.record import Record, append_record, read_records, write_records
from linnet.results.run_folder import RunFolder

__all__ = [
    "Record",
    "RunFolder",
    "append_record",
    "atomic_path",
    "atomic_write",
    "command",
    "commit",
    "environment",
    "machine",
    "mean_interval",
    "read_records",
    "share_interval",
    "t_interval",
    "versions",
    "write_records",
]
