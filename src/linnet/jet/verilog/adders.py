"""Sums of signed terms as trees of adders, with the partial sums that several outputs have in common made once."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence

from linnet.jet.verilog.module import Module, Signal

Term = tuple[Signal, int]
BLOCK = 16  # terms among which pairs are searched; larger blocks find little more and cost quadratic time
LEVELS_A_STAGE = 2  # adders between two registers


def weighted(module: Module, values: Sequence[Signal], weights: Sequence[int]) -> Signal:
    """sum_i weights[i] values[i] of a symmetric or antisymmetric row, equal weights joined first.

    Args:
        module: Takes the adders.
        values: One an element.
        weights: Small whole numbers, not all 0.
    """
    n, terms = len(values), []
    sign = 1 if weights[0] == weights[-1] else -1
    for i in range(n // 2):
        if weights[i]:
            terms.append((module.add(values[i], values[n - 1 - i], negative=sign < 0), weights[i]))
    if n % 2 and weights[n // 2]:
        terms.append((values[n // 2], weights[n // 2]))
    parts = [(part, 1 if w > 0 else -1) for signal, w in terms for part in _multiples(module, signal, abs(w))]
    total = parts[0][0]
    assert parts[0][1] > 0
    for part, way in parts[1:]:
        total = module.add(total, part, negative=way < 0)
    return total


def _multiples(module: Module, signal: Signal, weight: int) -> list[Signal]:
    return [module.shifted(signal, k) for k in range(weight.bit_length()) if weight >> k & 1]


def tree(module: Module, sums: Sequence[Sequence[Term]]) -> tuple[list[Term], int]:
    """Many sums at once, registered after every other adder.

    Args:
        module: Takes adders and registers.
        sums: For each output its terms: a signal and +1 or -1.

    Returns:
        For each output a signal and a sign, all at the same clock; and how many clocks after the terms.
    """
    levels, stages = [list(terms) for terms in sums], 0
    depth = 0
    while max(map(len, levels)) > 1:
        levels = _paired(module, levels)
        depth += 1
        if depth % LEVELS_A_STAGE == 0 or max(map(len, levels)) == 1:
            levels = [[(module.register(signal), sign) for signal, sign in terms] for terms in levels]
            stages += 1
    return [terms[0] for terms in levels], stages


def triples(module: Module, sums: Sequence[Sequence[Term]]) -> tuple[list[list[Term]], list[int]]:
    """Bits in threes by full adders: two bits of sum, each pattern of signs made once for all outputs.

    A bit that is taken away is inverted instead: -b = (1 - b) - 1, and the 1 is counted beside the sum.

    Returns:
        The shorter sums, and the constant to add to each.
    """
    made, constants = [], []
    for terms in sums:
        row, constant = [], 0
        for k in range(0, len(terms), 3):
            group = terms[k : k + 3]
            if len(group) < 3:
                row += group
                continue
            way = group[0][1]
            inverted = [sign != way for _, sign in group]
            row.append((_full_adder(module, [signal for signal, _ in group], inverted), way))
            constant -= way * sum(inverted)
        made.append(row)
        constants.append(constant)
    return made, constants


def _full_adder(module: Module, bits: Sequence[Signal], inverted: Sequence[bool]) -> Signal:
    a, b, c = (f"{'~' if turn else ''}{bit.name}[0]" for bit, turn in zip(bits, inverted, strict=True))
    return module.wire(f"{{1'b0, {a} & {b} | {a} & {c} | {b} & {c}, {a} ^ {b} ^ {c}}}", 0, 3)


def _paired(module: Module, sums: Sequence[Sequence[Term]]) -> list[list[Term]]:
    """One level: the terms of each sum two by two, pairs that several sums have first."""
    numbers: dict[str, int] = {}
    for terms in sums:
        for signal, _ in terms:
            numbers.setdefault(signal.name, len(numbers))
    open_terms = [{numbers[s.name]: (s, sign) for s, sign in terms} for terms in sums]
    if any(len(held) < len(terms) for held, terms in zip(open_terms, sums, strict=True)):
        return [_plain(module, terms) for terms in sums]  # a sum with the same term twice
    made: list[list[Term]] = [[] for _ in sums]
    for a, b, outputs in _common(open_terms):
        for o in outputs:
            made[o].append(_pair(module, open_terms[o].pop(a), open_terms[o].pop(b)))
    return [done + _plain(module, [held[k] for k in sorted(held)]) for done, held in zip(made, open_terms, strict=True)]


def _common(sums: Sequence[dict[int, Term]]) -> list[tuple[int, int, list[int]]]:
    """Pairs of terms that at least two sums have with the same relative sign, the most frequent first."""
    where: dict[tuple[int, int, int], set[int]] = defaultdict(set)
    for o, held in enumerate(sums):
        for a, b in _neighbours(sorted(held)):
            where[a, b, held[a][1] * held[b][1]].add(o)
    waiting = [(-len(outputs), key) for key, outputs in where.items() if len(outputs) > 1]
    heapq.heapify(waiting)
    free = [set(held) for held in sums]
    found = []
    while waiting:
        count, key = heapq.heappop(waiting)
        a, b, _ = key
        outputs = sorted(o for o in where[key] if a in free[o] and b in free[o])
        if len(outputs) < 2:
            continue
        if len(outputs) < -count:
            heapq.heappush(waiting, (-len(outputs), key))
            continue
        for o in outputs:
            free[o] -= {a, b}
        found.append((a, b, outputs))
    return found


def _neighbours(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs within blocks of the numbering, which is the same for all sums."""
    blocks: dict[int, list[int]] = defaultdict(list)
    for k in numbers:
        blocks[k // BLOCK].append(k)
    return [(a, b) for block in blocks.values() for i, a in enumerate(block) for b in block[i + 1 :]]


def _plain(module: Module, terms: Sequence[Term]) -> list[Term]:
    made = [_pair(module, a, b) for a, b in zip(terms[::2], terms[1::2], strict=False)]
    return made + list(terms[len(made) * 2 :])


def _pair(module: Module, first: Term, second: Term) -> Term:
    """+-(a +- b), always with the first one's sign in front."""
    (a, way), (b, other) = first, second
    return module.add(a, b, negative=way != other), way
