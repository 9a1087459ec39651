"""What an argument that was left out or given by name stands for: the loss, the clip, the damping, the uncovered."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from linnet.core.jacobian.binary_cross_entropy import BinaryCrossEntropy
from linnet.core.jacobian.cross_entropy import CrossEntropy
from linnet.core.jacobian.losses import LOSSES, Loss
from linnet.errors import InputError
from linnet.option_values import UNSET
from linnet.suggest import one_of

NAMED_LOSSES: Mapping[str, Loss] = MappingProxyType({**LOSSES, "binary_cross_entropy": BinaryCrossEntropy()})
KL_CLIP = 1e-2  # for cross entropy; chosen beside 1e-3 on held-out images (benchmarks.time_to_target.robustness)
DAMPING = 1e-2  # of kfac for cross entropy; chosen beside 0.1 likewise


def loss_of(loss: Any) -> Loss:
    """The loss that is meant by a name or by a criterion of torch.

    Raises:
        InputError: there is none, or the criterion isn't the mean over the batch.
    """
    if isinstance(loss, (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss)):
        if loss.reduction != "mean":
            raise InputError(
                f"`loss` must be a criterion with reduction='mean' (got {loss.reduction!r}), so that steps don't "
                "depend on the number of samples."
            )
        if isinstance(loss, nn.BCEWithLogitsLoss):
            return BinaryCrossEntropy(loss.weight, loss.pos_weight)
        return CrossEntropy(loss.weight, loss.ignore_index, loss.label_smoothing)
    if isinstance(loss, nn.Module):
        raise InputError(
            "`loss` must be a name, nn.CrossEntropyLoss or nn.BCEWithLogitsLoss (got "
            f"{type(loss).__name__}()). The quadratic loss is loss='mse', (1/2N) sum |f - y|^2, C/2 times nn.MSELoss()."
        )
    return NAMED_LOSSES[one_of("loss", loss, NAMED_LOSSES)]


def kl_clip_of(kl_clip: Any, loss: Loss, momentum: Any) -> Any:
    """The clip that was given, or the default of the loss: a quadratic one has no distributions to leave.

    A heavy ball adds up the clipped steps: drawn independently, to 1 / (1 - mu^2) of their squared length. The default
    is smaller by 1 - mu, so that a run with momentum is bounded as one without.
    """
    if kl_clip is not UNSET:
        return kl_clip
    if loss.name == "mse":
        return None
    usable = isinstance(momentum, float) and 0.0 < momentum < 1.0  # another value is refused where all are checked
    return KL_CLIP * (1.0 - momentum) if usable else KL_CLIP


def damping_of(damping: Any, approx: Any, loss: Loss) -> Any:
    """The damping that was given, or the default: above 0 for kfac under a cross entropy, else 0."""
    if damping is not None:
        return damping
    return DAMPING if approx == "kfac" and loss.name != "mse" else 0.0


def uncovered_of(uncovered: Any, approx: Any) -> Any:
    """What was given, or the default: Adam for kfac, the approximation of everyday use; else an error."""
    if uncovered is not UNSET:
        return uncovered
    return "adam" if approx == "kfac" else "raise"
