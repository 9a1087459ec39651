"""Factors and inverses over the processes of a run: sums are added up, inverses divided by cost and handed round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist

from linnet.core.distributed import added, world
from linnet.optim.natural.kronecker.blocks import Block
from linnet.optim.natural.kronecker.damped_inverse import DenseInverse
from linnet.optim.natural.kronecker.kronecker_block import KroneckerBlock, Sums


@dataclass(frozen=True)
class Job:
    """One inverse to be found.

    Attributes:
        key: Of the block.
        side: "a" or "b".
        cost: groups * d^3.
        owner: Rank that finds it.
    """

    key: str
    side: str
    cost: int
    owner: int


def own_generator(shared: torch.Generator) -> torch.Generator:
    """What this process draws from for its own samples: each has other numbers, and all leave `shared` alike.

    Args:
        shared: In the same state in all processes; of a process on its own it is the one that is used.
    """
    rank, processes = world()
    if processes == 1:
        return shared
    seed = int(torch.randint(2**62, (1,), generator=shared))
    return torch.Generator().manual_seed(seed + rank)


def reduced(sums: dict[str, Sums]) -> dict[str, Sums]:
    """Sums over the samples of all processes, in one message.

    Args:
        sums: Of this process; the same keys on all.
    """
    if world()[1] == 1:
        return sums
    keys = sorted(sums)
    parts = [part for key in keys for part in (sums[key].a, sums[key].b) if part is not None]
    counts = parts[0].new_tensor([[sums[key].samples, sums[key].columns] for key in keys], dtype=torch.float64)
    counts, flat = added(counts), added(torch.cat([part.reshape(-1) for part in parts]))
    for part, piece in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
        part.copy_(piece.view_as(part))
    for key, (samples, columns) in zip(keys, counts.tolist(), strict=True):
        sums[key].samples, sums[key].columns = int(samples), int(columns)
    return sums


def divided(blocks: Mapping[str, Block], processes: int) -> list[Job]:
    """Every inverse with its owner: the costliest first, each to the process with the least work so far."""
    jobs = []
    for key, block in blocks.items():
        sides = (("a", block.a), ("b", block.b)) if isinstance(block, KroneckerBlock) else (("a", block.a),)
        jobs += [(m.shape[0] * m.shape[1] ** 3 if m is not None else 0, key, side) for side, m in sides]
    load = [0] * processes
    result = []
    for cost, key, side in sorted(jobs, key=lambda job: (-job[0], job[1], job[2])):
        owner = load.index(min(load))
        load[owner] += cost
        result.append(Job(key, side, cost, owner))
    return result


def refresh(blocks: Mapping[str, Block], damping: Mapping[str, float]) -> None:
    """Finds the inverses of blocks anew, each on one process, and gives them to all."""
    rank, processes = world()
    jobs = divided(blocks, processes)
    for job in jobs:
        if job.owner == rank:
            blocks[job.key].refresh(damping[job.key], job.side)
    if processes == 1:
        return
    waiting = []
    for job in jobs:
        block = blocks[job.key]
        factor = block.a if job.side == "a" or not isinstance(block, KroneckerBlock) else block.b
        assert factor is not None
        name = f"{job.side}_inverse"
        if job.owner != rank:
            setattr(block, name, DenseInverse(torch.empty_like(factor), f"of process {job.owner}"))
        found = getattr(block, name).matrix.contiguous()
        waiting.append(dist.broadcast(found, src=job.owner, async_op=True))
        setattr(block, name, DenseInverse(found, getattr(block, name).route))
    for handle in waiting:
        handle.wait()
