import numpy as np
import pytest
import torch

from linnet.errors import InputError, ToolError
from linnet.jet import freeze, load_c
from linnet.jet.c import compiled
from tests.jet_networks import random_network
from tests.unit.jet.c.needs_compiler import needs_compiler


def program_of(seed):
    drawn = random_network(seed)
    return freeze(drawn.net, drawn.pixels, drawn.scale, drawn.input_range), drawn.pixels


@needs_compiler
@pytest.mark.parametrize("seed", range(25))
def test_random_networks_give_the_same_integers_on_every_path(seed, tmp_path):
    program, pixels = program_of(seed)
    program.to_c(tmp_path, word_bits=32 if seed % 5 == 0 else 64)
    loaded = load_c(tmp_path, flags=("-O1",))
    assert loaded.hash == program.hash
    expected = program.run(pixels)
    for path in loaded.paths:
        assert torch.equal(loaded.run(pixels, path=path), expected), path


@needs_compiler
def test_any_alignment_and_two_threads_are_correct(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    program, pixels = program_of(3)
    program.to_c(tmp_path)
    one = load_c(tmp_path, flags=("-O1",))
    expected = program.run(pixels)
    for offset in (1, 3, 8, 63):
        assert torch.equal(one.run(pixels, offset=offset), expected)
    other = load_c(tmp_path, flags=("-O1",))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda p: [p.run(pixels) for _ in range(50)], (one, other)))
    assert all(torch.equal(value, expected) for part in found for value in part)


@needs_compiler
def test_bad_frames_and_paths_are_refused(tmp_path):
    program, pixels = program_of(3)
    program.to_c(tmp_path)
    loaded = load_c(tmp_path, flags=("-O0",))
    with pytest.raises(InputError, match="float"):
        loaded.run(pixels.float())
    with pytest.raises(InputError, match=r"`x` must hold integers \(N, "):
        loaded.run(np.zeros((1, 9, 9, 9), np.uint8))
    with pytest.raises(InputError, match="pixels of"):
        loaded.run(pixels + 10000)
    with pytest.raises(InputError, match=r"`path` must be one of portable.*got 'neon'"):
        loaded.run(pixels, path="neon")
    with pytest.raises(InputError, match=r"`path` must be one of portable.*got 'neon'"):
        loaded.caller(pixels, path="neon")
    with pytest.raises(InputError, match=r"`x` must hold at least one frame"):
        loaded.caller(pixels[:0])
    assert program.hash[:16] in repr(loaded)


def test_a_missing_compiler_is_named_with_what_to_install(tmp_path, monkeypatch):
    program, _ = program_of(3)
    program.to_c(tmp_path)
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    with pytest.raises(ToolError, match=r"`gcc` or `clang` is needed.*apt install gcc"):
        load_c(tmp_path)


@needs_compiler
def test_a_refused_file_shows_the_compilers_words_and_an_empty_folder_the_remedy(tmp_path):
    with pytest.raises(InputError, match=r"to_c\(directory\)"):
        load_c(tmp_path)
    program, _ = program_of(3)
    program.to_c(tmp_path)
    source = tmp_path / "linnet_jet.c"
    source.write_text("int broken(\n" + source.read_text())
    with pytest.raises(ToolError, match="error"):
        load_c(tmp_path)
