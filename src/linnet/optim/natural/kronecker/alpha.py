"""alpha of undamped K-FAC where the theory's conditions hold: N for every hidden layer, 1 for the output layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from linnet.core.jacobian.parameter_rows import RuleTerm
from linnet.optim.natural.approximation import Batch
from linnet.optim.natural.kronecker.blocks import Block
from linnet.optim.natural.kronecker.kronecker_block import KroneckerBlock


def alpha_of(blocks: Mapping[str, Block], batch: Batch) -> float | None:
    """N (L - 1) + 1 where it holds; None where it has to be measured.

    It holds for "mse" with `fisher="model"` if every layer is a matrix layer that sees each sample once, with A of rank
    N, and B of rank N C in hidden layers and equal to 1 in the last one.

    Source:
        Derived: (A^+ a_n, a_m) and (B^+ g_nk, g_mj) are then N times Kronecker deltas.
    """
    settings, samples, outputs = batch.settings, batch.samples, batch.f.shape[1]
    if settings.loss.name != "mse" or settings.fisher != "model" or len(blocks) != len(batch.layers):
        return None
    total = 0.0
    for block, layer in zip(blocks.values(), batch.layers, strict=True):
        if not isinstance(block, KroneckerBlock) or block.a_inverse is None or block.b_inverse is None:
            return None
        term = layer.terms[block.weight]
        assert isinstance(term, RuleTerm)
        single = len(term.uses) == 1 and term.uses[0].a.ndim == 2 and set(block.names) == set(layer.terms)
        if not single or block.a_inverse.rank != samples:
            return None
        if block.b_inverse.rank == samples * outputs:
            total += samples
        elif torch.equal(term.uses[0].g, batch.cotangents):
            total += 1.0
        else:
            return None
    return total


def rank_notes(blocks: Mapping[str, Block], batch: Batch) -> tuple[str, ...]:
    """Notes for a report on layers whose inputs have a rank below N: there K isn't alpha I."""
    notes = []
    for block, layer in zip(blocks.values(), batch.layers, strict=False):
        if not isinstance(block, KroneckerBlock) or block.a_inverse is None:
            continue
        term, rank = layer.terms.get(block.weight), block.a_inverse.rank
        if not isinstance(term, RuleTerm) or term.uses[0].a.ndim != 2 or rank is None or rank >= batch.samples:
            continue
        notes.append(
            f"`{block.weight}`: its inputs have rank {rank}, {batch.samples - rank} short of the {batch.samples} "
            "samples, so the step isn't isotropic. Give a damping above 0, fewer samples or a wider layer; or, "
            "where these are the network's inputs, linnet.data.forster(x)."
        )
    return tuple(notes)
