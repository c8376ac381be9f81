"""The fusion centre: its steps against the paper's words, hostile replies, and the lemmas and theorems."""

import itertools
import math
from functools import cache

import clusters
import fusion
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")

import robustcore as rc
from robustcore.clustering import Assignment, Missing, approximation, fractional_repetition, resilience, summarise
from robustcore.clustering import fusion as ours
from robustcore.clustering.attacks import ATTACKS, Scene, make_attack

seeds = st.integers(0, 10**6)


def grid(rng, *shape):
    """Numbers whose differences and squares have no rounding, with many ties."""
    return rng.integers(-4, 5, shape) / 2.0


@given(seeds, st.integers(1, 6), st.integers(1, 3), st.sampled_from([1, 2]), st.booleans())
def test_the_steps_are_the_papers(seed, m, k, power, weighted):
    rng = np.random.default_rng(seed)
    n, d, t = int(rng.integers(1, 12)), int(rng.integers(1, 4)), int(rng.integers(0, m))
    X, weights = grid(rng, n, d), rng.integers(0, 4, n).astype(float)
    matrix = rng.integers(0, 2, (m, n))
    replies = [None if i in rng.permutation(m)[: rng.integers(0, t + 1)] else grid(rng, k, d) for i in range(m)]
    if sum(reply is None for reply in replies) > t:
        replies = [grid(rng, k, d) for _ in range(m)]
    summary = summarise(X, weights if weighted else None, Assignment(matrix), replies, k=k, t=t, rho=0.5, power=power)
    used = weights if weighted else np.ones(n)
    kept, costs, Y, g = fusion.summary(X, used, matrix, replies, t, 0.5, power)
    if power == 2:  # otherwise, roots are rounded, and what is a tie depends on the order of the sum
        assert summary.kept.tolist() == kept
        assert np.array_equal(summary.centers, Y[g > 0]) and np.array_equal(summary.weights, g[g > 0])
    assert np.allclose(summary.costs, costs, rtol=1e-12)
    assert list(summary.malformed) == [i for i in range(m) if replies[i] is None]
    assert summary.uncovered.tolist() == np.flatnonzero(matrix[summary.kept].sum(axis=0) == 0).tolist()


def test_a_block_at_a_time_or_all_at_once(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    X, replies = rng.normal(size=(500, 3)).astype(np.float32), rng.normal(size=(4, 5, 3))
    np.save(tmp_path / "X.npy", X)
    A, keywords = fractional_repetition(4, 500, 2), {"k": 5, "t": 1, "rho": 1.0, "power": 1}
    whole = summarise(X, None, A, replies, **keywords)
    monkeypatch.setattr(ours, "BLOCK", 100)
    blocks = summarise(np.load(tmp_path / "X.npy", mmap_mode="r"), None, A, replies, **keywords)
    assert np.allclose(whole.costs, blocks.costs, rtol=1e-13) and np.array_equal(whole.weights, blocks.weights)


class Raises:
    def __array__(self, dtype=None, copy=None):
        raise MemoryError("no")


HOSTILE = {
    "it sent nothing": None,
    "not back within 3 s": Missing("not back within 3 s"),
    "its centers have shape (1, 2), not (2, 2)": np.zeros((1, 2)),
    "its centers have shape (3, 2), not (2, 2)": [[0, 0], [1, 1], [2, 2]],
    "its centers have shape (2, 1), not (2, 2)": np.zeros((2, 1)),
    "its centers have shape (4,), not (2, 2)": np.zeros(4),
    "its centers have shape (0,), not (2, 2)": np.array([]),
    "its centers are not finite": [[0.0, 0.0], [np.nan, 0.0]],
    "some of its numbers are masked": np.ma.masked_array(np.zeros((2, 2)), [[0, 0], [0, 1]]),
    "its centers cannot be read (MemoryError)": Raises(),
    "its centers cannot be read (ValueError)": [[0.0, 0.0], [1.0]],
    "its centers are no numbers": np.zeros((2, 2), complex),
}
NO_NUMBERS = [
    "lies",
    {"a": 1},
    object(),
    np.full((2, 2), "1.0"),
    np.zeros((2, 2), object),
    np.zeros((2, 2), bool),
    [[10**400, 0], [0, 0]],
]


@pytest.mark.parametrize("why", HOSTILE)
def test_what_cannot_be_used_counts_against_t(why):
    X, A = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0]]), Assignment(np.ones((3, 3)))
    fine = np.array([[0.0, 0.0], [4.0, 1.0]])
    summary = summarise(X, None, A, [fine, HOSTILE[why], fine + 1], k=2, t=1, rho=0.5, power=1)
    assert summary.malformed == {1: why}
    assert summary.kept.tolist() == [0, 2] and summary.costs[1] == math.inf
    with pytest.raises(rc.ConstraintError, match=r"^2 of 3 machines sent nothing that can be used, more than t = 1"):
        summarise(X, None, A, [HOSTILE[why], fine, HOSTILE[why]], k=2, t=1, rho=0.5, power=1)


@pytest.mark.parametrize("reply", [*NO_NUMBERS, np.full((2, 2), np.longdouble("1e4000"))], ids=repr)
def test_what_are_no_numbers(reply):
    X, A = np.zeros((3, 2)), Assignment(np.ones((2, 3)))
    summary = summarise(X, None, A, [reply, np.zeros((2, 2))], k=2, t=1, rho=0.5, power=2)
    assert summary.malformed[0] in ("its centers are no numbers", "its centers are not finite")


@pytest.mark.parametrize("reply", [[[0, 0], [2, 3]], np.zeros((2, 2), np.float16), np.zeros((2, 2), np.uint8)])
def test_numbers_of_other_kinds_can_be_used(reply):
    summary = summarise(np.zeros((3, 2)), None, Assignment(np.ones((1, 3))), [reply], k=2, t=0, rho=1.0, power=2)
    assert not summary.malformed and summary.costs.tolist() == [0.0]


@pytest.mark.parametrize("power", [1, 2])
def test_finite_numbers_whose_squares_are_not_come_last_but_one(power):
    X, A = np.array([[0.0], [1.0]]), Assignment(np.ones((4, 2)))
    huge, fine = np.full((1, 1), 1e300), np.zeros((1, 1))
    summary = summarise(X, None, A, [None, huge, fine, fine], k=1, t=1, rho=1.0, power=power)
    assert list(summary.malformed) == [0] and summary.kept.tolist() == [2, 3, 1]
    mixed = summarise(X, None, A, [[[1e300], [0.0]]] * 4, k=2, t=1, rho=1.0, power=power)
    assert mixed.centers.tolist() == [[0.0]] * 3 and mixed.costs.tolist() == [1.0] * 4  # those without points are gone


def test_equal_costs_keep_the_lowest_machines():
    X, A = np.array([[0.0], [1.0]]), Assignment(np.ones((4, 2)))
    summary = summarise(X, None, A, [[[0.0]], [[1.0]], [[0.5]], [[0.0]]], k=1, t=2, rho=1.0, power=1)
    assert summary.kept.tolist() == [0, 1]


def test_points_without_weight_cost_nothing_wherever_they_are():
    X, A = np.array([[0.0], [1e308]]), Assignment(np.ones((1, 2)))
    summary = summarise(X, np.array([1.0, 0.0]), A, [[[-1e308]]], k=1, t=0, rho=1.0, power=1)
    assert not math.isnan(summary.costs[0])


@pytest.mark.parametrize("m", [3, 7])
def test_a_machine_without_points_costs_nothing(m):
    matrix = np.ones((m, 4))
    matrix[0] = 0
    summary = summarise(np.arange(4.0)[:, None], None, Assignment(matrix), [[[9.0]]] * m, k=1, t=1, rho=1.0, power=2)
    assert summary.costs[0] == 0.0 and summary.kept[0] == 0 and len(summary.centers) == m - 2


def drawn(seed):
    """Points, weights, one machine's centers and its summary, and any other centers."""
    rng = np.random.default_rng(seed)
    n, d, k = int(rng.integers(1, 12)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    X, w = rng.choice([grid, lambda rng, *s: rng.standard_cauchy(s)])(rng, n, d), rng.integers(0, 4, n).astype(float)
    Y, C = rng.normal(size=(k, d)), rng.normal(size=(int(rng.integers(1, 4)), d)) * 3
    return X, w, Y, C


@given(seeds, st.sampled_from([1, 2]))
def test_lemmas_iii_2_iii_3_vii_2_and_vii_3(seed, power):
    """The summary of a machine costs as much as its points, but for what its own centers cost."""
    X, w, Y, C = drawn(seed)
    one = summarise(X, w, Assignment(np.ones((1, len(X)))), [Y], k=len(Y), t=0, rho=1.0, power=power)
    own, of_points = one.costs[0], clusters.cost(X, C, w, power) if w.any() else 0.0
    of_summary = clusters.cost(one.centers, C, one.weights, power) if len(one.centers) else 0.0
    slack = 1e-9 * (own + of_points + of_summary)
    assert of_summary <= power * (of_points + own) + slack  # III.2, VII.2
    assert of_points <= power * (of_summary + own) + slack  # III.3, VII.3
    # By Minkowski's inequality, of which VII.2 and VII.3 are a weaker form.
    roots = [cost ** (1 / power) for cost in (of_summary, of_points, own)]
    assert abs(roots[0] - roots[1]) <= roots[2] + 1e-6 * (1 + sum(roots))


@given(seeds, st.sampled_from([1, 2]))
def test_lemma_iii_1(seed, power):
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 7)), int(rng.integers(1, 10))
    t = int(rng.integers(0, m))
    matrix = rng.integers(0, 2, (m, n))
    for j in np.flatnonzero(matrix.sum(axis=0) <= t):
        matrix[rng.permutation(m)[: t + 1], j] = 1
    rho, delta, _ = resilience(matrix, t)
    X, C = grid(rng, n, 2), grid(rng, 2, 2)
    total = clusters.cost(X, C, power=power)
    own = [clusters.cost(X[row > 0], C, power=power) if row.any() else 0.0 for row in matrix]
    for T in itertools.combinations(range(m), m - t):
        shares = rho * sum(own[i] for i in T)
        assert total - 1e-9 <= shares <= (1 + delta) * total + 1e-9


MATRICES = {
    "fractional repetition": (fractional_repetition(6, 8, 3), 2, 2),
    "cyclic": (fractional_repetition(5, 8, 3), 2, 2),
    "cyclic, three clusters": (fractional_repetition(4, 8, 3), 1, 3),
    "everything": (Assignment(np.ones((5, 8))), 2, 2),
    "bernoulli": (Assignment(np.random.default_rng(7).random((6, 8)) < 0.8), 2, 2),
}
DATA = {
    "clouds": lambda rng: rng.normal(size=(8, 2)) + 9.0 * rng.integers(0, 2, 8)[:, None],
    "lattice": lambda rng: grid(rng, 8, 2),
    "one far point": lambda rng: np.concatenate([rng.normal(size=(7, 2)), [[1e6, 1e6]]]),
    "few different": lambda rng: grid(rng, 2, 2)[rng.integers(0, 2, 8)],
}


class Everything:
    """The algorithm with solvers that try all clusterings of few points."""

    def __init__(self, kind, data, power, weighted=False):
        rng = np.random.default_rng([sum(map(ord, kind + data)), power])
        self.power, self.rng = power, rng
        self.A, self.t, self.k = MATRICES[kind]
        self.X = DATA[data](rng)
        self.weights = rng.integers(1, 5, 8).astype(float) if weighted else None
        self.rho, self.delta, _ = resilience(self.A, self.t)
        self.best = cache(lambda i: self.solve(self.X[self.A.points(i)], self.shares(i))[1])
        self.opt = self.solve(self.X, self.weights)[0]

    def shares(self, i):
        return None if self.weights is None else self.weights[self.A.points(i)]

    def solve(self, X, weights):
        return fusion.optimum(X, self.k, self.power, weights)

    def cost(self, replies):
        """What the result costs, and what the kept centers cost on their points."""
        keywords = {"k": self.k, "t": self.t, "rho": self.rho, "power": self.power}
        summary = summarise(self.X, self.weights, self.A, replies, **keywords)
        assert not len(summary.uncovered)
        return clusters.cost(self.X, self.solve(summary.centers, summary.weights)[1], self.weights, self.power)

    def scene(self, liars):
        honest = [self.best(i) for i in range(self.A.m)]
        return Scene(self.X, self.weights, self.A, honest, np.array(liars), self.k, self.t, self.power)

    def check(self, replies):
        cost, slack = self.cost(replies), 1e-6 * self.opt + 1e-12 * self.A.n
        factor = approximation(self.delta, self.power)
        assert factor <= [3, 10][self.power - 1] * (1 + self.delta)  # as in Theorems III.4 and III.5
        assert cost <= factor * self.opt + slack


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("power", [1, 2])
def test_theorems_iii_4_and_iii_5_under_every_attack(power, kind, data):
    case = Everything(kind, data, power, weighted=data == "clouds")
    m, t = case.A.m, case.t
    case.check([case.best(i) for i in range(m)])
    for count in range(1, t + 1):  # fewer than t as well
        scene = case.scene(np.sort(case.rng.permutation(m)[:count]).tolist())
        for name in ATTACKS:
            replies = list(scene.honest)
            for i, reply in make_attack(name)(scene, case.rng).items():
                replies[i] = reply
            case.check(replies)


@pytest.mark.parametrize("power", [1, 2])
def test_theorems_iii_4_and_iii_5_under_whatever_the_filter_lets_pass(power):
    """Liars who try at random, and keep what costs the result most."""
    for kind in ("fractional repetition", "cyclic"):
        case = Everything(kind, "clouds", power)
        liars = case.rng.permutation(case.A.m)[: case.t]
        replies = [case.best(i) for i in range(case.A.m)]
        worst, scale = case.cost(replies), 8.0
        for _ in range(25):
            tried = list(replies)
            for i in liars:
                tried[i] = tried[i] + case.rng.normal(size=(case.k, 2)) * scale
            cost = case.cost(tried)
            case.check(tried)
            if cost > worst:
                worst, replies = cost, tried
            else:
                scale *= 0.8


def test_the_factors():
    assert [approximation(0.0, power) for power in (1, 2)] == [3.0, 9.0]
    assert approximation(1.0, 1, local=2.0, final=3.0) == (2 + 3 * 3) * 2
    assert approximation(1.0, 2, local=4.0, final=9.0) == (2 + 3 * 3) ** 2 * 2 < (2 * 4 + 4 * 9 * 5) * 2  # the paper's
    for bad in ({"power": 3}, {"local": 0.5}, {"final": math.nan}, {"delta": -1.0}, {"delta": math.inf}):
        with pytest.raises(ValueError):
            approximation(**{"delta": 0.0, "power": 1} | bad)


def test_nothing_is_guaranteed_without_resilience():
    """A point that only machines hold that are left aside may be as far away as it likes."""
    matrix, far = [[1, 1, 0], [1, 1, 0], [1, 0, 1]], 1e9
    X = np.array([[0.0], [1.0], [far]])
    with pytest.raises(rc.ConstraintError):
        resilience(matrix, 1)
    rho = resilience(matrix, 1, strict=False).rho
    honest = [[[0.0], [1.0]], [[0.0], [1.0]], [[5.0], [far]]]
    summary = summarise(X, None, Assignment(matrix), honest, k=2, t=1, rho=rho, power=1)
    assert summary.kept.tolist() == [0, 1] and summary.uncovered.tolist() == [2]
    assert clusters.cost(X, summary.centers) > 1e8 > clusters.cost(X, [[0.5], [far]])
