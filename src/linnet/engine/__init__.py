"""The one training loop: any network, any task, on any device, that can be killed and goes on to the same bits.

`fit` is the loop (read `loop.py`). It uses `Compute` (device and precision), `Task` (loss and validation),
`Loader` (batches), `Schedule`, `EarlyStop`, `Average`, and `Listener`, by which linnet's methods and you take part.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.engine.checkpoint.checkpoint import Checkpoint, load_checkpoint, load_latest, save_checkpoint
    from linnet.engine.checkpoint.checkpoints import Checkpoints
    from linnet.engine.compute.device import Compute
    from linnet.engine.compute.distributed import Ranks
    from linnet.engine.compute.random_state import derive_seed
    from linnet.engine.events import Epoch, Listener, Run
    from linnet.engine.files.model_file import load, save
    from linnet.engine.listeners.average import Average
    from linnet.engine.listeners.early_stop import Best, EarlyStop
    from linnet.engine.listeners.group_schedule import GroupSchedule
    from linnet.engine.listeners.schedule import Schedule
    from linnet.engine.loader import Loader, as_loader, shard
    from linnet.engine.loop import FitResult, fit
    from linnet.engine.task import Task

__all__ = [
    "Average",
    "Best",
    "Checkpoint",
    "Checkpoints",
    "Compute",
    "EarlyStop",
    "Epoch",
    "FitResult",
    "GroupSchedule",
    "Listener",
    "Loader",
    "Ranks",
    "Run",
    "Schedule",
    "Task",
    "as_loader",
    "derive_seed",
    "fit",
    "load",
    "load_checkpoint",
    "load_latest",
    "save",
    "save_checkpoint",
    "shard",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "listeners.average": "Average",
        "checkpoint.checkpoint": "Checkpoint load_checkpoint load_latest save_checkpoint",
        "checkpoint.checkpoints": "Checkpoints",
        "compute.device": "Compute",
        "compute.distributed": "Ranks",
        "listeners.early_stop": "Best EarlyStop",
        "events": "Epoch Listener Run",
        "loop": "FitResult fit",
        "listeners.group_schedule": "GroupSchedule",
        "loader": "Loader as_loader shard",
        "files.model_file": "load save",
        "compute.random_state": "derive_seed",
        "listeners.schedule": "Schedule",
        "task": "Task",
    },
)
