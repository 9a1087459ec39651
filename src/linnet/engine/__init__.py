"""The one training loop: any network, any task, on any device, that can be killed and goes on to the same bits.

`fit` is the loop; read `fit.py` from the top. The rest is what it stands on: `Compute` (device and precision), `Task`
(loss and validation), `Loader` (batches), `Schedule`, `EarlyStop`, `Average`, and `Listener`, by which the methods of
linnet and you take part.
"""

from linnet.engine.average import Average
from linnet.engine.checkpoint import Checkpoint, load_checkpoint, load_latest, save_checkpoint
from linnet.engine.device import Compute
from linnet.engine.distributed import Ranks
from linnet.engine.early_stop import Best, EarlyStop
from linnet.engine.events import Epoch, Listener, Run
from linnet.engine.fit import FitResult, fit
from linnet.engine.group_schedule import GroupSchedule
from linnet.engine.loader import Loader, as_loader, shard
from linnet.engine.model_file import load, save
from linnet.engine.randomness import derive_seed
from linnet.engine.schedule import Schedule
from linnet.engine.task import Task

__all__ = [
    "Average",
    "Best",
    "Checkpoint",
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
