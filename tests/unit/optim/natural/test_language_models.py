"""Language models with a tied head or an LSTM train with the defaults, and further than with AdamW at its own."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.optim import NaturalGradient


class Tied(nn.Module):
    """The head has the weight of the table, which is too large for an exact block."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(300, 16), nn.Linear(16, 300, bias=False)
        self.mix = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
        self.head.weight = self.table.weight

    def forward(self, x):
        return self.head(self.mix(self.table(x)))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.memory = nn.Embedding(300, 16), nn.LSTM(16, 16, batch_first=True)
        self.head = nn.Linear(16, 300)

    def forward(self, x):
        return self.head(self.memory(self.table(x))[0])


def loss_after(model, optimizer, steps=60):
    """Mean loss of the last ten steps."""
    draw, losses = torch.Generator().manual_seed(0), []
    for _ in range(steps):
        x = torch.randint(0, 300, (16, 8), generator=draw)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), ((x * 7 + 1) % 300).flatten())
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses[-10:]) / 10


@pytest.mark.parametrize("kind", [Tied, Recurrent])
@pytest.mark.parametrize("rule", ["adam", "padam"])
def test_a_tied_head_or_an_lstm_follows_the_side_rule_and_trains_further_than_with_adamw(kind, rule):
    ends = {}
    for name in ("ours", "adamw"):
        torch.manual_seed(0)
        model = kind()
        if name == "adamw":
            ends[name] = loss_after(model, torch.optim.AdamW(model.parameters()))
            continue
        opt = NaturalGradient(model, "cross_entropy", "kfac", uncovered=rule)
        ends[name] = loss_after(model, opt)
        left = opt.report().uncovered
        assert all(why.endswith(f"it follows {rule.capitalize()}") for why in left.values())
        assert ("table.weight" if kind is Tied else "memory.weight_hh_l0") in left
        assert set(left) | set(opt.report().covered) == {name for name, _ in model.named_parameters()}
    assert ends["ours"] < ends["adamw"]
