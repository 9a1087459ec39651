"""How all tests are run."""

import os

import pytest
from hypothesis import settings

from tests.seeds import SeedsByName

# The same examples in every run, so that a change is judged by itself; HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "same")
settings.load_profile(PROFILE)


@pytest.hookimpl(trylast=True)  # after pytest-randomly has chosen its seed
def pytest_configure(config: pytest.Config) -> None:
    run_seed = config.getoption("randomly_seed", 0) if PROFILE == "search" else 0
    config.option.randomly_reset_seed = False
    config.pluginmanager.register(SeedsByName(run_seed), "seeds-by-name")
