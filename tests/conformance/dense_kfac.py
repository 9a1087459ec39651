"""K-FAC written out with dense P x P matrices and one autograd call for every output: slow, and nothing shared."""

import torch
import torch.nn.functional as F
from torch import nn

from linnet.core.capture.layers.scaled import ScaledLinear

MATRIX = (nn.Linear, nn.Conv1d, nn.Conv2d)


def cotangents(f, loss):
    """Columns of R_n for each sample, (N, K, C)."""
    if loss == "mse":
        return torch.eye(f.shape[1], dtype=f.dtype).expand(len(f), -1, -1)
    p = f.softmax(1)
    root = torch.diag_embed(p.sqrt()) - p.unsqueeze(2) * p.sqrt().unsqueeze(1)
    return root.mT


def patches(layer, h):
    """Input vectors by position, (N, groups, S, I), by torch's own unfold."""
    if isinstance(layer, ScaledLinear):
        h = h * layer.weight_scale
    if isinstance(layer, nn.Linear):
        return h.reshape(len(h), 1, -1, h.shape[-1])
    if isinstance(layer, nn.Conv1d):
        h = h.unsqueeze(2)
        kernel, stride = (1, layer.kernel_size[0]), (1, layer.stride[0])
        padding, dilation = (0, layer.padding[0]), (1, layer.dilation[0])
    else:
        kernel, stride, padding, dilation = layer.kernel_size, layer.stride, layer.padding, layer.dilation
    columns = F.unfold(h, kernel, dilation=dilation, padding=padding, stride=stride)
    return columns.reshape(len(h), layer.groups, -1, columns.shape[2]).mT


def by_position(layer, g):
    """Output gradients by position, (N, groups, S, O)."""
    if isinstance(layer, nn.Linear):
        return g.reshape(len(g), 1, -1, g.shape[-1])
    return g.reshape(len(g), layer.groups, g.shape[1] // layer.groups, -1).mT


def forward(model, x):
    """Outputs, and for each module path the (input, output) of its calls."""
    calls, handles = {}, []
    for path, module in model.named_modules():
        if isinstance(module, MATRIX):
            keep = calls.setdefault(path, [])
            handles.append(module.register_forward_hook(lambda m, i, o, keep=keep: keep.append((i[0], o))))
    f = model(x)
    for handle in handles:
        handle.remove()
    return f, calls


def factors(layer, calls, f, ways, *, sharing="expand"):
    """A (groups, I, I) and B (groups, O, O), without damping, one output at a time."""
    samples, count = len(f), 0
    a_sum = b_sum = 0.0
    for h, out in calls:
        a = patches(layer, h.detach())
        if layer.bias is not None:
            one = layer.bias_scale if isinstance(layer, ScaledLinear) else 1.0
            a = torch.cat([a, torch.full_like(a[..., :1], one)], dim=-1)
        if sharing == "reduce":
            a = a.mean(2, keepdim=True)
        count += a.shape[2]
        a_sum = a_sum + torch.einsum("ngsi,ngsj->gij", a, a)
        for n in range(samples):
            for k in range(ways.shape[1]):
                (g,) = torch.autograd.grad((f[n] * ways[n, k]).sum(), out, retain_graph=True)
                v = by_position(layer, g)
                if sharing == "reduce":
                    v = v.sum(2, keepdim=True)
                b_sum = b_sum + torch.einsum("ngso,ngsp->gop", v, v)
    return a_sum / samples, b_sum / (samples * count)


def kfac_direction(model, x, r, loss, rho, *, sharing="expand", lone=()):
    """(F_kfac + damping)^-1 grad by parameter, by dense solves.

    Args:
        model: float64; parameters that aren't of a matrix layer are in exact blocks, one for each module.
        x: Inputs.
        r: N times the gradient of the loss in f.
        loss: "mse" or "cross_entropy".
        rho: Damping, above 0.
        sharing: "expand" or "reduce".
        lone: Paths of matrix layers whose weight is in an exact block as well.
    """
    f, calls = forward(model, x)
    ways, samples = cotangents(f.detach(), loss), len(x)
    names = {id(p): name for name, p in model.named_parameters()}
    value = (f * r).sum() / samples
    grads = dict(
        zip(names.values(), torch.autograd.grad(value, list(model.parameters()), retain_graph=True), strict=True)
    )
    result = {}
    for path, module in model.named_modules():
        own = {
            name: p for name, p in ((names[id(p)], p) for p in module.parameters(recurse=False)) if name not in result
        }
        if not own:
            continue
        if isinstance(module, MATRIX) and path not in lone:
            a, b = factors(module, calls[path], f, ways, sharing=sharing)
            result |= kronecker_solve(module, names, grads, a, b, rho)
            continue
        rows = []
        for n in range(samples):
            for k in range(ways.shape[1]):
                found = torch.autograd.grad((f[n] * ways[n, k]).sum(), list(own.values()), retain_graph=True)
                rows.append(torch.cat([g.reshape(-1) for g in found]))
        j = torch.stack(rows)
        flat = torch.cat([grads[name].reshape(-1) for name in own])
        moved = torch.linalg.solve(j.T @ j / samples + rho * torch.eye(j.shape[1], dtype=j.dtype), flat)
        pieces = moved.split([p.numel() for p in own.values()])
        result |= {name: piece.view(p.shape) for (name, p), piece in zip(own.items(), pieces, strict=True)}
    return result


def kronecker_solve(module, names, grads, a, b, rho):
    """Solves with kron(B + rho_B, A + rho_A) written out, group by group."""
    weight, groups = module.weight, len(a)
    v = grads[names[id(weight)]].reshape(groups, b.shape[1], -1)
    if module.bias is not None:
        v = torch.cat([v, grads[names[id(module.bias)]].reshape(groups, -1, 1)], dim=2)
    solved = []
    for group in range(groups):
        pi = ((a[group].trace() / len(a[group])) / (b[group].trace() / len(b[group]))).sqrt()
        left = b[group] + rho**0.5 / pi * torch.eye(len(b[group]), dtype=b.dtype)
        right = a[group] + rho**0.5 * pi * torch.eye(len(a[group]), dtype=a.dtype)
        solved.append(torch.linalg.solve(torch.kron(left, right), v[group].reshape(-1)).view_as(v[group]))
    moved = torch.stack(solved)
    if module.bias is None:
        return {names[id(weight)]: moved.reshape(weight.shape)}
    return {
        names[id(weight)]: moved[:, :, :-1].reshape(weight.shape),
        names[id(module.bias)]: moved[:, :, -1].reshape(-1),
    }
