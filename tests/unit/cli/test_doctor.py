"""What the doctor says of a missing package, a package out of range, and a missing extra."""

from importlib import metadata

import pytest

from linnet.cli import doctor

REQUIRES = [
    "numpy>=2.0",
    'nowhere-lib>=3; extra == "magic"',
    'numpy>=1; extra == "plain"',
    'other>=1; python_version < "3"',
]


@pytest.fixture
def installed(monkeypatch):
    """A machine on which linnet needs REQUIRES and these versions are installed."""

    def arrange(**versions: str) -> None:
        def version(name: str) -> str:
            if name not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(doctor.metadata, "requires", lambda _name: REQUIRES)
        monkeypatch.setattr(doctor.metadata, "version", version)

    return arrange


def test_a_package_in_range_is_good(installed):
    installed(linnet="1.0", numpy="2.4")
    assert doctor.versions()[2:] == [doctor.Finding("numpy", "2.4", good=True, needed=True)]


def test_a_package_out_of_range_or_missing_says_what_to_install(installed):
    installed(linnet="1.0", numpy="1.26")
    assert doctor.versions()[2].found == '1.26, but >=2.0 is needed: pip install "numpy>=2.0"'
    installed(linnet="1.0")
    missing = doctor.versions()[2]
    assert (missing.good, missing.found) == (False, 'missing: pip install "numpy>=2.0"')


def test_an_extra_is_installed_or_comes_with_its_line(installed, monkeypatch):
    installed(linnet="1.0", numpy="2.4")
    provides = metadata.metadata("linnet")
    del provides["Provides-Extra"]
    provides["Provides-Extra"] = "magic"
    provides["Provides-Extra"] = "plain"
    monkeypatch.setattr(doctor.metadata, "metadata", lambda _name: provides)
    magic, plain = doctor.extras()
    assert (magic.good, magic.found) == (False, 'nowhere-lib missing: pip install "linnet[magic]"')
    assert (plain.good, plain.found) == (True, "installed")


def test_a_missing_need_makes_the_doctor_fail(installed, monkeypatch, capsys):
    installed(linnet="1.0")
    monkeypatch.setattr(doctor, "compute", list)
    assert doctor.doctor() == 1
    assert "is missing" in capsys.readouterr().out.splitlines()[-1]
