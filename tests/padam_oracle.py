"""Padam once more, in numpy and long double: one array, the lines of its definition, nothing of the package."""

import numpy as np

REAL = np.longdouble


class Oracle:
    def __init__(self, x, **settings):
        self.x = np.asarray(x, REAL)
        self.m, self.v, self.u = (np.zeros_like(self.x) for _ in range(3))
        self.t = 0
        self.settings = {
            "lr": 0.1,
            "betas": (0.9, 0.999),
            "p": 0.125,
            "eps": 1e-8,
            "weight_decay": 0.0,
            "decoupled": False,
            "amsgrad": True,
            "bias_correction": "official",
            "maximize": False,
        } | settings

    def step(self, g, **changed):
        s = self.settings = self.settings | changed
        lr, p, eps, wd = (np.asarray(s[name], REAL) for name in ("lr", "p", "eps", "weight_decay"))
        b1, b2 = (REAL(beta) for beta in s["betas"])
        g = np.asarray(g, REAL)
        self.t += 1
        if s["maximize"]:
            g = -g
        if not s["decoupled"]:
            g = g + wd * self.x
        else:
            self.x = self.x * (1 - lr * wd)
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g * g
        self.u = np.maximum(self.u, self.v) if s["amsgrad"] else self.v
        c1, c2, root = 1 - b1**self.t, 1 - b2**self.t, np.sqrt(self.u)
        if s["bias_correction"] == "official":
            base, k = root + eps, lr * np.sqrt(c2) / c1
        elif s["bias_correction"] == "power":
            base, k = root / np.sqrt(c2) + eps, lr / c1
        else:
            base, k = root + eps, lr
        d = np.where(p == 0, 1, base ** (2 * p))
        self.x = self.x - np.where(d == 0, 0, k * self.m / np.where(d == 0, 1, d))
        return self.x
