"""The steps: how fast they contract, and what they need."""

import itertools
import math

import numpy as np
import pytest

import robustcore as rc
from robustcore import theory
from robustcore.agreement import PROTOCOLS, Setting

pytest.importorskip("scipy")


def most(protocol, n, d, synchronous):
    return max(t for t in range(n) if protocol.needs(d, synchronous).holds(n, t))


@pytest.mark.parametrize("synchronous", [True, False])
@pytest.mark.parametrize("name", [name for name in PROTOCOLS if PROTOCOLS[name].method])
def test_resilience_is_that_of_table_1(name, synchronous):
    protocol = PROTOCOLS[name]()
    for n, d in itertools.product(range(1, 40), (1, 2, 3, 7)):
        assert most(protocol, n, d, synchronous) == theory.resilience(protocol.method, n, d, synchronous=synchronous)


def views(n, t, synchronous):
    """Pairs of sets of nodes that two honest nodes may have received; the last t are Byzantine."""
    honest, everybody = set(range(n - t)), range(n)
    quorums = [set(one) for m in range(n - t, n + 1) for one in itertools.combinations(everybody, m)]
    if synchronous:
        quorums = [one for one in quorums if honest <= one]
    for one, other in itertools.product(quorums, repeat=2):
        if len(one & other) >= n - t:
            yield sorted(one), sorted(other)


def grid(n, t):
    """(n, columns): all honest values among 0, 1/2 and 1, and all Byzantine ones, also outside; and random ones."""
    rng = np.random.default_rng(0)
    values = [[0, 0.5, 1]] * (n - t) + [[-4, 0, 0.5, 1, 5]] * t
    columns = math.prod(len(one) for one in values)
    chosen = np.unravel_index(rng.permutation(columns)[:7000], [len(one) for one in values])
    X = np.array([np.array(one, float)[index] for one, index in zip(values, chosen, strict=True)])
    return np.hstack([X, rng.uniform(size=(n, 500))])


@pytest.mark.parametrize("synchronous", [True, False])
@pytest.mark.parametrize(("n", "t"), [(4, 1), (5, 1), (7, 2)])
@pytest.mark.parametrize("name", ["box", "rbtm"])
def test_edges_contract(name, n, t, synchronous):
    """Each coordinate is an instance of its own."""
    protocol, X = PROTOCOLS[name](), grid(n, t)
    setting = Setting(n, t, X.shape[1], 1.0, synchronous)
    edges = np.ptp(X[: n - t], axis=0)
    low, high = X[: n - t].min(axis=0), X[: n - t].max(axis=0)
    made, worst = {}, 0.0
    for pair in itertools.islice(views(n, t, synchronous), 300):
        for view in pair:
            if tuple(view) not in made:
                y = made[tuple(view)] = protocol.step(X[view], 1, setting)
                assert (low - 1e-12 <= y).all() and (y <= high + 1e-12).all()
        one, other = (made[tuple(view)] for view in pair)
        gap = np.abs(one - other)
        assert (gap <= protocol.contraction(setting) * edges + 1e-12).all()
        worst = max(worst, (gap[edges > 0] / edges[edges > 0]).max())
    # For t = 1, synchronous boxes are better; for larger n, these are not all asynchronous pairs.
    if (name == "rbtm" or t > 1) if synchronous else n == 4:
        assert worst == pytest.approx(protocol.contraction(setting))  # it is attained
    assert worst > 0.2


@pytest.mark.parametrize("synchronous", [True, False])
def test_diameters_contract(synchronous):
    n, t = (5, 1) if synchronous else (8, 1)
    protocol, rng = PROTOCOLS["mda"](), np.random.default_rng(1)
    worst = 0.0
    for _ in range(60):
        d = int(rng.integers(1, 4))
        setting = Setting(n, t, d, 1.0, synchronous)
        X = rng.integers(0, 3, size=(n, d)).astype(float) + 1e-3 * rng.normal(size=(n, d))
        pairs = list(views(n, t, synchronous))
        diameter = np.sqrt(rc.pairwise_sqdist(X[: n - t]).max())
        for place in rng.permutation(len(pairs))[:20]:
            one, other = (protocol.step(X[view], 1, setting) for view in pairs[place])
            gap = np.linalg.norm(one - other)
            assert gap <= protocol.contraction(setting) * diameter + 1e-12
            worst = max(worst, gap / diameter)
    assert worst > 0.1


@pytest.mark.parametrize("synchronous", [True, False])
@pytest.mark.parametrize("d", [1, 2])
def test_safe_areas_contract(d, synchronous):
    n, t = (d + 2, 1) if synchronous else (d + 3, 1)
    n, rng = max(n, 4), np.random.default_rng(2)
    setting, protocol = Setting(n, t, d, 1.0, synchronous), PROTOCOLS["safe_area"]()
    for _ in range(15):
        X = rng.integers(0, 4, size=(n, d)).astype(float)
        edge = np.ptp(X[: n - t], axis=0).max()
        pairs = list(views(n, t, synchronous))
        for place in rng.permutation(len(pairs))[:3]:
            found = [protocol.step(X[view], 1, setting) for view in pairs[place]]
            assert all(rc.validity.convex(y, X[: n - t]) for y in found)
            assert np.abs(found[0] - found[1]).max() <= protocol.contraction(setting) * edge + 1e-7


def test_the_middle_of_a_safe_area():
    """A square with its middle, and one who may lie: the diagonals meet in the middle."""
    X = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [1.0, 1.0]])
    setting = Setting(5, 1, 2, 1.0)
    np.testing.assert_allclose(PROTOCOLS["safe_area"]().step(X, 1, setting), [1.0, 1.0], atol=1e-9)
    line = np.array([[0.0], [1.0], [4.0], [9.0]])
    np.testing.assert_allclose(PROTOCOLS["safe_area"]().step(line, 1, Setting(4, 1, 1, 1.0)), [2.5], atol=1e-9)
    assert (PROTOCOLS["safe_area"]().step(np.full((4, 1), 7e300), 1, Setting(4, 1, 1, 1.0)) == 7e300).all()


@pytest.mark.parametrize("far", [1e3, 1e9, 1e30, 1e300])
def test_a_far_point_does_not_blur_the_safe_area(far):
    X = np.random.default_rng(0).normal(size=(7, 2))
    X[-1] = [far, -far / 2]
    near = X.copy()
    near[-1] = [1e6, -5e5]
    setting = Setting(7, 1, 2, 1.0)
    y, expected = (PROTOCOLS["safe_area"]().step(one, 1, setting) for one in (X, near))
    assert rc.validity.convex(y, X[:-1]) and rc.validity.in_safe_area(X, y, 1)
    np.testing.assert_allclose(y, expected, atol=2e-3 if far < 1e6 else 2e-6)


@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e-280, 1e280])
def test_the_safe_area_at_any_size(scale):
    """Up to 600 orders of magnitude from a lie, which leave its direction as it is."""
    X = np.random.default_rng(0).normal(size=(7, 2))
    protocol, setting = PROTOCOLS["safe_area"](), Setting(7, 1, 2, 1.0)
    X[-1] = [2e25, -1e25]
    expected = protocol.step(X, 1, setting)
    small = X * scale
    small[-1] = [1e300, -5e299]
    np.testing.assert_allclose(protocol.step(small, 1, setting) / scale, expected, atol=1e-6)


def test_no_safe_area():
    """More than t Byzantine: a node goes on all the same."""
    triangle = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    y = PROTOCOLS["safe_area"]().step(triangle, 1, Setting(2, 0, 2, 1.0))
    assert np.isfinite(y).all()


def test_the_half_of_lemma_4_20():
    """n = 7, t = 2: two nodes that have each received another Byzantine vector are further apart than half an edge."""
    setting, honest = Setting(7, 2, 1, 1.0), [[0.0], [0.0], [0.0], [0.0], [1.0]]
    one, other = (PROTOCOLS["box"]().step(np.array([*honest, [lie]]), 1, setting) for lie in (6.0, -5.0))
    assert one == pytest.approx(0.6) and other == 0 and PROTOCOLS["box"]().contraction(setting) == 0.6


def test_the_first_n_minus_t_vectors_do_not_suffice():
    """Algorithm 6 as printed, n = 4: two nodes that have each missed one of 0, 0, 1, 1 stay where they are for ever."""
    assert rc.box_midpoint(np.array([[0.0], [0.0], [1.0]]), f=1) == 0
    assert rc.box_midpoint(np.array([[0.0], [1.0], [1.0]]), f=1) == 1


def test_rounds():
    for synchronous in (True, False):
        setting = Setting(7, 2, 4, 1e-3, synchronous)
        for name in ("box", "rbtm"):
            protocol = PROTOCOLS[name]()
            factor, extra = protocol.contraction(setting), 0 if synchronous else 1
            assert protocol.rounds(setting, 1e-9) == 1
            for spread in (1.0, 1e5):
                k = protocol.rounds(setting, spread) - extra
                edge = setting.epsilon / 2  # epsilon / sqrt(d)
                assert spread * factor**k <= edge * (1 + 1e-12)
                assert k == 1 or spread * factor ** (k - 1) > edge
            assert protocol.rounds(setting, 0.0) == 1  # the spread of one node's is that of all after the round
            assert protocol.rounds(Setting(7, 0, 4, 1e-3, synchronous), 9.0) == 1 + extra  # nobody lies
    box = PROTOCOLS["box"]()
    assert box.rounds(Setting(4, 1, 1, 1e-3), 1.0) == 10 == math.ceil(math.log2(1e3))  # Lemma 4.21
    assert box.rounds(Setting(4, 1, 1, 5e-324), math.inf) == 1024 + 1074
    assert box.rounds(Setting(4, 1, 16, 5e-324), math.inf) == 1024 + 1074 + 2  # to edges of epsilon / 4


def test_spread():
    X = np.array([[0.0, 0.0], [3.0, 4.0], [1.0, 9.0]])
    assert PROTOCOLS["box"]().spread(X) == 9
    assert PROTOCOLS["mda"]().spread(X) == pytest.approx(math.sqrt(82))
    huge = np.array([[-1e308], [1e308]])
    assert PROTOCOLS["mda"]().spread(huge) == PROTOCOLS["box"]().spread(huge) == math.inf
    for scale in (1e-300, 1e-200, 1e-160, 1e200, 1e300):
        assert PROTOCOLS["mda"]().spread(scale * X) == pytest.approx(math.sqrt(82) * scale)
    tiny = np.array([[0.0, 1e308], [5e-324, 1e308]])
    assert PROTOCOLS["mda"]().spread(tiny) == PROTOCOLS["box"]().spread(tiny) == 5e-324


@pytest.mark.parametrize("pace", [1, 1.5, 0.0, -1, math.nan, "1"])
def test_the_pace_is_between_0_and_1(pace):
    with pytest.raises(TypeError if pace == "1" else ValueError, match="MinMaxMEB: pace must be"):
        PROTOCOLS["minmax_meb"](pace=pace)
