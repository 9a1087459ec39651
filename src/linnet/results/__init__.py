"""Facts and where they are kept: records, run folders, whole files. No plotting, no torch at import."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.results.calibration import (
        Bin as Bin,
        calibration_error as calibration_error,
        reliability as reliability,
    )
    from linnet.results.classification import classification_records as classification_records
    from linnet.results.files import atomic_path as atomic_path, atomic_write as atomic_write
    from linnet.results.interval import (
        mean_interval as mean_interval,
        share_interval as share_interval,
        t_interval as t_interval,
    )
    from linnet.results.provenance import (
        command as command,
        commit as commit,
        environment as environment,
        machine as machine,
        versions as versions,
    )
    from linnet.results.record import (
        Record as Record,
        append_record as append_record,
        read_records as read_records,
        write_records as write_records,
    )
    from linnet.results.run_folder import RunFolder as RunFolder

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
