"""Small tensors that step together: as each would alone, whatever shares the pack."""

import subprocess
import sys

import pytest
import torch

import linnet.optim
from linnet.optim import Padam
from linnet.optim.padam.kernels import blocked as blocked_module
from linnet.optim.padam.kernels.blocked import blocked_step, can_pack, packs
from linnet.optim.padam.kernels.loop import loop_step
from linnet.optim.padam.numbers import Slot, numbers_of

SIZES = (3, 0, 5, 64, 1, 30, 33)
SETTINGS = [
    {},
    {"p": 0.0, "weight_decay": 0.1},
    {"p": 0.4, "bias_correction": "power", "maximize": True},
    {"weight_decay": 0.1, "maximize": True, "amsgrad": False},
    {"weight_decay": 0.1, "decoupled": True, "eps": 0.0, "bias_correction": "none"},
]


def slots(dtype=torch.float64, *, amsgrad=True):
    draw = torch.Generator().manual_seed(0)
    found = []
    for size in SIZES:
        x, g, m = (torch.randn(size, generator=draw, dtype=torch.float64).to(dtype) for _ in range(3))
        v, u = (torch.rand(size, generator=draw, dtype=torch.float64).to(dtype) for _ in range(2))
        found.append(Slot(x, g, m, v, u if amsgrad else v))
    return found


def stepped(way, settings):
    group = Padam([torch.zeros(1, requires_grad=True)], **settings).param_groups[0]
    mixed = [*slots(amsgrad=group["amsgrad"]), *slots(torch.float32, amsgrad=group["amsgrad"])]
    way(mixed, numbers_of(group, 3))
    return mixed


@pytest.mark.filterwarnings("ignore:Padam's convergence theory")
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("block", [1, 33, 64, 1000])
def test_a_pack_steps_as_its_tensors_do_alone(settings, block):
    alone = stepped(loop_step, settings)
    together = stepped(lambda slots, numbers: blocked_step(slots, numbers, block=block), settings)
    for ours, wanted in zip(together, alone, strict=True):
        tolerance = 1e-13 if wanted.x.dtype is torch.float64 else 1e-6
        torch.testing.assert_close(ours[:5], wanted[:5], rtol=tolerance, atol=tolerance)


def test_packs_hold_every_tensor_once_and_stay_in_the_block():
    mixed = [*slots(), *slots(torch.float32), *slots(amsgrad=False)]
    found = list(packs(mixed, 64))
    assert sorted(id(slot) for pack in found for slot in pack) == sorted(map(id, mixed))
    assert all(sum(slot.x.numel() for slot in pack) <= 64 for pack in found)
    assert all(len({(slot.m.dtype, slot.u is slot.v) for slot in pack}) == 1 for pack in found)
    assert len(found) < len(mixed) / 2


def test_what_cannot_share_a_pack():
    group = Padam([torch.zeros(1, requires_grad=True)]).param_groups[0]
    whole, numbers = slots()[0], numbers_of(group, 3)
    assert can_pack(whole, numbers)
    assert not can_pack(whole._replace(g=whole.g.float()), numbers)
    assert not can_pack(whole._replace(x=whole.x.bfloat16()), numbers)
    assert not can_pack(slots()[1], numbers)  # empty
    assert not can_pack(whole, numbers_of(group, torch.tensor([3.0])))
    assert not can_pack(whole, numbers_of(group | {"lr": torch.tensor(0.1)}, torch.tensor(3.0)))


def test_the_comparison_sees_a_planted_fault(monkeypatch):
    monkeypatch.setattr(blocked_module, "_denominator_", lambda u, numbers: u.sqrt_())
    with pytest.raises(AssertionError):
        test_a_pack_steps_as_its_tensors_do_alone({}, 1000)


def test_padam_does_not_wait_for_natural_gradients_and_compiling():
    late = "('natural', 'kfac', 'compiled', 'prediction')"
    code = f"import sys, linnet.optim.padam; print([m for m in {late} if 'linnet.optim.' + m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_an_unknown_name_is_refused_with_the_known_ones():
    assert dir(linnet.optim) == sorted(linnet.optim.__all__)
    with pytest.raises(AttributeError, match=r"`Adam`.*Padam"):
        _ = linnet.optim.Adam
