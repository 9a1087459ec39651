"""Factors and inverses over the processes of a run: sums are added up, inverses divided by cost and handed round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from linnet.core.distributed import added, rows_of_all, world
from linnet.optim.natural.kronecker.blocks import Block
from linnet.optim.natural.kronecker.damped_inverse import DampedInverse, DenseInverse, DiagonalInverse, DualInverse
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


def reduced(
    sums: dict[str, Sums], plans: Mapping[str, Mapping[str, Any]] = MappingProxyType({}), device: Any = None
) -> dict[str, Sums]:
    """Sums over the samples of all processes, in two messages; vectors that are kept are those of all processes.

    Args:
        sums: Of this process; another may have others.
        plans: Key -> form and sizes, of every key that a process has; the same on all.
        device: Where the sums are.
    """
    if world()[1] == 1 or not plans:
        return sums
    keys = sorted(plans)
    whole = {key: sums.get(key) or Sums.empty(plans[key], device) for key in keys}
    counts = torch.tensor(
        [[whole[key].samples, whole[key].columns] for key in keys], dtype=torch.float64, device=device
    )
    counts = added(counts)
    parts = [part for key in keys for part in (whole[key].a, whole[key].b) if part is not None]
    if parts:
        dtype = max((part.dtype for part in parts), key=lambda d: d.itemsize)
        flat = added(torch.cat([part.reshape(-1).to(dtype) for part in parts]))
        for part, piece in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
            part.copy_(piece.view_as(part))
    for key, (samples, columns) in zip(keys, counts.tolist(), strict=True):
        one = whole[key]
        one.samples, one.columns = int(samples), int(columns)
        one.a_vectors, one.b_vectors = (_of_all(v) for v in (one.a_vectors, one.b_vectors))
    return whole


def _of_all(vectors: Tensor | None) -> Tensor | None:
    """Vectors (groups, d, m) of all processes side by side."""
    return None if vectors is None else rows_of_all(vectors.permute(2, 0, 1).contiguous()).permute(1, 2, 0).contiguous()


def divided(blocks: Mapping[str, Block], processes: int) -> list[Job]:
    """Every inverse with its owner: the costliest first, each to the process with the least work so far."""
    jobs = []
    for key, block in blocks.items():
        sides = (("a", block.a), ("b", block.b)) if isinstance(block, KroneckerBlock) else (("a", block.a),)
        jobs += [(_cost(m), key, side) for side, m in sides]
    load = [0] * processes
    result = []
    for cost, key, side in sorted(jobs, key=lambda job: (-job[0], job[1], job[2])):
        owner = load.index(min(load))
        load[owner] += cost
        result.append(Job(key, side, cost, owner))
    return result


def _cost(matrix: Tensor | None) -> int:
    if matrix is None:
        return 0
    return matrix.shape[0] * matrix.shape[1] ** (1 if matrix.ndim == 2 else 3)


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
        block, name = blocks[job.key], f"{job.side}_inverse"
        if job.owner != rank:
            setattr(block, name, _blank(block, job))
        inverse: DampedInverse = getattr(block, name)
        tensors = tuple(t.contiguous() for t in inverse.tensors())
        waiting += [dist.broadcast(t, src=job.owner, async_op=True) for t in tensors]
        made: Any = type(inverse)
        setattr(block, name, made(*tensors, route=inverse.route, rank=inverse.rank))
    for handle in waiting:
        handle.wait()


def _blank(block: Block, job: Job) -> DampedInverse:
    """An inverse of the sizes of the one that another process finds."""
    side, route = job.side if isinstance(block, KroneckerBlock) else "a", f"of process {job.owner}"
    factor = block.a if side == "a" else block.b  # pyright: ignore[reportAttributeAccessIssue]
    if factor is not None:
        kind = DiagonalInverse if factor.ndim == 2 else DenseInverse
        return kind(torch.empty_like(factor, memory_format=torch.contiguous_format), route)
    assert block.latest is not None
    vectors = block.latest.a_vectors if side == "a" else block.latest.b_vectors
    assert vectors is not None
    groups, _, count = vectors.shape
    return DualInverse(torch.empty_like(vectors), vectors.new_empty(groups, count), vectors.new_empty(groups), route)
