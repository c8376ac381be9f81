"""Certificates: against all subsets, what no motion changes, what theory promises, and hostile input."""

import os

import numpy as np
import pytest
import worst
from hypothesis import given, settings
from hypothesis import strategies as st

import robustcore as rc
from robustcore import Budget

KINDS = {
    "gaussian": lambda rng, n, d, f: rng.normal(size=(n, d)),
    "together": lambda rng, n, d, f: rng.normal(size=(n, d)) + 4.0 * (np.arange(n) < f)[:, np.newaxis],
    "lattice": lambda rng, n, d, f: rng.integers(-1, 2, (n, d)).astype(float),
    "duplicates": lambda rng, n, d, f: rng.normal(size=(n, d))[rng.integers(0, max(n // 2, 1), n)],
    "on a line": lambda rng, n, d, f: rng.normal(size=(n, 1)) * rng.normal(size=(1, d)),
    "outliers": lambda rng, n, d, f: rng.normal(size=(n, d)) * np.where(np.arange(n) < f, 100.0, 1.0)[:, np.newaxis],
    "heavy tails": lambda rng, n, d, f: rng.standard_cauchy(size=(n, d)),
    "far from zero": lambda rng, n, d, f: np.round(64 * rng.normal(size=(n, d))) / 64 + 1e6,
}
OUTPUTS = {
    "a row": lambda rng, X: X[-1],
    "median": lambda rng, X: np.median(X, axis=0),
    "mean": lambda rng, X: X.mean(axis=0),
    "elsewhere": lambda rng, X: X[-1] + 10.0 ** rng.uniform(-3, 3) * rng.normal(size=X.shape[1]),
}


def value_of(what, X, y, honest):
    """What y is wrong by if these are the honest ones."""
    S = (X - X[honest[0]])[honest]
    y = y - X[honest[0]]
    if what == "kappa":
        return ((y - S.mean(axis=0)) ** 2).sum() / ((S - S.mean(axis=0)) ** 2).sum(axis=1).mean()
    if what == "meb_factor":
        ball = rc.minimum_enclosing_ball(S)
        return np.linalg.norm(y - ball.center) / ball.radius
    return np.linalg.norm(y - S.mean(axis=0)) / rc.centroid_ball(X - X[honest[0]], len(X) - len(honest)).radius


def assert_is_worst(X, y, f, rel=1e-8, **options):
    """What it says is what trying all subsets says, and who attains it does."""
    certificate = rc.certify(X, y, f, **options)
    assert certificate.exact and (certificate.n, certificate.f, certificate.d) == (len(X), f, X.shape[1])
    for what, twin in worst.ALL.items():
        expected, found = twin(X, f, y), certificate.worst[what]
        assert getattr(certificate, what) == found.high == pytest.approx(expected, rel=rel, abs=rel), what
        if np.isfinite(expected) and expected > 0:
            assert len(found.honest) == len(X) - f and (np.diff(found.honest) > 0).all()
            assert value_of(what, X, y, found.honest) == pytest.approx(expected, rel=rel), what
    return certificate


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_against_all_subsets(kind, output):
    for n, f, d in [(1, 0, 2), (2, 0, 3), (3, 1, 1), (4, 1, 2), (5, 2, 3), (6, 2, 9), (7, 3, 2), (8, 3, 4), (9, 2, 1)]:
        rng = np.random.default_rng([n, f, d])
        X = KINDS[kind](rng, n, d, f)
        y = OUTPUTS[output](rng, X)
        # Of a spread of 1, float64 knows 1e-10 when everything is near 1e6; that is what y is off, where it is a mean.
        assert_is_worst(X, y, f, 1e-8 if kind != "far from zero" else 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gaussian", "lattice", "together"])
@pytest.mark.parametrize(("n", "f", "d"), [(11, 5, 2), (12, 5, 3), (12, 4, 20)])
def test_against_all_subsets_of_many(kind, n, f, d):
    X = KINDS[kind](np.random.default_rng([n, d]), n, d, f)
    assert_is_worst(X, rc.median(X), f)


@settings(max_examples=200)
@given(st.data())
def test_of_points_in_few_places(data):
    """Ties, duplicates, subsets of equal rows, outputs that are one of them: in whole numbers, so that zero is zero."""
    n, d = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 3))
    f = data.draw(st.integers(0, (n - 1) // 2))
    places = st.lists(st.integers(-2, 2), min_size=d, max_size=d)
    few = data.draw(st.lists(places, min_size=1, max_size=3))
    X = np.array([data.draw(st.sampled_from(few)) for _ in range(n)], float)
    y = np.array(data.draw(st.sampled_from([*few, *(data.draw(places) for _ in range(2))])), float)
    assert_is_worst(X, y, f)


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9, 1e12, 1e30, 1e150])
@pytest.mark.parametrize("together", [True, False])
def test_however_far_the_others_are(far, together):
    """Clients at any distance take no digit from the answer about those that are near."""
    for n, f, d in [(5, 1, 2), (7, 3, 2), (8, 3, 3)]:
        rng = np.random.default_rng([n, d])
        X = rng.normal(size=(n, d))
        X[:f] = far * (rng.normal(size=(1 if together else f, d)))
        y = np.median(X[f:], axis=0)
        certificate = rc.certify(X, y, f)
        assert certificate.exact
        assert certificate.kappa == pytest.approx(worst.kappa(X, f, y), rel=1e-9)
        assert certificate.meb_factor == pytest.approx(worst.meb_factor(X, f, y), rel=2e-7)
        assert certificate.centroid_ratio == pytest.approx(worst.centroid_ratio(X, f, y), rel=1e-9)
        lies = rc.certify(X, X[0], f)  # which is what an attacker would have
        assert lies.kappa == pytest.approx(worst.kappa(X, f, X[0]), rel=1e-9)
        assert lies.meb_factor == pytest.approx(worst.meb_factor(X, f, X[0]), rel=1e-7)


def test_farther_than_squares_can_say():
    rng = np.random.default_rng(1)
    near, away = rng.normal(size=(6, 3)), rng.normal(size=(2, 3))
    at = {far: np.vstack([far * away, near]) for far in (1e150, 1e300)}
    one, other = (rc.certify(X, near[0], 2) for X in at.values())
    assert all(getattr(other, what) == pytest.approx(getattr(one, what), rel=1e-7) for what in worst.ALL)
    one, other = (rc.certify(X, X.mean(axis=0), 2) for X in at.values())
    assert one.kappa > 1e290 and other.kappa == np.inf
    assert other.meb_factor == pytest.approx(1e150 * one.meb_factor, rel=1e-7)
    assert other.centroid_ratio == pytest.approx(one.centroid_ratio, rel=1e-9)


def test_clients_at_many_scales():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(8, 3)) * 10.0 ** np.r_[rng.uniform(0, 30, 3), np.zeros(5)][:, np.newaxis]
        for y in (X[5], X[2] * 0.9, np.median(X, axis=0)):
            certificate = rc.certify(X, y, 3)
            assert certificate.kappa == pytest.approx(worst.kappa(X, 3, y), rel=1e-8)
            found = certificate.worst["meb_factor"]
            expected = worst.meb_factor(X, 3, y)
            assert found.low <= expected * (1 + 1e-7) and expected <= found.high * (1 + 1e-7)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-30, 1e30, 1e150])
def test_scale_does_not_matter(scale):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(9, 4))
    y = X[0]
    one, other = rc.certify(X, y, 3), rc.certify(scale * X, scale * y, 3)
    for what in worst.ALL:
        assert getattr(other, what) == pytest.approx(getattr(one, what), rel=1e-9)
        assert other.worst[what].honest.tolist() == one.worst[what].honest.tolist()


@given(st.integers(0, 2**32))
def test_no_motion_matters(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(3, 9)), int(rng.integers(1, 5))
    f = int(rng.integers(0, (n - 1) // 2 + 1))
    X, y = rng.normal(size=(n, d)), rng.normal(size=d)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    order = rng.permutation(n)
    one, other = rc.certify(X, y, f), rc.certify((2.0 * X @ turn + 3.0)[order], 2.0 * y @ turn + 3.0, f)
    for what in worst.ALL:
        if np.isfinite(getattr(one, what)):
            assert getattr(other, what) == pytest.approx(getattr(one, what), rel=1e-8, abs=1e-12)


def test_what_minmax_meb_minimises():
    for seed in range(10):
        X = np.random.default_rng(seed).normal(size=(12, 5))
        r = rc.MinMaxMEB(4).aggregate(X)
        best = rc.certify(X, r, 4)
        assert best.meb_factor == pytest.approx(r.optimum.value, abs=1e-9)
        assert rc.certify(X, rc.centroid_ball(X, 4).center, 4).centroid_ratio == pytest.approx(1.0, abs=1e-9)


def attacked(attack):
    return lambda rng, n, d, f: np.vstack([attack(honest := rng.normal(size=(n - f, d)), f, rng), honest])


ATTACKED = {
    name: attacked(made()) for name, made in rc.attacks.ATTACKS.items() if name not in ("nan", "infinite", "strongest")
}


def many_scales(rng, n, d, f):
    """Some of the honest as far away as no certificate can tell apart, and the others farther."""
    return rng.normal(size=(n, d)) * 10.0 ** (rng.integers(0, 10, n) * (np.arange(n) < 2 * f))[:, np.newaxis]


def assert_keeps_its_promises(X, rule, f):
    r = rule.aggregate(X)
    certificate = rc.certify(X, r, f)
    if certificate.promised is None:
        return  # a search that found no proof, for which nothing is promised
    n, d = X.shape
    for what, promised in zip(worst.ALL, (rule.meb_factor, rule.guarantee, rule.centroid_ratio), strict=True):
        bound = promised(n) if what == "kappa" else promised(n, d)
        assert getattr(certificate.promised, what) == bound
        # float32 and float16 results are rounded, by as much as they are large.
        off = 1e-7 if X.dtype == np.float64 else np.finfo(X.dtype).eps * np.abs(X).max() / spread(X, f)
        assert bound is None or getattr(certificate, what) <= bound * (1 + off) ** 2 + off, (rule, what)


def spread(X, f):
    """How far n - f updates reach from one of them, at least, and 0 only for equal ones, which are kept exactly."""
    D = np.sqrt(((X[:, np.newaxis].astype(float) - X) ** 2).sum(axis=2))
    return np.sort(D, axis=1)[:, len(X) - f - 1].min() or np.inf


@settings(max_examples=60)
@given(st.data())
def test_no_certificate_exceeds_what_theory_promises(data):
    """Of every rule, on a thousand inputs: this is the theory holding, and the certificates with it."""
    n, d = data.draw(st.integers(1, 14)), data.draw(st.integers(1, 4))
    f = data.draw(st.integers(0, (n - 1) // 2))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    made = {name: make for name, make in KINDS.items() if name != "far from zero"} | {"many scales": many_scales}
    made |= ATTACKED if f else {}
    X = made[data.draw(st.sampled_from(sorted(made)))](rng, n, d, f).astype(data.draw(st.sampled_from(["f8", "f4"])))
    mixing = data.draw(st.sampled_from([(), (), rc.NNM(f)]))
    for bound in rc.rules.known_bounds(n, f, d):
        assert_keeps_its_promises(X, rc.RULES[bound.rule](f=f, mixing=mixing), f)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_certificate_exceeds_what_theory_promises_on_thousands_of_inputs(seed):
    for trial in range(70):
        rng = np.random.default_rng([seed, trial])
        n, d = int(rng.integers(3, 12)), int(rng.integers(1, 6))
        f = int(rng.integers(1, (n - 1) // 2 + 1))
        X = [*KINDS.values(), many_scales, *ATTACKED.values()][trial % (len(KINDS) + 1 + len(ATTACKED))](rng, n, d, f)
        for bound in rc.rules.known_bounds(n, f, d):
            assert_keeps_its_promises(X, rc.RULES[bound.rule](f=f), f)


@pytest.mark.parametrize(
    "case",
    [
        *(rc.theory.krum_worst_case(n, f) for n, f in [(10, 3), (11, 4), (20, 9)]),
        *(rc.theory.multi_krum_worst_case(n, f) for n, f in [(10, 3), (20, 6)]),
        *(rc.theory.mda_worst_case(n, f) for n, f in [(10, 2), (13, 4)]),
        *(rc.theory.strong_validity_worst_case(n, f) for n, f in [(10, 3), (12, 4)]),
        *(rc.theory.centroid_ball_worst_case(n, f) for n, f in [(10, 3), (12, 4)]),
        rc.theory.medoid_worst_case(20),
        rc.theory.geometric_median_worst_case(6),
        rc.theory.safe_area_worst_case(3, 4),
        rc.theory.safe_meb_worst_case(4, 2),
    ],
)
def test_no_certificate_exceeds_what_theory_promises_in_the_worst_case(case):
    X, f = case.X, len(case.X) - len(case.S)
    for bound in rc.rules.known_bounds(len(X), f, X.shape[1]):
        if bound.rule != "smea" or len(X) <= 20:  # whose search takes long
            assert_keeps_its_promises(X, rc.RULES[bound.rule](f=f), f)


def test_where_clients_are_set_aside_only_the_nearest_count():
    """Of clients 6e7 times farther away than most, whatever lies between is no excuse."""
    X = np.array([[0.0], [1.0], [2.0], [5e7], [7e7]])
    for y in ([1.0], [1.5]):
        found = rc.certify(X, np.array(y), 2).worst["meb_factor"]
        assert found.exact and found.high == pytest.approx(worst.meb_factor(X, 2, np.array(y)), rel=1e-6)


def test_of_another_f_nothing_is_promised():
    X = np.random.default_rng(0).normal(size=(11, 4)) + 20.0 * (np.arange(11) < 5)[:, np.newaxis]
    r = rc.MDA(1).aggregate(X)
    assert rc.certify(X, r, 1).promised is not None and rc.certify(X, r, 5).promised is None


def test_the_only_centroid_may_be_rounded():
    X = np.random.default_rng(0).normal(size=(9, 100)).astype(np.float16)
    X[3, 0] = np.nan  # which leaves nothing of f
    assert rc.certify(X, rc.TrimmedMean(1).aggregate(X), 1).centroid_ratio == 0.0
    X = (1e4 + np.delete(X, 3, axis=0)).astype(np.float32)
    assert rc.certify(X, rc.mean(X), 0).centroid_ratio == 0.0
    X[0, 0] += 1.0
    assert rc.certify(X, X[0], 0).centroid_ratio == np.inf


def test_the_weights_of_an_aggregation_are_those_of_its_value():
    X = np.random.default_rng(0).normal(size=(10, 6))
    X[3, 2] = np.nan
    for name, rule in rc.RULES.items():
        if name in ("bulyan", "centered_clip", "sign_majority"):
            continue
        r = rule(f=3).aggregate(X)
        one, other = rc.certify(X, r, 3), rc.certify(X, r.value, 3)
        assert other.promised is None and one.bounds == other.bounds
        assert (one.promised.rule if r.rule.f == 3 else one.promised) == (repr(r.rule) if r.rule.f == 3 else None)
        for what in worst.ALL:
            assert getattr(one, what) == pytest.approx(getattr(other, what), rel=1e-9), name
    clipped = rc.CenteredClip(0.5).aggregate(np.delete(X, 3, axis=0))  # whose weights do not sum to 1
    assert rc.certify(np.delete(X, 3, axis=0), clipped, 3).kappa == pytest.approx(
        rc.certify(np.delete(X, 3, axis=0), clipped.value, 3).kappa
    )


def test_rows_that_are_not_finite_count_against_f():
    X = np.random.default_rng(1).normal(size=(9, 4))
    y = X[0].copy()
    X[2], X[5, 1] = np.nan, np.inf
    kept = np.setdiff1d(np.arange(9), [2, 5])
    one, other = rc.certify(X, y, 3), rc.certify(X[kept], y, 1)
    assert one.dropped == {2: "not finite", 5: "not finite"}
    for what in worst.ALL:
        assert getattr(one, what) == getattr(other, what)
        assert one.worst[what].honest.tolist() == kept[other.worst[what].honest].tolist()
    with pytest.raises(rc.ConstraintError, match="certify: 2 of 9 updates cannot be used, more than f = 1"):
        rc.certify(X, y, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_structure_and_dtype(dtype):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(8, 30)).astype(dtype)
    y = rc.krum(X, 2)
    one = rc.certify(X, y, 2)
    layers = [{"a": row[:12].reshape(3, 4), "b": [row[12:], row[:0]]} for row in X]
    other = rc.certify(layers, {"a": y[:12].reshape(3, 4), "b": [y[12:], y[:0]]}, 2)
    exact = rc.certify(X.astype(float), y.astype(float), 2)
    for what in worst.ALL:
        assert getattr(one, what) == getattr(other, what)
        assert getattr(one, what) == pytest.approx(getattr(exact, what), rel=1e-9)
    with rc.num_threads(1):
        again = rc.certify(X, y, 2)
    assert all(getattr(again, what) == getattr(one, what) for what in worst.ALL)


def test_what_makes_no_sense_is_refused():
    X = np.random.default_rng(0).normal(size=(5, 3))
    with pytest.raises(rc.ConstraintError, match="certify needs n > 2f; here n = 5 and f = 3"):
        rc.certify(X, X[0], 3)
    with pytest.raises(rc.ConstraintError, match="certify needs n <= 512"):
        rc.certify(np.zeros((513, 1)), np.zeros(1), 1)
    with pytest.raises(ValueError, match=r"certify: y is not like the updates: shape \(2,\)"):
        rc.certify(X, X[0, :2], 1)
    with pytest.raises(ValueError, match="certify: y is not like the updates: float32"):
        rc.certify(X, X[0].astype(np.float32), 1)
    with pytest.raises(ValueError, match="certify: y is not finite"):
        rc.certify(X, X[0] * np.nan, 1)
    with pytest.raises(ValueError, match="certify: y is not like the updates"):
        rc.certify(X, rc.Krum(1).aggregate(X[:, :2]), 1)
    with pytest.raises(ValueError, match="certify: y is the aggregation of other updates than X"):
        rc.certify(X + 5.0, rc.MultiKrum(1).aggregate(X), 1)
    with pytest.raises(ValueError, match="certify: y is an aggregation of 4 updates, X has 5"):
        rc.certify(X, rc.Krum(1).aggregate(X[:4]), 1)
    with pytest.raises(ValueError, match="certify: budget"):
        rc.certify(X, X[0], 1, budget=0)


@pytest.mark.parametrize("kind", ["gaussian", "together", "lattice"])
def test_past_a_budget_the_interval_is_proved(kind):
    X = KINDS[kind](np.random.default_rng(5), 11, 6, 5)
    y = X[-1]
    truth = {what: twin(X, 5, y) for what, twin in worst.ALL.items()}
    exact = []
    for steps in (1, 4, 20, 100, 1000, 10**7):
        certificate = rc.certify(X, y, 5, budget=Budget(steps=steps))
        for what, found in certificate.worst.items():
            assert found.low <= truth[what] * (1 + 1e-9) and truth[what] <= found.high * (1 + 1e-9)
            assert (
                found.low == 0.0
                or value_of(what, X, y, found.honest) == pytest.approx(found.low, rel=1e-8)
                or (
                    what == "centroid_ratio"  # whose unit is itself known to an interval
                )
            )
        exact.append(certificate.exact)
        with rc.num_threads(7):
            again = rc.certify(X, y, 5, budget=Budget(steps=steps))
        assert [(w.low, w.high) for w in again.worst.values()] == [(w.low, w.high) for w in certificate.worst.values()]
    assert exact[-1] and not exact[0]


LONG = (100, 99), 20  # in as many directions: hours


@pytest.mark.slow
def test_seconds_end_the_searches():
    X = np.random.default_rng(0).normal(size=LONG[0])
    certificate = rc.certify(X, X[0], LONG[1], budget=0.2)
    assert not certificate.exact
    assert all(0 < found.low <= found.high < np.inf for found in certificate.worst.values())


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_what_progress_raises_ends_the_searches(error):
    X, told = np.random.default_rng(0).normal(size=LONG[0]), []

    def progress(share):
        told.append(share)
        if len(told) == 5:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        rc.certify(X, X[0], LONG[1], progress=progress)
    assert all(0 <= share <= 1 for share in told) and told == sorted(told)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_the_searches(ctrl_c):
    script = f"""
import numpy as np, robustcore as rc
X = np.random.default_rng(0).normal(size={LONG[0]})
print("started", flush=True)
try:
    rc.certify(X, X[0], {LONG[1]})
    print("finished")
except KeyboardInterrupt:
    print("interrupted")
"""
    ctrl_c(script, 0.5)
