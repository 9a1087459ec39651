import pytest
import torch
from torch import nn

from linnet.errors import BudgetError, InputError
from linnet.jet import JetConv2d, Sign, freeze
from linnet.jet.synthesis import synthesis
from linnet.jet.synthesis.cells import Cells, counted, mapped
from linnet.jet.synthesis.devices import DEVICES
from linnet.jet.synthesis.harness import harness
from linnet.jet.verilog.network import design
from linnet.jet.verilog.tools import missing


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    net = nn.Sequential(JetConv2d(1, 2, 3), nn.BatchNorm2d(2), Sign(), JetConv2d(2, 1, 2), nn.BatchNorm2d(1), Sign())
    return freeze(net.eval(), torch.randint(0, 256, (2, 1, 6, 6)))


@pytest.fixture
def told(monkeypatch):
    """Cells and clocks that the tools would tell."""
    cells = {"bare": Cells(3, 20, 0, 0), "whole": Cells(403, 320, 1, 0), "net_0": Cells(250, 100, 0, 0)}
    monkeypatch.setattr(
        synthesis, "mapped", lambda text, top, device, folder, netlist="": cells.get(top, Cells(40, 50, 0, 0))
    )
    monkeypatch.setattr(synthesis, "clocks_mhz", lambda netlist, device, seeds, target: (140.0, 120.0, 131.0))
    monkeypatch.setattr(synthesis, "tool", lambda name: type("Told", (), {"version": f"{name} 1"}))


def test_the_harness_is_taken_off_and_the_median_clock_gives_frames_a_second(program, told):
    found = program.synth("ecp5", 10, 10)
    assert found.total == Cells(400, 300, 1, 0)
    assert [name for name, _ in found.layers] == ["0", "2", "3", "5"]
    assert found.median_mhz == 131.0
    assert found.frames_per_second == pytest.approx(1.31e6)
    said = str(found)
    assert "131.0 MHz (median of 3 seeds, 120.0 to 140.0): 1,310,000 frames of 10 x 10" in said
    assert "harness of shift registers with 3 LUT and 20 FF" in said
    assert "yosys 1, nextpnr-ecp5 1" in said


def test_a_budget_names_the_layer_that_takes_the_most(program, told):
    assert program.synth("ecp5", max_lut=400).total.lut == 400
    with pytest.raises(BudgetError, match=r"`max_lut` is 399, and the design takes 400. `0` takes the most, 250"):
        program.synth("ecp5", max_lut=399)


def test_mapping_alone_has_no_clock(program, told):
    found = program.synth("xc7", seeds=())
    assert found.fmax_mhz == ()
    assert "MHz" not in str(found)


def test_bad_arguments_are_refused(program):
    with pytest.raises(InputError, match="`device` must be one of 'ecp5'"):
        program.synth("ecp")
    with pytest.raises(InputError, match="`seeds` must be three or more"):
        program.synth(seeds=(1, 2))
    with pytest.raises(InputError, match="`max_lut` must be a whole number"):
        program.synth(max_lut=0)


def test_cells_are_counted_by_the_device_s_weights():
    found = counted(
        {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7, "DP16KD": 1, "L6MUX21": 9}, DEVICES["ecp5"]
    )
    assert found == Cells(28, 7, 1, 0)
    assert counted({"SB_LUT4": 4, "SB_DFFSR": 2, "SB_DFF": 1, "SB_RAM40_4K": 2}, DEVICES["ice40"]) == Cells(4, 3, 2, 0)


needs_yosys = pytest.mark.skipif(bool(missing("yosys")), reason=missing("yosys") or "yosys is here")


@pytest.mark.slow
@needs_yosys
def test_a_small_program_is_mapped_without_a_multiplier(program):
    found = program.synth("ecp5", seeds=())
    assert 50 < found.total.lut < 400
    assert found.total.dsp == 0
    assert found.total.ff > 50
    assert sum(cells.lut for _, cells in found.layers) < 1.3 * found.total.lut


@needs_yosys
@pytest.mark.parametrize("device", ["ice40", "xc7"])
def test_the_other_devices_take_it_without_a_multiplier(program, device, tmp_path):
    made = design(program.graph, 6, 6, "net")
    found = mapped(made.text, "net", DEVICES[device], tmp_path)
    assert 50 < found.lut < 400
    assert found.dsp == 0
    assert found.ff > 50
    if device == "ice40":
        assert found.bram >= 1  # line buffers lie in block RAM, not in flip-flops


def test_the_harness_holds_the_design_s_ports():
    text = harness("whole", "net", 8, 3)
    assert "net net (.clk(clk)" in text
    assert "reg [8 - 1:0] shift_in, pixel;" in text
    assert "kept" in harness("bare", "", 8, 3)


@pytest.mark.parametrize("seeds", ["123", (1, 2, 3.5), (1, 2, -1), 3])
def test_seeds_that_are_no_whole_numbers_are_refused(program, seeds):
    with pytest.raises(InputError, match="`seeds` must be whole numbers >= 0"):
        program.synth("ecp5", seeds=seeds)
