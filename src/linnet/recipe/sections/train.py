"""[train]: how long, in what batches, at which rate, how precisely."""

from dataclasses import dataclass

from linnet.engine.compute.device import Compute, Precision
from linnet.engine.listeners.schedule import Name, Schedule
from linnet.recipe.toml.setting import setting


@dataclass(frozen=True)
class TrainSection:
    """The arguments of `engine.fit`.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images in a step, over all processes.
        schedule: How the learning rate changes.
        warmup_steps: Steps over which the rate rises to its full height.
        final_fraction: Share of the rate that is left at the end (linear, cosine).
        grad_clip: Largest norm of all gradients together.
        early_stop: Epochs without improvement on the validation images after which training ends, with the weights of
            the best epoch.
        average: Decay of a moving average of the weights, which is then what is measured and saved.
        checkpoint_every: Steps between checkpoints, besides the one after each epoch.
        precision: Number format of the forward pass.
        device: As torch names it, or "auto".
        rng_seed: Seeds everything that is drawn: division, weights, order, augmentation.
    """

    epochs: int = setting("passes over the training images", at_least=1)
    batch_size: int = setting("images in a step", default=64, at_least=1)
    schedule: Name = setting("how the learning rate changes", default="cosine")
    warmup_steps: int = setting("steps over which the learning rate rises", default=0, at_least=0)
    final_fraction: float = setting("share of the learning rate left at the end", default=0.0, at_least=0, at_most=1)
    grad_clip: float | None = setting("largest norm of all gradients together", default=None, above=0)
    early_stop: int | None = setting("epochs without improvement that end training", default=None, at_least=1)
    average: float | None = setting("decay of the moving average of weights", default=None, above=0, below=1)
    checkpoint_every: int | None = setting("steps between checkpoints within an epoch", default=None, at_least=1)
    precision: Precision = setting("number format of the forward pass", default="float32")
    device: str = setting('where to compute: "auto", "cpu", "cuda" or "cuda:1"', default="auto")
    rng_seed: int = setting("seeds everything that is drawn", default=0, at_least=0)

    def compute(self) -> Compute:
        """Device and precision.

        Raises:
            InputError: the device isn't there.
        """
        return Compute.pick(self.device, self.precision)

    def rate(self) -> Schedule:
        """The schedule of the learning rate."""
        return Schedule(self.schedule, warmup_steps=self.warmup_steps, final_fraction=self.final_fraction)
