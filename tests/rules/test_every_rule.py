"""Every rule against its naive twin on inputs made to hurt, and the same bits whatever holds the numbers.

Against the twins, updates are small whole numbers times a power of two: ties, duplicates and points in a line are
common, and what is compared is exact, so that every tie must be decided as the definition says.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import balls
import columnwise
import ml_dtypes
import nspace
import numpy as np
import pytest
import twins
from bits import same_bits
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import robustcore as rc

F16, BF16, F32, F64 = np.float16, ml_dtypes.bfloat16, np.float32, np.float64
DTYPES = [F16, BF16, F32, F64]
SCALES = {F16: [0, -10, 6], BF16: [0, -100, 100], F32: [0, -100, 100], F64: [0, -1000, -540, -30, 400, 1000]}
FAR = 256.0  # times as long as the others: up to f of the updates


class Case(NamedTuple):
    """n updates of whole numbers, up to f of them long, and the rule's other parameters."""

    X: np.ndarray
    f: int
    parameters: dict[str, Any]

    @property
    def exact(self):
        return [[Fraction(x) for x in row] for row in self.X]


class Seen(NamedTuple):
    """What a rule made of a case in some dtype, in the unit of the case."""

    value: np.ndarray
    signs: np.ndarray
    weights: np.ndarray | None
    selected: list[int]
    scores: np.ndarray | None
    gap: float | None
    optimum: rc.Optimum | None
    dtype: Any
    largest: float

    def is_near(self, expected, error=1e-14):
        """Off by one rounding to the dtype, and by ``error`` of the largest number: a few roundings of what adds up.

        That is float64, but for coordinate-wise rules on shorter dtypes, which add up to 2^4 numbers in float32.
        """
        expected = np.array([float(x) for x in expected])
        rounding = float(ml_dtypes.finfo(self.dtype).eps) * np.abs(expected)
        inner = error if self.dtype is F64 else max(error, 2.0**-20)
        return bool((np.abs(self.value - expected) <= rounding + inner * self.largest).all())

    def scores_are(self, expected, error=1e-13):
        """Unless they are beyond float64, or among its subnormal numbers, in the unit of the dtype's scale."""
        expected = np.array([float(x) for x in expected])
        return self.scores is None or bool((np.abs(self.scores - expected) <= error * expected).all())


# ---- what each rule owes to its twin ---------------------------------------------------------------------------


def check_mean(seen, case):
    assert seen.is_near(columnwise.trimmed_mean(case.exact, 0))
    assert np.allclose(seen.weights, 1 / len(case.X), rtol=1e-15)


def check_krum(seen, case, neighbors, m=1):
    D = twins.exact_sqdist(case.X)
    chosen = twins.multi_krum(D, case.f, m, neighbors)
    assert seen.selected == chosen
    assert seen.is_near(twins.mean(case.X[chosen])) if m > 1 else (seen.value == case.X[chosen]).all()
    assert seen.scores_are(twins.krum_scores(D, case.f, neighbors))


def check_mda(seen, case):
    D = twins.exact_sqdist(case.X)
    chosen, _ = nspace.minimum_diameter_subset(D, case.f)
    assert seen.selected == chosen
    assert seen.is_near(twins.mean(case.X[chosen]))


def check_smea(seen, case):
    """Where no rounding can decide: unless two eigenvalues are equal to ten digits or so, but not to thirteen."""
    least, found = nspace.smea(case.X, case.f)
    near = [value for value in found.values() if value <= least * (1 + 1e-8) + 1e-20]
    assert found[tuple(seen.selected)] <= least * (1 + 1e-9) + 1e-20
    if max(near) - least <= 1e-13 * least:
        assert tuple(seen.selected) == min(subset for subset, value in found.items() if value in near)
    assert seen.is_near(twins.mean(case.X[seen.selected]))


def check_bulyan(seen, case):
    chosen, value = nspace.bulyan(twins.exact_sqdist(case.X), case.f, case.exact)
    assert seen.selected == chosen
    assert seen.is_near(value)
    assert seen.weights is None


def check_monna(seen, case, pivot):
    assert seen.is_near(nspace.monna(case.X, case.f, pivot))
    assert len(seen.selected) == len(case.X) - case.f and pivot in seen.selected
    assert seen.scores_are(np.linalg.norm(case.X - case.X[pivot], axis=1))


def sums_of_distances_error(case):
    """Who is more than a hundred times farther away than most is looked at from there: 1e-16 of a square is left."""
    return np.where(np.abs(case.X).max(axis=1) >= FAR, 1e-7, 1e-13)


def check_medoid(seen, case):
    """Sums of roots may be equal without being so in float64; of equal sets of distances the first is chosen."""
    D = twins.pairwise_sqdist(case.X)
    sums, terms = np.sqrt(np.sort(D)).sum(axis=1), np.sort(D).tolist()
    (chosen,) = seen.selected
    assert sums[chosen] <= sums.min() * (1 + 1e-14)
    assert terms.index(terms[chosen]) == chosen
    assert (seen.value == case.X[chosen]).all()
    assert seen.scores_are(sums, sums_of_distances_error(case))


def check_geometric_median(seen, case, smoothing):
    """By sums of distances: where these are flat, many points are as good as the best."""
    assert seen.weights.sum() == pytest.approx(1.0, abs=1e-14)
    found, least = seen.weights @ case.X, nspace.geometric_median(case.X, smoothing)
    value, least = (nspace.sum_of_distances(case.X, v, smoothing) for v in (found, least))
    assert value <= least * (1 + 1e-12)
    assert least >= value * (1 - seen.gap - 1e-13)
    assert seen.is_near(seen.weights @ case.X)
    assert seen.scores_are(np.sqrt(twins.pairwise_sqdist(case.X)).sum(axis=1), sums_of_distances_error(case))


def check_centered_clip(seen, case, tau, center, iterations):
    """From the second iteration on v is known by its distances, whose squares have 1e-16 of the largest."""
    assert seen.is_near(nspace.centered_clip(case.X, tau, center, iterations), 1e-14 if iterations == 1 else 1e-8)
    assert seen.scores_are(np.linalg.norm(case.X - center, axis=1))
    assert seen.is_near(seen.weights @ case.X + (1 - seen.weights.sum()) * center, 1e-12)


def check_caf(seen, case):
    """Only where no rounding can decide: what is widest, farthest, the last round and the best must be one alone."""
    best, least = None, np.inf
    for c, variances, tau in nspace.caf_rounds(case.X, case.f):
        widest = variances[-1]
        if widest <= 1e-20 * seen.largest**2:  # all in one place: who of them has how much weight changes nothing
            assert seen.is_near(c / c.sum() @ case.X)
            return
        assume(len(variances) == 1 or variances[-2] <= (1 - 1e-4) * widest)  # else any direction of a plane is widest
        assume(abs(widest - least) > 1e-9 * widest)
        farthest = tau >= (1 - 1e-9) * tau.max()
        assume(len(np.unique(case.X[farthest], axis=0)) == 1)  # two would be told apart by rounding alone
        left = c * (1 - tau / tau.max())
        assume(abs(left.sum() - (len(c) - 2 * case.f)) > 1e-9)
        if widest < least:
            best, least = c / c.sum(), widest
    assert np.allclose(seen.weights, best, rtol=0, atol=1e-8)
    assert seen.is_near(best @ case.X, 1e-8)


def check_meb_center(seen, case):
    """Its weights prove it."""
    assert (seen.weights >= 0).all() and seen.weights.sum() == pytest.approx(1.0, abs=1e-14)
    value, bound = balls.proven(case.X, seen.weights)
    assert value <= bound * (1 + 1e-12)
    assert seen.is_near(seen.weights @ case.X, 1e-12)


def check_minmax_meb(seen, case):
    """It is as far from every ball as it says, and the balls that decide prove that no point is less far."""
    y, optimum = seen.weights @ case.X, seen.optimum
    assert seen.is_near(y, 1e-9)
    assert optimum.exact
    factor = balls.meb_factor(case.X, case.f, y)
    if np.unique(case.X, axis=0, return_counts=True)[1].max() >= len(case.X) - case.f:
        assert factor == pytest.approx(optimum.value, abs=1e-9)
        return
    assert factor <= optimum.value + 1e-9
    held = [rc.minimum_enclosing_ball(case.X[ball.members]) for ball in optimum.balls]
    shares = np.array([ball.share for ball in optimum.balls])
    centers, radii = np.array([ball.center for ball in held]), np.array([ball.radius for ball in held])
    middle = shares @ centers
    proved = shares @ ((centers - middle) ** 2).sum(axis=1) / (shares @ radii**2)
    assert optimum.value <= np.sqrt(proved) + 1e-9


def check_columns(twin):
    def check(seen, case):
        assert seen.is_near(twin(case.exact, case.f))
        assert seen.weights is None and seen.selected == [*range(len(case.X))]

    return check


def check_sign_majority(seen, case):
    assert seen.signs.tolist() == columnwise.sign_majority(case.X.tolist())


# ---- who is compared, with what parameters ---------------------------------------------------------------------


def majority(f):
    return 2 * f + 1


class Known(NamedTuple):
    """How a rule is held against its twin, from which n on, and how its parameters are drawn for X and f."""

    check: Callable[..., None]
    least: Callable[..., int] = majority
    draw: Callable[..., dict[str, Any]] = lambda draw, X, f: {}


def conventions(draw, X, f):
    return {"neighbors": draw(st.sampled_from(["theory", "classic"] if len(X) >= 2 * f + 3 else ["theory"]))}


def conventions_and_m(draw, X, f):
    given = conventions(draw, X, f)
    return given | {"m": draw(st.integers(1, len(X) - f - 2 * (given["neighbors"] == "classic")))}


def steps(draw, X, f):
    center = draw(arrays(F64, X.shape[1], elements=st.integers(-3, 3).map(float)))
    return {
        "tau": draw(st.sampled_from([1e-3, 0.5, 1.0, 2.0, 64.0, 1e4])),
        "center": center,
        "iterations": draw(st.integers(1, 4)),
    }


RULES = {
    "mean": Known(check_mean),
    "krum": Known(check_krum, draw=conventions),
    "multi_krum": Known(check_krum, draw=conventions_and_m),
    "mda": Known(check_mda),
    "smea": Known(check_smea),
    "bulyan": Known(check_bulyan, least=lambda f: 4 * f + 3),
    "monna": Known(check_monna, draw=lambda draw, X, f: {"pivot": draw(st.integers(0, len(X) - 1))}),
    "medoid": Known(check_medoid),
    "geometric_median": Known(
        check_geometric_median,
        draw=lambda draw, X, f: {"smoothing": draw(st.sampled_from([0.0, 0.0, 0.1, 1.0, 2.5, 1e4]))},
    ),
    "centered_clip": Known(check_centered_clip, draw=steps),
    "caf": Known(check_caf),
    "meb_center": Known(check_meb_center),
    "minmax_meb": Known(check_minmax_meb),
    "median": Known(check_columns(columnwise.median)),
    "trimmed_mean": Known(check_columns(columnwise.trimmed_mean)),
    "meamed": Known(check_columns(columnwise.meamed)),
    "phocas": Known(check_columns(columnwise.phocas)),
    "box_midpoint": Known(check_columns(columnwise.box_midpoint)),
    "rbtm": Known(check_columns(columnwise.rbtm), least=lambda f: 3 * f + 1),
    "sign_majority": Known(check_sign_majority),
}
every_rule = pytest.mark.parametrize("name", RULES)
lengths = {"tau", "center", "smoothing"}  # parameters in the unit of the updates


def test_every_rule_is_here():
    assert set(RULES) == set(rc.RULES)


@st.composite
def cases(draw, name):
    f = draw(st.integers(0, 3))
    n = RULES[name].least(f) + draw(st.sampled_from([0, 0, 1, 2, 5]))
    X = draw(arrays(F64, (n, draw(st.integers(1, 3))), elements=st.integers(-3, 3).map(float)))
    X[draw(st.permutations(range(n)))[: draw(st.integers(0, f))]] *= draw(st.sampled_from([1.0, FAR]))
    return Case(X, f, RULES[name].draw(draw, X, f))


def in_unit(parameters, unit, dtype):
    """With lengths in another unit; the center, an update, also in the dtype."""
    scaled = {key: value * unit if key in lengths else value for key, value in parameters.items()}
    return scaled | ({"center": scaled["center"].astype(dtype)} if "center" in scaled else {})


@every_rule
@settings(max_examples=150)
@given(data=st.data())
def test_it_is_its_twin_at_every_scale_in_every_dtype(name, data):
    case = data.draw(cases(name))
    dtype = data.draw(st.sampled_from(DTYPES))
    exponent = data.draw(st.sampled_from(SCALES[dtype]))
    r = rc.RULES[name](f=case.f, **in_unit(case.parameters, 2.0**exponent, dtype)).aggregate(
        np.ldexp(case.X, exponent).astype(dtype)
    )
    assert r.value.dtype == dtype and r.dropped == {}
    power = 2 * exponent if "krum" in name else exponent
    seen = Seen(
        value=np.ldexp(r.value.astype(F64), -exponent),
        signs=r.value.astype(F64),
        weights=r.weights,
        selected=r.selected.tolist(),
        scores=None if r.scores is None or abs(power) > 1000 else np.ldexp(r.scores, -power),
        gap=r.gap,
        optimum=r.optimum,
        dtype=dtype,
        largest=max(1.0, np.abs(case.X).max()),
    )
    RULES[name].check(seen, case, **case.parameters)


# ---- whatever holds the numbers --------------------------------------------------------------------------------


def layers(x):
    half = len(x) // 2
    return {"w": x[:half].reshape(1, -1), "b": (x[half:-1], [x[-1:]])}


STRUCTURES = {
    "array": lambda X: X,
    "Fortran order": np.asfortranarray,
    "strided": lambda X: np.repeat(X[::-1], 3, axis=1)[::-1, 1::3],
    "other byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "rows": list,
    "tuple of strided rows": lambda X: tuple(np.asfortranarray(X)),
    "lists of layers": lambda X: [[x[:1], x[1:]] for x in X],
    "dicts of layers": lambda X: [layers(x) for x in X],
}


def flat(value):
    """The numbers of an update of any structure, as one native array."""
    if isinstance(value, (dict, list, tuple)):
        parts = value.values() if isinstance(value, dict) else value
        return np.concatenate([flat(part) for part in parts])
    return value.ravel().astype(value.dtype.newbyteorder("="))


@every_rule
@settings(max_examples=25)
@given(data=st.data())
def test_same_bits_for_every_structure_and_number_of_threads(name, data):
    f = data.draw(st.integers(0, 2))
    n = RULES[name].least(f) + data.draw(st.integers(0, 3))
    d = data.draw(st.sampled_from([1, 7, 801, 17_000]))
    dtype = data.draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    X = rng.normal(size=(n, d))
    X[: n // 3] = X[-1]
    X[rng.permutation(n)[:f]] *= data.draw(st.sampled_from([1.0, FAR, 1e30 if dtype in (F32, F64) else FAR]))
    X = X.astype(dtype)
    parameters = in_unit(RULES[name].draw(data.draw, X, f), 1.0, dtype)
    structure = STRUCTURES[data.draw(st.sampled_from([s for s in STRUCTURES if dtype is not BF16 or "byte" not in s]))]

    def compute(structure, threads):
        center = {"center": structure(parameters["center"][None])[0]} if "center" in parameters else {}
        with rc.num_threads(threads):
            return rc.RULES[name](f=f, **parameters | center).aggregate(structure(X))

    plain = compute(STRUCTURES["array"], 1)
    r = compute(structure, data.draw(st.sampled_from([1, 2, 7])))
    assert same_bits(flat(r.value), plain.value)
    assert same_bits(r.selected, plain.selected)
    for one, other in ((r.weights, plain.weights), (r.scores, plain.scores)):
        assert (one is None and other is None) or same_bits(one, other)


@every_rule
@pytest.mark.parametrize("dtype", [F16, F32, F64])
def test_same_bits_on_every_instruction_set(name, dtype, on_every_isa):
    X = np.random.default_rng(0).normal(size=(15, 9001)).astype(dtype)
    X[13:] *= dtype(FAR if dtype is F16 else 1e30)
    rule = rc.RULES[name](f=2, **({"tau": 100.0, "iterations": 3} if name == "centered_clip" else {}))
    values = on_every_isa(lambda: rule(X))
    assert all(same_bits(value, values[0]) for value in values)
