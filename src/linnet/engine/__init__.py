"""The one training loop: any network, any task, on any device, that can be killed and goes on to the same bits.

`fit` is the loop (read `loop.py`). It uses `Compute` (device and precision), `Task` (loss and validation),
`Loader` (batches), `Schedule`, `EarlyStop`, `Average`, and `Listener`, by which linnet's methods and you take part.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.engine.checkpoint.checkpoint import (
        Checkpoint as Checkpoint,
        load_checkpoint as load_checkpoint,
        load_latest as load_latest,
        save_checkpoint as save_checkpoint,
    )
    from linnet.engine.checkpoint.checkpoints import Checkpoints as Checkpoints
    from linnet.engine.compute.device import Compute as Compute
    from linnet.engine.compute.distributed import Ranks as Ranks
    from linnet.engine.compute.random_state import derive_seed as derive_seed
    from linnet.engine.events import Epoch as Epoch, Listener as Listener, Run as Run
    from linnet.engine.files.model_file import load as load, save as save
    from linnet.engine.listeners.average import Average as Average
    from linnet.engine.listeners.early_stop import Best as Best, EarlyStop as EarlyStop
    from linnet.engine.listeners.group_schedule import GroupSchedule as GroupSchedule
    from linnet.engine.listeners.schedule import Schedule as Schedule
    from linnet.engine.loader import Loader as Loader, as_loader as as_loader, shard as shard
    from linnet.engine.loop import FitResult as FitResult, fit as fit
    from linnet.engine.task import Task as Task

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
