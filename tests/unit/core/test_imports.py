"""What importing the core loads."""

import subprocess
import sys


def test_core_loads_nothing_beyond_torch_and_numpy():
    code = (
        "import sys, torch, numpy; before = set(sys.modules); import linnet.core;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names);"
        "sys.exit(str(new - {'linnet', 'torch', 'numpy'}) if new - {'linnet', 'torch', 'numpy'} else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr


def test_recording_loads_no_compiler():
    code = (
        "import sys, torch\n"
        "from torch import nn\n"
        "from linnet.core import ChannelGraph, cost\n"
        "layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 4)\n"
        "net = nn.Sequential(*layers)\n"
        "ChannelGraph(net, torch.zeros(1, 3, 8, 8)), cost(net, torch.zeros(1, 3, 8, 8))\n"
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
