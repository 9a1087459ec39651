import pytest

from linnet.data import data_root
from linnet.data.files import check_content, read_file, sha256
from linnet.errors import DataError


def test_environment_decides(tmp_path, monkeypatch):
    monkeypatch.setenv("LINNET_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.setenv("LINNET_DATA", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"LINNET_DATA.*none"):
        data_root()


def test_found_beside_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("LINNET_DATA", raising=False)
    (tmp_path / "shared" / "data").mkdir(parents=True)
    (tmp_path / "checkout" / "deeper").mkdir(parents=True)
    for place in ("checkout", "checkout/deeper"):
        monkeypatch.chdir(tmp_path / place)
        assert data_root() == tmp_path / "shared" / "data"


def test_sha256_is_the_standard_one():
    # FIPS 180-4's example.
    assert sha256(b"a", b"bc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_other_content_is_refused_with_both_digests(tmp_path):
    check_content(tmp_path, b"abc", sha256(b"abc"))
    with pytest.raises(DataError, match=rf"SHA-256.*{sha256(b'abd')[:16]}"):
        check_content(tmp_path, b"abd", sha256(b"abc"))


def test_a_file_that_decompresses_too_far_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("linnet.data.files._LARGEST_BYTES", 9)
    (tmp_path / "nine").write_bytes(b"123456789")
    assert read_file(tmp_path / "nine") == b"123456789"
    (tmp_path / "ten").write_bytes(b"1234567890")
    with pytest.raises(DataError, match="9 bytes"):
        read_file(tmp_path / "ten")
