"""Task: the loss and the validation that `fit` needs."""

from typing import Any, Protocol

from torch import Tensor, nn

from linnet.engine.compute.device import Compute


class Task(Protocol):
    """What a network is trained for: a loss of a batch, and how well it does so far.

    Example:
        >>> class Classify:
        ...     def loss(self, model, batch):
        ...         images, labels = batch
        ...         logits = model(images)
        ...         hits = (logits.argmax(1) == labels).float().mean()
        ...         return nn.functional.cross_entropy(logits, labels), {"accuracy": hits}
        ...
        ...     def validate(self, model, compute):
        ...         return {}
    """

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch and the metrics to show.

        Args:
            model: The network, in training mode. Under DDP it is wrapped, so only call it: `model(x)`.
            batch: A batch of the loader, on the device.

        Returns:
            The *mean* loss of the batch (a scalar with gradient) and named, detached scalars.
        """
        ...

    def validate(self, model: nn.Module, compute: Compute) -> dict[str, float]:
        """How good the network is, by name; `{}` when there is nothing to validate.

        Called after each epoch without gradients, the network in eval mode and, with `average`, with averaged weights.
        Under `torchrun` every process calls it, and the first one's numbers count.

        Args:
            model: The bare network.
            compute: Device and precision.
        """
        ...
