"""k-medians on one machine, against k-medoids and k-means; and one iteration against scikit-learn's."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import pytest

from robustcore import _core, get_num_threads

pytest.importorskip("sklearn")

from sklearn.cluster import KMeans

from robustcore.clustering import KMedians, assign
from robustcore.clustering.mixture import gaussians

K = 15
SEEDS = range(5)  # of which the costs are
TIMES, COSTS = "k-medians, 5000 x 2, k = 15", "cost over the best of all"
WIDE, D, WIDE_K = 100_000, 16, 50
ITERATION = "one iteration, 1e5 x 16, k = 50"


@lru_cache(maxsize=1)
def points() -> np.ndarray:
    return gaussians()[0]


def fasterpam(X: np.ndarray, seed: int) -> np.ndarray:
    """The medoids, from all distances: centers that are points."""
    import kmedoids
    from scipy.spatial.distance import cdist

    return X[kmedoids.fasterpam(cdist(X, X), K, random_state=seed, n_cpu=get_num_threads()).medoids]


def fit(kind: type, starts: int, X: np.ndarray, seed: int) -> np.ndarray:
    return kind(K, n_init=starts, random_state=seed).fit(X).cluster_centers_


CONTENDERS = {
    "robustcore KMedians, 1 start": partial(fit, KMedians, 1),
    "robustcore KMedians, 4 starts": partial(fit, KMedians, 4),
    "kmedoids fasterpam": fasterpam,
    "sklearn KMeans, 4 starts": partial(fit, KMeans, 4),
}


@pytest.mark.parametrize("name", CONTENDERS)
def test_time(name, cycle, clock):
    if "kmedoids" in name:
        pytest.importorskip("kmedoids")
    clock(TIMES, name, partial(CONTENDERS[name], points(), 0), rounds=1)


@lru_cache(maxsize=1)
def costs() -> dict[str, np.ndarray]:
    """For each contender and seed the sum of distances; of k-means too, which minimises something else."""
    found = {}
    for name, contender in CONTENDERS.items():
        try:
            found[name] = np.array([assign(points(), contender(points(), seed))[1].sum() for seed in SEEDS])
        except ImportError:
            continue
    return found


def test_cost(measured):
    best = min(values.min() for values in costs().values())
    for name, values in costs().items():
        measured.note(COSTS, f"{name}, median", float(np.median(values)) / best)
        measured.note(COSTS, f"{name}, worst", float(values.max()) / best)
    assert np.median(costs()["robustcore KMedians, 4 starts"]) <= 1.001 * best


@lru_cache(maxsize=1)
def wide() -> tuple[np.ndarray, np.ndarray]:
    """Points without clusters, on which nobody stops early, and centers."""
    X = np.random.default_rng(0).standard_normal((WIDE, D))
    return X, X[:WIDE_K].copy()


def iterate(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    labels, _ = assign(X, centers)
    return _core.cluster_medians(X, None, labels, centers, 1e-8, get_num_threads())


STEPS = {
    "robustcore, nearest centers": lambda X, centers: assign(X, centers),
    "robustcore, nearest centers and their medians": iterate,
}
LLOYD = "sklearn KMeans, Lloyd"


@pytest.mark.parametrize("name", STEPS)
def test_step(name, cycle, clock):
    clock(ITERATION, name, partial(STEPS[name], *wide()))


def test_lloyd(cycle, clock):
    """Ten iterations from given centers, and what is around them."""
    X, centers = wide()
    model = KMeans(WIDE_K, init=centers, n_init=1, max_iter=10, tol=0.0, algorithm="lloyd")
    with np.errstate(all="ignore"):
        clock(ITERATION, LLOYD, partial(quiet, model, X), per=10, rounds=3)


def quiet(model: KMeans, X: np.ndarray) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ten iterations are not enough
        model.fit(X)
