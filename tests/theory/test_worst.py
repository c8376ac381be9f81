"""The worst-case inputs against the real rules (those about enclosing balls are in tests/rules/test_validity.py)."""

import inspect

import numpy as np
import pytest

import robustcore as rc
from robustcore import theory
from robustcore.theory import worst


def coefficient(y, X, S):
    """|y - mean(S)|^2 / variance(S)."""
    honest = X[S]
    return ((y - honest.mean(axis=0)) ** 2).sum() / ((honest - honest.mean(axis=0)) ** 2).sum(axis=1).mean()


def centroid_ratio(y, X, S):
    return np.linalg.norm(y - X[S].mean(axis=0)) / rc.centroid_ball(X, len(X) - len(S)).radius


NF = [(n, f) for n in (3, 4, 5, 8, 9, 20, 31, 100) for f in range((n + 1) // 2)]


@pytest.mark.parametrize(("n", "f"), NF)
def test_theorem_3(n, f):
    X, S, kappa = theory.krum_worst_case(n, f)
    assert X.shape == (n, 1) and S.tolist() == list(range(n - f))
    assert coefficient(rc.krum(X, f), X, S) == pytest.approx(kappa, rel=1e-12)
    even = n % 2 == 0
    printed = (n - 2) / (n - 2 * f + 2) if even else (n - 1) / (n - 2 * f + 1)
    assert kappa == pytest.approx(printed) and kappa == theory.krum_lower_bound(n, f)


@pytest.mark.parametrize(("n", "f"), NF)
def test_theorem_3_goes_on_for_larger_m(n, f):
    for m in range(1, n - max(f, 1) + 1):
        X, S, kappa = theory.krum_worst_case(n, f, m)
        assert coefficient(rc.multi_krum(X, f, m), X, S) == pytest.approx(kappa, rel=1e-12)
        assert kappa == theory.two_point_lower_bound(n, f, m) <= theory.kappa_upper_bound(n, f, m)
        if m <= n // 2 + 1:
            assert kappa == pytest.approx(theory.krum_lower_bound(n, f))


@pytest.mark.parametrize(("n", "f"), [(4, 1), (7, 2), (10, 3), (31, 10), (100, 10), (100, 33)])
def test_theorem_4_and_proposition_b_1(n, f):
    for m in range(1, n - f + 1):
        X, S, kappa = theory.multi_krum_worst_case(n, f, m)
        assert X.shape == (n, 1) and S.tolist() == list(range(f, n))
        assert coefficient(rc.multi_krum(X, f, m), X, S) == pytest.approx(kappa, rel=1e-8)
        X, S, kappa = theory.multi_krum_worst_case(n, f, m, epsilon=0)
        assert coefficient(rc.multi_krum(X.astype(np.float32), f, m), X, S) == pytest.approx(kappa, rel=1e-6)
        if m > 1:
            assert kappa == pytest.approx(theory.multi_krum_lower_bound(n, f, m), rel=1e-14)
    assert theory.multi_krum_worst_case(n, f)[2] == pytest.approx(4 * f / (n - 2 * f))


def test_proposition_b_1_in_numbers():
    """0.5 and 2.2124, where 0.446 and 1.5206 are printed."""
    for (n, f, m), found, printed in [((100, 10, 90), 0.5, 0.446), ((31, 10, 15), 2.2124, 1.5206)]:
        X, S, kappa = theory.multi_krum_worst_case(n, f, m)
        assert coefficient(rc.multi_krum(X, f, m), X, S) == pytest.approx(found, abs=5e-5)
        a = min(m, n - 2 * f)
        assert (n - f) ** 2 / (f * (n - 2 * f)) * ((a * f / (n - f) + m - a) / m) ** 2 == pytest.approx(
            printed, abs=5e-4
        )
        assert kappa == pytest.approx(found, abs=5e-5)


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_centroid_theorem_4_1(d):
    for f in (1, 2, 3):
        for delta in (1.0, 0.1, 1e-6):
            X, S, ratio = theory.safe_area_worst_case(f, d, delta=delta)
            assert X.shape == ((d + 1) * f + 1, d) and len(S) == d * f + 1 and (X[S[0]] == 0).all()
            if f == 1 or d < 8:
                assert centroid_ratio(np.zeros(d), X, S) == pytest.approx(ratio, rel=1e-9)
            # The places but the origin are independent: the hulls without one of them have only the origin in common.
            assert np.linalg.matrix_rank(np.unique(X, axis=0)[1:], tol=1e-9) == d
    assert theory.safe_area_worst_case(1, d)[2] == pytest.approx(2 * d, rel=1e-5)


@pytest.mark.parametrize(("n", "f"), [(3, 1), (5, 2), (10, 3), (20, 2)])
def test_centroid_lemmas_4_12_and_4_13_and_figure_2(n, f):
    X, S, distance = theory.mda_worst_case(n, f)
    box = X[S].min(axis=0), X[S].max(axis=0)
    y = rc.mda(X, f)
    assert np.linalg.norm(y - np.clip(y, *box)) == pytest.approx(distance) and distance > 0
    X, S, ratio = theory.strong_validity_worst_case(n, f)
    for rule in (rc.MDA(f), rc.Krum(f), rc.MinMaxMEB(f), rc.SMEA(f)):  # which are strongly valid
        assert rule(X).tolist() == [0.0]
        assert centroid_ratio(rule(X), X, S) == pytest.approx(ratio) and ratio == 2
        assert coefficient(rule(X), X, S) == pytest.approx(theory.universal_lower_bound(n, f))  # Proposition 1
    X, S, distance = theory.centroid_ball_worst_case(n, f)
    assert (X[S] == 0).all()
    assert rc.centroid_ball(X, f).center == pytest.approx([distance]) and distance > 0


WORST = {
    name: function for name, function in inspect.getmembers(worst, inspect.isfunction) if name.endswith("_worst_case")
}


@pytest.mark.parametrize("name", WORST)
def test_every_worst_case_is_well_formed(name):
    wanted = inspect.signature(WORST[name]).parameters
    numbers = {key: value for key, value in {"n": 61, "f": 20, "d": 2}.items() if key in wanted}
    X, S, value = WORST[name](**numbers)
    assert X.dtype == np.float64 and X.ndim == 2 and np.isfinite(X).all()
    assert S.dtype == np.int64 and len(S) == len(X) - 20 and (np.diff(S) > 0).all() and S[-1] < len(X)
    assert type(value) is float and value > 0
    with pytest.raises(TypeError, match=f"{name}: f must be a whole number, not 20"):
        WORST[name](**numbers | {"f": 20.0})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: theory.krum_worst_case(4, 2), "needs n > 2f"),
        (lambda: theory.krum_worst_case(2, 0), "needs n >= 3; here n = 2"),
        (lambda: theory.krum_worst_case(9, 2, 8), "m can be at most 7"),
        (lambda: theory.krum_worst_case(9, 0, 9), "m < n.* m can be at most 8"),
        (lambda: theory.multi_krum_worst_case(9, 3), "needs n > 3f; .* at most 2"),
        (lambda: theory.multi_krum_worst_case(9, 0), "needs f >= 1; here f = 0"),
        (lambda: theory.multi_krum_worst_case(9, 2, 0), "m = 0"),
        (lambda: theory.multi_krum_worst_case(9, 2, epsilon=1), "epsilon must be below 1"),
        (lambda: theory.safe_meb_worst_case(3, 2), "needs f >= 4"),
        (lambda: theory.safe_meb_worst_case(9, 1), "needs d >= 2"),
        (lambda: theory.safe_meb_worst_case(9, 2, y=0.8), "have a point in common"),
        (lambda: theory.medoid_worst_case(10), "needs f >= 12"),
        (lambda: theory.medoid_worst_case(13), "needs an even f; here f = 13"),
        (lambda: theory.medoid_worst_case(12, x=1), "x must be at least 5"),
        (lambda: theory.geometric_median_worst_case(3), "needs f >= 4"),
        (lambda: theory.convexity_worst_case(2), "needs f >= 3"),
        (lambda: theory.safe_area_worst_case(0, 1), "needs f >= 1"),
        (lambda: theory.safe_area_worst_case(1, 1, delta=2), "delta must be at most 1"),
        (lambda: theory.mda_worst_case(9, 2, reach=1), "reach must be below 1"),
        (lambda: theory.strong_validity_worst_case(9, 5), "needs n > 2f"),
    ],
)
def test_what_does_not_fit_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()
