import errno
import os
import stat

import pytest

from linnet.errors import InputError
from linnet.results import atomic_path, atomic_write, files


def test_bytes_and_text_are_written_as_they_are(tmp_path):
    assert atomic_write(tmp_path / "a.bin", b"\x00\xff") == tmp_path / "a.bin"
    atomic_write(tmp_path / "a.txt", "µm\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "a.txt").read_bytes() == "µm\n".encode()


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    atomic_write(path, "old")

    def half(path, payload):
        path.write_bytes(payload[: len(payload) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_write", half)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, "new content")
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_interrupt_in_the_block_leaves_nothing(tmp_path):
    def interrupted():
        with atomic_path(tmp_path / "a.png") as temporary:
            assert temporary.suffix == ".png"
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        atomic_write(tmp_path / "no" / "a.txt", "x")
    assert caught.value.filename == str(tmp_path / "no")  # not a temporary file's name


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are for Unix")
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder"):
        with pytest.raises(InputError, match=rf"/{name}\b"):
            atomic_write(tmp_path / name, "x")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "folder").is_dir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "link", "pipe"]


def test_a_link_is_followed_and_permissions_are_the_usual_ones(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "plain").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a.txt")
    atomic_write(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "x"
    usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "real" / "a.txt").stat().st_mode) == usual


def test_a_long_name_fits(tmp_path):
    path = tmp_path / ("n" * 250 + ".txt")
    atomic_write(path, "x")
    assert path.read_text() == "x"
