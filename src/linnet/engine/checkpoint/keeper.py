"""Keeper: makes a run's checkpoints, and finds the one to begin from."""

from pathlib import Path

from linnet.engine.checkpoint.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_latest,
    remove_checkpoints,
    save_checkpoint,
)
from linnet.engine.checkpoint.checkpoints import Checkpoints
from linnet.engine.checkpoint.state import State
from linnet.engine.compute.distributed import Ranks
from linnet.errors import InputError


class Keeper:
    """Keeps a run's checkpoints in a folder; rank 0 writes, all ranks read.

    Args:
        checkpoints: Where, how often and how many.
        state: The state that is saved.
        ranks: The processes.

    Raises:
        InputError: `every` or `keep` is below 1.
    """

    def __init__(self, checkpoints: Checkpoints, state: State, ranks: Ranks):
        if checkpoints.every is not None and checkpoints.every < 1:
            raise InputError(
                f"`checkpoint_every` (`every` of Checkpoints) must be a number of updates >= 1, or None (got "
                f"{checkpoints.every})."
            )
        if checkpoints.keep < 1:
            raise InputError(f"`keep` must be a number of checkpoints >= 1 (got {checkpoints.keep}).")
        self.options, self.state, self.ranks = checkpoints, state, ranks
        self.folder = None if checkpoints.folder is None else Path(checkpoints.folder)

    def begin(self) -> None:
        """Takes up the last checkpoint, or makes the first.

        Raises:
            CheckpointError: the checkpoints are damaged or another run's, or the folder can't be written to.
        """
        if self.folder is None:
            return
        if not self.options.resume and self.ranks.rank == 0:
            remove_checkpoints(self.folder)
        checkpoint = self._latest(self.folder) if self.options.resume else None
        if checkpoint:
            self.state.from_checkpoint(checkpoint)
        else:
            self.save()

    def save_if_due(self, *, epoch_ended: bool = False) -> None:
        """Makes a checkpoint if it is time."""
        every = self.options.every
        due = epoch_ended if every is None else self.state.run.step % every == 0
        if due:
            self.save()

    def save(self) -> None:
        """Makes a checkpoint of the present state.

        Raises:
            NonFiniteLoss: a weight is NaN or infinite.
            CheckpointError: it can't be written.
        """
        if self.folder is None:
            return
        tensors, facts = self.state.to_checkpoint()
        if self.ranks.rank == 0:
            save_checkpoint(self.folder, self.state.run.step, tensors, facts, keep=self.options.keep)

    def save_interrupted(self, *, whole: bool) -> str:
        """Makes a checkpoint after Ctrl-C, if the state is whole.

        Args:
            whole: Whether the state is that after a whole number of updates.

        Returns:
            The message for the user.
        """
        run = self.state.run
        stopped = f"Stopped after {run.step} of {run.steps_total} updates"
        if self.folder is None:
            return f"{stopped}; nothing was saved. Give `folder` to be able to go on."
        if not whole:
            return f"{stopped}, in the middle of one. Start the same again to go on from the last one in {self.folder}."
        self.save()
        return f"{stopped}; a checkpoint is in {self.folder}. Start the same again to go on."

    def _latest(self, folder: Path) -> Checkpoint | None:
        """The newest good checkpoint; under `torchrun` the one that rank 0 found, which all processes must see."""
        if self.ranks.world == 1:
            return load_latest(folder)
        found = load_latest(folder) if self.ranks.rank == 0 else None
        step = int(self.ranks.of_first({"step": found.step if found else -1})["step"])
        if step < 0:
            return None
        return found or load_checkpoint(folder / f"checkpoint-{step:08d}.safetensors")
