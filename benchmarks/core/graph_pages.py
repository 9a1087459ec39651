"""The pages that channel graphs and their rules write about themselves: docs/concepts/graphs.md and rules.md.

`python -m benchmarks readme` writes them; a test compares them, so neither can be edited by hand.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import torch

from benchmarks import DOCS, networks
from benchmarks.page import Page
from linnet.core import ChannelGraph, rules
from linnet.core.channels.rule_call import Rule
from linnet.core.program.operators import OPERATORS
from linnet.models import SmallUNet


def tables() -> dict[str, ChannelGraph]:
    """Title -> graph of the networks on the page."""
    image = torch.zeros(1, 3, 224, 224)
    return {
        "A block of a vision transformer": ChannelGraph(networks.TransformerBlock(), image),
        "The nucleus detector's U-Net": ChannelGraph(SmallUNet(), torch.zeros(1, 3, 256, 256)),
        "MobileNetV2": ChannelGraph(networks.mobilenet_v2(), image),
        "ResNet-50": ChannelGraph(networks.resnet50(), image),
    }


def graphs_page() -> str:
    """The tables of four networks as Markdown."""
    parts = [_GRAPHS]
    for title, graph in tables().items():
        parts.append(f"## {title}\n\n```text\n{graph}\n```\n")
    return "\n".join(parts)


def rules_page() -> str:
    """Every operator with a rule, what the rule does, and the reasons for which it freezes or refuses."""
    families: dict[str, list[tuple[list[str], Rule]]] = {}
    known: dict[Rule, list[str]] = {}
    for name, operator in OPERATORS.items():
        if operator.rule is not None:
            known.setdefault(operator.rule, []).append(name)
    for function, names in sorted(known.items(), key=lambda item: item[0].__code__.co_firstlineno):
        if function.__module__.startswith("linnet."):
            families.setdefault(function.__module__.rpartition(".")[2], []).append((names, function))
    parts = [_RULES]
    for module in sorted(m.name for m in pkgutil.iter_modules(rules.__path__)):
        source = importlib.import_module(f"{rules.__name__}.{module}")
        about = (inspect.getdoc(source) or "").splitlines()[0]
        parts.append(
            f"## {module}\n\n{about}\n\n| operators | what happens | a channel is frozen when |\n|---|---|---|"
        )
        reasons = _reasons(inspect.getsource(source))
        for names, function in families.get(module, []):
            line = (inspect.getdoc(function) or "").splitlines()[0].replace("|", "\\|")
            why = "; ".join(dict.fromkeys(reasons[function.__name__]))
            parts.append(f"| {', '.join(f'`{name}`' for name in names)} | {line} | {why} |")
        parts.append("")
    return "\n".join(parts)


def _reasons(source: str) -> dict[str, list[str]]:
    """Function name -> reasons that it, or a private function of its module that it calls, freezes with."""
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}

    def of(name: str, seen: frozenset[str]) -> Iterator[str]:
        for call in (node for node in ast.walk(functions[name]) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Attribute):
                if call.func.attr == "freeze" and len(call.args) == 2:
                    yield from _words(call.args[1], functions[name])
                elif call.func.attr == "refuse_unless_frozen" and len(call.args) == 2:
                    yield from (f"the operator {words}" for words in _words(call.args[1], functions[name]))
            elif isinstance(call.func, ast.Name) and call.func.id in functions and call.func.id not in seen:
                yield from of(call.func.id, seen | {call.func.id})

    return {name: list(of(name, frozenset({name}))) for name in functions}


def _words(given: ast.expr, function: ast.FunctionDef) -> Iterator[str]:
    """The strings that an argument may be."""
    if isinstance(given, ast.Name):
        assigned = [n.value for n in ast.walk(function) if isinstance(n, ast.Assign) and _targets(n) == [given.id]]
        for value in assigned:
            yield from _words(value, function)
    for node in ast.walk(given):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 1:
            yield node.value.rstrip(" (")


def _targets(node: ast.Assign) -> list[str]:
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


_GRAPHS = """\
# Four channel graphs

These tables are what `print(linnet.ChannelGraph(model, example))` and `linnet channels` show for four networks. [Read a
channel graph](../howto/read_a_graph.md) explains their columns. `python -m benchmarks readme` writes this page.
"""

_RULES = """\
# What is followed, frozen and refused

A channel graph follows channels through the operators below. Each operator has a rule, which says what becomes of the
channels and when they have to stay as they are. An operator that isn't listed freezes the channels that reach it, and
the reason names the operator, its module and the line of code; with `unsupported="refuse"` there is no graph at all.
[One function](../howto/channel_rule.md) teaches linnet a new operator.

Four kinds of channels are frozen whatever the operators: those that `frozen=` names, the model's inputs and outputs,
channels of weights that are computed or read as a whole, and channels whose number stands in the network's code, so
that it can't be doubled. `python -m benchmarks readme` writes this page from the rules themselves.
"""

GRAPHS, RULE_LIST = Page(DOCS / "concepts" / "graphs.md", graphs_page), Page(DOCS / "concepts" / "rules.md", rules_page)
