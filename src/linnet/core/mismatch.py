"""What is said when an edited program doesn't follow its edit."""

from __future__ import annotations

from linnet.core.atoms import Ints
from linnet.core.program import Node
from linnet.errors import GraphError


class Mismatch(GraphError):
    """An edited program doesn't carry the labels that the edit promises; `labels` are at stake."""

    def __init__(self, node: Node, message: str, labels: Ints):
        super().__init__(f"{where(node)}: {message}")
        self.node, self.labels = node, labels


def where(node: Node) -> str:
    """Module path, operator and source line of a node, in words."""
    line = f" at {node.source}" if node.source else ""
    return f"`{node.module or '(model)'}` ({node.name}{line})"
