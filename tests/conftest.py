"""How all tests are run."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.seeds import SeedsByName

# The same examples in every run, so that a change is judged by itself; HYPOTHESIS_PROFILE=search looks for new ones.
# Neither has a limit of time, which a busy machine would break.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", untimed, derandomize=True)
settings.register_profile("search", untimed, derandomize=False, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "same")
settings.load_profile(PROFILE)


@pytest.hookimpl(trylast=True)  # after pytest-randomly has chosen its seed
def pytest_configure(config: pytest.Config) -> None:
    run_seed = config.getoption("randomly_seed", 0) if PROFILE == "search" else 0
    config.option.randomly_reset_seed = False
    config.pluginmanager.register(SeedsByName(run_seed), "seeds-by-name")
