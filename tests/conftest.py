"""How all tests are run."""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

from tests.seeds import SeedsByName

# The same examples in every run, so that a change is judged by itself; HYPOTHESIS_PROFILE=search looks for new ones.
# Neither has a limit of time, which a busy machine would break.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", untimed, derandomize=True)
settings.register_profile("search", untimed, derandomize=False, print_blob=True)
_PROVED = "proved"
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "same")
settings.load_profile(PROFILE)


@pytest.hookimpl(trylast=True)  # after pytest-randomly has chosen its seed
def pytest_configure(config: pytest.Config) -> None:
    run_seed = config.getoption("randomly_seed", 0) if PROFILE == "search" else 0
    config.option.randomly_reset_seed = False
    config.pluginmanager.register(SeedsByName(run_seed), "seeds-by-name")


@pytest.fixture
def proved(record_property):
    """`proved(what, count=1, values=n)`: a proof of `make verify-all`, added up in the summary at its end."""

    def add(what: str, *, count: int = 1, values: int = 0) -> None:
        record_property(_PROVED, (what, count, values))

    return add


def pytest_terminal_summary(terminalreporter):
    """What the long proofs came to; nothing where none ran."""
    counts, values = Counter(), Counter()
    for report in terminalreporter.getreports("passed"):
        for name, proof in report.user_properties if report.when == "call" else ():
            if name == _PROVED:
                counts[proof[0]] += proof[1]
                values[proof[0]] += proof[2]
    if counts:
        terminalreporter.section("proved")
    for what, count in sorted(counts.items()):
        more = f", {values[what]:,} values, none differs" if values[what] else ""
        terminalreporter.write_line(f"{count:>7,} {what}{more}")
