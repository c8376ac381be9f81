"""Rules on a Dask cluster of two processes against rules on one array: the same bits, also where a worker dies."""

import os
import pickle
import signal
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

import robustcore as rc
from robustcore import _core
from robustcore.backends import split

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")

import dask.array as da  # noqa: E402

from robustcore.backends import dask as rd  # noqa: E402

ANY = "127.0.0.1:0"
STEP = _core.SUPERBLOCK
RULES = [
    rc.MultiKrum(f=1, mixing=rc.NNM(f=1)),
    rc.GeometricMedian(f=1),
    rc.CenteredClip(700.0, f=1, iterations=2),
    rc.Phocas(f=1, mixing=[rc.Clipping(500.0), rc.Bucketing(2, rng=0)]),
    rc.Median(),
    rc.Mean(),
]


@contextmanager
def two_processes():
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=ANY, silence_logs=60) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client():
    with two_processes() as client:
        yield client


@pytest.fixture
def mortal():
    """A client of workers that may be killed: whether another takes their place is for Dask to say."""
    with two_processes() as client:
        yield client


@pytest.fixture(scope="module")
def X():
    X = np.random.default_rng(0).standard_normal((7, 2 * STEP + 77), dtype="f4")
    X[0] *= 1e10
    return X


def chunked(client, X, widths, folder):
    """X on the workers, in these chunks."""
    np.save(folder / "X.npy", X)
    ends = np.cumsum(widths).tolist()

    def part(begin, end):
        return np.load(folder / "X.npy", mmap_mode="r")[:, begin:end].copy()

    parts = [
        da.from_delayed(dask.delayed(part)(end - width, end), (len(X), width), X.dtype)
        for end, width in zip(ends, widths, strict=True)
    ]
    return client.persist(da.concatenate(parts, axis=1))


@pytest.fixture(scope="module")
def files(X, tmp_path_factory):
    """Six shards on disk of n = 3, and what they hold."""
    X = np.random.default_rng(1).standard_normal((4, 5 * STEP + 9), dtype="f4")
    folder = tmp_path_factory.mktemp("shards")
    ends = np.cumsum(split(X.shape[1], 6))
    paths = [folder / f"{i}.npy" for i in range(len(ends))]
    for path, part in zip(paths, np.split(X, ends[:-1], axis=1), strict=True):
        np.save(path, part)
    return paths, X


def same(one, other, compute=dask.compute):
    (value,) = compute(one.value)
    assert value.dtype == other.value.dtype and value.tobytes() == other.value.tobytes()
    for own, others in ((one.weights, other.weights), (one.scores, other.scores)):
        assert own is others is None or own.tobytes() == others.tobytes()
    assert (one.selected == other.selected).all() and one.dropped == other.dropped


def check(client, rule, X, array, **run):
    found = rd.aggregate(X, rule, client=client, **run)
    same(found, rule.aggregate(array), lambda *values: client.compute(values, sync=True))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_bits_of_one_array(client, X, rule, tmp_path):
    widths = split(X.shape[1], 2)
    found = check(client, rule, chunked(client, X, widths, tmp_path), X)
    assert found.value.chunks == (widths,)


@pytest.mark.slow
def test_what_is_too_large_to_go_with_each_task_goes_to_each_worker_once(client, files, monkeypatch):
    monkeypatch.setattr(rd, "MOST_SENT", 0)
    paths, X = files
    check(client, rc.TrimmedMean(f=1, mixing=rc.NNM(f=1)), paths, X, progress=lambda share: None)


@pytest.mark.slow
def test_uneven_shards(client, X, tmp_path):
    uneven = chunked(client, X, (5, STEP + 3, 1, X.shape[1] - STEP - 9), tmp_path)
    for rule in RULES:
        found = rd.aggregate(uneven, rule, client=client)
        assert found.value.chunks == (uneven.chunks[1],)
        np.testing.assert_allclose(client.compute(found.value).result(), rule(X), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_row_that_is_not_finite_in_one_shard_is_dropped_everywhere(client, X, tmp_path):
    X = X.copy()
    X[2, -1] = np.nan
    shards = chunked(client, X, split(X.shape[1], 3), tmp_path)
    for rule in (rc.Krum(f=2), rc.Median(f=2), rc.Mean(f=2), rc.Median(f=2, mixing=rc.NNM(f=2))):
        assert check(client, rule, shards, X).dropped == {2: "not finite"}


@pytest.mark.slow
def test_a_center_in_shards_and_a_certificate(client, X):
    small = np.ascontiguousarray(X[:, :1000].astype(np.float64))
    small[0] /= 1e10
    shards = da.from_array(small, chunks=(7, 300))
    first = rd.aggregate(shards, "centered_clip", tau=9.0, client=client)
    found = rd.aggregate(shards, rc.CenteredClip(9.0, center=first.value), client=client)
    expected = rc.centered_clip(small, 9.0, center=rc.centered_clip(small, 9.0))
    np.testing.assert_allclose(client.compute(found.value).result(), expected, rtol=1e-12)
    for y in (found, found.value, expected):
        certificate = rc.certify(rd.updates(shards, client=client), y, 2)
        assert certificate.kappa == pytest.approx(rc.certify(small, expected, 2).kappa, rel=1e-9)


def kill_one(client):
    pids = client.run(os.getpid)
    address, pid = next(iter(pids.items()))
    os.kill(pid, signal.SIGKILL)
    return address


@pytest.mark.slow
@pytest.mark.parametrize("nth", [2, 8])
def test_a_worker_that_dies_in_a_pass_is_replaced(mortal, files, nth):
    """In the pass of the distances, or in that of the value; files are read again, to the same bits."""
    paths, X = files
    calls = []

    def progress(share):
        calls.append(share)
        if len(calls) == nth:
            calls.append(kill_one(mortal))

    check(mortal, rc.MultiKrum(f=1), paths, X, progress=progress)
    assert nth < len(calls)


@pytest.mark.slow
def test_what_dies_with_a_worker_after_the_last_pass_is_computed_again(mortal, files):
    paths, X = files
    found = rd.aggregate(paths, rc.Median(), client=mortal)
    kill_one(mortal)
    assert mortal.compute(found.value).result().tobytes() == rc.median(X).tobytes()


@pytest.mark.slow
def test_scattered_arrays_are_lost(mortal):
    X = np.eye(4)
    [future] = mortal.scatter([X], hash=False)
    updates = rd.updates([dask.delayed(np.negative)(future)], client=mortal)
    assert mortal.compute(rc.median(updates)).result().tolist() == [-0.0] * 4
    holder = mortal.who_has(future)[future.key][0]
    os.kill(mortal.run(os.getpid, workers=[holder])[holder], signal.SIGKILL)
    wait_for(lambda: holder not in mortal.nthreads())
    with pytest.raises(RuntimeError, match="lost with a worker"):
        rc.median(updates)


@pytest.mark.slow
def test_nothing_travels_but_what_is_small_and_nothing_stays_behind(client, files, monkeypatch):
    paths, X = files
    gathered, gather = [], client.gather

    def counted(futures):
        found = gather(futures)
        gathered.append(len(pickle.dumps(found)))
        return found

    monkeypatch.setattr(client, "gather", counted)
    found = rd.aggregate(paths, rc.MultiKrum(f=1, mixing=rc.NNM(f=1)), client=client)
    assert len(gathered) == 3  # shapes, distances, flags
    assert sum(gathered) < 2000
    wait_for(lambda: sum(held(client)) == 4 * X.shape[1])
    del found
    wait_for(lambda: not held(client))


def held(client):
    """The bytes of all that the workers hold."""
    workers = client.run(lambda dask_worker: [getattr(dask_worker.data[key], "nbytes", 1) for key in dask_worker.data])
    return [size for sizes in workers.values() for size in sizes]


def wait_for(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("in vain")


@pytest.mark.slow
def test_what_progress_raises_cancels_the_rest(client, files):
    def stop(share):
        raise ZeroDivisionError

    for rule in (rc.Krum(f=1), rc.Median()):
        with pytest.raises(ZeroDivisionError):
            rd.aggregate(files[0], rule, client=client, progress=stop)
        wait_for(lambda: not any(client.processing().values()) and not held(client))


def slow(event):
    distributed.Event(event).wait(timeout=20)
    return np.eye(3)


@pytest.mark.slow
def test_ctrl_c_cancels(client):
    event = distributed.Event("go", client=client)
    updates = rd.open_shards(rd._engine(client, [dask.delayed(slow)("go")] * 3, [3] * 3, np.float64), 3, [3] * 3, float)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            rc.median(updates)
        wait_for(lambda: not any(client.processing().values()))
    finally:
        event.set()
        signal.signal(signal.SIGINT, before)


def threads_of(updates):
    return rc.get_num_threads()


@pytest.mark.slow
def test_a_task_has_one_thread_where_its_worker_has_several(client):
    shards = da.from_array(np.eye(3), chunks=(3, 1))
    client.run(rc.set_num_threads, 2)
    assert rd.updates(shards, client=client).each(threads_of) == [2] * 3
    client.run(rc.set_num_threads, 1)
    with (
        distributed.LocalCluster(1, threads_per_worker=2, processes=False, dashboard_address=ANY) as two,
        distributed.Client(two) as current,
        rc.num_threads(2),
    ):
        assert rd.updates(shards).each(threads_of) == [1] * 3  # of the current client
        assert current.compute(rd.aggregate(shards, "mean").value).result().sum() == pytest.approx(1.0)


# Without a cluster.


def test_without_a_client_shards_are_computed_here_one_by_one(files, tmp_path):
    X = np.random.default_rng(5).integers(-4, 5, (7, 60)).astype(np.float32)
    told = []
    np.save(tmp_path / "a.npy", X[:, :20])
    np.save(tmp_path / "b.npy", np.asfortranarray(X[:, 20:]))
    for shards in (
        da.from_array(X, chunks=(7, (20, 40))),
        [dask.delayed(np.ascontiguousarray)(X[:, :20]), dask.delayed(X[:, 20:])],
        [tmp_path / "a.npy", str(tmp_path / "b.npy")],
    ):
        found = rd.aggregate(shards, "multi_krum", f=1, mixing="nnm", progress=told.append)
        assert found.value.chunks == ((20, 40),)
        same(found, rc.aggregate(X, "multi_krum", f=1, mixing="nnm"))
        center = da.from_array(X[1], chunks=13)
        same(
            rd.aggregate(shards, rc.CenteredClip(2.0, center=center, iterations=2)),
            rc.CenteredClip(2.0, center=X[1], iterations=2).aggregate(X),
        )
    assert told == [0.5, 1.0] * 6


@pytest.mark.parametrize("alone", [True, False])
def test_chunks_that_have_other_widths_than_they_say(client, alone):
    X = da.from_array(np.arange(24.0).reshape(4, 6), chunks=(4, 3))
    lying = X.map_blocks(lambda x: x[:, :2], dtype=X.dtype)
    assert lying.chunks == X.chunks
    opened = rd.updates(lying, client=None if alone else client)
    with pytest.raises(ValueError, match=r"a shard should have 3 columns, and its shape is \(4, 2\)"):
        rc.median(opened)


def never(*_):
    raise AssertionError("computed")


def test_what_shapes_and_dtypes_tell_is_said_before_any_number_is_read():
    def lazy(shape, dtype="f4", chunks=-1):
        return da.map_blocks(
            never, da.zeros(shape, chunks=chunks), dtype=dtype, meta=np.empty((0,) * len(shape), dtype)
        )

    for wrong, error, why in (
        (lazy((4, 9), chunks=(2, 9)), ValueError, r"2 chunks.*rechunk\({0: -1"),
        (lazy((9,)), ValueError, "an axis for clients"),
        (lazy((4, 9), "i4"), TypeError, "int32"),
        (lazy((0, 9)), ValueError, "n >= 1"),
        (lazy((4, 0)), ValueError, "shard 0 has no columns"),
        (da.zeros((4, 9))[:, da.ones(9) > 0], ValueError, "unknown size"),
        (np.zeros((4, 9)), TypeError, "not a ndarray"),
        ([], ValueError, "no shards"),
        ([np.zeros((4, 9))], TypeError, "shard 0 is a ndarray"),
        (["a.npz"], ValueError, "no .npy"),
        ([dask.delayed(np.zeros)((4, 9)), dask.delayed(np.zeros)((5, 9))], ValueError, "shard 1 has n = 5"),
        ([dask.delayed(np.zeros)((4, 9)), dask.delayed(np.zeros)((4, 9), "f4")], ValueError, "shard 1 .* float32"),
        ([dask.delayed(np.zeros)(4)], ValueError, "an axis for clients"),
        ([dask.delayed(list)()], TypeError, "a list, not an array"),
    ):
        with pytest.raises(error, match=why):
            rd.aggregate(wrong, "krum", f=1)
    with pytest.raises(rc.ConstraintError):
        rd.aggregate(lazy((4, 9)), "krum", f=2)
    for center, why in ((np.zeros(8, "f4"), r"shape \(9,\)"), (np.zeros(9), "float64")):
        with pytest.raises(ValueError, match=f"centered_clip: center .*{why}"):
            rd.aggregate(da.zeros((4, 9), dtype="f4"), "centered_clip", tau=1.0, center=center)
