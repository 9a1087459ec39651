"""Small: a network pruned straight to a budget.

`Budget` says what the result may cost, `plan` which channels stay (print it: the dry run), `extract` makes the small
network and proves it.
"""

from linnet.prune.budget import Budget
from linnet.prune.plan import Plan, extract, plan

__all__ = ["Budget", "Plan", "extract", "plan"]
