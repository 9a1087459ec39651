"""`linnet jet`: C, proof, times and pages of the program that comes with linnet, and what a mistake is told."""

import re

import numpy as np
import pytest
from PIL import Image

from linnet.cli.application import main
from linnet.jet import Program
from linnet.jet.shipped import shipped
from tests.unit.jet.c.needs_compiler import needs_compiler

NETS = """
from torch import nn
from linnet.jet import JetConv2d, Sign


def small():
    return nn.Sequential(JetConv2d(1, 4), nn.BatchNorm2d(4), Sign())


def broken():
    return nn.Sequential(JetConv2d(1, 4), nn.ReLU())
"""


def test_show_prints_layers_cost_and_kernels_and_writes_a_page(tmp_path, capsys):
    page = tmp_path / "jet.html"
    assert main(["jet", "show", "fashion", "--html", str(page)]) == 0
    told = capsys.readouterr().out
    assert "jet 3x3" in told
    assert "all binary" in told
    assert re.search(r"kernels of 0: \w+ \d+", told)
    assert "Next:" in told
    html = page.read_text()
    assert html.count("<svg") >= 4
    assert "sobel_x" in html
    assert "not the ratio of areas" in html
    assert "A drawn board, no photograph" in html


def test_show_draws_the_maps_of_an_image_and_its_box(tmp_path, capsys):
    page, board = tmp_path / "jet.html", tmp_path / "board.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 80), dtype=np.uint8)).save(board)
    assert main(["jet", "show", "fashion", "--html", str(page), "--image", str(board), "--box", "30,40,40,52"]) == 0
    assert "The part of board.png around the box 30,40,40,52." in page.read_text()
    capsys.readouterr()
    for words, told in [
        (["--image", str(board)], "`--image` needs `--html`"),
        (["--html", str(page), "--box", "1,2,3,4"], "`--box` needs `--image`"),
        (["--html", str(page), "--image", str(board)], "`--image` must be 28 x 28 (got 90 x 80)"),
        (["--html", str(page), "--image", str(board), "--box", "1,2,3"], "`--box` must be Y1,X1,Y2,X2"),
        (["--html", str(page), "--image", str(board), "--box", "1,2,3,400"], "`--box` must be y1,x1,y2,x2"),
        (["--html", str(page), "--image", str(tmp_path / "none.png")], "none.png can't be read as a picture"),
    ]:
        assert main(["jet", "show", "fashion", *words]) == 2
        assert told in capsys.readouterr().err


@needs_compiler
def test_compile_verify_and_bench_work_on_the_shipped_program(tmp_path, capsys):
    out = tmp_path / "c"
    assert main(["jet", "compile", "fashion", "-o", str(out)]) == 0
    assert (out / "linnet_jet.c").exists()
    assert f"linnet jet verify fashion --directory {out}" in capsys.readouterr().out
    assert main(["jet", "verify", "fashion", "--frames", "5", "--directory", str(out)]) == 0
    assert "none differs" in capsys.readouterr().out
    assert main(["jet", "bench", "fashion", "--frames", "5"]) == 0
    assert re.search(r"portable +\d+\.\d", capsys.readouterr().out)
    assert main(["jet", "compile", "fashion", "--c", "-o", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err


@needs_compiler
def test_a_saved_program_a_factory_and_folders_of_images_are_understood(tmp_path, capsys):
    program = shipped("fashion").save(tmp_path / "net.safetensors")
    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    assert main(["jet", "verify", str(program), "--data", str(tmp_path)]) == 0
    assert "3 frames" in capsys.readouterr().out
    np.save(tmp_path / "frames.npy", np.zeros((2, 1, 28, 28), np.uint8))
    assert main(["jet", "verify", str(program), "--data", str(tmp_path / "frames.npy")]) == 0
    (tmp_path / "nets.py").write_text(NETS)
    words = ["--input", "1x1x9x9", "--pixels", "2/255,-1"]
    assert main(["jet", "show", f"{tmp_path}/nets.py:small", *words]) == 0
    assert "4x7x7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "fashoin"], "must be fashion, a saved program"),
        (["verify", "fashion", "--frames", "0"], "`--frames` must be a whole number >= 1"),
        (["verify", "fashion", "--backends", "vhdl"], "--backends"),
        (["verify", "fashion", "--data", "nowhere"], "`--data` must be a folder of images"),
        (["verify", "fashion", "--directory", "nowhere"], "(got nowhere with none). Write one by"),
        (["verify", "fashion", "--height", "40"], "has 784 input features"),
        (["compile", "fashion", "--c", "--verilog"], "`--c` and `--verilog` go into folders of their own"),
        (["compile", "fashion", "--name", "3d"], "`--name` must be a C identifier"),
        (["compile", "fashion", "--word-bits", "8"], "`--word-bits` must be 32 or 64"),
        (["show", "nets.py:small"], "nets.py doesn't exist"),
    ],
)
def test_mistakes_name_the_option(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["jet", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_network_that_cannot_be_frozen_names_its_layer(tmp_path, capsys):
    (tmp_path / "nets.py").write_text(NETS)
    assert main(["jet", "show", f"{tmp_path}/nets.py:broken", "--input", "1x1x9x9"]) == 2
    assert "`1` (ReLU" in capsys.readouterr().err
    assert main(["jet", "show", f"{tmp_path}/nets.py:broken"]) == 2
    assert "--input 1x1x28x28" in capsys.readouterr().err
    assert main(["jet", "show", f"{tmp_path}/nets.py:small", "--input", "1x1x9x9", "--pixels", "one"]) == 2
    assert "`--pixels` must be SCALE,SHIFT" in capsys.readouterr().err
    assert main(["jet", "show", f"{tmp_path}/nets.py:small", "--input", "1x1x9x9", "--pixels", "2/0,-1"]) == 2
    assert "`--pixels` must be SCALE,SHIFT" in capsys.readouterr().err
    (tmp_path / "frames.npy").write_bytes(b"no array")
    for name in ("frames.npy", "none.npy"):
        assert main(["jet", "verify", "fashion", "--data", str(tmp_path / name)]) == 2
        assert f"{name} can't be read as whole pixels" in capsys.readouterr().err


def test_the_shipped_program_is_whole():
    program = shipped("fashion")
    assert isinstance(program, Program)
    assert program.graph.input_shape == (1, 28, 28)


def test_verilog_is_written_and_bad_options_of_hardware_are_refused(tmp_path, capsys):
    out = tmp_path / "v"
    assert main(["jet", "compile", "fashion", "--verilog", "--name", "net", "-o", str(out)]) == 0
    assert {"net.v", "net.json", "net_tb.v", "net_demo.v"} <= {path.name for path in out.iterdir()}
    assert "--backends rtl" in capsys.readouterr().out
    high = ["--verilog", "--height", "30", "-o", str(tmp_path / "high")]
    assert main(["jet", "compile", "fashion", *high]) == 0
    assert "--backends rtl --height 30 proves" in capsys.readouterr().out
    assert main(["jet", "compile", "fashion", "--height", "28", "-o", str(tmp_path / "c")]) == 2
    assert "give --verilog" in capsys.readouterr().err
    assert main(["jet", "synth", "fashion", "--seeds", "1,x"]) == 2
    assert "`--seeds` must be whole numbers" in capsys.readouterr().err
    assert main(["jet", "synth", "fashion", "--seeds", "1,2"]) == 2
    assert main(["jet", "synth", "fashion", "--device", "ecp"]) == 2
    assert "`--device` must be one of" in capsys.readouterr().err
