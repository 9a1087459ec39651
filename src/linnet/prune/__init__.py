"""Small: a network pruned straight to a budget, in one shot or while it trains.

`Budget` says what the result may cost. `Pruner` is one added line in a training loop and ends with a plain smaller
network. `plan` says which channels would stay by the weights alone (print it: the dry run), `extract` makes that
network, `scatter` puts networks that were trained apart back into the big one, `adapt`
trains a small one's batch norms and last layer where it works, and `export` writes an ONNX file.
"""

from linnet.prune.adapt import adapt
from linnet.prune.budget import Budget
from linnet.prune.during import Pruner
from linnet.prune.export import export
from linnet.prune.listener import Pruning
from linnet.prune.plan import Plan, extract, plan
from linnet.prune.scatter import scatter
from linnet.prune.timetable import PruneStep

__all__ = ["Budget", "Plan", "PruneStep", "Pruner", "Pruning", "adapt", "export", "extract", "plan", "scatter"]
