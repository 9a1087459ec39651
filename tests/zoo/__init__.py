"""Small networks, one for each thing that a channel graph must get right; each states what may be edited."""

from tests.zoo import attention, convnets, mobile, norms, sharing, unets
from tests.zoo.entry import FREE, UNIFORM, Entry

ZOO = {entry.name: entry for family in (convnets, mobile, unets, norms, attention, sharing) for entry in family.ENTRIES}

__all__ = ["FREE", "UNIFORM", "ZOO", "Entry"]
