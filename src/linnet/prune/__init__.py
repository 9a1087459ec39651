"""Small: a network pruned straight to a budget, in one shot or while it trains.

`Budget` says what the result may cost. `Pruner` is one added line in a training loop and ends with a plain smaller
network; `Masking` holds its rarer options.
`plan` says which channels would stay by the weights alone (print it: the dry run), `extract` makes that
network, `scatter` puts networks that were trained apart back into the big one, `adapt`
trains a small one's batch norms and last layer where it works, and `export` writes an ONNX file.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.prune.adaptation import adapt as adapt
    from linnet.prune.budget import Budget as Budget
    from linnet.prune.federated import scatter as scatter
    from linnet.prune.fit_listener import Pruning as Pruning
    from linnet.prune.onnx.onnx_file import export as export
    from linnet.prune.pruner import Pruner as Pruner
    from linnet.prune.pruning_plan import Plan as Plan, extract as extract, plan as plan
    from linnet.prune.training.masking import Masking as Masking
    from linnet.prune.training.schedule import PruneStep as PruneStep

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
