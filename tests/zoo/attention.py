"""Attention blocks, mixers, embeddings."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.zoo.entry import FREE, INPUT, OUTPUT, UNIFORM, Entry


class FusedAttention(nn.Module):
    """A ViT block with one projection for q, k, v; sizes are its own numbers, so its width can follow."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.heads, self.inner = heads, width
        self.patch = nn.Conv2d(3, width, 2, 2)
        self.position = nn.Parameter(torch.randn(1, 9, width) * 0.1)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2, self.head = nn.Linear(width, 10), nn.Linear(10, width), nn.Linear(width, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2) + self.position
        n, t, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, self.inner)
        x = x + self.proj(y)
        x = x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return self.head(x.mean(1))


class SeparateAttention(nn.Module):
    """Projections of their own: values can change, queries and keys can't."""

    def __init__(self, width=8):
        super().__init__()
        self.embed = nn.Linear(5, width)
        self.q, self.k, self.v = nn.Linear(width, 6), nn.Linear(width, 6), nn.Linear(width, 7)
        self.proj, self.head = nn.Linear(7, width), nn.Linear(width, 3)

    def forward(self, x):
        x = self.embed(x)
        scores = torch.softmax(self.q(x) @ self.k(x).transpose(-2, -1) / 6**0.5, -1)
        return self.head(x + self.proj(scores @ self.v(x)))


class TorchAttention(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.embed = nn.Linear(5, width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.fc1, self.fc2, self.head = nn.Linear(width, 9), nn.Linear(9, width), nn.Linear(width, 3)

    def forward(self, x):
        x = self.embed(x)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(x + self.fc2(F.relu(self.fc1(self.norm(x)))))


class Mixer(nn.Module):
    def __init__(self, tokens=6, width=8):
        super().__init__()
        self.embed = nn.Linear(4, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.token1, self.token2 = nn.Linear(tokens, 5), nn.Linear(5, tokens)
        self.fc1, self.fc2, self.head = nn.Linear(width, 12), nn.Linear(12, width), nn.Linear(width, 3)

    def forward(self, x):
        x = self.embed(x)
        x = x + self.token2(F.gelu(self.token1(self.norm1(x).transpose(1, 2)))).transpose(1, 2)
        x = x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return self.head(x.mean(1))


class Tokens(nn.Module):
    """Embedding, learned positions, a class token."""

    def __init__(self, width=6):
        super().__init__()
        self.embed = nn.Embedding(11, width)
        self.position = nn.Parameter(torch.randn(8, width) * 0.1)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.fc, self.head = nn.Linear(width, 7), nn.Linear(7, 3)

    def forward(self, x):
        x = self.embed(x) + self.position[: x.shape[1]]
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        return self.head(torch.tanh(self.fc(x[:, 0] + x.mean(1))))


ENTRIES = [
    Entry(
        "fused attention",
        FusedAttention,
        (3, 6, 6),
        {
            "input": INPUT,
            "patch": UNIFORM,
            "qkv": "contracted in attention",
            "qkv#2": "contracted in attention",
            "fc1": FREE,
            "head": OUTPUT,
        },
    ),
    Entry(
        "separate attention",
        SeparateAttention,
        (4, 5),
        {"embed": FREE, "q": "contracted in attention", "k": "contracted in attention", "v": FREE, "head": OUTPUT},
    ),
    Entry(
        "torch attention",
        TorchAttention,
        (4, 5),
        {
            "embed": "can't be doubled",
            "attention": "contracted in attention",
            "attention#2": "contracted in attention",
            "fc1": FREE,
            "head": OUTPUT,
        },
    ),
    Entry(
        "mixer",
        Mixer,
        (6, 4),
        {"input": INPUT, "embed": UNIFORM, "token1": FREE, "fc1": FREE, "head": OUTPUT},
    ),
    Entry("tokens", Tokens, (5,), {"embed": FREE, "fc": FREE, "head": OUTPUT}, tokens=11),
]
