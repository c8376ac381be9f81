"""Engines: the same centers wherever they are found, and what happens to workers that die, raise or are late."""

import copy
import os
import pickle
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

pytest.importorskip("sklearn")

import robustcore as rc
from robustcore.clustering import (
    ByzantineKMeans,
    ByzantineKMedians,
    Dask,
    Local,
    Missing,
    Task,
    engines,
    fractional_repetition,
)

by_five = partial(fractional_repetition, 10, s=5)
BOTH = pytest.mark.parametrize("solver", [ByzantineKMedians, ByzantineKMeans])


def clouds(n=2000):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 2)) + 20.0 * (np.arange(n) % 3)[:, None]


def shard(i=0):
    return np.full((4, 2), float(i)), None


def mean(points, weights):
    return points.mean(axis=0)


def raises(points, weights):
    raise KeyError("no such point")


def tasks(*solvers):
    return [Task(i, partial(shard, i), solve) for i, solve in enumerate(solvers)]


def shown(replies):
    """The machines' numbers, or why they are missing."""
    return [reply.why if isinstance(reply, Missing) else int(reply[0]) for reply in replies]


def test_local_goes_on_after_a_machine_that_raises():
    shares = []
    assert shown(Local(shares.append).solve(tasks(mean, raises, mean))) == [
        0,
        "its task raised KeyError: 'no such point'",
        2,
    ]
    assert shares == [1 / 3, 2 / 3, 1.0]


def test_local_reads_the_points_of_one_machine_at_a_time():
    held, most = [0], []

    def read():
        held[0] += 1
        most.append(held[0])
        return shard()

    def solve(points, weights):
        held[0] -= 1
        return points

    Local().solve([Task(i, read, solve) for i in range(5)])
    assert most == [1] * 5


def test_a_machine_whose_computation_raises_counts_as_one_that_sent_nothing(monkeypatch):
    class Fails(Local):
        def solve(self, tasks):
            return super().solve([tasks[0], replace(tasks[1], solve=raises), *tasks[2:]])

    model = ByzantineKMeans(3, t=2, assignment=by_five, engine=Fails(), random_state=0).fit(clouds(200))
    assert model.malformed_ == {1: "its task raised KeyError: 'no such point'"}


def test_engines_are_shared_by_copies():
    for engine in (Local(), Dask(client=object())):
        assert copy.deepcopy(engine) is engine
    with pytest.raises(TypeError, match=r"cannot be pickled: set_params\(engine=None\) first"):
        pickle.dumps(Dask(client=None))
    for deadline, error in ((0.0, ValueError), (-1, ValueError), (np.nan, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="deadline must be a finite number > 0"):
            Dask(None, deadline=deadline)


def test_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r'pip install "robustcore\[dask\]"'):
        Dask(client=None).solve(tasks(mean))


distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file


def die(points, weights):
    os._exit(3)


def die_once(points, weights, been):
    if not os.path.exists(been):
        open(been, "w").close()
        os._exit(3)
    return mean(points, weights)


def wait_for(points, weights, solve, there):
    until = time.monotonic() + 60.0
    while not os.path.exists(there) and time.monotonic() < until:
        time.sleep(0.02)
    return solve(points, weights)


def threads(points, weights):
    return np.array([rc.get_num_threads()])


@pytest.fixture(scope="module")
def client():
    dask = pytest.importorskip("dask")
    utils = pytest.importorskip("distributed.utils")
    settings = {
        "distributed.worker.multiprocessing-method": "forkserver",  # so that imports are done once
        "distributed.deploy.lost-worker-timeout": "10 minutes",  # a worker that dies twice in it is not started again
    }
    with dask.config.set(settings):
        utils.get_mp_context().set_forkserver_preload(["distributed", "robustcore.clustering"])
        keywords = {"processes": True, "memory_limit": "1GB", "silence_logs": 60}
        # With None for an address, it warns where another scheduler has its port.
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", **keywords) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


@pytest.fixture
def both_alive(client):
    client.wait_for_workers(2, timeout=30)
    return client


def pid(client, which):
    worker = sorted(client.nthreads())[which]
    return client.submit(os.getpid, workers=[worker], pure=False).result()


@pytest.mark.slow
@BOTH
def test_dask_finds_the_same_bits(both_alive, solver):
    X, shares = clouds(), []
    weights = np.random.default_rng(1).integers(0, 3, len(X)).astype(float)
    model = solver(3, t=2, assignment=by_five, byzantine=2, attack="attract", random_state=0)
    here = model.fit(X.astype(np.float32), sample_weight=weights)
    kept, centers, cost = here.kept_, here.cluster_centers_, here.inertia_
    there = model.set_params(engine=Dask(both_alive, progress=shares.append))
    there.fit(X.astype(np.float32), sample_weight=weights)
    assert np.array_equal(there.cluster_centers_, centers) and there.inertia_ == cost
    assert np.array_equal(there.kept_, kept) and not there.malformed_
    assert shares == [i / 10 for i in range(1, 11)]


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("which", [0, 1])
def test_a_worker_killed_in_mid_run_changes_nothing(both_alive, solver, which):
    X, victims = clouds(), [pid(both_alive, which)]

    def kill(share):
        if share >= 0.3 and victims:
            os.kill(victims.pop(), 9)

    here = solver(3, t=2, assignment=by_five, random_state=0).fit(X)
    engine = Dask(both_alive, progress=kill)
    there = solver(3, t=2, assignment=by_five, random_state=0, engine=engine).fit(X)
    assert not victims and not there.malformed_
    assert np.array_equal(here.cluster_centers_, there.cluster_centers_) and here.inertia_ == there.inertia_


@pytest.mark.slow
def test_a_task_that_kills_its_worker_is_tried_again_but_not_for_ever(both_alive, tmp_path):
    once = partial(die_once, been=tmp_path / "been")
    why = "its worker died, 3 times"
    assert shown(Dask(both_alive).solve(tasks(mean, once, mean, die, mean))) == [0, 1, 2, why, 4]


@pytest.mark.slow
def test_a_task_that_raises_says_why(both_alive):
    why = "its task raised KeyError: 'no such point'"
    assert shown(Dask(both_alive).solve(tasks(mean, raises, mean))) == [0, why, 2]


@pytest.mark.slow
def test_points_that_cannot_be_read_say_why(both_alive):
    broken = Task(1, partial(raises, None, None), mean)
    replies = Dask(both_alive).solve([*tasks(mean), broken])
    assert shown(replies) == [0, "its task raised KeyError: 'no such point'"]


@pytest.mark.slow
def test_a_straggler_past_the_deadline_counts_as_byzantine(both_alive, tmp_path):
    there = tmp_path / "there"

    class Slow(Dask):
        def solve(self, tasks):
            slow = partial(wait_for, solve=tasks[3].solve, there=there)
            return super().solve([*tasks[:3], replace(tasks[3], solve=slow), *tasks[4:]])

    X = clouds()
    late = ByzantineKMeans(3, t=2, assignment=by_five, random_state=0, engine=Slow(both_alive, deadline=4.0)).fit(X)
    there.touch()
    silent = ByzantineKMeans(3, t=2, assignment=by_five, random_state=0, byzantine=[3], attack="silent").fit(X)
    assert late.malformed_ == {3: "not back within 4 s"}
    assert np.array_equal(late.cluster_centers_, silent.cluster_centers_)


@pytest.mark.slow
def test_stragglers_on_all_workers_do_not_hold_the_others_for_ever(both_alive, tmp_path):
    there = tmp_path / "there"
    slow = partial(wait_for, solve=mean, there=there)
    replies = Dask(both_alive, deadline=1.0).solve(tasks(slow, slow, mean, mean))
    there.touch()
    why = "no worker was free for it within 1 s"
    assert shown(replies) == ["not back within 1 s", "not back within 1 s", why, why]


@pytest.mark.slow
def test_as_many_machines_are_out_as_there_are_threads(both_alive):
    out, most = set(), []

    def read(i):
        out.add(i)
        most.append(len(out))
        return shard(i)

    def progress(share):
        out.pop()

    assert shown(Dask(both_alive, progress=progress).solve([Task(i, partial(read, i), mean) for i in range(8)])) == [
        *range(8)
    ]
    assert max(most) <= 2


@pytest.mark.slow
def test_tasks_run_on_one_thread(both_alive):
    both_alive.run(rc.set_num_threads, 2)
    assert shown(Dask(both_alive).solve(tasks(threads, threads))) == [1, 1]


@pytest.mark.slow
def test_an_exception_cancels_what_is_out(both_alive, tmp_path):
    there = tmp_path / "there"
    slow = partial(wait_for, solve=mean, there=there)

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        Dask(both_alive, progress=stop).solve(tasks(mean, slow, slow, slow))
    until = time.monotonic() + 20.0
    while any(both_alive.processing().values()) and time.monotonic() < until:
        time.sleep(0.05)
    assert stopped.tb and not any(both_alive.processing().values())  # though the traceback keeps the futures
    there.touch()
    assert shown(Dask(both_alive).solve(tasks(mean, mean))) == [0, 1]


@pytest.mark.slow
def test_points_lost_on_their_way_are_sent_again(both_alive, monkeypatch):
    scatter, errors = both_alive.scatter, [KeyError("tcp://gone"), OSError("stream is closed"), TimeoutError()]

    def fails(*args, **keywords):
        if errors:
            raise errors.pop()
        return scatter(*args, **keywords)

    monkeypatch.setattr(both_alive, "scatter", fails)
    assert shown(Dask(both_alive).solve(tasks(mean, mean, mean))) == [0, 1, 2]
    errors += [OSError()] * 3
    assert shown(Dask(both_alive).solve(tasks(mean))) == ["its worker died, 3 times"]


def test_a_cluster_without_workers_is_not_waited_for_for_ever(monkeypatch):
    class Nobody:
        def nthreads(self):
            return {}

        def cancel(self, futures):
            assert futures == []

    monkeypatch.setattr(engines, "PATIENCE", 0.1)
    replies = Dask(Nobody()).solve(tasks(mean, mean))
    assert shown(replies) == ["no worker was free for it within 0.1 s"] * 2
