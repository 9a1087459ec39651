"""Keeper: makes a run's checkpoints, and finds the one to begin from."""

from dataclasses import dataclass
from pathlib import Path

from linnet.engine.checkpoint.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_latest,
    remove_checkpoints,
    save_checkpoint,
)
from linnet.engine.checkpoint.state import State
from linnet.engine.compute.distributed import Ranks
from linnet.errors import InputError


@dataclass
class Keeper:
    """Keeps a run's checkpoints in a folder; rank 0 writes, all ranks read.

    Attributes:
        folder: Where; None keeps nothing.
        state: The state that is saved.
        ranks: The processes.
        every: Updates between checkpoints; None: at the end of each epoch.
        keep: Newest checkpoints that stay.

    Raises:
        InputError: `every` or `keep` is below 1.
    """

    folder: Path | None
    state: State
    ranks: Ranks
    every: int | None
    keep: int

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise InputError(f"`checkpoint_every` must be a number of updates >= 1, or None (got {self.every}).")
        if self.keep < 1:
            raise InputError(f"`keep` must be a number of checkpoints >= 1 (got {self.keep}).")

    def begin(self, *, resume: bool) -> None:
        """Takes up the last checkpoint, or makes the first.

        Raises:
            CheckpointError: the checkpoints are damaged or another run's, or the folder can't be written to.
        """
        if self.folder is None:
            return
        if not resume and self.ranks.rank == 0:
            remove_checkpoints(self.folder)
        checkpoint = self._latest(self.folder) if resume else None
        if checkpoint:
            self.state.from_checkpoint(checkpoint)
        else:
            self.save()

    def save_if_due(self, *, epoch_ended: bool = False) -> None:
        """Makes a checkpoint if it is time."""
        due = epoch_ended if self.every is None else self.state.run.step % self.every == 0
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
            save_checkpoint(self.folder, self.state.run.step, tensors, facts, keep=self.keep)

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
