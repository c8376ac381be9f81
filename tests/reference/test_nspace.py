"""The twins of mixings and of the rules that distances decide, on cases worked by hand."""

import mixes
import nspace
import numpy as np
import pytest
import twins

LINE = np.array([[0.0], [1.0], [3.0], [7.0]])


def test_nearest_neighbour_mixing_on_a_line():
    # Of each the three nearest: {0, 1, 3}, {1, 0, 3}, {3, 1, 0} (0 is 3 away, 7 is 4), {7, 3, 1}.
    assert np.allclose(mixes.nnm(LINE, 1).ravel(), [4 / 3, 4 / 3, 4 / 3, 11 / 3], rtol=1e-15)
    # Of 0, 1, 2, the neighbours of 1 are as near as each other: the first one counts.
    assert mixes.nnm(LINE[:3] * [[1], [1], [2 / 3]], 1).ravel().tolist() == [0.5, 0.5, 1.5]


def test_buckets_are_cut_from_the_permuted_vectors():
    order = np.random.default_rng(3).permutation(4)
    a, b, c, d = LINE[order].ravel()
    assert mixes.bucketing(LINE, 3, 3).ravel().tolist() == [(a + b + c) / 3, d]


def test_clipping_and_arc():
    X = np.array([[3.0, 4.0], [0.0, 1.0], [0.0, 2.0], [0.0, 0.0]])
    assert np.allclose(mixes.clipping(X, 1.0), [[0.6, 0.8], [0, 1], [0, 1], [0, 0]])
    # f = 1: 2 * 1 * 3 / 4 = 1.5, so that one vector is shortened, to the norm 2 of the next.
    assert np.allclose(mixes.arc(X, 1), [[1.2, 1.6], [0, 1], [0, 2], [0, 0]])


def test_medoid_and_sums_of_distances():
    # Sums: 11, 9, 9, 17: the first of the two.
    assert [nspace.sum_of_distances(LINE, x) for x in LINE] == [11, 9, 9, 17]
    assert nspace.medoid(LINE) == 1
    # With smoothing 4 the distances 1, 0, 2, 6 count 17/8, 2, 5/2, 6.
    assert nspace.sum_of_distances(LINE, LINE[1], 4.0) == 2.125 + 2 + 2.5 + 6


EPS = np.finfo(np.longdouble).eps


def test_geometric_median_of_a_triangle_and_of_a_square():
    # From the point where all corners of this triangle are seen 120 degrees apart, the distances are 1, 1, 1.
    h = np.sqrt(np.longdouble(3)) / 2
    v = nspace.geometric_median([[1.0, 0.0], [-0.5, h], [-0.5, -h]])
    assert np.abs(v).max() <= 4 * EPS
    # The diagonals of a square, and of any convex quadrangle, meet there.
    assert np.allclose(nspace.geometric_median([[0.0, 0], [0, 2], [2, 2], [2, 0]]).astype(float), 1.0, rtol=1e-15)
    v = nspace.geometric_median([[-1.0, 0.0], [0.0, 3.0], [5.0, 0.0], [0.0, -2.0]])
    assert np.abs(v).max() <= 1e-9  # of a sum of distances that the root of EPS away is EPS more


@pytest.mark.parametrize("degrees", [120.0001, 121.0, 150.0, 179.0])
def test_geometric_median_of_an_obtuse_triangle_is_its_corner(degrees):
    angle = np.radians(degrees)
    X = [[0.0, 0.0], [1.0, 0.0], [3 * np.cos(angle), 3 * np.sin(angle)]]
    assert nspace.geometric_median(X).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("below", [1e-6, 1e-4, 1e-2, 1.0])
def test_geometric_median_below_120_degrees_leaves_the_corner(below):
    """Fermat: its sum of distances is the root of (a^2 + b^2 + c^2) / 2 + 2 sqrt(3) times the area."""
    angle = np.radians(np.longdouble(120.0 - below))
    a, b = np.longdouble(1), np.longdouble(3)
    X = np.array([[0, 0], [a, 0], [b * np.cos(angle), b * np.sin(angle)]])
    v = nspace.geometric_median(X)
    squares = 2 * (a * a + b * b - a * b * np.cos(angle))  # c^2 = a^2 + b^2 - 2 a b cos
    area = a * b * np.sin(angle) / 2
    fermat = np.sqrt(squares / 2 + 2 * np.sqrt(np.longdouble(3)) * area)
    assert v.any() and nspace.sum_of_distances(X, v) < a + b
    assert abs(nspace.sum_of_distances(X, v) / fermat - 1) <= 8 * EPS


def test_geometric_median_on_a_line():
    assert nspace.geometric_median([[0.0], [1.0], [5.0]]) == [1.0]
    assert nspace.geometric_median([[7.0]]) == [7.0]
    for offset in (0.0, 1e8):  # anything between the two in the middle has the sum 10 + 2
        X = offset + np.outer([0.0, 1.0, 3.0, 10.0], [3.0, 4.0]) / 5
        v = nspace.geometric_median(X)
        assert nspace.sum_of_distances(X, v) == pytest.approx(12.0, abs=max(1.0, offset) * 1e-15)
        assert offset + 0.6 * (1 - 1e-7) <= v[0] <= offset + 1.8 * (1 + 1e-7)


def test_geometric_median_of_two_far_clusters():
    """Two bars across the line between them: they make a rectangle, whose diagonals meet half way."""
    bar = np.array([[0.0, -1.0], [0.0, 1.0]])
    for far in (1e1, 1e4, 1e8):
        X = np.vstack([bar, bar + np.array([far, 0.0])])
        v = nspace.geometric_median(X)
        assert abs(nspace.sum_of_distances(X, v) / np.sqrt(np.longdouble(far) ** 2 + 4) - 2) <= 8 * EPS
        assert abs(v[0] / far - 0.5) <= 1e-3 and abs(v[1]) <= 1e-6
    # With (-1, 0): the far ones pull with 2, this one back with 1, and so must the bar: 2 t / sqrt(1 + t^2) = 1.
    X = np.vstack([bar, [[-1.0, 0.0]], bar + np.array([1e9, 0.0])])
    assert np.abs(nspace.geometric_median(X) - [1 / np.sqrt(3.0), 0.0]).max() <= 1e-8


def test_geometric_median_smoothed():
    # By more than all distances: the mean. By 2, of 0, 1, 5: the slopes (v - 0) / 2 + (v - 1) / 2 - 1 vanish at 3 / 2.
    assert np.allclose(nspace.geometric_median([[0.0], [1.0], [5.0]], 100.0).astype(float), 2.0)
    assert np.allclose(nspace.geometric_median([[0.0], [1.0], [5.0]], 2.0).astype(float), 1.5)


@pytest.mark.parametrize("spread", ["gaussian", "flat", "clusters", "duplicates", "sizes"])
def test_geometric_median_has_a_dual_solution_that_proves_it(spread):
    """Vectors u_i of at most unit length that sum up to 0: no sum of distances is below that of the <u_i, x_i>."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(rng.integers(3, 12), rng.integers(2, 6)))
        n, d = X.shape
        if spread == "flat":
            X *= 10.0 ** -rng.integers(0, 9, size=d)
        elif spread == "clusters":
            X[: n // 2, 0] += 10.0 ** rng.integers(0, 8)
        elif spread == "duplicates":
            X[n // 2] = X[0]
        elif spread == "sizes":
            X *= 10.0 ** rng.uniform(-6, 6, size=(n, 1))
        v = nspace.geometric_median(X)
        Y = X - v
        r = np.sqrt((Y**2).sum(axis=1))
        here = r == 0
        u = np.divide(Y, r[:, None], out=np.zeros_like(Y), where=~here[:, None])
        if here.any():  # those at v hold against the others
            u[here] = -u.sum(axis=0) / here.sum()
        u -= u.mean(axis=0)
        u /= max(1, np.sqrt((u**2).sum(axis=1)).max())
        assert (u * Y).sum() >= r.sum() * (1 - 1e-14)


def test_centered_clipping_by_hand():
    # From 0 the differences 0, 1, 3, 7 count 0, 1, 2, 2: 5/4. From there -5/4, -1/4, 7/4, 2: 9/4 in all.
    assert nspace.centered_clip(LINE, 2.0, [0.0]) == [1.25]
    assert nspace.centered_clip(LINE, 2.0, [0.0], 2) == [1.25 + 9 / 16]


def test_monna_by_hand():
    assert np.isclose(nspace.monna(LINE, 1, 3)[0], 11 / 3)  # 7, 3, 1


def test_caf_by_hand():
    # f = 1, of 0, 0, 0, 4: mean 1, variance 3, deviations squared 1, 1, 1, 9. c = 8/9, 8/9, 8/9, 0, variance 0.
    assert np.allclose(nspace.caf(np.array([[0.0], [0.0], [0.0], [4.0]]), 1), [1 / 3, 1 / 3, 1 / 3, 0])


def test_bulyan_by_hand():
    # 1 .. 6 and 90, f = 1, five times the best of: 4 nearest others (1+1+4+4 for the middle), then 3, 2, 1, none.
    X = np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [90.0]])
    # 3 (1, 1, 4, 4), then of 1, 2, 4, 5, 6, 90 the 3 nearest: 4 (1, 4, 4), of 1, 2, 5, 6, 90 the 2 nearest: 2 (1, 9),
    # of 1, 5, 6, 90 the nearest: 5 (1), of 1, 6, 90 none: 1. Of 1 .. 5 the 3 nearest to 3 are 2, 3, 4.
    assert nspace.bulyan(twins.pairwise_sqdist(X), 1, X) == ([0, 1, 2, 3, 4], [3.0])


def test_quadratic_forms_on_subsets():
    G = [[9, 1, 4], [1, 9, -2], [4, -2, 9]]
    # {0, 1}: 1 + 5 + 2, {0, 2}: 1 + 1 + 8, {1, 2}: 5 + 1 - 4; the diagonal does not count.
    assert [nspace.quadratic(G, [1, 5, 1], T) for T in [(0, 1), (0, 2), (1, 2)]] == [8, 10, 2]
    assert nspace.largest_quadratic(G, [1, 5, 1], 2) == (0, 2)
    assert nspace.largest_quadratic(G, [1, 7, 1], 2) == (0, 1)  # as much as {0, 2}


def test_farthest_centroid_on_a_line():
    assert nspace.farthest_centroid(LINE, 1, 3.0) == (3,)  # at 4/3; the others at 11/3, 10/3, 8/3
    assert nspace.farthest_centroid(LINE, 3, 3.0) == (0, 1, 2)


def test_minimum_diameter_subset_on_a_line():
    D = np.abs(LINE - LINE.T)
    assert nspace.minimum_diameter_subset(D, 0) == ([0, 1, 2, 3], 7)
    assert nspace.minimum_diameter_subset(D, 1) == ([0, 1, 2], 3)
    assert nspace.minimum_diameter_subset(np.abs(LINE * [[1], [1], [2 / 3], [1]] - LINE.T * [1, 1, 2 / 3, 1]), 2) == (
        [0, 1],  # 0, 1 and 1, 2 are as near: the first
        1,
    )
    assert nspace.minimum_diameter_subset(D, 3) == ([0], 0)


def test_smea_on_a_line_and_in_the_plane():
    # Of three of 0, 1, 3, 7: deviations from 4/3 (42/9), 8/3, 10/3 and 11/3, squared.
    least, found = nspace.smea(LINE, 1)
    assert least == found[0, 1, 2] == pytest.approx(42 / 27)
    assert found[1, 2, 3] == pytest.approx(56 / 9)
    # A square varies by 1 along each axis, and so in all directions.
    assert nspace.largest_eigenvalue(np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])) == pytest.approx(1.0)
    assert nspace.largest_eigenvalue(np.array([[3.0, 4.0], [0.0, 0.0]])) == pytest.approx(6.25)
