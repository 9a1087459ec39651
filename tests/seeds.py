"""Random numbers that depend on a test's name alone."""

import random
import zlib

import numpy as np
import pytest
import torch


class SeedsByName:
    """Starts all random generators anew before each test, fixture and file, from a number that its name gives.

    So no test depends on the tests before it, nor on the day: pytest-randomly, which knows nothing of torch, is left
    the order alone. In the profile "search" its seed, which the report's first line shows, goes into every number.
    """

    def __init__(self, run_seed: int) -> None:
        self.run_seed = run_seed

    def start(self, name: str) -> None:
        seed = (zlib.crc32(name.encode(errors="surrogatepass")) + self.run_seed) % 2**32
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (libraries draw from it)
        torch.manual_seed(seed)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        self.start(collector.nodeid)  # what a file draws while it is imported

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
        self.start(f"{fixturedef.baseid}::{fixturedef.argname}[{request.param_index}]")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self.start(item.nodeid)
