"""Ensembles whose outputs are known."""

import torch
from torch import nn


class Noisy(nn.Module):
    """Members that answer with the inputs plus noise of their own."""

    def __init__(self, members=3, noise=1.0, task="classification", temperature=None):
        super().__init__()
        self.noise, self.count, self.task, self.temperature = noise, members, task, temperature

    def member_outputs(self, x):
        drawn = [torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(k)) for k in range(self.count)]
        return torch.stack([x + self.noise * one for one in drawn])


def answers(samples=200, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (samples,), generator=generator)
    logits = torch.randn(samples, classes, generator=generator)
    logits[torch.arange(samples), labels] += 1.5
    return logits, labels
