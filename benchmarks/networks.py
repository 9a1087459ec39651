"""Networks of the field in their published shapes, for timings: torchvision's layers and sizes, random weights."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def resnet50() -> nn.Module:
    """ResNet-50 (25,557,032 parameters)."""
    return ResNet50()


def mobilenet_v2() -> nn.Module:
    """MobileNetV2 at width 1 (3,504,872 parameters)."""
    return MobileNetV2()


def densenet121() -> nn.Module:
    """DenseNet-121 (7,978,856 parameters)."""
    return DenseNet121()


def unet() -> nn.Module:
    """The U-Net of 2015 with padding and transposed convolutions, 64 to 1024 channels, 1 input and 2 outputs."""
    return UNet()


def _conv_norm(cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(cout)]


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1, each with its norm; the shortcut is projected where sizes change."""

    def __init__(self, cin: int, inner: int, stride: int):
        super().__init__()
        out = 4 * inner
        self.body = nn.Sequential(
            *_conv_norm(cin, inner, 1), nn.ReLU(inplace=True),
            *_conv_norm(inner, inner, 3, stride), nn.ReLU(inplace=True),
            *_conv_norm(inner, out, 1),
        )  # fmt: skip
        self.shortcut = None if cin == out and stride == 1 else nn.Sequential(*_conv_norm(cin, out, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or features inside."""
        y = self.body(x)
        y += x if self.shortcut is None else self.shortcut(x)
        return F.relu(y, inplace=True)


class ResNet50(nn.Module):
    """He et al. 2016, the stride in the 3x3 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv_norm(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        blocks: list[nn.Module] = []
        width = 64
        for inner, count, first_stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for place in range(count):
                blocks.append(Bottleneck(width, inner, 1 if place else first_stride))
                width = 4 * inner
        self.blocks = nn.Sequential(*blocks)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or features inside."""
        return self.fc(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise 3x3, linear 1x1."""

    def __init__(self, cin: int, cout: int, stride: int, expansion: int):
        super().__init__()
        inner = cin * expansion
        layers = [] if expansion == 1 else [*_conv_norm(cin, inner, 1), nn.ReLU6(inplace=True)]
        layers += [*_conv_norm(inner, inner, 3, stride, inner), nn.ReLU6(inplace=True), *_conv_norm(inner, cout, 1)]
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or features inside."""
        return x + self.body(x) if self.residual else self.body(x)


class MobileNetV2(nn.Module):
    """Sandler et al. 2018."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv_norm(3, 32, 3, 2), nn.ReLU6(inplace=True)]
        width = 32
        stages = (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        )
        for expansion, cout, count, first_stride in stages:
            for place in range(count):
                layers.append(InvertedResidual(width, cout, 1 if place else first_stride, expansion))
                width = cout
        layers += [*_conv_norm(width, 1280, 1), nn.ReLU6(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or features inside."""
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(self.features(x), 1), 1))


class DenseLayer(nn.Module):
    """Norm, 1x1 to 128, norm, 3x3 to 32; its output is joined to its input."""

    def __init__(self, cin: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(cin), nn.ReLU(inplace=True), nn.Conv2d(cin, 128, 1, bias=False),
            nn.BatchNorm2d(128), nn.ReLU(inplace=True), nn.Conv2d(128, 32, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or features inside."""
        return torch.cat([x, self.body(x)], 1)


class DenseNet121(nn.Module):
    """Huang et al. 2017."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv_norm(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        width = 64
        for stage, count in enumerate((6, 12, 24, 16)):
            if stage:
                width //= 2
                layers += [nn.BatchNorm2d(2 * width), nn.ReLU(inplace=True), nn.Conv2d(2 * width, width, 1, bias=False)]
                layers.append(nn.AvgPool2d(2))
            layers += [DenseLayer(width + 32 * place) for place in range(count)]
            width += 32 * count
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.fc = nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or features inside."""
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(self.features(x), 1), 1))


class UNet(nn.Module):
    """Ronneberger et al. 2015, with batch norm and padding."""

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 128, 256, 512, 1024)
        self.down = nn.ModuleList(_pair(cin, cout) for cin, cout in zip((1, *widths), widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in reversed(widths[:-1]))
        self.join = nn.ModuleList(_pair(2 * w, w) for w in reversed(widths[:-1]))
        self.out = nn.Conv2d(64, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or features inside."""
        kept: list[Tensor] = []
        for place, layer in enumerate(self.down):
            x = layer(F.max_pool2d(x, 2) if place else x)
            kept.append(x)
        for up, join, beside in zip(self.up, self.join, reversed(kept[:-1]), strict=True):
            x = join(torch.cat([beside, up(x)], 1))
        return self.out(x)


def _pair(cin: int, cout: int) -> nn.Module:
    layers = [*_conv_norm(cin, cout, 3), nn.ReLU(inplace=True), *_conv_norm(cout, cout, 3), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class TransformerBlock(nn.Module):
    """A block of a vision transformer: queries, keys and values by one layer, heads of fixed width, an MLP.

    Args:
        width: Channels of a token.
        heads: Number of heads.
    """

    def __init__(self, width: int = 96, heads: int = 3) -> None:
        super().__init__()
        self.heads = heads
        self.patches = nn.Conv2d(3, width, 16, stride=16)
        self.norm1, self.qkv, self.proj = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 3, H, W)."""
        x = self.patches(images).flatten(2).transpose(1, 2)
        n, tokens, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return self.head(x.mean(1))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the first with the stride; the shortcut is projected where sizes change."""

    def __init__(self, cin: int, cout: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(*_conv_norm(cin, cout, 3, stride), nn.ReLU(inplace=True), *_conv_norm(cout, cout, 3))
        self.shortcut = None if cin == cout and stride == 1 else nn.Sequential(*_conv_norm(cin, cout, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        """Features."""
        y = self.body(x)
        y += x if self.shortcut is None else self.shortcut(x)
        return F.relu(y, inplace=True)


class ResNet18(nn.Module):
    """He et al. 2016: the stem of 7x7 and a pool, two basic blocks of 64, 128, 256 and 512 channels."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv_norm(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        widths = (64, 64, 128, 256, 512)
        blocks = []
        for stage, (cin, cout) in enumerate(itertools.pairwise(widths)):
            blocks += [BasicBlock(cin, cout, 2 if stage else 1), BasicBlock(cout, cout, 1)]
        self.blocks = nn.Sequential(*blocks)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.fc(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


class ViTTiny(nn.Module):
    """The tiny vision transformer of Touvron et al. 2021 as timm builds it: width 192, 12 blocks of 3 heads.

    Args:
        size: Pixels of a side.
        patch: Pixels of a side of a patch.
        classes: Number of logits.
        channels: Of an image.
        width: Channels of a token.
        blocks: How many.
        heads: Of the attention.
    """

    def __init__(
        self, size: int = 224, patch: int = 16, classes: int = 1000, *, channels: int = 3, width: int = 192,
        blocks: int = 12, heads: int = 3,
    ) -> None:  # fmt: skip
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(AttentionBlock(width, heads) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        return self.head(self.norm(self.blocks(x))[:, 0])


class AttentionBlock(nn.Module):
    """Norm and attention, norm and an MLP of four times the width, each added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.qkv, self.proj = (
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )
        self.norm2, self.up, self.down = (
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 4 * width),
            nn.Linear(4 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N, T, C)."""
        n, tokens, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))
