"""Embedding: the gradient of a row is the sum of g over the places where its token stands."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from linnet.core.capture.gram import PairSizes, affinity_gram
from linnet.core.capture.layers.layer_rule import LayerRule, Sharing
from linnet.core.capture.positions import Use


class EmbeddingRule(LayerRule):
    """`nn.Embedding` whose forward leaves its weight alone and whose gradient belongs to samples."""

    types = (nn.Embedding,)
    diagonal_input = True

    def refusal(self, module: nn.Module) -> str | None:
        """`max_norm` writes the weight in forward; `scale_grad_by_freq` couples the samples."""
        layer = cast(nn.Embedding, module)
        if layer.max_norm is not None:
            return "`max_norm` overwrites its weight in forward"
        if layer.scale_grad_by_freq:
            return "`scale_grad_by_freq` couples the samples: no gradient of one sample exists"
        return None

    def refusal_of_input(self, module: nn.Module, a: Tensor) -> str | None:
        """Tokens need a sample axis."""
        return "its input is one token without a sample axis: give a batch" if a.ndim < 1 else None

    def per_sample(self, module: nn.Module, uses: Sequence[Use], param: str) -> Tensor:
        """(passes, N, rows, size): g scattered to the rows of its tokens; the padding row gets 0."""
        layer = cast(nn.Embedding, module)
        tokens, g = _positions(layer, uses)
        n, passes, _, size = g.shape
        result = g.new_zeros(passes, n * layer.num_embeddings, size)
        rows = tokens + torch.arange(n, device=tokens.device).unsqueeze(1) * layer.num_embeddings
        result.index_add_(1, rows.flatten(), g.transpose(0, 1).flatten(1, 2))
        return result.view(passes, n, layer.num_embeddings, size)

    def gram(
        self, module: nn.Module, uses: Sequence[Use], others: Sequence[Use] | None, *, param: str, max_bytes: int
    ) -> Tensor:
        """K[n, m] = sum over s, t with equal tokens of g_ns . g_mt: no gradient is built."""
        layer = cast(nn.Embedding, module)
        tokens, g = _positions(layer, uses)
        columns, h = (tokens, g) if others is None else _positions(layer, others)
        sizes = PairSizes(
            rows=g.shape[0],
            columns=h.shape[0],
            positions=max(g.shape[2], h.shape[2]),
            passes=g.shape[1],
            vectors=g.shape[2] * (g.shape[3] * g.shape[1] + 1),
            element_size=g.element_size(),
        )
        return affinity_gram(
            lambda tile: (tokens[tile], g[tile]),
            lambda tile: (columns[tile], h[tile]),
            lambda x, y: (x.unsqueeze(1) == y.unsqueeze(0)).to(g.dtype),
            sizes,
            like=g,
            symmetric=others is None,
            max_bytes=max_bytes,
        )

    def factors(
        self, module: nn.Module, uses: Sequence[Use], *, homogeneous: bool, sharing: Sharing
    ) -> tuple[Tensor, Tensor]:
        """(counts of the tokens (rows,), sum g g^T): the inputs are one-hot, so that A is diagonal and exact."""
        layer = cast(nn.Embedding, module)
        tokens, g = _positions(layer, uses)
        counts = torch.bincount(tokens.flatten(), minlength=layer.num_embeddings).to(g.dtype)
        flat = g.flatten(0, 2)
        return counts, flat.T @ flat

    def columns(self, module: nn.Module, uses: Sequence[Use], *, sharing: Sharing) -> int:
        """Tokens."""
        return sum(use.a.numel() for use in uses)


def _positions(layer: nn.Embedding, uses: Sequence[Use]) -> tuple[Tensor, Tensor]:
    """Tokens (N, S) and their gradients (N, passes, S, size), the uses one after another; 0 at padding tokens."""
    tokens = torch.cat([use.a.flatten(1) if use.a.ndim > 1 else use.a.unsqueeze(1) for use in uses], dim=1)
    size = layer.embedding_dim
    g = torch.cat([use.g.reshape(*use.g.shape[:2], -1, size) for use in uses], dim=2)
    if layer.padding_idx is not None:
        g = g * (tokens != layer.padding_idx).unsqueeze(-1).to(g.dtype)
    return tokens, g.transpose(0, 1)
