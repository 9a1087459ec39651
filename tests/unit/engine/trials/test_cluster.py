"""Trials on a Dask cluster: each is one task, and all are done once."""

import pytest

from linnet.engine.trials.cluster import cluster_size, dask_cluster
from linnet.engine.trials.execution import carry_out
from linnet.engine.trials.trial import finished_trials
from linnet.errors import InputError, MissingExtra
from tests.unit.engine.trials.countdown import next_trials, run


def test_without_distributed_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r'pip install "linnet\[study\]"'), dask_cluster("tcp://127.0.0.1:1"):
        pass


def test_an_address_where_nothing_answers_is_refused(monkeypatch):
    pytest.importorskip("distributed", reason="the extra `study` isn't installed")
    monkeypatch.setattr("linnet.engine.trials.cluster._TIMEOUT_S", 1)
    with pytest.raises(InputError, match=r"`cluster` must be the address of a running Dask scheduler"):
        cluster_size("tcp://127.0.0.1:9")


@pytest.mark.parametrize("address", ["", "hello", "tcp://host", "tcp://host:port"])
def test_what_is_no_address_is_refused_before_anything_is_asked(address):
    with pytest.raises(InputError, match=rf"`cluster` must be the address .* \(got '{address}'\)"):
        cluster_size(address)


def test_a_cluster_does_all_trials_once(tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra `study` isn't installed")
    path = tmp_path / "records.jsonl"
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as local:
        assert cluster_size(local.scheduler_address) == 2
        outcome = carry_out(path, next_trials, run, workers=2, pool=lambda: dask_cluster(local.scheduler_address))
    assert outcome.done_now == len(finished_trials(path)) == 8
