import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from linnet.data import circuit_boards, fashion_mnist, mnist
from linnet.errors import DataError, FreezeError, InputError, MismatchError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, freeze
from linnet.jet.reference.torch_reference import trace_torch
from linnet.jet.shipped import shipped
from linnet.jet.verification import rtl
from linnet.jet.verification.cxxrtl import Stimulus, simulated_together
from linnet.jet.verilog.network import design
from tests.built_together import BuiltTogether
from tests.jet_networks import Branches
from tests.jet_stream_networks import stream_program
from tests.unit.jet.verilog.needs_simulator import needs_icarus, needs_simulator


def stream_order(maps):
    """Values in the order in which a stream gives them: frame, position, channel."""
    maps = maps.numpy()
    return (maps if maps.ndim == 2 else maps.transpose(0, 2, 3, 1)).reshape(-1)


def frozen(*layers, size=(1, 6, 5)):
    torch.manual_seed(0)
    return freeze(nn.Sequential(*layers).eval(), torch.randint(0, 256, (3, *size)))


@needs_simulator
def test_designs_built_together_give_what_each_gives_alone():
    stimuli = []
    for seed in (0, 4):
        program, pixels = stream_program(seed)
        made = design(program.graph, *program.graph.input_shape[1:], "net")
        stimuli.append(Stimulus(made, made.text, pixels.numpy()))
    for one, (found, _) in zip(stimuli, simulated_together(stimuli), strict=True):
        np.testing.assert_array_equal(found, rtl.SIMULATORS["rtl"](one.design, one.text, one.pixels)[0])


@needs_simulator
def test_random_networks_equal_the_references_with_gaps_and_back_to_back(monkeypatch):
    drawn = [(program, torch.cat([pixels] * 4)) for program, pixels in map(stream_program, range(25))]
    monkeypatch.setitem(rtl.SIMULATORS, "rtl", BuiltTogether.of(drawn))
    for program, frames in drawn:
        record = program.verify(frames, backends=["rtl"])
        assert [run.backend for run in record.ran] == ["numpy", "rtl"]
        assert record.ran[1].values == 16 * int(np.prod(program.graph.output.shape))


@needs_icarus
@pytest.mark.parametrize("seed", range(25))
def test_icarus_agrees_and_sees_no_undefined_value(seed):
    program, pixels = stream_program(seed)
    program.verify(torch.cat([pixels] * 4), backends=["icarus"])


@needs_simulator
@pytest.mark.nightly
@pytest.mark.parametrize("hundred", range(10))
def test_a_thousand_random_networks_equal_the_references(hundred, proved):
    for start in range(100 * hundred, 100 * hundred + 100, 25):
        programs, stimuli = [], []
        for seed in range(start, start + 25):
            program, pixels = stream_program(seed)
            made = design(program.graph, *program.graph.input_shape[1:], "net")
            programs.append(program)
            stimuli.append(Stimulus(made, made.text, torch.cat([pixels] * 4).numpy()))
        for program, one, (found, _) in zip(programs, stimuli, simulated_together(stimuli), strict=True):
            expected = trace_torch(program.graph, torch.from_numpy(one.pixels))[-1]
            if not np.array_equal(found, stream_order(expected)):
                program.verify(one.pixels, backends=["rtl"])  # tells the layer
                pytest.fail("the designs built together give other values than the one built alone")
            proved("random networks by CXXRTL, gaps and back to back", values=found.size)


@needs_icarus
@pytest.mark.nightly
@pytest.mark.parametrize("hundred", range(10))
def test_icarus_agrees_on_a_thousand_random_networks(hundred, proved):
    for seed in range(100 * hundred, 100 * hundred + 100):
        program, pixels = stream_program(seed)
        record = program.verify(torch.cat([pixels] * 4), backends=["icarus"])
        assert record.ran[1].values == 16 * int(np.prod(program.graph.output.shape))
        proved("random networks by Icarus, gaps and back to back", values=record.ran[1].values)


def five_hundred(name):
    """Pixels of 500 real images for the shipped network: 28 x 28, boards cut to their middle."""
    try:
        if name == "boards":
            return circuit_boards("test").images[:500, :, 2:30, 2:30].long()
        return {"mnist": mnist, "fashion": fashion_mnist}[name]("test").images[:500].long()
    except DataError as error:
        pytest.skip(str(error))


@needs_simulator
@pytest.mark.nightly
@pytest.mark.parametrize("name", ["fashion", "mnist", "boards"])
def test_five_hundred_images_equal_the_references(name, proved):
    images = five_hundred(name)
    assert images.shape == (500, 1, 28, 28)
    record = shipped("fashion").verify(images, backends=["rtl"])
    assert record.ran[1].values == 500 * 10
    proved(f"images of {name} through the shipped network by CXXRTL", count=500, values=record.ran[1].values)


@needs_simulator
@pytest.mark.parametrize("kind", [JetConv2d, BinaryConv2d])
def test_a_border_of_two_under_every_kind_of_gap(kind):
    program = frozen(kind(1, 2, 5, padding=2, pad_value=0), nn.BatchNorm2d(2), Sign(),
                     kind(2, 2, 3, padding=1), nn.BatchNorm2d(2), Sign())  # fmt: skip
    program.verify(torch.randint(0, 256, (60, 1, 6, 5)), backends=["rtl"])


def test_padding_that_enlarges_the_map_is_refused_by_name():
    program = frozen(JetConv2d(1, 2, 3, padding=2, pad_value=0))
    with pytest.raises(FreezeError, match=r"`0` has padding 2 with a kernel of 3 x 3.*Use padding up to 1"):
        design(program.graph, 6, 5, "net")


def test_a_map_that_is_mostly_border_is_refused_by_name():
    program = frozen(JetConv2d(1, 2, 3, padding=1, pad_value=0), size=(1, 1, 5))
    with pytest.raises(FreezeError, match=r"`0` reads a map of 1 x 5 with padding 1"):
        design(program.graph, 1, 5, "net")


def test_the_size_of_a_frame_is_the_design_s(tmp_path):
    program = frozen(JetConv2d(1, 2, 3), nn.BatchNorm2d(2), Sign())
    program.to_verilog(tmp_path, 9, 11, "edges")
    interface = json.loads((tmp_path / "edges.json").read_text())
    assert interface["input"] == {"channels": 1, "height": 9, "width": 11, "bits": 8, "signed": False}
    assert interface["output"] == {"channels": 2, "height": 7, "width": 9, "bits": 1, "kind": "sign"}
    assert interface["top"] == "edges"
    assert interface["program_hash"] == program.graph.resized(9, 11).hash
    with pytest.raises(FreezeError, match="must be at least 3 x 3"):
        program.to_verilog(tmp_path / "small", 2, 2)
    with pytest.raises(InputError, match="`directory` must be empty or new"):
        program.to_verilog(tmp_path, 9, 11, "edges")
    with pytest.raises(InputError, match=r"`name` must be letters.*got 'wire'"):
        program.to_verilog(tmp_path / "word", 9, 11, "wire")


def test_no_multiplier_and_names_from_the_model(tmp_path):
    program = frozen(JetConv2d(1, 2, 3), nn.BatchNorm2d(2), Sign(), nn.MaxPool2d(2), nn.Flatten(),
                     BinaryLinear(2 * 2 * 1, 3), nn.BatchNorm1d(3))  # fmt: skip
    text = design(program.graph, 6, 5, "net").text
    code = re.sub(r"//.*|\(\*.*?\*\)|@\(\*\)", "", text)
    assert "*" not in code
    assert "/" not in code
    assert "initial" not in code
    assert {"net_0", "net_0_rows", "net_5", "net"} <= set(re.findall(r"^module (\w+)", text, re.MULTILINE))


def test_vectors_and_branches_are_refused(tmp_path):
    vector = freeze(nn.Sequential(BinaryLinear(4, 2)).eval(), torch.randint(0, 9, (2, 4)))
    with pytest.raises(InputError, match="takes images, and this network takes 4 numbers"):
        vector.to_verilog(tmp_path)
    with pytest.raises(InputError, match="takes networks of images"):
        vector.synth("ecp5")
    for join, words in (("add", "add"), ("cat", "concat")):
        torch.manual_seed(0)
        net = nn.Sequential(JetConv2d(1, 2), nn.BatchNorm2d(2), Sign(), Branches(2, 2, join=join))
        program = freeze(net.eval(), torch.randint(0, 256, (1, 1, 8, 8)))
        with pytest.raises(FreezeError, match=rf"\({words}\) joins two branches.*Python and C take it"):
            program.to_verilog(tmp_path)


def test_what_a_stream_cannot_hold_after_a_flatten_is_refused_by_name():
    layers = [JetConv2d(1, 2), nn.BatchNorm2d(2), Sign(), nn.Flatten()]
    with pytest.raises(FreezeError, match=r"ends the network with a flattened map of 12 positions"):
        design(frozen(*layers).graph, 6, 5, "net")


FAULTS = [
    ("row_ends ? ", "!row_ends ? "),
    ("ROWS[row] && PLACES[place]", "ROWS[row]"),
    ("x <= 0;", "x <= x;"),
    ("if (pixel1) memory", "if (move) memory"),
    ("!draining || met || tail", "1'b1"),
    ("first <= place ==", "first <= place !="),
]


@needs_simulator
def test_faults_in_the_stream_are_caught(monkeypatch):
    torch.manual_seed(0)  # a kernel whose signs differ: a constant map would hide every fault
    program = frozen(JetConv2d(1, 1, 3, padding=1, pad_value=0), nn.BatchNorm2d(1), Sign())
    frames = torch.randint(0, 256, (24, 1, 6, 5))
    whole, pixels = design(program.graph, 6, 5, "linnet_jet"), frames.numpy()
    first = design(replace(program.graph, nodes=program.graph.nodes[:2]), 6, 5, "part")  # which tells the layer
    stimuli = [Stimulus(whole, whole.text, pixels)]
    for right, wrong in FAULTS:
        stimuli.append(Stimulus(whole, whole.text.replace(right, wrong), pixels))
        stimuli.append(Stimulus(first, first.text.replace(right, wrong), pixels[:8]))
    built = BuiltTogether(stimuli)
    monkeypatch.setitem(rtl.SIMULATORS, "rtl", built)
    program.verify(frames, backends=["rtl"])
    for right, wrong in FAULTS:

        def planted(made, text, pixels, right=right, wrong=wrong):
            assert right in text, right
            return built(made, text.replace(right, wrong), pixels)

        monkeypatch.setitem(rtl.SIMULATORS, "rtl", planted)
        with pytest.raises(MismatchError, match="rtl"):
            program.verify(frames, backends=["rtl"])
    assert len(built.answers) == len(stimuli)  # nothing was built alone
