"""Laws of Padam for random shapes, layouts and settings."""

import io

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.optim import Padam
from linnet.optim.padam.kernels.blocked import blocked_step, blocks_of
from linnet.optim.padam.kernels.foreach import foreach_step
from linnet.optim.padam.kernels.loop import loop_step
from linnet.optim.padam.numbers import Slot, numbers_of
from tests.padam_oracle import Oracle

SETTINGS = st.fixed_dictionaries(
    {
        "lr": st.sampled_from([0.0, 1e-3, 0.1]),
        "betas": st.sampled_from([(0.9, 0.999), (0.0, 0.99), (0.5, 0.9), (0.3, 0.5)]),
        "p": st.sampled_from([0.0, 1 / 16, 1 / 8, 3 / 16, 0.2, 1 / 4, 3 / 8, 0.45]),
        "eps": st.sampled_from([0.0, 1e-8, 1e-2]),
        "weight_decay": st.sampled_from([0.0, 0.1]),
        "decoupled": st.booleans(),
        "amsgrad": st.booleans(),
        "bias_correction": st.sampled_from(["official", "power", "none"]),
        "maximize": st.booleans(),
    }
).filter(lambda s: s["betas"][0] < s["betas"][1] ** (2 * s["p"]))
SHAPES = st.lists(st.sampled_from([(), (0,), (5,), (3, 4), (2, 3, 2, 2)]), min_size=1, max_size=3)
LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.transpose(0, -1).contiguous().transpose(0, -1) if x.ndim > 1 else x,
    "strided": lambda x: torch.stack([x, x], -1)[..., 0],
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x,
}


def tensors(shapes, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def course(shapes, chosen, steps=3, *, impl="loop", seed=0, dtype=torch.float64):
    xs = [torch.nn.Parameter(x) for x in tensors(shapes, seed, dtype)]
    opt = Padam(xs, impl=impl, **chosen)
    drive(opt, xs, shapes, range(steps), dtype)
    return xs, opt


def drive(opt, xs, shapes, steps, dtype=torch.float64):
    for t in steps:
        for x, g in zip(xs, tensors(shapes, 100 + t, dtype), strict=True):
            x.grad = g
        opt.step()


@settings(deadline=None, max_examples=60)
@given(chosen=SETTINGS, shapes=SHAPES, impl=st.sampled_from(["loop", "blocked", "foreach"]))
def test_it_is_the_oracle(chosen, shapes, impl):
    xs, _ = course(shapes, chosen, impl=impl)
    for index, (x, start) in enumerate(zip(xs, tensors(shapes, 0), strict=True)):
        oracle = Oracle(start.numpy(), **chosen)
        for t in range(3):
            oracle.step(tensors(shapes, 100 + t)[index].numpy())
        np.testing.assert_allclose(x.detach().numpy(), oracle.x.astype(float), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    chosen=SETTINGS,
    layout=st.sampled_from(sorted(LAYOUTS)),
    g_layout=st.sampled_from(sorted(LAYOUTS)),
    block=st.integers(1, 80),
)
def test_layouts_and_block_sizes_change_nothing(chosen, layout, g_layout, block):
    shape = (2, 3, 4, 3)
    start, g = tensors([shape, shape], 0)
    group = Padam([start.clone().requires_grad_()], **chosen).param_groups[0]
    ends = []
    for way, x, gradient in (
        (loop_step, start.clone(), g),
        (
            lambda slots, numbers: blocked_step(slots, numbers, block=block),
            LAYOUTS[layout](start.clone()),
            LAYOUTS[g_layout](g),
        ),
        (
            lambda slots, numbers: foreach_step(slots, numbers, chunk_bytes=1),
            LAYOUTS[layout](start.clone()),
            LAYOUTS[g_layout](g),
        ),
    ):
        m, v, u = (torch.zeros_like(x) for _ in range(3))
        slot = Slot(x, gradient, m, v, u if group["amsgrad"] else v)
        for t in (1, 2):
            way([slot], numbers_of(group, t))
        ends.append(x)
    torch.testing.assert_close(ends[1].contiguous(), ends[0], rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(ends[2].contiguous(), ends[0], rtol=1e-13, atol=1e-13)


@settings(deadline=None)
@given(size=st.integers(0, 70), block=st.integers(1, 70), amsgrad=st.booleans())
def test_blocks_cover_every_element_once(size, block, amsgrad):
    x = torch.arange(float(size))
    v = torch.zeros(size)
    slot = Slot(x, x, torch.zeros(size), v, torch.zeros(size) if amsgrad else v)
    parts = list(blocks_of(slot, block))
    assert torch.equal(torch.cat([part.x for part in parts]), x)
    assert all(part.x.numel() <= block for part in parts)
    assert all((part.u is part.v) is not amsgrad for part in parts)


@settings(deadline=None, max_examples=40)
@given(
    chosen=SETTINGS,
    shapes=SHAPES,
    at=st.integers(0, 4),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    impl=st.sampled_from(["loop", "blocked", "foreach"]),
)
def test_saved_and_loaded_at_any_step_it_goes_on_bit_for_bit(chosen, shapes, at, dtype, impl):
    whole, _ = course(shapes, chosen, 5, impl=impl, dtype=dtype)
    xs, opt = course(shapes, chosen, at, impl=impl, dtype=dtype)
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    again = Padam(xs, impl=impl)
    again.load_state_dict(torch.load(file, weights_only=True))
    drive(again, xs, shapes, range(at, 5), dtype)
    assert all(torch.equal(x, y) for x, y in zip(xs, whole, strict=True))


@settings(deadline=None, max_examples=40)
@given(chosen=SETTINGS, impl=st.sampled_from(["loop", "blocked", "foreach"]), data=st.data())
def test_order_of_parameters_changes_nothing(chosen, impl, data):
    shapes = [(5,), (3, 4), ()]
    order = data.draw(st.permutations(range(3)))
    starts, grads = tensors(shapes, 0), tensors(shapes, 1)
    ends = []
    for indices in (range(3), order):
        xs = {index: torch.nn.Parameter(starts[index].clone()) for index in indices}
        opt = Padam(xs.values(), impl=impl, **chosen)
        for _ in range(2):
            for index, x in xs.items():
                x.grad = grads[index]
            opt.step()
        ends.append([xs[index] for index in range(3)])
    assert all(torch.equal(x, y) for x, y in zip(*ends, strict=True))


@settings(deadline=None, max_examples=40)
@given(chosen=SETTINGS, c=st.sampled_from([1e-3, 0.7, 50.0]), impl=st.sampled_from(["loop", "blocked", "foreach"]))
def test_the_scale_law(chosen, c, impl):
    chosen = chosen | {"eps": 0.0, "weight_decay": 0.0}
    moves = []
    for factor in (1.0, c):
        x = torch.nn.Parameter(torch.zeros(6, dtype=torch.float64))
        opt = Padam([x], impl=impl, **chosen)
        for t in range(3):
            x.grad = factor * tensors([(6,)], t)[0]
            opt.step()
        moves.append(x.detach())
    torch.testing.assert_close(moves[1], moves[0] * c ** (1 - 2 * chosen["p"]), rtol=1e-11, atol=1e-16)
