"""The estimators: scikit-learn's conventions, that liars cost little, and every way in and out."""

import pickle
from functools import partial

import clusters
import fusion
import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

import robustcore as rc
from robustcore.clustering import (
    ATTACKS,
    Assignment,
    ByzantineKMeans,
    ByzantineKMedians,
    Local,
    Missing,
    approximation,
    bernoulli,
    fractional_repetition,
    make_attack,
)
from robustcore.clustering import byzantine as ours

BOTH = pytest.mark.parametrize("solver", [ByzantineKMedians, ByzantineKMeans])
by_five = partial(fractional_repetition, 10, s=5)


def clouds(n=300, d=2, k=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) + 20.0 * (np.arange(n) % k)[:, None]


@BOTH
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_the_conventions_of_scikit_learn(solver):
    everything = partial(fractional_repetition, 3, s=3)
    check_estimator(solver(3, t=1, assignment=everything, byzantine=1, attack="shift"))


@BOTH
@pytest.mark.parametrize("attack", [*ATTACKS, make_attack("shift", by=3.0)], ids=str)
def test_liars_change_little(solver, attack):
    X = clouds()
    model = solver(3, t=2, assignment=by_five, byzantine=2, attack=attack, random_state=0).fit(X)
    without = solver(3, t=0, assignment=np.ones((1, 300)), random_state=0).fit(X)
    assert model.inertia_ <= 1.2 * without.inertia_
    assert len(model.byzantine_) == 2 and len(model.kept_) == 8
    assert model.factor_ == approximation(model.delta_, solver._power) and np.allclose(model.rho_, 1 / 3)
    assert model.cluster_centers_[:, 0] == pytest.approx([0, 20, 40], abs=1.0)
    assert model.inertia_ == pytest.approx(clusters.cost(X, model.cluster_centers_, power=solver._power))


@BOTH
def test_what_is_found_has_what_it_says(solver):
    X, weights = clouds(), np.random.default_rng(1).integers(0, 3, 300)
    model = solver(3, t=2, assignment=by_five, byzantine=[7, 3], attack="silent", random_state=0)
    assert model.fit(X, sample_weight=weights) is model
    assert model.byzantine_.tolist() == [3, 7] == list(model.malformed_)
    assert model.kept_ is model.summary_.kept and model.uncovered_.size == 0 and np.isinf(model.costs_[[3, 7]]).all()
    centers = model.cluster_centers_
    assert np.array_equal(np.lexsort(centers.T[::-1]), range(3)) and centers.dtype == np.float64
    labels, distances = clusters.nearest(X, centers)
    assert np.array_equal(model.labels_, labels) and np.array_equal(model.predict(X), labels)
    assert model.inertia_ == pytest.approx(weights @ distances**solver._power)
    assert model.score(X, sample_weight=weights) == pytest.approx(-model.inertia_)
    # What each machine reports of rho times the weights adds up to the weight of all, between once and 1 + delta times.
    total = model.summary_.weights.sum()
    assert weights.sum() <= total * (1 + 1e-12) and total <= (1 + model.delta_) * weights.sum() * (1 + 1e-12)


@BOTH
def test_the_theorems_with_solvers_that_are_not_optimal(solver):
    """Measured on points so few that the best is known: for alpha and beta as they were, the factor holds."""
    power = solver._power
    for seed in range(3):
        X = clouds(9, seed=seed)
        A = fractional_repetition(4, 9, 3)
        best = fusion.optimum(X, 2, power)[0]
        for name in ATTACKS:
            model = solver(2, t=1, assignment=A, byzantine=1, attack=name, random_state=seed).fit(X)
            honest = np.delete(np.arange(4), model.byzantine_)
            own = {i: fusion.optimum(X[A.points(i)], 2, power)[0] for i in honest}
            alpha = max([1.0, *(model.costs_[i] / own[i] for i in honest if own[i] > 0)])
            Y, g = model.summary_.centers, model.summary_.weights
            last = fusion.optimum(Y, 2, power, g)[0]
            beta = max(1.0, clusters.cost(Y, model.cluster_centers_, g, power) / last) if last > 0 else 1.0
            factor = approximation(model.delta_, power, alpha, beta)
            assert model.inertia_ <= factor * best * (1 + 1e-6) and alpha < 3 and beta < 3


@BOTH
def test_copies_and_files(solver, tmp_path):
    engine = Local(progress=lambda share: None)
    model = solver(3, t=2, assignment=by_five, engine=engine, random_state=0)
    copy = clone(model)
    assert copy.engine is engine and repr(copy) == repr(model)
    copy.set_params(engine=None).fit(clouds())
    read = pickle.loads(pickle.dumps(copy))
    assert np.array_equal(read.cluster_centers_, copy.cluster_centers_) and np.array_equal(read.kept_, copy.kept_)
    np.save(tmp_path / "X.npy", clouds())
    mapped = model.fit(np.load(tmp_path / "X.npy", mmap_mode="r"))
    assert np.array_equal(mapped.cluster_centers_, copy.cluster_centers_)


@BOTH
def test_the_same_for_every_number_of_threads_and_every_order(solver):
    X, made = clouds(400), []
    for threads in (1, 3):
        with rc.num_threads(threads):
            made.append(solver(3, t=2, assignment=by_five, byzantine=2, random_state=0).fit(X))

    class Backwards:
        def solve(self, tasks):
            return Local().solve(tasks[::-1])[::-1]

    made.append(solver(3, t=2, assignment=by_five, byzantine=2, random_state=0, engine=Backwards()).fit(X))
    for other in made[1:]:
        assert np.array_equal(made[0].cluster_centers_, other.cluster_centers_) and made[0].inertia_ == other.inertia_
        assert np.array_equal(made[0].costs_, other.costs_) and np.array_equal(made[0].byzantine_, other.byzantine_)


@BOTH
def test_a_state_is_drawn_from_and_a_seed_is_not(solver):
    X, state = clouds(), np.random.RandomState(0)
    model = solver(3, t=2, assignment=by_five, byzantine=2, random_state=state)
    drawn = [model.fit(X).byzantine_.tolist() for _ in range(4)]
    assert len(set(map(tuple, drawn))) > 1
    seeded = solver(3, t=2, assignment=by_five, byzantine=2, random_state=5)
    assert np.array_equal(seeded.fit(X).costs_, seeded.fit(X).costs_)


@BOTH
def test_a_matrix_that_is_not_resilient(solver):
    X, A = clouds(), bernoulli(10, 300, p=0.2, rng=0)
    with pytest.raises(rc.ConstraintError, match="more than t machines"):
        solver(3, t=3, assignment=A).fit(X)
    model = solver(3, t=3, assignment=A, strict=False, random_state=0).fit(X)
    assert model.factor_ is None and model.delta_ == np.inf and model.rho_ == pytest.approx(1 / (0.2 * 7))
    lost = np.flatnonzero(A.matrix[model.kept_].sum(axis=0) == 0)
    assert len(lost) and np.array_equal(model.uncovered_, lost)
    assert len(model.labels_) == 300 and model.cluster_centers_[:, 0] == pytest.approx([0, 20, 40], abs=2.0)


@BOTH
def test_more_liars_than_t(solver):
    X = clouds()
    with pytest.raises(rc.ConstraintError, match="3 of 10 machines sent nothing that can be used, more than t = 2"):
        solver(3, t=2, assignment=by_five, byzantine=3, attack="nan", random_state=0).fit(X)
    assert solver(3, t=2, assignment=by_five, byzantine=3, random_state=0).fit(X).factor_ is None


@BOTH
@pytest.mark.parametrize("scale", [2.0**-700, 2.0**-400, 2.0**400, 2.0**600])
def test_numbers_whose_squares_are_none(solver, scale):
    X = clouds()
    model = solver(3, t=2, assignment=by_five, byzantine=2, attack="shift", random_state=0)
    one = model.fit(X).cluster_centers_
    other = clone(model).fit(X * scale)
    assert np.array_equal(other.cluster_centers_, one * scale) and np.array_equal(other.kept_, model.kept_)
    assert np.array_equal(other.predict(X * scale), model.labels_)
    assert np.array_equal(other.summary_.centers, model.summary_.centers * scale)
    if solver is ByzantineKMedians:
        assert other.inertia_ == model.inertia_ * scale and np.array_equal(other.costs_, model.costs_ * scale)


@BOTH
def test_float32_is_clustered_like_float64(solver):
    X = clouds().astype(np.float32)
    model = solver(3, t=2, assignment=by_five, byzantine=2, random_state=0)
    low, high = clone(model).fit(X), clone(model).fit(X.astype(np.float64))
    assert np.allclose(low.cluster_centers_, high.cluster_centers_, rtol=1e-5, atol=1e-5)
    assert np.array_equal(low.labels_, high.labels_)


@BOTH
def test_machines_with_few_points_or_none(solver):
    X = clouds(6)
    matrix = np.ones((4, 6))
    matrix[0], matrix[1] = 0, np.arange(6) < 2
    model = solver(3, t=1, assignment=matrix, byzantine=[3], attack="random", random_state=0).fit(X)
    assert model.malformed_ == {} and model.costs_[:2].tolist() == [0.0, 0.0]
    with pytest.raises(rc.ConstraintError):
        solver(3, t=2, assignment=matrix).fit(X)


@BOTH
@pytest.mark.parametrize("X", [np.ones((20, 2)), np.repeat([[0.0], [1.0]], 10, axis=0)], ids=["one", "two"])
def test_fewer_different_points_than_clusters(solver, X):
    weights = np.arange(20) % 3 > 0
    for w in (None, weights):
        model = solver(3, t=2, assignment=by_five, byzantine=1, random_state=0).fit(X, sample_weight=w)
        assert model.inertia_ == 0.0 and model.cluster_centers_.shape == (3, X.shape[1])
        assert {tuple(c) for c in model.cluster_centers_} == {tuple(x) for x in X}


@BOTH
def test_points_without_weight_are_no_centers(solver):
    X, weights = np.arange(20.0)[:, None], np.arange(20) % 10 == 0
    model = solver(3, t=2, assignment=by_five, byzantine=1, random_state=0).fit(X, sample_weight=weights)
    assert model.inertia_ == 0.0 and {*model.cluster_centers_.ravel()} == {0.0, 10.0}
    assert {*model.summary_.centers.ravel()} == {0.0, 10.0}


@BOTH
@pytest.mark.parametrize("far", [1e6, 1e14])
def test_one_far_point_takes_one_center_and_the_digits_of_no_other(solver, far):
    X = np.concatenate([clouds(), [[far, far]]])
    model = solver(4, t=2, assignment=by_five, byzantine=2, random_state=1).fit(X)
    three = solver(3, t=2, assignment=by_five, byzantine=2, random_state=1).fit(X[:-1])
    assert model.inertia_ <= 1.01 * three.inertia_ and model.cluster_centers_[3] == pytest.approx([far, far], rel=1e-12)


def test_k_means_goes_on_to_the_means_of_its_clusters():
    X, weights = np.random.default_rng(0).normal(size=(200, 2)), np.random.default_rng(1).integers(1, 4, 200)
    centers, iterations = ours._settled(X, weights.astype(float), X[:3].copy(), 5)
    labels, _ = clusters.nearest(X, centers)
    means = np.array([np.average(X[labels == c], axis=0, weights=weights[labels == c]) for c in range(3)])
    assert iterations > 5 and np.allclose(centers, means, atol=0.02)
    assert clusters.cost(X, centers, weights, 2) < 1.001 * clusters.cost(X, means, weights, 2)
    lost = np.array([[0.0, 0.0], [1e9, 1e9]])  # nobody is nearest to the second, until it goes to who costs most
    centers, _ = ours._settled(X, None, lost, 1)
    assert np.abs(centers).max() < 5


def test_k_means_adds_up_in_one_order():
    X, found = np.random.default_rng(0).normal(size=(4000, 3)), []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(ours._kmeans(X, None, k=5, seed=0, starts=1)[0])
    assert np.array_equal(*found)


@BOTH
def test_points_that_differ_by_rounding_alone(solver):
    X = 1e8 + 1e-8 * np.arange(40.0)[:, None]  # 0, 1.5e-8 and so on
    assert solver(3, t=2, assignment=by_five, byzantine=1, random_state=0).fit(X).inertia_ <= 40 * 40 * 1e-8


@BOTH
def test_one_point_and_one_machine(solver):
    model = solver(1, t=0, assignment=[[1]]).fit(np.array([[3.0, 4.0]]))
    assert model.cluster_centers_.tolist() == [[3.0, 4.0]] and model.inertia_ == 0.0


def test_distinct_points_are_looked_for_only_as_long_as_needed():
    points = np.repeat(np.arange(5.0), 40)[:, None]
    assert ours._few(points, 4) is None
    assert sorted(ours._few(points, 5).ravel()) == [0, 1, 2, 3, 4]
    assert ours._few(points[:40], 3).tolist() == [[0.0]] * 3
    assert ours._few(points[:0], 3).tolist() == [[0.0]] * 3


@BOTH
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be from 1 to n_samples=30"),
        ({"n_clusters": 31}, ValueError, "n_clusters must be from 1 to n_samples=30"),
        ({"n_clusters": 2.0}, TypeError, "n_clusters must be a whole number"),
        ({"t": -1}, rc.ConstraintError, "t >= 0"),
        ({"t": 10}, rc.ConstraintError, "m > t"),
        ({"t": 1.5}, TypeError, "t must be a whole number"),
        ({"assignment": np.ones((3, 4))}, ValueError, "4 points"),
        ({"assignment": np.full((3, 30), 2)}, ValueError, "0 and 1"),
        ({"attack": "none"}, ValueError, "there is no attack 'none'; there are attract"),
        ({"byzantine": 11}, ValueError, "of 10 machines, 11 cannot be Byzantine"),
        ({"byzantine": [3, 3]}, ValueError, "different numbers from 0 to 9"),
        ({"byzantine": [10]}, ValueError, "different numbers from 0 to 9"),
        ({"byzantine": 1.5}, TypeError, "byzantine must be a whole number"),
    ],
)
def test_what_cannot_be(solver, wrong, error, says):
    model = solver(**{"n_clusters": 3, "t": 2, "assignment": by_five} | wrong)
    with pytest.raises(error, match=says):
        model.fit(clouds(30))


@BOTH
def test_the_fusion_centre_never_copies_all_points(solver):
    """Every array that is made of the points is a machine's or a block."""
    import tracemalloc

    X = np.random.default_rng(0).normal(size=(40_000, 16))
    model = solver(2, t=0, assignment=Assignment(np.eye(20)[:, np.arange(40_000) % 20]), random_state=0)
    tracemalloc.start()
    model.fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 2


class Told:
    """An engine whose machines say what they are told to."""

    def __init__(self, said=None, kind=list):
        self.said, self.kind = said or {}, kind

    def solve(self, tasks):
        return self.kind(({task.machine: task.solve(*task.shard()) for task in tasks} | self.said).values())


@BOTH
def test_machines_that_fail_count_with_those_that_lie(solver):
    """t = 1, and one machine lies while another is late: nothing is promised, and nothing is kept of it."""
    X = np.r_[np.arange(6.0), 1000 + np.arange(6.0)][:, None]
    fresh = {"t": 1, "assignment": np.ones((3, 12)), "random_state": 0}
    late = Told({0: Missing("late")})
    assert solver(2, engine=late, **fresh).fit(X).factor_ is not None
    assert solver(2, byzantine=[0], engine=late, **fresh).fit(X).factor_ is not None  # the same machine
    both = solver(2, byzantine=[1], attack="shift", engine=late, **fresh).fit(X)
    assert both.factor_ is None and both.malformed_ == {0: "late"}


@BOTH
def test_what_engines_return(solver):
    X = np.arange(12.0)[:, None]
    fresh = {"t": 1, "assignment": np.ones((3, 12)), "random_state": 0}
    assert len(solver(2, engine=Told(kind=tuple), byzantine=1, **fresh).fit(X).kept_) == 2
    for attack in ATTACKS:  # others may have sent garbage
        model = solver(2, engine=Told({0: "lies"}), byzantine=[1], attack=attack, **(fresh | {"t": 2})).fit(X)
        assert model.malformed_[0] == "its centers are no numbers"
    for said in (5, None, np.full((2, 1), np.nan)):
        assert 0 in solver(2, engine=Told({0: Missing(said)}), **fresh).fit(X).malformed_
    with pytest.raises(ValueError, match="one reply from each of 3 machines, not 2"):
        solver(2, engine=Told(kind=lambda said: list(said)[:2]), **fresh).fit(X)
    with pytest.raises(TypeError, match=r"engine must be Local\(\.\.\.\), Dask\(client\) or None, not 'dask'"):
        solver(2, engine="dask", **fresh).fit(X)


@BOTH
def test_machines_kept_that_hold_nothing(solver):
    nothing = np.array([[0] * 5, [1] * 5])
    with pytest.raises(rc.ConstraintError, match="the machines that were kept hold no points"):
        solver(2, t=1, assignment=nothing, strict=False, random_state=0).fit(np.arange(100.0, 105.0)[:, None])


@BOTH
def test_threads_of_other_libraries_change_nothing(solver):
    """Machines that hold the same points cost the same to the last bit, or another is kept."""
    X = np.random.default_rng(0).standard_normal((40_000, 2))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(solver(3, t=2, assignment=np.ones((4, len(X))), random_state=0).fit(X))
    assert found[0].kept_.tolist() == found[1].kept_.tolist()
    assert np.array_equal(found[0].costs_, found[1].costs_)
    assert np.array_equal(found[0].cluster_centers_, found[1].cluster_centers_)


@pytest.mark.parametrize("who", [{4, 1}, (1, 4), [4, 1], np.array([1, 4]), range(1, 5, 3)])
def test_liars_in_any_collection(who):
    assert ByzantineKMeans(3, t=2, assignment=by_five, byzantine=who).fit(clouds()).byzantine_.tolist() == [1, 4]


def test_how_many_liars_as_any_whole_number():
    for count in (2, np.int64(2), np.array(2)):
        assert len(ByzantineKMeans(3, t=2, assignment=by_five, byzantine=count).fit(clouds()).byzantine_) == 2
