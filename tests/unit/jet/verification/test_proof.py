import numpy as np
import pytest

from linnet.errors import InputError, MismatchError, ToolError
from linnet.jet import freeze
from linnet.jet.verification import backends, c_builds, proof
from linnet.jet.verification.backends import Backend
from linnet.jet.verification.records import Ran, require_equal
from tests.jet_networks import random_network
from tests.unit.jet.c.needs_compiler import needs_compiler


@pytest.fixture(scope="module")
def drawn():
    found = random_network(3)
    return freeze(found.net, found.pixels, found.scale, found.input_range), found.pixels


@needs_compiler
def test_all_builds_and_paths_are_in_the_record(drawn):
    program, pixels = drawn
    record = program.verify(pixels, backends=["c"])
    builds = {run.build for run in record.ran}
    assert {"-O0, portable", "-O3, portable", "-Os portable, portable"} <= builds
    every = {"address, undefined sanitizers", "-m32"}
    assert all(any(word in b for b in builds) or any(word in s for s in record.skipped) for word in every)
    assert record.program_hash == program.hash
    assert record.values > pixels.shape[0] * sum(int(np.prod(node.shape)) for node in program.graph.nodes[1:])
    assert all(run.files_sha256 for run in record.ran if run.backend == "c")
    assert "none differs" in str(record)


@needs_compiler
def test_files_on_disk_are_checked_as_they_stand(drawn, tmp_path):
    program, pixels = drawn
    program.to_c(tmp_path)
    program.verify(pixels, directory=tmp_path, thorough=False)
    source = tmp_path / "linnet_jet.c"
    source.write_text(source.read_text().replace("count <= c->limit[o]", "count < c->limit[o]"))
    with pytest.raises(MismatchError, match=r"c \(-O3, portable\): .*isn't the file.*line \d+ differs"):
        program.verify(pixels, directory=tmp_path, thorough=False)
    other = random_network(4)
    with pytest.raises(MismatchError, match="its hash isn't that of this program"):
        freeze(other.net, other.pixels, other.scale, other.input_range).verify(other.pixels, directory=tmp_path)
    with pytest.raises(InputError, match="must hold one program"):
        program.verify(pixels, directory=tmp_path / "none")


@needs_compiler
def test_a_fault_in_the_runtime_is_traced_to_its_layer(drawn, monkeypatch):
    from linnet.jet.c import source

    program, pixels = drawn
    sections = source.sections
    broken = lambda file, used: sections(file, used).replace("count <= c->limit[o]", "count < c->limit[o]")  # noqa: E731
    monkeypatch.setattr(source, "sections", broken)
    with pytest.raises(
        MismatchError, match=r"c \(-O3, portable\): `\d+\S*` at frame \d+, y \d+, x \d+, channel \d+ is"
    ):
        program.verify(pixels, thorough=False)


def test_a_difference_between_the_references_is_located(drawn, monkeypatch):
    program, pixels = drawn
    trace = proof.trace_numpy

    def changed(graph, x):
        values = trace(graph, x)
        values[2][1, 0, 2, 3] += 2
        return values

    monkeypatch.setattr(proof, "trace_numpy", changed)
    with pytest.raises(
        MismatchError, match=r"numpy: `\S+` at frame 1, y 2, x 3, channel 0 is -?\d+; the reference has"
    ):
        program.verify(pixels, backends=[])


def test_a_backend_that_cannot_run_is_an_error_unless_only_the_available_are_wanted(drawn, monkeypatch):
    program, pixels = drawn
    absent = {"rtl": Backend(lambda job: [], lambda: "no simulator.")}
    with pytest.raises(ToolError, match=r"asks for 'rtl', which can't run here: no simulator\..*\"available\""):
        proof.prove(program.graph, pixels, ["rtl"], None, thorough=False, known=absent)
    record = proof.prove(program.graph, pixels, "available", None, thorough=False, known=absent)
    assert record.skipped == {"rtl": "no simulator."}
    assert "not run  rtl: no simulator." in str(record)
    with pytest.raises(InputError, match="Did you mean 'c'"):
        program.verify(pixels, backends=["cc"])
    with pytest.raises(InputError, match='list of names or "available"'):
        program.verify(pixels, backends="c")
    with pytest.raises(InputError, match='list of names or "available"'):
        program.verify(pixels, backends=None)
    with pytest.raises(InputError, match="at least one frame"):
        program.verify(pixels[:0], backends=[])


def test_a_backend_of_ones_own_is_one_entry(drawn):
    program, pixels = drawn
    mine = {"mine": Backend(lambda job: [Ran("mine", "", job.expected.size, 0.0, "1")], lambda: "")}
    record = proof.prove(program.graph, pixels, ["mine"], None, thorough=False, known=mine)
    assert record.ran[-1].backend == "mine"
    assert "c" in backends.BACKENDS


def test_shapes_that_differ_are_no_comparison(drawn):
    node = drawn[0].graph.output
    with pytest.raises(MismatchError, match="gives the size"):
        require_equal("c", node, np.zeros((1, 2)), np.zeros((2, 1)))


def test_without_a_compiler_c_is_missing_with_the_reason(monkeypatch):
    def none(wanted=None):
        raise ToolError("`gcc` or `clang` is needed.")

    monkeypatch.setattr(c_builds, "compiler", none)
    assert "gcc" in c_builds.missing_c()


@needs_compiler
@pytest.mark.nightly
@pytest.mark.parametrize("hundred", range(10))
def test_a_thousand_random_networks_on_every_path_with_sanitizers(hundred, monkeypatch, proved):
    sanitized = c_builds.BUILDS[3]
    monkeypatch.setattr(c_builds, "BUILDS", (sanitized, sanitized))
    for seed in range(100 * hundred, 100 * hundred + 100):
        found = random_network(seed)
        program = freeze(found.net, found.pixels, found.scale, found.input_range)
        record = program.verify(found.pixels, thorough=False)
        proved("random networks by C on every path with sanitizers", values=record.values)
