"""The C on an emulated Cortex-M4, where its compiler and QEMU are installed."""

import re

import numpy as np
import pytest

from linnet.errors import MismatchError, ToolError
from linnet.jet import freeze
from linnet.jet.verification import cortex
from linnet.jet.verification.cortex import missing_cortex
from tests.jet_networks import random_network

needs_cortex = pytest.mark.skipif(bool(missing_cortex()), reason=missing_cortex() or "a compiler and QEMU are here")


@needs_cortex
@pytest.mark.parametrize("seed", range(4))
def test_the_core_gives_the_same_integers(seed):
    found = random_network(seed)
    program = freeze(found.net, found.pixels, found.scale, found.input_range)
    record = program.verify(found.pixels, backends=["cortex-m4"])
    assert record.ran[1].values == len(found.pixels) * int(np.prod(program.graph.output.shape))
    assert int(re.search(r"([\d,]+) bytes of flash", record.ran[1].build)[1].replace(",", "")) > 500


@needs_cortex
def test_a_fault_is_seen(monkeypatch):
    found = random_network(3)
    program = freeze(found.net, found.pixels, found.scale, found.input_range)
    write = cortex.write_c

    def broken(graph, directory, name, **options):
        for path in write(graph, directory, name, **options):
            path.write_text(path.read_text().replace("count <= c->limit[o]", "count < c->limit[o]"))

    monkeypatch.setattr(cortex, "write_c", broken)
    with pytest.raises(MismatchError, match="cortex-m4"):
        program.verify(found.pixels, backends=["cortex-m4"])


def test_without_it_the_packages_are_named(monkeypatch):
    def none(*names):
        return "`arm-none-eabi-gcc` is needed and can't be found."

    monkeypatch.setattr(cortex, "missing", none)
    assert "arm-none-eabi-gcc" in missing_cortex()
    from linnet.jet.verification import backends, proof

    known = {"cortex-m4": backends.Backend(lambda job: [], missing_cortex)}
    found = random_network(3)
    program = freeze(found.net, found.pixels, found.scale, found.input_range)
    with pytest.raises(ToolError, match="asks for 'cortex-m4', which can't run here"):
        proof.prove(program.graph, found.pixels, ["cortex-m4"], None, thorough=False, known=known)
