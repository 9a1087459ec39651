import torch

from linnet.jet.straight_through import sign_activation, sign_latent


def gradient(function, values, upstream=1.0):
    x = torch.tensor(values, requires_grad=True)
    (function(x) * upstream).sum().backward()
    return x.grad.tolist()


def test_zero_of_either_sign_is_positive():
    assert sign_activation(torch.tensor([-1e-30, -0.0, 0.0, 3.0])).tolist() == [-1, 1, 1, 1]


def test_an_activation_passes_the_gradient_inside_one():
    assert gradient(sign_activation, [-1.5, -1.0, 0.0, 1.0, 1.0000001]) == [0, 1, 1, 1, 0]
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        x = torch.tensor([1.0, 1.0 + torch.finfo(dtype).eps, -1.0], dtype=dtype, requires_grad=True)
        sign_activation(x).sum().backward()
        assert x.grad.tolist() == [1, 0, 1]


def test_a_latent_outside_gets_only_the_gradient_that_brings_it_back():
    assert gradient(sign_latent, [-1.5, 0.5, 1.5]) == [0, 1, 1]
    assert gradient(sign_latent, [-1.5, 0.5, 1.5], upstream=-1.0) == [-1, -1, 0]


def test_a_latent_that_momentum_carried_out_returns():
    latent = torch.nn.Parameter(torch.tensor([1.5]))
    optimizer = torch.optim.SGD([latent], lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        sign_latent(latent).sum().backward()  # descent makes it smaller
        optimizer.step()
    assert latent.item() < 0


def test_the_signs_have_a_vmap_rule():
    x = torch.randn(3, 4)
    grads = torch.func.vmap(torch.func.grad(lambda row: sign_latent(row).sum()))(x)
    assert torch.equal(grads, torch.where(x.abs() <= 1, 1.0, (x > 0).float()))
    grads = torch.func.vmap(torch.func.grad(lambda row: sign_activation(row).sum()))(x)
    assert torch.equal(grads, (x.abs() <= 1).float())
