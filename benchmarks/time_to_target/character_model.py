"""A small language model of characters: two blocks of causal attention, written with linear layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CharacterModel(nn.Module):
    """Logits of the next character at every place.

    Args:
        characters: Size of the alphabet.
        length: Places.
        width: Channels of a place.
        heads: Of the attention.
        blocks: How many.
    """

    def __init__(self, characters: int, length: int, *, width: int = 64, heads: int = 4, blocks: int = 2) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(characters, width), nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.Sequential(*(_Block(width, heads) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, characters)

    def forward(self, codes: Tensor) -> Tensor:
        """(N, T, characters) of codes (N, T)."""
        return self.head(self.norm(self.blocks(self.embedding(codes) + self.places)))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.qkv, self.proj = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, places, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))
