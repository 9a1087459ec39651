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
