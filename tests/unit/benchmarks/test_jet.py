"""The benchmark of jets: counts by the formulas, rows with goals, the same work on both sides."""

import numpy as np
import pytest
import torch

from benchmarks.jet import bank, cortex, sizes, subject
from benchmarks.jet.networks import compiled, frame_of, one_conv, small_net
from linnet.jet import BinaryConv2d, JetConv2d, freeze
from linnet.jet.verification.cortex import missing_cortex
from tests.unit.jet.c.needs_compiler import needs_compiler


def test_operations_have_their_goal_and_both_other_counts():
    records = sizes.operations(quick=True)
    row = next(r for r in records if r.name == "jet.operations.16.16")
    assert row.value >= row.context["least"] == 9.0
    assert {r.name for r in records} >= {"jet.operations.16.16.adds_only", "jet.operations.16.16.bit_weighted"}
    software = {"conv", "held", "net", "training", "tools", "flash", "operations", "cortex", "bank"}
    assert set(subject.SUBJECT.parts) == software | {
        "lut",
        "lut_da4ml",
        "lut_large",
        "lut_shared",
        "lut_xc7",
        "clock",
        "clock_boards",
        "clock_mnist",
    }


@needs_compiler
def test_jets_by_bank_give_the_bits_of_the_composed_kernels():
    if not bank.paths():
        pytest.skip("the bank is written for AVX2, which this CPU lacks")
    assert set(bank.callers()) >= {"bank", "avx2"}  # equal results are asserted there


@pytest.mark.skipif(bool(missing_cortex()), reason=missing_cortex() or "a compiler and QEMU are here")
def test_the_core_counts_instructions_of_the_same_int8_network_written_twice():
    plain, dsp = cortex.int8(plain=True), cortex.int8(plain=False)
    assert plain.check == dsp.check
    assert dsp.instructions < plain.instructions < 4e6
    binary = cortex.binarized(BinaryConv2d)
    assert 1e5 < binary.instructions < plain.instructions
    assert binary.flash < dsp.flash
    assert binary.ram < dsp.ram


@needs_compiler
def test_the_timed_programs_compute_what_the_references_do():
    program, _ = one_conv(8, jets=True)
    frame = frame_of(program)
    assert torch.equal(compiled(program).run(frame), program.run(frame))


@pytest.mark.parametrize("kind", [JetConv2d, BinaryConv2d])
def test_the_rival_computes_the_same_scores(kind):
    rivals = pytest.importorskip("benchmarks.jet.rivals", reason="the rival needs the onnx extra")
    net = small_net(kind, (8,))
    frames = torch.randint(0, 256, (1, 1, 28, 28))
    program = freeze(net, frames)
    scores = rivals.float_net(net, 28)(frames.float().numpy())
    np.testing.assert_allclose(scores, program.logits(frames).numpy(), rtol=1e-4, atol=1e-3)


def test_the_page_and_the_readme_say_what_the_records_say():
    from benchmarks import readme
    from benchmarks.jet import page
    from benchmarks.page import filled

    assert page.PAGE.current() == page.PAGE.text()
    assert page.HARDWARE_PAGE.current() == page.HARDWARE_PAGE.text()
    shown = readme.page().current()
    assert filled(shown, "jet", page.readme_rows()) == shown


@needs_compiler
def test_the_code_of_the_page_on_c_runs(tmp_path, monkeypatch):
    import re

    from benchmarks import DOCS

    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", (DOCS / "howto" / "jet_c.md").read_text(), re.DOTALL))
    exec(compile(code, "jet_c.md", "exec"), {})
