"""Trains a small network of jets in an ordinary loop, freezes it, proves it, and writes the program and its C.

    python examples/train_jet.py --data DATA --out runs/jet      # fashion_mnist lies in DATA
    python examples/train_jet.py --out runs/jet                  # scikit-learn's digits: seconds

The program that comes with linnet (`linnet jet show fashion`) was made by it.
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from linnet.data import digits, fashion_mnist, hold_out
from linnet.jet import BinaryLinear, JetConv2d, Sign, freeze, parameter_groups
from linnet.jet.verification.c_builds import missing_c


def network(side: int, width: int) -> nn.Sequential:
    """Two jet layers, each with pooling, batch norm and sign, and a linear layer of +-1 weights."""
    return nn.Sequential(
        JetConv2d(1, width, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(width, momentum=0.3),
        Sign(),
        JetConv2d(width, 2 * width, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(2 * width, momentum=0.3),
        Sign(),
        nn.Flatten(),
        BinaryLinear(2 * width * (side // 4) ** 2, 10),
        nn.BatchNorm1d(10, momentum=0.3),
    )


def main() -> None:
    """Trains, freezes, verifies and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds fashion_mnist; without it: scikit-learn's digits")
    parser.add_argument("--out", type=Path, default=Path("runs/jet"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--width", type=int, default=8)
    asked = parser.parse_args()
    if asked.data is None:
        train, test = hold_out(digits(), 0.25, rng_seed=0)
    else:
        train, test = (fashion_mnist(split, root=asked.data / "fashion_mnist") for split in ("train", "test"))

    torch.manual_seed(0)
    net = network(train.images.shape[-1], asked.width)
    optimizer = torch.optim.Adam(parameter_groups(net, lr=0.1), betas=(0.5, 0.99))
    batches = -(-len(train) // 100)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, asked.epochs * batches)
    for epoch in range(asked.epochs):
        net.train()
        for index in torch.randperm(len(train)).split(100):
            images = train.images[index].float() * (2 / 255) - 1
            optimizer.zero_grad()
            loss = functional.cross_entropy(net(images), train.labels[index])
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")

    program = freeze(net.eval(), train.images[:64], pixels=(2 / 255, -1.0))
    accuracy = (program.predict(test.images) == test.labels).float().mean()
    print(program)
    print(f"accuracy on {len(test)} test images: {accuracy:.4f}")
    print(program.verify(test.images[:100], backends=[] if missing_c() else ["c"], thorough=False))
    asked.out.mkdir(parents=True, exist_ok=True)
    print(program.save(asked.out / "program.safetensors"))
    program.to_c(asked.out / "c", overwrite=True)


if __name__ == "__main__":
    main()
