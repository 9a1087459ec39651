import shutil
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, freeze
from linnet.jet.verification.c_builds import STRICT
from tests.unit.jet.c.needs_compiler import needs_compiler

X = torch.randint(0, 256, (2, 1, 10, 10), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    net = nn.Sequential(
        JetConv2d(1, 4, padding=1, pad_value=0), nn.BatchNorm2d(4), Sign(), nn.MaxPool2d(2), BinaryConv2d(4, 6),
        nn.BatchNorm2d(6), Sign(), nn.Flatten(), BinaryLinear(54, 3), nn.BatchNorm1d(3),
    )  # fmt: skip
    return freeze(net.eval(), X)


@pytest.fixture(scope="module")
def folder(program, tmp_path_factory):
    place = tmp_path_factory.mktemp("c") / "out"
    program.to_c(place)
    return place


def test_five_files_are_written_and_the_header_tells_sizes_and_hash(folder, program):
    assert sorted(p.name for p in folder.iterdir()) == [
        "Makefile", "README.md", "linnet_jet.c", "linnet_jet.h", "main.c",
    ]  # fmt: skip
    header = (folder / "linnet_jet.h").read_text()
    assert "#define LINNET_JET_INPUT_SIZE 100" in header
    assert "#define LINNET_JET_OUTPUT_SIZE 3" in header
    assert program.hash in header
    assert "float" not in (folder / "linnet_jet.c").read_text().split("*/", 1)[1].replace("__m256", "")


def require_build(command, folder):
    """Skips where the compiler, or a system library for its options, isn't installed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} isn't installed (Debian: apt install {command[0]})")
    probe = folder / "probe.c"
    probe.write_text(
        "#include <stdint.h>\n#include <string.h>\nint32_t probe(void);\nint32_t probe(void) { return 0; }\n"
    )
    run = subprocess.run([*command, "-o", str(folder / "probe.o"), str(probe)], capture_output=True, check=False)
    if run.returncode:
        pytest.skip(f"{command[0]} can't build for {command[1:]} here (Debian: apt install gcc-multilib)")


@needs_compiler
@pytest.mark.parametrize("word_bits", [64, 32])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    "flags", [["-O2"], ["-O2", "-DLINNET_JET_PORTABLE"], ["-O3", "-march=native"], ["-O2", "-m32"]]
)
def test_it_compiles_without_a_warning_and_calls_nothing_but_memory_moves(
    program, tmp_path, compiler, flags, word_bits
):
    require_build([compiler, *flags, "-c"], tmp_path)
    program.to_c(tmp_path / "c", word_bits=word_bits)
    target = tmp_path / "x.o"
    command = [compiler, *STRICT, *flags, "-c", "-o", str(target), str(tmp_path / "c" / "linnet_jet.c")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    names = subprocess.run(["nm", "-u", str(target)], capture_output=True, text=True, check=True).stdout.split()
    assert set(names) - {"U"} <= {"memcpy", "memset", "memmove", "__cpu_model", "_GLOBAL_OFFSET_TABLE_"}
    data = subprocess.run(["size", "-A", str(target)], capture_output=True, text=True, check=True).stdout
    sizes = {line.split()[0]: int(line.split()[1]) for line in data.splitlines() if line.startswith(".")}
    assert sizes.get(".data", 0) == sizes.get(".bss", 0) == 0  # no state of its own


@needs_compiler
def test_the_makefile_builds_the_example_which_gives_the_programs_numbers(folder, program, tmp_path):
    subprocess.run(["make", "-C", str(folder), "-s", "main"], check=True, capture_output=True)
    (tmp_path / "frame.raw").write_bytes(X[:1].permute(0, 2, 3, 1).numpy().astype(np.uint8).tobytes())
    command = [str(folder / "main"), str(tmp_path / "frame.raw")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [int(word) for word in out.split()] == program.run(X[:1])[0].tolist()
    short = subprocess.run([str(folder / "main"), str(folder / "nothing")], capture_output=True, text=True, check=False)
    assert short.returncode == 1
    assert "100 bytes" in short.stderr
    subprocess.run(["make", "-C", str(folder), "-s", "clean"], check=True)


@pytest.mark.parametrize("name", ["", "3net", "a-b", "int", "main", "net.c", "é", None])
def test_names_that_are_no_identifiers_are_refused(program, tmp_path, name):
    with pytest.raises(InputError, match="`name` must be a C identifier"):
        program.to_c(tmp_path / "x", name=name)


def test_nothing_is_overwritten_unless_it_is_said(program, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt.*`overwrite`"):
        program.to_c(tmp_path)
    program.to_c(tmp_path, overwrite=True)
    program.to_c(tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    with pytest.raises(InputError, match="got the file"):
        program.to_c(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="`word_bits` must be 32 or 64"):
        program.to_c(tmp_path / "y", word_bits=16)


def test_a_convolution_of_large_numbers_is_refused():
    net = nn.Sequential(BinaryConv2d(1, 2, 7), BinaryConv2d(2, 2, 3)).eval()
    program = freeze(net, X, input_range=(0, 4095))
    with pytest.raises(InputError, match=r"`1` reads numbers of .* 16 bits"):
        program.to_c("unused")


@pytest.mark.parametrize("directory", [None, 3, ""])
def test_what_is_no_path_of_a_folder_is_refused(program, directory):
    with pytest.raises(InputError, match="`directory` must be the path of a folder"):
        program.to_c(directory)
    with pytest.raises(InputError, match="`directory` must be the path of a folder"):
        program.to_verilog(directory)
