"""Assignment matrices, the expanders among them, and what is left when machines are removed."""

import copy
import math
import pickle
import sys

import assignment as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import robustcore as rc

sp = pytest.importorskip("scipy.sparse")
nx = pytest.importorskip("networkx")
pytest.importorskip("sklearn")

from robustcore.clustering import (  # noqa: E402
    Assignment,
    bernoulli,
    expander,
    fractional_repetition,
    resilience,
)
from robustcore.clustering.assignment import _held  # noqa: E402

matrices = st.tuples(st.integers(1, 6), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 1) | st.just(1))
)

# ---- the matrix ------------------------------------------------------------------------------------------------

M = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1]])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("form", ["list", "array", "bsr", "coo", "csc", "csr", "dia", "dok", "lil"])
def test_a_matrix_may_come_in_any_form(form, dtype):
    stored = M.astype(dtype)
    if form == "list":
        stored = stored.tolist()
    elif form != "array":
        stored = sp.coo_array(stored).asformat(form)
    A = Assignment.of(stored)
    assert isinstance(A.matrix, sp.csr_array) and A.matrix.dtype == np.uint8
    assert A.matrix.has_canonical_format and (A.matrix.toarray() == M).all()
    assert (A.m, A.n, A.kind, A.p, A.spectrum) == (3, 4, "custom", None, None)
    assert A.load.tolist() == [2, 2, 2] and A.weights.tolist() == [1, 3, 1, 1]
    assert A.load.dtype == A.weights.dtype == A.points(0).dtype == np.int64
    assert [A.points(i).tolist() for i in range(3)] == [[0, 1], [1, 2], [1, 3]]
    assert repr(A) == "Assignment(custom, m=3, n=4, load 2, weight 1 to 3)"


def test_a_matrix_is_not_changed_nor_shared():
    stored = sp.csr_array((np.ones(3), np.array([2, 0, 1]), np.array([0, 2, 3])), shape=(2, 3))  # a row not sorted
    A = Assignment.of(stored)
    assert A.points(0).tolist() == [0, 2] and stored.indices.tolist() == [2, 0, 1]
    stored.data[:] = 5
    assert A.matrix.data.tolist() == [1, 1, 1]
    A.points(0)[:] = 7
    assert A.points(0).tolist() == [0, 2]


def test_stored_zeros_are_no_ones():
    stored = sp.coo_array((np.array([1, 0, 0, 1]), (np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0]))), shape=(2, 2))
    A = Assignment.of(stored)  # (1, 0) is stored twice, as a zero and as a one
    assert A.matrix.toarray().tolist() == [[1, 0], [1, 0]] and A.matrix.nnz == 2
    assert A.weights.tolist() == [2, 0] and A.points(1).tolist() == [0]


@pytest.mark.parametrize(("copies", "dtype"), [(2, np.uint8), (2, bool), (257, np.uint8)])
def test_entries_stored_twice_are_twos(copies, dtype):
    """Neither does a bool saturate nor a byte wrap around to 1."""
    zeros = np.zeros(copies, int)
    for stored in (
        sp.coo_array((np.ones(copies, dtype), (zeros, zeros)), shape=(2, 2)),
        sp.csr_array((np.ones(copies, dtype), zeros, np.array([0, copies, copies])), shape=(2, 2)),
    ):
        with pytest.raises(ValueError, match="nothing but 0 and 1"):
            Assignment.of(stored)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ([[0, 2]], "nothing but 0 and 1"),
        ([[0, -1]], "nothing but 0 and 1"),
        ([[0, 0.5]], "nothing but 0 and 1"),
        ([[1, np.nan]], "nothing but 0 and 1"),
        ([[1, np.inf]], "nothing but 0 and 1"),
        (sp.csr_array([[1, np.nan]]), "nothing but 0 and 1"),
        ([[1, 1j]], "not entries of type complex128"),
        (sp.csr_array([[1, 1j]]), "not entries of type complex128"),
        ([["a", "b"]], "not entries of type"),
        ([[1, None]], "not entries of type object"),
        (np.array([1, 0]), "two dimensions, machines and points, not 1"),
        (np.ones((1, 1, 1)), "two dimensions, machines and points, not 3"),
        (1, "two dimensions, machines and points, not 0"),
        ([[1], [1, 0]], "rows of one length"),
        (np.ones((0, 3)), "assignment needs m >= 1; here m = 0"),
        (np.ones((3, 0)), "assignment needs n >= 1; here n = 0"),
    ],
)
def test_what_is_no_assignment(wrong, says):
    for read in (Assignment, Assignment.of, lambda A: resilience(A, 0)):
        with pytest.raises(ValueError, match=says):
            read(wrong)


def test_an_assignment_is_for_so_many_points():
    A = fractional_repetition(2, 4, 1)
    assert Assignment.of(A) is A and Assignment.of(A, 4) is A
    for known in (A, A.matrix):
        with pytest.raises(ValueError, match=r"the matrix is for 4 points \(columns\), and there are 5"):
            Assignment.of(known, 5)


def test_a_one_takes_five_bytes():
    for A in (bernoulli(4, 9, 0.5, 0), fractional_repetition(4, 9, 3), expander(4, 3, 9), Assignment(M)):
        assert (A.matrix.data.dtype, A.matrix.indices.dtype, A.matrix.indptr.dtype) == (np.uint8, np.int32, np.int32)


def test_points_of_no_machine():
    A = Assignment(M)
    with pytest.raises(IndexError, match="there is no machine 3 among 3"):
        A.points(3)
    with pytest.raises(rc.ConstraintError, match="i >= 0"):
        A.points(-1)
    with pytest.raises(TypeError):
        A.points(0.0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda A: pickle.loads(pickle.dumps(A))])
def test_assignments_travel(copied):
    for A in (bernoulli(4, 9, 0.5, 0), expander(5, 4)):
        B = copied(A)
        assert (A.matrix != B.matrix).nnz == 0 and (A.kind, A.p, A.spectrum) == (B.kind, B.p, B.spectrum)
        assert repr(A) == repr(B)


# ---- fractional repetition -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "s"), [(1, 1), (4, 1), (4, 2), (6, 3), (12, 4), (5, 5)])
def test_equation_2(m, s):
    """Where s divides m = n: blocks of ones on the diagonal, but for the order of the columns."""
    blocks = np.kron(np.eye(m // s), np.ones((s, s)))
    found = fractional_repetition(m, m, s).matrix.toarray()
    order = np.argsort(np.arange(m) % (m // s), kind="stable")
    assert (found[:, order] == blocks).all()


@given(m=st.integers(1, 12), n=st.integers(1, 40), data=st.data())
def test_fractional_repetition_is_fair(m, n, data):
    s = data.draw(st.integers(1, m))
    A = fractional_repetition(m, n, s)
    assert A.kind == "fractional_repetition" and (A.m, A.n) == (m, n)
    assert (A.weights == s).all() and A.load.max() - A.load.min() <= 1


def test_data_sorted_by_cluster_is_spread():
    """Every machine of 6 holds a third of each of 6 clusters of 100."""
    A = fractional_repetition(6, 600, 2)
    assert {count for i in range(6) for count in np.bincount(A.points(i) // 100).tolist()} == {33, 34}


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((0, 5, 1), rc.ConstraintError, "fractional_repetition needs m >= 1; here m = 0"),
        ((5, 0, 1), rc.ConstraintError, "fractional_repetition needs n >= 1; here n = 0"),
        ((5, -1, 1), rc.ConstraintError, "n >= 0; here n = -1"),
        ((5, 5, 0), rc.ConstraintError, "1 <= s <= m; here m = 5 and s = 0"),
        ((5, 5, 6), rc.ConstraintError, "1 <= s <= m; here m = 5 and s = 6"),
        ((5, 5, 2.0), TypeError, "s must be a whole number, not 2.0"),
        ((5, math.nan, 2), TypeError, "n must be a whole number, not nan"),
        ((True, 5, 1), TypeError, "m must be a whole number, not True"),
    ],
)
def test_fractional_repetition_refuses(arguments, error, says):
    with pytest.raises(error, match=says):
        fractional_repetition(*arguments)


# ---- Bernoulli -------------------------------------------------------------------------------------------------


def test_bernoulli_draws_every_entry():
    A = bernoulli(20, 5000, 0.3, rng=1)
    assert (A.m, A.n, A.kind, A.p) == (20, 5000, "bernoulli", 0.3)
    entries = A.matrix.toarray().astype(float)
    variance = 0.3 * 0.7
    assert abs(entries.mean() - 0.3) < 4 * math.sqrt(variance / entries.size)
    assert np.abs(entries.mean(axis=1) - 0.3).max() < 4 * math.sqrt(variance / 5000)
    together = np.corrcoef(entries)[~np.eye(20, dtype=bool)]  # of two machines
    assert np.abs(together).max() < 4.5 / math.sqrt(5000)


def test_bernoulli_by_seed_by_generator_or_afresh():
    same = [bernoulli(4, 50, 0.5, rng).matrix.toarray() for rng in (3, np.int64(3), np.random.default_rng(3))]
    assert (same[0] == same[1]).all() and (same[0] == same[2]).all()
    rng = np.random.default_rng(3)
    assert (bernoulli(4, 50, 0.5, rng).matrix != bernoulli(4, 50, 0.5, rng).matrix).nnz
    assert (bernoulli(4, 50, 0.5).matrix != bernoulli(4, 50, 0.5).matrix).nnz
    assert bernoulli(3, 4, 1.0).matrix.toarray().all() and bernoulli(3, 4, 1).p == 1.0
    assert bernoulli(3, 4, 5e-324).load.sum() == 0


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((0, 5, 0.5), rc.ConstraintError, "bernoulli needs m >= 1"),
        ((5, 0, 0.5), rc.ConstraintError, "bernoulli needs n >= 1"),
        ((5, 5, 0.0), ValueError, "p must be a finite number > 0, not 0.0"),
        ((5, 5, -0.1), ValueError, "p must be a finite number > 0"),
        ((5, 5, math.nan), ValueError, "p must be a finite number > 0, not nan"),
        ((5, 5, 1.001), rc.ConstraintError, "0 < p <= 1; here p = 1.001"),
        ((5, 5, "0.5"), TypeError, "p must be a finite number > 0"),
        ((5, 5, 0.5, -1), TypeError, "rng must be a seed >= 0, a numpy Generator or None, not -1"),
        ((5, 5, 0.5, "seed"), TypeError, "rng must be a seed"),
    ],
)
def test_bernoulli_refuses(arguments, error, says):
    with pytest.raises(error, match=says):
        bernoulli(*arguments)


# ---- expanders -------------------------------------------------------------------------------------------------

GRAPHS = [(4, 3), (5, 4), (6, 3), (6, 4), (8, 3), (8, 6), (9, 4), (10, 3), (10, 4), (12, 9), (14, 3), (20, 4), (25, 4)]
GRAPHS += [(26, 25), (31, 6), (50, 25), (64, 62), (96, 5), (100, 4), (127, 4)]


@pytest.mark.parametrize(("m", "degree"), [*GRAPHS, (320, 4), (1000, 8)])
def test_expanders_are_regular_connected_simple_and_not_bipartite(m, degree):
    A = expander(m, degree)
    matrix = A.matrix.toarray()
    assert (matrix == matrix.T).all() and not matrix.diagonal().any()
    assert (A.load == degree).all() and (A.weights == degree).all()
    graph = nx.from_numpy_array(matrix)
    assert nx.is_connected(graph) and not nx.is_bipartite(graph)
    assert nx.is_connected(nx.from_numpy_array(np.kron([[0, 1], [1, 0]], matrix)))  # the double cover
    assert A.spectrum.degree == degree and A.spectrum.bound == 2 * math.sqrt(degree - 1)
    assert A.spectrum.achieved == pytest.approx(naive.expansion(matrix.astype(float)), abs=1e-6)
    assert A.spectrum.achieved <= A.spectrum.bound < degree


@pytest.mark.parametrize("rng", range(3))
def test_lifts_of_the_complete_graph_expand_well(rng):
    """From 5 to 320 nodes, each new |lambda| well below 2 sqrt(3)."""
    assert expander(320, 4, rng=rng).spectrum.achieved < 3.41 < 2 * math.sqrt(3)


def test_small_degrees_have_but_the_cycle():
    pair = expander(2, 1)
    assert pair.matrix.toarray().tolist() == [[0, 1], [1, 0]]
    assert (pair.spectrum.achieved, pair.spectrum.bound) == (1.0, 0.0)
    for m in (3, 4, 5, 8, 9):
        A = expander(m, 2)
        matrix = A.matrix.toarray()
        assert nx.is_isomorphic(nx.from_numpy_array(matrix), nx.cycle_graph(m))
        assert A.spectrum.achieved == pytest.approx(naive.expansion(matrix.astype(float)), abs=1e-12)
        assert (A.spectrum.achieved == 2) == (m % 2 == 0)  # bipartite, and reported


@pytest.mark.parametrize("m", [4, 5, 17, 60])
def test_the_complete_graph_is_all_there_is(m):
    assert (expander(m, m - 1).matrix.toarray() == 1 - np.eye(m)).all()
    assert expander(m, m - 1).spectrum.achieved == pytest.approx(1)


def test_points_go_to_the_neighbours_of_their_group():
    graph = expander(10, 3).matrix.toarray()
    A = expander(10, 3, n=47)
    assert (A.matrix.toarray() == graph[:, np.arange(47) % 10]).all()
    assert (expander(10, 3, n=4).matrix.toarray() == graph[:, :4]).all()
    assert A.spectrum == expander(10, 3).spectrum


def test_expanders_by_seed():
    first, again, other = (expander(40, 4, rng=rng).matrix for rng in (5, np.random.default_rng(5), 6))
    assert (first != again).nnz == 0 and (first != other).nnz


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((7, 3), "here m = 7 and degree = 3 (with degree = 3, m can be any even number from 4 on)"),
        ((4, 4), "here m = 4 and degree = 4 (with degree = 4, m can be any number from 5 on)"),
        ((4, 1), "here m = 4 and degree = 1 (with degree = 1, m can be 2 only)"),
        ((1, 1), "here m = 1 and degree = 1 (with degree = 1, m can be 2 only)"),
        ((2, 2), "here m = 2 and degree = 2 (with degree = 2, m can be any number from 3 on)"),
        ((4, 0), "here m = 4 and degree = 0"),
        ((0, 3), "expander needs m >= 1; here m = 0"),
        ((4, 3, 0), "expander needs n >= 1; here n = 0"),
    ],
)
def test_expander_refuses(arguments, says):
    with pytest.raises(rc.ConstraintError) as error:
        expander(*arguments)
    assert says in str(error.value)


def test_expander_refuses_what_is_no_number():
    with pytest.raises(TypeError, match="degree must be a whole number"):
        expander(4, 3.0)
    with pytest.raises(TypeError, match="rng must be a seed"):
        expander(4, 3, rng="x")


def test_expander_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ImportError, match=r'expander needs networkx: pip install "robustcore\[clustering\]"'):
        expander(8, 3)


# ---- resilience, whoever is Byzantine --------------------------------------------------------------------------


@given(A=matrices, data=st.data())
def test_resilience_is_the_best_over_all_sets(A, data):
    """Property III.1 holds with its rho and delta, and with none that are smaller."""
    t = data.draw(st.integers(0, len(A) - 1))
    low, high = naive.held(A, t).T
    if low.min() == 0:
        lost = np.flatnonzero(A.sum(axis=0) <= t)
        with pytest.raises(rc.ConstraintError) as error:
            resilience(A, t)
        assert f"{len(lost)} of {A.shape[1]} columns weigh t or less ({lost[0]}" in str(error.value)
        return
    rho, delta, exact = found = resilience(A, t)
    assert exact and (found.least, found.most) == (low.min(), high.max())
    assert rho == 1 / low.min() and 1 + delta == pytest.approx(high.max() / low.min(), rel=1e-15)
    assert naive.holds(A, t, rho, delta)
    assert not naive.holds(A, t, rho * (1 - 1e-9), delta)
    if delta:
        assert not naive.holds(A, t, rho, delta * (1 - 1e-9))  # nor with a larger rho
    assert found.failure == (0, 0) and len(found.uncovered) == 0


def test_resilience_by_hand():
    """Weights 3, 2 and 3 of 4: with t = 1 from 1 to 3 are left, with t = 0 from 2 to 3."""
    A = [[1, 1, 0], [1, 1, 1], [1, 0, 1], [0, 0, 1]]
    assert tuple(resilience(A, 1)) == (1.0, 2.0, True)
    assert tuple(resilience(A, 0)) == (0.5, 0.5, True)
    assert tuple(resilience(np.ones((5, 2)), 3)) == (0.5, 0.0, True)
    assert tuple(resilience(np.ones((5, 2)), 4)) == (1.0, 0.0, True)
    assert tuple(resilience([[1]], 0)) == (1.0, 0.0, True)


@pytest.mark.parametrize("model", ["adversarial", "random"])
@pytest.mark.parametrize("p", [0.1, 0.2])
def test_no_guarantee_without_strict(p, model):
    """Section V's own matrices, m = 10 and t = 3, have points on no machine at all."""
    A = bernoulli(10, 5000, p, rng=0)
    with pytest.raises(rc.ConstraintError, match=r"\d+ of 5000 columns weigh t or less \((\d+, ){5}\.\.\.\)"):
        resilience(A, 3, model)
    found = resilience(A, 3, model, strict=False)
    assert found.rho == pytest.approx(1 / (p * 7)) and found.delta == math.inf and not found.exact
    assert (found.uncovered == np.flatnonzero(A.weights <= 3)).all() and found.least == 0
    assert found.failure == (1, 1)
    other = resilience(A.matrix, 3, model, strict=False)  # as a matrix that nobody knows the p of
    assert other.rho == pytest.approx(10 / 7 / A.weights.mean())


def test_strict_or_not_is_the_same_where_there_is_a_guarantee():
    A = fractional_repetition(10, 20, 5)
    for model in ("adversarial", "random"):
        assert resilience(A, 4, model) == resilience(A, 4, model, strict=False)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"t": 3}, rc.ConstraintError, r"resilience needs m > t; here m = 3 and t = 3 \(t can be at most 2\)"),
        ({"t": -1}, rc.ConstraintError, "resilience needs t >= 0; here t = -1"),
        ({"t": 1.0}, TypeError, "t must be a whole number, not 1.0"),
        ({"t": math.nan}, TypeError, "t must be a whole number, not nan"),
        ({"t": 1, "model": "worst"}, ValueError, 'model must be "adversarial" or "random", not \'worst\''),
        ({"t": 1, "model": "random", "failure": 1.0}, rc.ConstraintError, "failure < 1; here failure = 1"),
        ({"t": 1, "model": "random", "failure": -0.1}, ValueError, "failure must be a finite number >= 0"),
        ({"t": 1, "model": "random", "failure": math.nan}, ValueError, "failure must be a finite number >= 0"),
        ({"t": 1, "model": "random", "draws": 2.5}, TypeError, "draws must be a whole number"),
        ({"t": 1, "model": "random", "draws": 1}, rc.ConstraintError, "needs draws >= 144; here failure = 0.05"),
        ({"t": 1, "model": "random", "draws": 2}, rc.ConstraintError, "needs draws >= 144; here failure = 0.05"),
        ({"t": 1, "model": "random", "draws": 0}, rc.ConstraintError, "needs draws >= 1; here draws = 0"),
        ({"t": 1, "model": "random", "draws": 2, "failure": 0}, rc.ConstraintError, "needs draws for all sets"),
        ({"t": 1, "model": "random", "draws": 2, "failure": 5e-324}, rc.ConstraintError, "needs draws for all sets"),
        ({"t": 1, "model": "random", "rng": -1}, TypeError, "rng must be a seed"),
    ],
)
def test_resilience_refuses(arguments, error, says):
    with pytest.raises(error, match=says):
        resilience(np.ones((3, 2)), **arguments)


def test_as_few_draws_as_it_says():
    A = np.ones((30, 2))
    assert resilience(A, 8, "random", draws=144).least == 22
    with pytest.raises(rc.ConstraintError, match="needs draws >= 144"):
        resilience(A, 8, "random", draws=143)


@pytest.mark.parametrize("model", ["adversarial", "random"])
def test_a_matrix_without_ones_has_no_rho(model):
    with pytest.raises(rc.ConstraintError, match="no machine holds any"):
        resilience(np.zeros((3, 2)), 1, model, strict=False)


# ---- resilience, when t machines are drawn ---------------------------------------------------------------------


@given(A=matrices, failure=st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.5, 0.9]), data=st.data())
def test_random_resilience_over_all_sets(A, failure, data):
    t = data.draw(st.integers(0, len(A) - 1))
    low, high = naive.held(A, t).T
    least = max(bound for bound in range(len(A) + 1) if (low < bound).mean() <= failure)
    if least == 0:
        with pytest.raises(rc.ConstraintError, match=f"is left, with probability {1 - failure:g}"):
            resilience(A, t, "random", failure=failure)
        if A.any():
            found = resilience(A, t, "random", failure=failure, strict=False)
            assert found.delta == math.inf and found.failure == ((low < 1).mean(),) * 2
        return
    found = resilience(A, t, "random", failure=failure)
    most = min(bound for bound in range(len(A) + 1) if ((low < least) | (high > bound)).mean() <= failure)
    assert (found.least, found.most, found.exact) == (least, most, True)
    assert tuple(found) == (1 / least, (most - least) / least, True)
    assert found.failure == (((low < least) | (high > most)).mean(),) * 2
    if failure == 0:
        assert tuple(found) == tuple(resilience(A, t))


def test_random_resilience_by_hand():
    """Two groups of 5, 3 of the 10 lost: all of one group in 20 of 120 sets, two of one and one of the other else."""
    A = fractional_repetition(10, 30, 5)
    for failure, least, most, share in [(0.1, 2, 5, 0), (0.16, 2, 5, 0), (1 / 6, 3, 4, 1 / 6), (0.9, 3, 4, 1 / 6)]:
        found = resilience(A, 3, "random", failure=failure)
        assert (found.least, found.most, found.failure) == (least, most, (share, share))
    assert resilience(A, 3) == resilience(A, 3, "random", failure=0.1)
    # One point at 5 machines is left at 2, 3, 4 and 5 of them in 10, 50, 50 and 10 sets.
    alone = np.arange(10)[:, None] < 5
    for failure, least, most, share in [(0.5, 4, 5, 1 / 2), (0.58, 4, 5, 1 / 2), (0.59, 4, 4, 7 / 12)]:
        found = resilience(alone, 3, "random", failure=failure)
        assert (found.least, found.most, found.failure) == (least, most, (share, share))


@pytest.mark.parametrize("A", [bernoulli(12, 40, 0.6, 0), fractional_repetition(12, 24, 6), expander(12, 5)])
def test_what_draws_say_is_true_almost_always(A):
    """Of 495 sets of 4, what 100 seeds say: few are wrong, and none is far from the best there is."""
    low, high = naive.held(A.matrix.toarray(), 4).T
    best = resilience(A, 4, "random", failure=0.1)
    found = [resilience(A, 4, "random", failure=0.1, draws=400, rng=seed) for seed in range(100)]
    assert best.exact and not any(one.exact for one in found)
    true = np.array([((low < one.least) | (high > one.most)).mean() for one in found])
    assert (true > 0.1).sum() <= 5
    inside = [one.failure[0] <= share <= one.failure[1] for one, share in zip(found, true, strict=True)]
    assert sum(inside) >= 90 and all(one.failure[1] <= 0.1 for one in found)
    assert all(best.least - 1 <= one.least for one in found)


def test_draws_by_seed():
    A = bernoulli(14, 60, 0.7, 3)
    every = resilience(A, 5, "random", draws=2002)
    drawn = [resilience(A, 5, "random", draws=2001, rng=rng) for rng in (1, np.random.default_rng(1), 2)]
    assert every.exact and not drawn[0].exact
    assert drawn[0] == drawn[1] and drawn[0].failure != drawn[2].failure
    assert every.least - 1 <= drawn[0].least <= every.least


@pytest.mark.parametrize("alike", [0, 64])
def test_equal_columns_count_once(alike):
    """Of 70 machines, more than fit into one word; also where columns differ in the second word only."""
    rng = np.random.default_rng(2)
    A = (rng.random((70, 300)) < 0.5).astype(int)
    A[:alike] = 0
    repeated = A[:, np.concatenate([rng.permutation(300), rng.integers(0, 300, 2000)])]
    left = rng.permuted(np.arange(70)[:, None] >= np.full(50, 6), axis=0).astype(int)
    for columns in (A, repeated):
        least, most = _held(Assignment(columns).matrix, columns.sum(axis=0), left)
        counts = A.T @ left
        assert (least == counts.min(axis=0)).all() and (most == counts.max(axis=0)).all()


@pytest.mark.parametrize("weights", [10 + np.arange(2000) % 61, np.full(2000, 3), np.full(2000, 67)])
@pytest.mark.parametrize("t", [0, 1, 2, 6, 40])
def test_columns_that_cannot_count_are_not_looked_at(t, weights):
    """Neither the lightest nor the heaviest of any set is among them, also where these differ from set to set."""
    rng = np.random.default_rng(t)
    spread = rng.permuted(np.arange(70)[:, None] < weights, axis=0).astype(int)
    left = np.ones((70, 40), int)
    left[:t] = 0
    rng.permuted(left, axis=0, out=left)
    least, most = _held(Assignment(spread).matrix, weights, left)
    counts = spread.T @ left
    assert (least == counts.min(axis=0)).all() and (most == counts.max(axis=0)).all()


# ---- what the paper says of them -------------------------------------------------------------------------------


@given(A=matrices, data=st.data())
def test_theorem_IV_2_closed_form(A, data):
    """Whatever p: if what is left of all columns is in (1 +- gamma) p (m - t), delta <= 2 gamma / (1 - gamma)."""
    t = data.draw(st.integers(0, len(A) - 1))
    p = data.draw(st.floats(0.05, 1))
    low, high = naive.held(A, t).T / (p * (len(A) - t))
    gamma = max(1 - low.min(), high.max() - 1)
    if gamma < 1 - 1e-9:
        rho, delta, _ = resilience(A, t)
        meant = 1 / ((1 - gamma) * p * (len(A) - t))
        assert delta <= 2 * gamma / (1 - gamma) * (1 + 1e-9) + 1e-12 and rho <= meant * (1 + 1e-9)
        assert naive.holds(A, t, meant, 2 * gamma / (1 - gamma))


def test_theorem_IV_2_has_rho_upside_down():
    A, t, p = np.ones((10, 4)), 3, 1.0  # gamma = 0
    assert naive.holds(A, t, 1 / (p * 7), 0.0)
    assert not naive.holds(A, t, p * 7, 0.0)


@pytest.mark.parametrize("m", [10**3, 10**6, 10**9, 10**100])
def test_theorem_IV_2_may_ask_for_more_than_everything(m):
    """Its load m t log(m) / (m - t) is less than m for t < m / (1 + log m), which is not all t = o(m)."""
    t = m / math.log(math.log(m))
    assert t * math.log(m) / (m - t) > 1


@pytest.mark.parametrize(("m", "degree"), GRAPHS)
def test_theorem_IV_3_closed_form(m, degree):
    """Where gamma = t / m + lambda sqrt(t) / c < 1, delta <= gamma / (1 - gamma)."""
    A = expander(m, degree)
    for t in range(degree):
        gamma = t / m + A.spectrum.achieved * math.sqrt(t) / degree
        rho, delta, exact = resilience(A, t)
        assert exact and rho == 1 / (degree - t) and 1 + delta == pytest.approx(min(degree, m - t) / (degree - t))
        if gamma < 1:
            assert rho <= 1 / (degree * (1 - gamma)) + 1e-12 and delta <= gamma / (1 - gamma) + 1e-12


def test_theorem_IV_3_stops_long_before_it_has_to():
    """With lambda near 2 sqrt(c - 1) its gamma is below 1 for t < c / 4 or so; t < c is what is needed."""
    A = expander(320, 4)
    speaks = [t for t in range(320) if t / 320 + A.spectrum.achieved * math.sqrt(t) / 4 < 1]
    assert speaks == [0, 1]
    assert [resilience(A, t).delta for t in range(4)] == pytest.approx([0, 1 / 3, 1, 3])


@pytest.mark.parametrize(("m", "degree"), [(6, 3), (8, 3), (9, 4), (10, 4), (12, 9)])
def test_the_mixing_lemma_is_never_better_than_counting(m, degree):
    """At most c t / m + lambda sqrt(t) copies of a point are at t machines: true, and min(t, c) are, exactly."""
    A = expander(m, degree)
    for t in range(1, m):
        most = degree - naive.held(A.matrix.toarray(), t)[:, 0].min()
        assert most == min(t, degree) <= degree * t / m + A.spectrum.achieved * math.sqrt(t) + 1e-9


@pytest.mark.parametrize(("m", "degree"), [(8, 3), (10, 4), (20, 4), (96, 5)])
def test_an_expander_is_as_resilient_as_fractional_repetition(m, degree):
    for t in range(degree):
        assert resilience(expander(m, degree), t) == resilience(fractional_repetition(m, m, degree), t)


def test_an_expander_is_less_resilient_than_fractional_repetition_at_random():
    """It has m columns that differ, of which one may be hit, and not m / s."""
    found = [resilience(A, 4, "random", failure=0.2) for A in (expander(16, 4), fractional_repetition(16, 16, 4))]
    assert all(one.exact for one in found) and found[0].delta > found[1].delta


@given(A=matrices, data=st.data())
def test_no_assignment_needs_fewer_copies_than_fractional_repetition(A, data):
    """For its delta every column must weigh t (1 + delta) / delta, unless each weighs more than m - t."""
    weights = A.sum(axis=0)
    t = data.draw(st.integers(0, max(int(weights.min()) - 1, 0)))
    if 0 < t < weights.min() <= len(A) - t:
        delta = resilience(A, t).delta
        assert weights.min() >= t * (1 + delta) / delta * (1 - 1e-12)
        assert resilience(fractional_repetition(len(A), A.shape[1], int(weights.min())), t).delta <= delta


@pytest.mark.parametrize(("m", "degree"), [(8, 3), (10, 3), (10, 4), (12, 3), (14, 3), (9, 6)])
def test_few_points_are_lost_where_machines_expand(m, degree):
    """At most t (lambda / d)^2 / (1 - t / m)^2 groups are at no machine but t."""
    A = expander(m, degree)
    share = A.spectrum.achieved / degree
    for t in range(1, m):
        assert naive.most_lost(A.matrix.toarray(), t) <= t * share**2 / (1 - t / m) ** 2 + 1e-9


def test_expanders_lose_less_than_fractional_repetition():
    """12 machines, 3 copies, 3 and 6 lost: of repetition whole groups of 3 and 6 points."""
    graph, groups = expander(12, 3).matrix.toarray(), fractional_repetition(12, 12, 3).matrix.toarray()
    assert [naive.most_lost(groups, t) for t in (3, 6)] == [3, 6]
    assert naive.most_lost(graph, 3) == 1 and naive.most_lost(graph, 6) < 6


@pytest.mark.parametrize(("m", "s", "t"), [(12, 6, 4), (12, 4, 3), (12, 3, 2)])
def test_theorem_IV_1_closed_form(m, s, t):
    """Where what is left of all blocks is in (1 +- gamma) s (1 - p_t), its rho and delta hold; ours is no larger."""
    A = fractional_repetition(m, m, s)
    low, high = naive.held(A.matrix.toarray(), t).T
    middle, met = s * (1 - t / m), 0
    for delta in (0.5, 1.0, 2.0, 4.0):
        gamma = delta / (2 + delta)
        good = (low >= (1 - gamma) * middle) & (high <= (1 + gamma) * middle)
        rho = 1 / ((1 - gamma) * middle)
        assert (rho * low[good] >= 1 - 1e-12).all() and (rho * high[good] <= 1 + delta + 1e-12).all()
        if good.any():
            met += 1
            assert resilience(A, t, "random", failure=1 - good.mean() + 1e-12).rho <= rho * (1 + 1e-12)
    assert met
