"""One of two processes: K-FAC in DDP, and every step(x, y), against one process with the joined batch."""

from contextlib import contextmanager

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from linnet.errors import InputError
from linnet.models import ResNet
from linnet.optim import NaturalGradient
from linnet.optim.natural.kronecker import exact_block, kronecker_block, parallel

STEPS = 5
COUNT = {"found": 0}


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.GroupNorm(2, 6), nn.Tanh(), nn.Conv2d(6, 6, 3, groups=2), nn.Flatten(), nn.Linear(24, 3)
    ).double()


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(12, 2, 6, 6, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 3, (12,), generator=generator)


def make(model, fisher):
    kind = {"fisher": fisher, "damping": 1e-2, "factor_every": 2, "inverse_every": 2, "lr": None, "c": 0.3}
    return NaturalGradient(model, "cross_entropy", "kfac", dense_start=False, **kind)


def train(model, network, fisher, *, part=0, parts=1):
    opt = make(network, fisher)
    for seed in range(STEPS):
        x, y = (v.chunk(parts)[part] for v in batch(seed))
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
    return opt


def counting(invert):
    def counted(*args):
        COUNT["found"] += 1
        return invert(*args)

    return counted


def main():
    references = {}
    for fisher in ("model", "empirical"):
        alone = net()
        references[fisher] = alone, train(alone, alone, fisher)
    dist.init_process_group("gloo")
    kronecker_block.invert, exact_block.invert = counting(kronecker_block.invert), counting(exact_block.invert)
    for fisher, (alone, reference) in references.items():
        compare(fisher, alone, reference)
    for approx in ("exact", "block", "kfac", "unit"):
        compare_by_batch(approx)
    compare_draws()
    train_a_residual_network()
    refuse_dropout()
    print(f"rank {dist.get_rank()} agrees", flush=True)
    dist.destroy_process_group()


def compare(fisher, alone, reference):
    rank, COUNT["found"] = dist.get_rank(), 0
    model = DistributedDataParallel(net())
    opt = train(model, model if rank == 0 else model.module, fisher, part=rank, parts=2)  # the wrapper is seen through
    for (name, p), q in zip(model.module.named_parameters(), alone.parameters(), strict=True):
        error = float((p - q).detach().abs().max() / q.detach().abs().max())
        assert error < 1e-5, (name, error)
    assert abs(opt.alpha / reference.alpha - 1) < 1e-5, (opt.alpha, reference.alpha)
    blocks = opt.state_dict()["natural"]["approximation"]["blocks"]
    mine = [t for block in blocks.values() for t in (block["a"], block.get("b")) if t is not None]
    mine += [block["a_inverse"]["tensors"][0] for block in blocks.values()]
    flat = torch.cat([t.reshape(-1) for t in mine])
    both = [torch.empty_like(flat) for _ in range(2)]
    dist.all_gather(both, flat)
    assert torch.equal(both[0], both[1])
    found = torch.tensor([COUNT["found"]])
    counts = [torch.empty_like(found) for _ in range(2)]
    dist.all_gather(counts, found)
    refreshes, sides = 3, 3 * 2 + 1  # three Kronecker pairs and one exact block, at steps 0, 2 and 4
    assert int(sum(counts)) == refreshes * sides, counts
    assert 0 < int(found) < refreshes * sides


def compare_by_batch(approx):
    """step(x, y) with 7 and 5 of 12 samples is the step with all 12."""
    rank, kind = dist.get_rank(), {"damping": 1e-2, "lr": None, "c": 0.3, "momentum": 0.5}
    alone, own = net(), net()
    joined, parts = (NaturalGradient(m, "cross_entropy", approx, **kind) for m in (alone, own))
    for seed in range(3):
        x, y = batch(seed)
        with one_process():
            expected = joined.step(x, y)
        cut = slice(0, 7) if rank == 0 else slice(7, 12)
        assert abs(parts.step(x[cut], y[cut]) - expected) < 1e-12
    for (name, p), q in zip(own.named_parameters(), alone.parameters(), strict=True):
        error = float((p - q).detach().abs().max() / q.detach().abs().max())
        assert error < 1e-10, (approx, name, error)


@contextmanager
def one_process():
    """What is done inside counts as one process's own work."""
    real = parallel.world
    batch.world = parallel.world = lambda: (0, 1)
    try:
        yield
    finally:
        batch.world = parallel.world = real


def compare_draws():
    """Each process draws other targets for its samples; the generators that are saved stay alike."""
    shared = torch.Generator().manual_seed(3)
    numbers = torch.rand(8, generator=parallel.own_generator(shared), dtype=torch.float64)
    both, states = ([torch.empty_like(part) for _ in range(2)] for part in (numbers, shared.get_state()))
    dist.all_gather(both, numbers)
    dist.all_gather(states, shared.get_state())
    assert float((both[0] - both[1]).abs().min()) > 0
    assert torch.equal(states[0], states[1])


def train_a_residual_network():
    """BatchNorm, bfloat16 autocast, two micro-batches a step and a schedule: it learns, and both stay alike."""
    torch.manual_seed(0)
    model = DistributedDataParallel(ResNet(input_shape=(1, 8, 8), classes=3, depth=8, width=8))
    kind = {"fisher": "sampled", "lr": 0.05, "momentum": 0.9, "kl_clip": 1e-2, "damping": 1e-2}
    opt = NaturalGradient(model, "cross_entropy", "kfac", **kind)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=15, cycle_momentum=False)
    y = torch.arange(24) % 3
    x = torch.randn(24, 1, 8, 8) * 0.5
    x[y == 1, :, :4] += 1
    x[y == 2, :, :, :4] += 1
    mine, losses = slice(dist.get_rank(), None, 2), []
    for _ in range(15):
        opt.zero_grad()
        for some, labels in zip(x[mine].chunk(2), y[mine].chunk(2), strict=True):
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(model(some), labels) / 2
            loss.backward()
        opt.step()
        schedule.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0], losses
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()
    both = [torch.empty_like(flat) for _ in range(2)]
    dist.all_gather(both, flat)
    assert torch.equal(both[0], both[1])


def refuse_dropout():
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)).double()
    x, y = torch.ones(4, 2, dtype=torch.float64), torch.zeros(4, dtype=torch.int64)
    try:
        NaturalGradient(model, "cross_entropy", "kfac", damping=0.1).step(x, y)
    except InputError as error:
        assert "`1`" in str(error), error  # noqa: PT017  no pytest in this process
    else:
        raise AssertionError("active dropout was taken")


main()
