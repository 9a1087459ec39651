"""What is kept of measurements, and where."""

import json
import logging
import sys

import pytest

from linnet.errors import MissingExtra
from linnet.prune import Budget
from linnet.prune.latency.cache import Measured, cache_folder
from linnet.prune.latency.kernel import Kernel

TORCH = Budget(latency_ms=1, runtime="torch")
KERNEL = Kernel("product", (), (), (), (), (), transposed=False, groups=1, extent=(2,))


@pytest.fixture(autouse=True)
def _seconds(monkeypatch):
    taken = iter(range(1, 100))
    monkeypatch.setattr("linnet.prune.latency.cache.quickest", lambda call: next(taken) * 1e-3)


def test_the_folder_is_the_one_that_the_user_set(monkeypatch, tmp_path):
    monkeypatch.setenv("LINNET_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("LINNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "linnet"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "linnet"


def test_each_kernel_is_timed_once_and_an_empty_call_is_taken_off(tmp_path):
    times = Measured(TORCH, tmp_path)
    assert times.kernel_ns(KERNEL, 4, 4) == pytest.approx(1e6)  # the empty call took 1 ms, the kernel 2 ms
    assert times.kernel_ns(KERNEL, 4, 4) == pytest.approx(1e6)
    assert times.kernel_ns(KERNEL, 4, 8) == pytest.approx(2e6)
    assert times.taken == 2


def test_a_second_process_reads_what_the_first_wrote(tmp_path):
    first = Measured(TORCH, tmp_path)
    ns = first.kernel_ns(KERNEL, 4, 4)
    first.keep_network("net", (8, 16), 5e6)
    first.save()
    second = Measured(TORCH, tmp_path)
    assert second.kernel_ns(KERNEL, 4, 4) == ns
    assert second.networks("net") == {(8, 16): 5e6}
    assert second.taken == 0
    assert Measured(Budget(latency_ms=1, runtime="torch", threads=2), tmp_path).networks("net") == {}


def test_two_that_write_keep_what_both_measured(tmp_path):
    first, second = Measured(TORCH, tmp_path), Measured(TORCH, tmp_path)
    first.keep_network("net", (8,), 1e6)
    second.keep_network("net", (16,), 2e6)
    first.save()
    second.save()
    assert Measured(TORCH, tmp_path).networks("net") == {(8,): 1e6, (16,): 2e6}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 1, "kernels": {"a": "x"}}'])
def test_a_damaged_file_is_measured_again(tmp_path, content, caplog):
    times = Measured(TORCH, tmp_path)
    times.path.parent.mkdir(parents=True)
    times.path.write_text(content)
    with caplog.at_level(logging.WARNING):
        again = Measured(TORCH, tmp_path)
    assert str(times.path) in caplog.text
    again.kernel_ns(KERNEL, 1, 1)
    again.save()
    assert len(json.loads(times.path.read_text())["kernels"]) == 1


def test_a_folder_that_can_not_be_written_is_said_and_no_error(tmp_path, caplog):
    (tmp_path / "latency").write_text("a file in the way")
    times = Measured(TORCH, tmp_path)
    times.kernel_ns(KERNEL, 1, 1)
    with caplog.at_level(logging.WARNING):
        times.save()
    assert str(times.path) in caplog.text


def test_a_runtime_that_is_not_installed_names_the_line_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r'onnxruntime.*pip install "linnet\[onnx\]"'):
        Measured(Budget(latency_ms=1), tmp_path)
