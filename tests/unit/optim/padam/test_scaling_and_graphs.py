"""Padam under a scaler of the loss, and captured in a CUDA graph."""

import math

import pytest
import torch

from linnet.optim import Padam


def test_loss_scaling_works_as_for_every_optimizer():
    x = torch.nn.Parameter(torch.ones(1))
    opt, scaler = Padam([x]), torch.amp.GradScaler("cpu", init_scale=8.0)
    for value in (2.0, math.inf):
        opt.zero_grad()
        scaler.scale((x * value).sum()).backward()
        scaler.step(opt)
        scaler.update()
    y = torch.nn.Parameter(torch.ones(1))
    y.grad = torch.full_like(y, 2.0)
    Padam([y]).step()
    assert torch.equal(x, y)


@pytest.mark.gpu
def test_loss_scaling_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    x = torch.nn.Parameter(torch.ones(3, device="cuda"))
    opt, scaler = Padam([x]), torch.amp.GradScaler("cuda", init_scale=8.0)
    scaler.scale((x * 2).sum()).backward()
    scaler.step(opt)
    assert opt.impl == "foreach"
    assert float(opt.state[x]["exp_avg"][0]) == pytest.approx(0.2)


@pytest.mark.gpu
def test_a_captured_graph_steps_as_the_eager_way():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    x, y = (torch.nn.Parameter(torch.ones(3, device="cuda")) for _ in range(2))
    x.grad, y.grad = torch.full_like(x, 2.0), torch.full_like(y, 2.0)
    opt, eager = Padam([x], capturable=True), Padam([y])
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        opt.step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        opt.step()
    for _ in range(3):
        graph.replay()
    for _ in range(4):
        eager.step()
    torch.testing.assert_close(x, y, rtol=1e-5, atol=0)
