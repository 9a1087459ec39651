"""`loss.backward(); opt.step()` with K-FAC under autocast and with a scaler of the loss."""

import pytest
import torch
import torch.nn.functional as F

from linnet.models import ResNet
from tests.unit.optim.natural.kronecker.test_backward_hook import assert_same, batch, cnn, everyday, make


def test_a_resnet_with_batch_norm_learns_under_autocast_accumulation_and_a_schedule():
    torch.manual_seed(0)
    model = ResNet(input_shape=(1, 8, 8), classes=3, depth=8, width=8)
    opt = make(model, fisher="sampled", lr=0.05, momentum=0.9, weight_decay=1e-3, kl_clip=1e-2, damping=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=25, cycle_momentum=False)
    y = torch.arange(24) % 3
    x = torch.randn(24, 1, 8, 8) * 0.5
    x[y == 1, :, :4] += 1
    x[y == 2, :, :, :4] += 1
    losses = []
    for _ in range(25):
        opt.zero_grad()
        for some, labels in zip(x.chunk(2), y.chunk(2), strict=True):
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(model(some), labels) / 2
            loss.backward()
        opt.step()
        schedule.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 < losses[0]
    assert all(p.dtype == torch.float32 for p in model.parameters())
    report = opt.report()
    assert set(report.covered) | set(report.uncovered) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("fisher", ["model", "empirical"])
def test_bfloat16_autocast_gives_the_factors_of_float32(fisher):
    factors = []
    for enabled in (False, True):
        model = cnn(torch.float32)
        opt = make(model, fisher=fisher)
        x, y = batch(dtype=torch.float32, samples=32)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        blocks = opt.state_dict()["natural"]["approximation"]["blocks"]
        factors.append([m for block in blocks.values() for m in (block["a"], block["b"])])
    for exact, half in zip(*factors, strict=True):
        assert half.dtype == torch.float32
        assert float((exact - half).norm() / exact.norm()) < 0.02  # measured: at most 0.008


@pytest.mark.parametrize("fisher", ["sampled", "empirical"])
def test_a_grad_scaler_leaves_the_step_as_it_is(fisher):
    model, twin = cnn(), cnn()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    opt, other = make(model, fisher=fisher, scaler=scaler, lr=None), make(twin, fisher=fisher, lr=None)
    for seed in range(3):
        x, y = batch(seed=seed)
        opt.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        scaler.step(opt)
        scaler.update()
        everyday(twin, other, x, y)
        assert_same(model, twin, 1e-11)
        assert abs(opt.alpha / other.alpha - 1) < 1e-10
