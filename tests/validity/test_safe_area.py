"""The safe area against all subsets, and the proofs that come with the answers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

import robustcore as rc
from robustcore import validity

KINDS = {
    "gaussian": lambda rng, n, d: rng.normal(size=(n, d)),
    "lattice": lambda rng, n, d: rng.integers(-1, 2, (n, d)).astype(float),
    "line": lambda rng, n, d: rng.integers(-3, 4, (n, 1)) * np.ones(d),
    "few": lambda rng, n, d: rng.normal(size=(3, d))[rng.integers(0, 3, n)],
    "equal": lambda rng, n, d: np.repeat(rng.normal(size=(1, d)), n, axis=0),
}
CASES = st.tuples(
    st.sampled_from(sorted(KINDS)), st.integers(1, 8), st.integers(0, 3), st.integers(1, 4), st.integers(0, 2**32 - 1)
).filter(lambda case: case[1] > case[2])


def drawn(case):
    kind, n, f, d, seed = case
    rng = np.random.default_rng(seed)
    return KINDS[kind](rng, n, d), f, rng


def subsets(n, f):
    return itertools.combinations(range(n), n - f)


def apart(points, y):
    """How far y is from the hull of the points, in the maximum norm."""
    n, d = points.shape
    rows, slack = (points - y).T, -np.ones((d, 1))
    found = linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=np.vstack([np.hstack([rows, slack]), np.hstack([-rows, slack])]),
        b_ub=np.zeros(2 * d),
        A_eq=np.append(np.ones(n), 0.0)[np.newaxis],
        b_eq=[1.0],
    )
    return found.fun


def brute_force(X, y, f):
    return max(apart(X[list(S)], y) for S in subsets(len(X), f))


def miss(hulls):
    """By how much, in the maximum norm, every point misses one of the hulls."""
    d, sizes = hulls[0].shape[1], [len(hull) for hull in hulls]
    columns = d + sum(sizes) + 1
    rows, ones, at = [], [], d
    for hull, size in zip(hulls, sizes, strict=True):
        block = np.zeros((2 * d, columns))
        block[:d, :d], block[d:, :d] = np.eye(d), -np.eye(d)
        block[:d, at : at + size], block[d:, at : at + size] = -hull.T, hull.T
        block[:, -1] = -1.0
        total = np.zeros(columns)
        total[at : at + size] = 1.0
        rows.append(block)
        ones.append(total)
        at += size
    bounds = [(None, None)] * d + [(0, None)] * (columns - d)
    costs = np.zeros(columns)
    costs[-1] = 1.0
    b_ub = np.zeros(2 * d * len(hulls))
    return linprog(
        costs, A_ub=np.vstack(rows), b_ub=b_ub, A_eq=np.array(ones), b_eq=np.ones(len(hulls)), bounds=bounds
    ).fun


def depth(X, y, rng):
    """An upper bound on the Tukey depth of y, by many halfspaces."""
    directions = rng.normal(size=(2000, X.shape[1]))
    differences = X - y
    return int((differences @ directions.T >= -1e-9).sum(axis=0).min())


# ---- membership --------------------------------------------------------------------------------------------------


@given(CASES)
def test_membership_against_all_subsets(case):
    X, f, rng = drawn(case)
    candidates = [X[0], X.mean(axis=0), np.median(X, axis=0), X[rng.integers(len(X), size=2)].mean(axis=0)]
    for y in candidates:
        away = brute_force(X, y, f)
        if 1e-9 < away < 1e-6:
            continue
        asked = validity.in_safe_area(X, y, f)
        assert asked.exact and bool(asked) == asked.inside == (away <= 1e-9)
        if not asked:
            left = np.setdiff1d(np.arange(len(X)), asked.removed)
            assert len(asked.removed) <= f and asked.distance > 0.0
            assert apart(X[left], y) >= 0.999 * asked.distance / np.sqrt(X.shape[1])


@pytest.mark.parametrize("fails", ["raises", "nothing", "wrong"])
def test_linear_programming_judges_where_least_squares_fail(monkeypatch, fails):
    X, f = np.random.default_rng(1).normal(size=(12, 3)), 2
    asked = [*(0.5 * X), np.zeros(3)]
    expected = [bool(validity.in_safe_area(X, y, f)) for y in asked]
    assert set(expected) == {True, False}

    def nnls(A, b):
        if fails == "raises":
            raise RuntimeError("Maximum number of iterations reached.")
        return (np.zeros(A.shape[1]) if fails == "nothing" else np.eye(A.shape[1])[0]), 1.0

    monkeypatch.setattr("scipy.optimize.nnls", nnls)
    assert [bool(validity.in_safe_area(X, y, f)) for y in asked] == expected
    assert all(validity.in_safe_area(X, y, f).exact for y in asked)
    assert validity.safe_area_point(X, f).exact


def test_membership_needs_no_linear_programme(monkeypatch):
    """Least squares prove both answers; linear programming is for what they leave open."""

    def linprog(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr("scipy.optimize.linprog", linprog)
    X = np.random.default_rng(2).normal(size=(25, 4))
    for scale in (1.0, 1e-3, 1e3):
        for y in (*X, *(0.3 * X)):
            assert validity.in_safe_area(scale * X, scale * y, 2).exact
    assert validity.safe_area_point(X, 2).exact


def test_a_point_between_near_and_far_ones():
    """As far from most updates as half a million of their spreads, and in the hull."""
    X = np.array([[1.0, 0.0, -1.0], [1.0, 1.0, 1.0], [-1.0, 0.0, 0.0], [-1.0, 0.0, 1.0], [1.3e6, 0.7e6, -1.5e6]])
    y = X[[0, 1, 4]].mean(axis=0)
    assert validity.in_safe_area(X, y, 0) and validity.convex(y, X)
    for f in (1, 2, 3):
        asked = validity.in_safe_area(X, y, f)
        assert asked.exact and not asked and len(asked.removed) <= f


@pytest.mark.parametrize("thin", [1e-3, 1e-6, 1e-8, 1e-12])
def test_thin_updates(thin):
    """Directions near the tolerance, in which updates are nearly flat, leave nothing open."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(40, 6)) * np.geomspace(1.0, thin, 6)
        area = validity.safe_area_point(X, 4)
        assert area.exact and not area.empty
        assert validity.in_safe_area(X, area.point, 4)
        assert all(validity.in_safe_area(X, y, 4).exact for y in X)


def test_an_update_that_is_safe_comes_back_as_it_is():
    X = np.array([[0.0], [1.0], [1.0], [343753.459]])
    area = validity.safe_area_point(X, 2)
    assert area.point.tolist() == [1.0] and area.weights.tolist() == [0.0, 1.0, 0.0, 0.0]
    assert validity.in_safe_area(X, area.point, 2)


@pytest.mark.parametrize(("n", "f", "d"), [(20, 3, 2), (25, 4, 3), (30, 3, 6)])
def test_inside_is_a_tukey_depth_above_f(n, f, d):
    rng = np.random.default_rng([n, f, d])
    X, seen = rng.normal(size=(n, d)), set()
    for share in np.linspace(0.0, 1.5, 16):
        y = share * X[rng.integers(n)]
        inside = bool(validity.in_safe_area(X, y, f))
        bound = depth(X, y, rng)
        assert not inside or bound >= f + 1
        assert inside or d > 2 or bound <= f  # in the plane, 2000 halfspaces are as good as all
        seen.add(inside)
    assert seen == {True, False}


def test_the_median_interval_in_one_dimension():
    X = np.array([[5.0], [1.0], [4.0], [2.0], [9.0]])
    for y, f, inside in [(2.0, 1, True), (1.99, 1, False), (5.0, 1, True), (5.01, 1, False), (4.0, 2, True)]:
        assert bool(validity.in_safe_area(X, np.array([y]), f)) == inside
    assert validity.in_safe_area(X, np.array([1.5]), 1).removed.tolist() == [1]
    assert validity.safe_area_point(X, 2).point == pytest.approx([4.0])


def test_theorem_6_9_the_geometric_median_is_not_safe():
    """t + 1 updates in the origin, t in (1, 0) and t in (0, 1): only the origin is in every hull."""
    for t in (3, 4, 10, 40):
        X = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [t + 1, t, t], axis=0)
        y = rc.geometric_median(X)
        asked = validity.in_safe_area(X, y, t)
        assert asked.exact and not asked
        honest = np.setdiff1d(np.arange(len(X)), asked.removed)
        assert not validity.convex(y, X[honest]) and len(honest) >= len(X) - t
        assert validity.in_safe_area(X, np.zeros(2), t)
        assert abs(validity.safe_area_point(X, t).point).max() <= 1e-8
    for t in (1, 2):  # for few, it is the origin
        X = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [t + 1, t, t], axis=0)
        assert validity.in_safe_area(X, rc.geometric_median(X), t)


def test_the_rules_that_see_coordinates_alone_can_be_unsafe():
    """The median of the corners of a simplex is the origin, off their hull."""
    assert not validity.in_safe_area(np.eye(3), rc.median(np.eye(3)), 0)
    assert validity.box(rc.median(np.eye(3)), np.eye(3))


# ---- a point, or none --------------------------------------------------------------------------------------------


@given(CASES)
def test_points_against_all_subsets(case):
    X, f, _ = drawn(case)
    area = validity.safe_area_point(X, f)
    assert area.exact and area.empty == (area.point is None)
    hulls = [X[list(S)] for S in subsets(len(X), f)]
    if area.empty:
        assert not area.guaranteed and len(area.subsets) <= X.shape[1] + 1
        assert area.subsets.shape[1] == len(X) - f
        assert (np.diff(area.subsets, axis=1) > 0).all()
        assert miss([X[S] for S in area.subsets]) > 0.0
    else:
        assert brute_force(X, area.point, f) <= 1e-8
        assert validity.in_safe_area(X, area.point, f)
        assert (area.weights >= 0.0).all() and area.weights.sum() == pytest.approx(1.0)
        assert area.weights @ X == pytest.approx(area.point, abs=1e-12)
        assert miss(hulls) <= 1e-8
        assert len(area.subsets) == 0


@pytest.mark.parametrize("d", [1, 2, 3, 6])
@pytest.mark.parametrize("f", [1, 2, 5])
def test_a_simplex_is_empty_until_one_more_point_comes(f, d):
    """n = (d + 1) f: each corner f times. Hulls of the others are the facets, and one more point is what they share."""
    corners = np.vstack([np.zeros(d), np.eye(d)])
    X = np.repeat(corners, f, axis=0)
    area = validity.safe_area_point(X, f)
    assert area.empty and area.exact and not area.guaranteed and area.point is None and area.weights is None
    assert len(area.subsets) == d + 1
    lost = [sorted(set(range(len(X))) - set(S)) for S in area.subsets.tolist()]
    assert sorted(itertools.chain(*lost)) == list(range(len(X)))
    inner = np.full(d, 1 / (2 * d))
    area = validity.safe_area_point(np.vstack([X, inner]), f)
    assert area.guaranteed and area.point == pytest.approx(inner, abs=1e-8)


@pytest.mark.parametrize("d", [2, 3, 5, 8])
def test_a_radon_point_is_found(d):
    """d + 2 points with f = 1 have one safe point in general, in the relative interior of two hulls."""
    for seed in range(4):
        X = np.random.default_rng([d, seed]).normal(size=(d + 2, d))
        area = validity.safe_area_point(X, 1)
        dependent = np.linalg.svd(np.vstack([X.T, np.ones(d + 2)]))[2][-1]
        positive = np.where(dependent > 0, dependent, 0.0)
        assert area.guaranteed and area.point == pytest.approx(positive @ X / positive.sum(), abs=1e-6)


@pytest.mark.parametrize("n", [2, 7, 40])
def test_independent_updates_have_no_safe_area(n):
    """What models give: many more dimensions than clients. The barycentric coordinates prove it at once."""
    X = np.random.default_rng(n).normal(size=(n, 3000)).astype(np.float32)
    for f in {1, (n - 1) // 2} - {0}:
        area = validity.safe_area_point(X, f, budget=rc.Budget(steps=100))
        assert area.empty and len(area.subsets) <= n
        everybody = np.zeros(n, int)
        for S in area.subsets:
            everybody[S] += 1
        assert (everybody < len(area.subsets)).all()  # a point in all hulls would have no weight on anybody
    assert validity.safe_area_point(X, 0).guaranteed
    y = validity.safe_area_point(X, 0).point
    assert y.dtype == np.float32 and validity.convex(y, X) and validity.in_safe_area(X, y, 0)
    assert not validity.in_safe_area(X, y, 1)


@pytest.mark.parametrize(("n", "f", "d"), [(30, 4, 6), (50, 5, 8), (64, 3, 20), (60, 9, 5)])
@pytest.mark.parametrize("kind", ["gaussian", "together"])
def test_the_sizes_that_are_promised(n, f, d, kind):
    """With steps instead of seconds: least squares problems solved."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    if kind == "together":
        X[:f] = 10 * rng.normal(size=d) + 0.1 * rng.normal(size=(f, d))
    area = validity.safe_area_point(X, f, budget=rc.Budget(steps=3000))
    assert area.guaranteed and area.exact and not area.empty
    assert depth(X, area.point, rng) > f
    for _ in range(50):
        removed = rng.permutation(n)[:f]
        assert validity.convex(area.point, np.delete(X, removed, axis=0))


# ---- what is degenerate, far, small and not finite ---------------------------------------------------------------


def test_one_update_and_equal_ones():
    for n in (1, 2, 5):
        for f in range(n):
            X = np.full((n, 3), 7.0)
            area = validity.safe_area_point(X, f)
            assert area.point.tolist() == [7.0, 7.0, 7.0] and area.exact
            assert area.guaranteed == (n > f)  # they span no dimension
            assert validity.in_safe_area(X, X[0], f)
            assert not validity.in_safe_area(X, X[0] * (1 + 1e-12), f)


@pytest.mark.parametrize("far", [1e6, 1e15, 1e30, 1e200, 1e307])
def test_far_updates_are_directions(far):
    rng = np.random.default_rng(4)
    near = rng.normal(size=(12, 3))
    X = np.vstack([near, far * np.array([[1.0, 0.5, -0.3], [1.0, 0.5, -0.31]])])
    area = validity.safe_area_point(X, 2)
    assert area.exact and validity.in_safe_area(X, area.point, 2)
    reference = np.vstack([near, 1e6 * np.array([[1.0, 0.5, -0.3], [1.0, 0.5, -0.31]])])
    for y in [area.point, *near, *(0.5 * near)]:
        assert bool(validity.in_safe_area(X, y, 2)) == bool(validity.in_safe_area(reference, y, 2))
    assert not validity.in_safe_area(X, X[-1], 2)


@pytest.mark.parametrize("far", [1e-3, 1e10, 1e30, 1e300])
def test_equal_honest_updates_are_the_safe_area(far):
    """Strong validity: the tolerance is not that of the far ones."""
    for n, f in [(5, 2), (7, 3), (4, 1)]:
        X = np.ones((n, 2))
        X[:f] = far * np.arange(2, 2 * f + 2).reshape(f, 2)
        asked = validity.in_safe_area(X, X[-1], f)
        area = validity.safe_area_point(X, f)
        assert area.exact and area.empty == (not asked)
        if asked:
            assert area.point.tolist() == [1.0, 1.0] and area.weights[f:].sum() == pytest.approx(1.0)
        for away in (1e-12, 1e-3, 1.0):
            assert not validity.in_safe_area(X, X[-1] + away, f)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_scale_and_offset_change_nothing(scale, offset):
    rng = np.random.default_rng(6)
    X = rng.normal(size=(15, 3))
    for y in X * 0.6:
        expected = bool(validity.in_safe_area(X, y, 2))
        assert bool(validity.in_safe_area(scale * (X + offset), scale * (y + offset), 2)) == expected
    there = validity.safe_area_point(scale * (X + offset), 2)
    assert there.point / scale - offset == pytest.approx(validity.safe_area_point(X, 2).point, abs=1e-7)


def test_rotation_changes_nothing():
    rng = np.random.default_rng(8)
    X, f = rng.normal(size=(14, 3)), 2
    Q = np.linalg.qr(rng.normal(size=(40, 40)))[0][:3]
    for y in 0.7 * X:
        assert bool(validity.in_safe_area(X @ Q, y @ Q, f)) == bool(validity.in_safe_area(X, y, f))


def test_updates_in_any_structure_and_those_that_cannot_be_used():
    X = np.random.default_rng(9).normal(size=(12, 4)).astype(np.float32)
    layers = [[row[:1], row[1:].reshape(3, 1)] for row in X]
    layers[5][1] = np.full((3, 1), np.nan, np.float32)
    area = validity.safe_area_point(layers, 2)
    left = np.delete(X, 5, axis=0)
    assert area.dropped == {5: "not finite"} and area.weights[5] == 0.0
    assert [part.shape for part in area.point] == [(1,), (3, 1)] and area.point[0].dtype == np.float32
    y = np.concatenate([part.reshape(-1) for part in area.point])
    assert validity.in_safe_area(left, y, 1) and validity.in_safe_area(layers, area.point, 2)
    out = [2 * part for part in layers[0]]
    asked = validity.in_safe_area(layers, out, 2)
    assert not asked and asked.dropped == {5: "not finite"} and 5 not in asked.removed
    asked = validity.in_safe_area(layers, [np.float32([np.inf]), out[1]], 2)
    assert not asked and asked.exact and asked.distance == np.inf


def test_clients_are_named_by_their_place():
    X = np.vstack([np.full((1, 2), np.nan), [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    area = validity.safe_area_point(X, 2)
    assert area.empty and area.subsets.tolist() == [[1, 2], [1, 3], [2, 3]]
    assert validity.in_safe_area(X, np.array([0.1, 0.1]), 2).removed.tolist() in ([1], [2], [3])


# ---- budgets, progress and errors --------------------------------------------------------------------------------


def test_a_spent_budget_decides_nothing():
    X = np.random.default_rng(0).normal(size=(40, 6))
    asked = validity.in_safe_area(X, X.mean(axis=0), 5, budget=rc.Budget(steps=3))
    assert not asked and not asked.inside and not asked.exact and len(asked.removed) == 0
    area = validity.safe_area_point(X, 5, budget=rc.Budget(steps=3))
    assert area.point is None and not area.empty and not area.exact and area.guaranteed
    assert validity.in_safe_area(X, X.mean(axis=0), 5, budget=600.0).exact


def test_progress_is_reported_and_can_stop(monkeypatch):
    from robustcore import _safe_area

    monkeypatch.setattr(_safe_area, "SOON", 0.0)
    X, said = np.random.default_rng(0).normal(size=(40, 6)), []
    assert validity.in_safe_area(X, X.mean(axis=0), 5, progress=said.append)
    assert said == sorted(said) and said[0] >= 0.0 and 0.0 < said[-1] <= 1.0

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        validity.safe_area_point(X, 5, progress=stop)


def test_what_does_not_fit_is_said():
    X = np.zeros((3, 2))
    with pytest.raises(rc.ConstraintError, match="in_safe_area needs n > f; here n = 3 and f = 3"):
        validity.in_safe_area(X, X[0], 3)
    with pytest.raises(rc.ConstraintError, match="safe_area_point needs n > f"):
        validity.safe_area_point(X, 4)
    with pytest.raises(TypeError, match="safe_area_point: f must be a whole number"):
        validity.safe_area_point(X, 0.5)
    with pytest.raises(TypeError, match="budget must be a number of seconds"):
        validity.safe_area_point(X, 1, budget="long")
    with pytest.raises(ValueError, match="y is not like the updates"):
        validity.in_safe_area(X, np.zeros(3), 1)


def test_without_scipy_it_says_what_to_install(run_script):
    found = run_script(
        """
        import sys
        sys.modules["scipy"] = None
        import numpy as np, robustcore as rc
        X = np.eye(3)
        print(rc.validity.meb(X[0], X), rc.validity.box(X[0], X))
        try:
            rc.validity.convex(X[0], X)
        except ImportError as error:
            print(error)
        """
    )
    assert found.stdout.splitlines() == ["True True", 'a convex hull needs scipy: pip install "robustcore[geometry]"']
