"""What tests draw depends on their names alone: neither on the order, nor on the day, nor on the tests before."""

import random

import numpy as np
import pytest
import torch


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


IMPORTED = draw()


@pytest.fixture(scope="session")
def of_the_session() -> tuple[float, float, float]:
    return draw()


@pytest.fixture(scope="module", params=["a", "b"])
def of_the_module(request: pytest.FixtureRequest, of_the_session: object) -> tuple[float, float, float]:
    return draw()


@pytest.fixture
def seeds(request: pytest.FixtureRequest):
    return request.config.pluginmanager.get_plugin("seeds-by-name")


def test_each_test_fixture_and_file_starts_from_its_own_name(seeds, request, of_the_session, of_the_module):
    drawn = draw()
    here = request.node.nodeid.split("::")[0]
    index = request.node.callspec.indices["of_the_module"]
    starts = {
        request.node.nodeid: drawn,
        here: IMPORTED,
        f"{here}::of_the_session[0]": of_the_session,
        f"{here}::of_the_module[{index}]": of_the_module,
    }
    for name, numbers in starts.items():
        seeds.start(name)
        assert draw() == numbers, name
    assert len(set(starts.values())) == len(starts)


def test_a_second_test_is_untouched_by_the_draws_of_the_first(seeds, request):
    torch.rand(7)
    drawn = draw()
    seeds.start(request.node.nodeid)
    torch.rand(7)
    assert draw() == drawn
