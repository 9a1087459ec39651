"""What a zoo graph states about itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

FREE, UNIFORM = "free", "uniform"


@dataclass(frozen=True)
class Entry:
    """A small network and what an edit may do to each of its channel classes.

    Attributes:
        name: Its name.
        make: Builds it (float32, weights by the caller's random seed).
        shape: Size of the example.
        states: Class name -> "free", "uniform" or words of the reason why it is frozen.
        sizes: Class name -> number of channels, where it isn't obvious.
        balanced: Sets of classes whose sums must stay equal (parts of a split).
        exact: Narrowing equals masking to the last bit.
        tokens: Vocabulary size when the example is integers.
    """

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    states: Mapping[str, str]
    sizes: Mapping[str, int] = field(default_factory=dict)
    balanced: tuple[tuple[str, ...], ...] = ()
    tokens: int = 0

    def example(self, samples: int = 2, *, dtype: torch.dtype = torch.float32) -> Any:
        """Random inputs."""
        if self.tokens:
            return torch.randint(0, self.tokens, (samples, *self.shape))
        return torch.randn(samples, *self.shape, dtype=dtype)

    def model(self, *, dtype: torch.dtype = torch.float32, rng_seed: int = 0) -> nn.Module:
        """The network in eval mode with norms that do something."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng_seed)
            model = self.make()
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                if tensor.is_floating_point() and tensor.ndim == 1:
                    low, high = (0.5, 1.5) if name.endswith(("var", "weight")) else (-0.5, 0.5)
                    nn.init.uniform_(tensor, low, high) if tensor.requires_grad else tensor.uniform_(low, high)
        return model.to(dtype).eval()


INPUT, OUTPUT = "model's input", "model's output"
