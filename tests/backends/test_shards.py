"""Rules on shards against rules on one array: the same bits, whatever is decided, dropped, mixed or looked at again."""

import itertools
import pickle
import sys

import ml_dtypes
import numpy as np
import pytest

import robustcore as rc
from robustcore import _core
from robustcore.backends import Here, open_shards, split
from robustcore.mixing import make_mixing

N, F, D, CUTS = 12, 2, 120, (7, 31, 32, 90)
MIXINGS = ["", "nnm", "bucketing:s=2,rng=0", "clipping:c=30", "arc", "clipping:c=30 nnm", "nnm arc"]


class Elsewhere(Here):
    """Tasks and what they return are pickled, as between processes, and shards are counted."""

    def _each(self, task, rows, progress):
        self.tasks = getattr(self, "tasks", 0) + 1
        for found in super()._each(pickle.loads(pickle.dumps(task)), rows, progress):
            yield pickle.loads(pickle.dumps(found))


def shards_of(X, cuts=CUTS, engine=Elsewhere):
    parts = [np.ascontiguousarray(part) for part in np.split(X, cuts, axis=1)]
    return open_shards(engine(parts), len(X), [part.shape[1] for part in parts], X.dtype)


def whole_numbers(dtype=np.float32, n=N, d=D):
    """Whose distances are exact, so that they do not depend on the order of additions."""
    return np.random.default_rng(0).integers(-4, 5, (n, d)).astype(dtype)


def made(name, mixing):
    fields = rc.RULES[name].__dataclass_fields__
    given = {"f": F} if "f" in fields else {}
    given |= {"tau": 20.0, "iterations": 3} if "tau" in fields else {}
    return rc.RULES[name](**given, mixing=[make_mixing(text, F) for text in mixing.split()])


def same(one, other):
    assert one.value.dtype == other.value.dtype
    assert one.value.tobytes() == other.value.tobytes()
    for own, others in ((one.weights, other.weights), (one.scores, other.scores)):
        assert (own is None) == (others is None)
        assert own is None or own.tobytes() == others.tobytes()
    assert (one.selected == other.selected).all()
    assert (one.dropped, one.gap, one.guarantee) == (other.dropped, other.gap, other.guarantee)


@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("name", rc.RULES)
def test_every_rule_behind_every_mixing(name, mixing):
    X = whole_numbers()
    try:
        rule = made(name, mixing)
        expected = rule.aggregate(X)
    except rc.ConstraintError:
        pytest.skip("n and f do not fit behind this mixing")
    same(rule.aggregate(shards_of(X)), expected)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, ">f4", ">f8"])
@pytest.mark.parametrize("name", ["multi_krum", "median", "geometric_median", "bulyan", "mean"])
def test_every_dtype(name, dtype):
    X = whole_numbers(dtype)
    same(made(name, "").aggregate(shards_of(X, engine=Here)), made(name, "").aggregate(X))


@pytest.mark.parametrize("mixing", ["", "nnm", "clipping:c=30"])
@pytest.mark.parametrize("name", rc.RULES)
def test_who_is_not_finite_in_one_shard_is_dropped_everywhere(name, mixing):
    X = whole_numbers()
    X[3, 100], X[8, 0] = np.nan, np.inf
    rule = made(name, mixing)
    try:
        expected = rule.aggregate(X)
    except rc.ConstraintError as error:
        with pytest.raises(rc.ConstraintError, match="^" + str(error).replace("(", r"\(").replace(")", r"\)")):
            rule.aggregate(shards_of(X))
        return
    assert set(expected.dropped) == {3, 8}
    same(rule.aggregate(shards_of(X)), expected)
    X[5, 50] = np.nan
    with pytest.raises(rc.ConstraintError):
        rule.aggregate(shards_of(X))


@pytest.mark.parametrize("far", [1e4, 1e12, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mixing", ["", "nnm", "clipping:c=3"])
def test_rules_that_look_again(dtype, far, mixing):
    """From near the middle, in passes over rows pulled in: sums of rounded numbers, so that their order matters."""
    X = np.random.default_rng(1).standard_normal((N, D)).astype(dtype)
    X[:F] *= far
    for name in ("geometric_median", "centered_clip", "medoid", "minmax_meb"):
        one, other = (made(name, mixing).aggregate(x) for x in (X, shards_of(X)))
        bound = 1e-5 if dtype is np.float32 else 1e-9
        assert np.abs(one.value - other.value).max() <= bound * max(np.abs(one.value).max(), 1.0)


@pytest.mark.parametrize("scale", [1e-170, 1e-60, 1.0, 1e60, 1e160, 1e307])
@pytest.mark.parametrize("name", ["krum", "multi_krum", "geometric_median", "medoid", "caf", "mda", "mean"])
def test_scales_beyond_what_squares_can_hold(name, scale):
    X = np.random.default_rng(2).standard_normal((N, D)) * scale
    one, other = (made(name, "").aggregate(x) for x in (X, shards_of(X)))
    np.testing.assert_allclose(other.value / scale, one.value / scale, rtol=1e-9, atol=1e-9)
    assert (one.selected == other.selected).all()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bits_of_one_array_where_shards_begin_with_superblocks(dtype):
    X = np.random.default_rng(3).standard_normal((7, 3 * _core.SUPERBLOCK + 77)).astype(dtype)
    X[0] *= 1e20
    cuts = np.cumsum(split(X.shape[1], 3))[:-1]
    with rc.num_threads(2):
        assert (rc.pairwise_sqdist(shards_of(X, cuts)) == rc.pairwise_sqdist(X)).all()
        for rule in (
            rc.GeometricMedian(f=1),
            rc.CenteredClip(900.0, f=1, iterations=2, mixing=rc.NNM(f=1)),
            rc.MultiKrum(f=1, mixing=[rc.ARC(f=1), rc.Bucketing(2, rng=0)]),
            rc.Phocas(f=1),
        ):
            same(rule.aggregate(shards_of(X, cuts)), rule.aggregate(X))


def test_a_center_in_the_same_shards():
    X = whole_numbers()
    center = X[3] + 1
    rule = rc.CenteredClip(9.0, f=F, center=center, iterations=2)
    same(rule.aggregate(shards_of(X)), rule.aggregate(X))
    infinite = np.full_like(center, np.inf)
    for wrong, why in ((center[:-1], r"shape \(120,\)"), (center.astype(float), "float64"), (infinite, "finite")):
        with pytest.raises(ValueError, match=rf"centered_clip: center .*{why}"):
            rc.CenteredClip(9.0, center=wrong)(shards_of(X))


def test_certificates_and_balls():
    X = whole_numbers(np.float64, n=7, d=9)
    for rule in (rc.MultiKrum(f=2), rc.Median(f=2)):
        r = rule.aggregate(X)
        for y in (r, r.value):
            one, other = (rc.certify(x, y, 2) for x in (X, shards_of(X, (2, 5))))
            assert one.worst.keys() == other.worst.keys()
            assert all(one.worst[key].low == other.worst[key].low for key in one.worst)
            assert one.promised == other.promised
    with pytest.raises(ValueError, match="other updates"):
        rc.certify(shards_of(X + 1, (2, 5)), rc.MultiKrum(f=2).aggregate(X), 2)
    for d in (3, 9):
        x = np.ascontiguousarray(X[:, :d])
        one, other = rc.minimum_enclosing_ball(x), rc.minimum_enclosing_ball(shards_of(x, (1,)))
        assert one.radius == pytest.approx(other.radius, rel=1e-12)
        np.testing.assert_allclose(one.center, other.center, rtol=1e-9)
    assert (rc.centroid_ball(shards_of(X, (4,)), 2).subsets == rc.centroid_ball(X, 2).subsets).all()
    with pytest.raises(TypeError, match="in one memory"):
        rc.validity.meb(X[0], shards_of(X, (4,)), 1.0)


def test_what_is_wrong_is_said_before_anything_is_read():
    def load(shard):
        raise AssertionError("read")

    engine = Here([None], load)
    for arguments, error, why in (
        ((0, [3], np.float32), ValueError, "n >= 1"),
        ((3, [], np.float32), ValueError, "no shards"),
        ((3, [3, 0], np.float32), ValueError, "shard 1"),
        ((3, [3], np.int64), TypeError, "int64"),
    ):
        with pytest.raises(error, match=why):
            open_shards(engine, *arguments)
    with pytest.raises(rc.ConstraintError):
        rc.Krum(f=2).aggregate(open_shards(engine, 4, [3], np.float32))


def test_shards_that_are_not_what_was_said():
    X = whole_numbers()
    for n, dtype in ((N + 1, X.dtype), (N, np.float64)):
        with pytest.raises(ValueError, match="a shard is no"):
            rc.mean(open_shards(Here([X]), n, [D], dtype))


def test_progress_counts_shards_and_what_it_raises_is_passed_on():
    told = []
    rc.Median().aggregate(shards_of(whole_numbers()), progress=told.append)
    assert told == [1 / 5, 2 / 5, 3 / 5, 4 / 5, 1.0]

    def stop(share):
        raise KeyboardInterrupt

    updates = shards_of(whole_numbers())
    with pytest.raises(KeyboardInterrupt):
        rc.Median().aggregate(updates, progress=stop)


def test_two_passes_for_a_rule_that_is_decided_by_distances():
    updates = shards_of(whole_numbers())
    rc.MultiKrum(f=F, mixing=rc.NNM(f=F)).aggregate(updates)
    assert updates.core.engine.tasks == 2


@pytest.mark.parametrize("missing", ["dask", "cloudpickle"])
def test_what_to_install_is_said(monkeypatch, missing):
    monkeypatch.delitem(sys.modules, "robustcore.backends.dask", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(vars(rc.backends), "dask", raising=False)
    with pytest.raises(ImportError, match=r'pip install "robustcore\[dask\]"'):
        rc.backends.dask  # noqa: B018


def test_import_of_robustcore_loads_no_backend(run_script):
    script = """
        import sys, robustcore
        print(sorted({"dask", "distributed", "torch", "robustcore.backends"} & set(sys.modules)))
        robustcore.backends
        print(sorted({"dask", "distributed", "torch"} & set(sys.modules)))
    """
    assert run_script(script).stdout == "[]\n[]\n"


def test_split():
    step = _core.SUPERBLOCK
    for d, parts in itertools.product([1, step - 1, step, step + 1, 10 * step, 10 * step + 5], [1, 2, 3, 7, 20]):
        widths = split(d, parts)
        assert sum(widths) == d and all(widths)
        assert all(begin % step == 0 for begin in np.cumsum(widths)[:-1])
        assert len(widths) == min(parts, -(-d // step))
        assert max(widths) - min(widths[:-1] or widths) <= step
    for wrong in ((0, 1), (1, 0), (-1, 1)):
        with pytest.raises(ValueError):
            split(*wrong)
