"""Run by `test_model_file.py`: saving is killed at 20 random moments, and each time a whole file must be left."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn

from linnet.engine.files.model_file import load, save


def network(value):
    net = nn.Sequential(nn.Linear(400, 400), nn.Linear(400, 400))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(value)
    return net


def main():
    torch.set_num_threads(1)
    path = Path(sys.argv[1]) / "net.safetensors"
    networks = [network(1.0), network(2.0)]
    started = time.perf_counter()
    save(networks[0], path)
    wall_s = time.perf_counter() - started
    draw, seen = random.Random(0), set()
    for _ in range(20):
        child = os.fork()
        if child == 0:
            while True:
                for net in networks:
                    save(net, path)
        time.sleep(draw.uniform(0.0, 4 * wall_s))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = load(network(0.0), path)
        values = {float(p.min()) for p in found.parameters()} | {float(p.max()) for p in found.parameters()}
        assert len(values) == 1, values
        seen |= values
    print("whole each time", sorted(seen))


if __name__ == "__main__":
    main()
