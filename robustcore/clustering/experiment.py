"""Section V: what redundancy buys, against a partition, a plain average, and one machine that sees all points."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from robustcore._constraints import as_count
from robustcore._extras import extra
from robustcore._geometry import Progress
from robustcore.clustering.assignment import (
    Assignment,
    as_generator,
    bernoulli,
    expander,
    fractional_repetition,
    resilience,
)
from robustcore.clustering.attacks import Scene, make_attack
from robustcore.clustering.byzantine import LOCAL_STARTS, ByzantineKMeans, ByzantineKMedians, drawn_liars
from robustcore.clustering.engines import Dask, Local
from robustcore.clustering.fusion import cost
from robustcore.clustering.kmedians import FAR, KMedians
from robustcore.clustering.mixture import Floats, Ints, extent_of

with extra("clustering", "clustering needs scipy, scikit-learn and networkx"):
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import csr_array
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_array
    from threadpoolctl import threadpool_limits

METHODS = {"k-medians": (ByzantineKMedians, KMedians, 1), "k-means": (ByzantineKMeans, KMeans, 2)}
STARTS = 10  # of the solver that sees all points, or all centres
CENTRALISED, NO_REDUNDANCY, IN_ORDER, PLAIN_AVERAGE = (
    "centralised",
    "no redundancy",
    "no redundancy, in order",
    "plain average",
)


@dataclass(frozen=True, eq=False)
class Solution:
    """What came of one way to cluster the points.

    Attributes
    ----------
    name : str
        ``"centralised"``, ``"no redundancy"``, ``"plain average"``, or the name of an assignment.
    centers : (k, d) float64
        Not finite where Byzantine machines had them so.
    cost : float
        Of all points: the sum of their distances to the nearest center, or of the squares.
    attack : str or None
        What Byzantine machines did; None where it does not matter.
    model : ByzantineKMedians or ByzantineKMeans or None
        The fitted estimator, where it was one.
    """

    name: str
    centers: Floats
    cost: float
    attack: str | None = None
    model: Any = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """The same points, clustered in several ways.

    Attributes
    ----------
    method : {"k-medians", "k-means"}
    n, d, k, m, t : int
        Points, dimensions, clusters, machines, and how many Byzantine ones are withstood.
    extent : float
        The longest edge of the box around the points.
    byzantine : tuple of int
        Who lied.
    solutions : list of Solution
        Baselines first.
    """

    method: str
    n: int
    d: int
    k: int
    m: int
    t: int
    extent: float
    byzantine: tuple[int, ...]
    solutions: list[Solution]

    @property
    def reference(self) -> float:
        """What the centralised solution costs; NaN without one."""
        return next((solution.cost for solution in self.solutions if solution.name == CENTRALISED), math.nan)

    def relative(self, solution: Solution) -> float:
        """The cost of a solution, where that of the centralised one is 1."""
        if self.reference > 0 or math.isnan(self.reference):
            return solution.cost / self.reference
        return 1.0 if solution.cost == 0 else math.inf


def compare(
    X: Floats,
    k: int,
    assignments: Mapping[str, Assignment],
    *,
    t: int,
    byzantine: int | Sequence[int] | None = None,
    attacks: Sequence[str] = ("random",),
    method: str = "k-medians",
    baselines: bool = True,
    engine: Local | Dask | None = None,
    seed: int = 0,
    progress: Progress = None,
) -> Comparison:
    """Cluster points with redundancy, and in the ways that the paper compares that with.

    Parameters
    ----------
    X : (n, d) float32 or float64
        The points.
    k : int
        Clusters.
    assignments : dict of str to Assignment
        By name, all of as many machines. The resilience of none is asked for: ``model.factor_`` of a solution says
        what is guaranteed.
    t : int
        How many Byzantine machines are to be withstood.
    byzantine : int or sequence of int, optional
        How many machines are, which are drawn, or which; t by default.
    attacks : sequence of str
        What they do: names of `ATTACKS`; each is tried.
    method : {"k-medians", "k-means"}
        What to minimise.
    baselines : bool
        Whether to do without redundancy as well.
    engine : Local or Dask, optional
        Where machines work; its progress is part of this one's.
    seed : int
        Of all that is drawn.
    progress : callable, optional
        Called with the share of the work that is done.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        When there is no such method or attack, machines differ in number, or what the estimators say.

    Notes
    -----
    The baselines: *centralised*, the solver with ten starts on all points; *no redundancy*, each point at one machine,
    at random, and the centres of honest machines clustered without weights, as Section V says, as if somebody knew who
    they are; *no redundancy, in order*, the same where each machine has points that follow each other; *plain average*,
    the centres of all machines, Byzantine ones included, matched one to one to those of the first and averaged.

    Cost: that of a fit for each assignment and attack, but machines solve their problems once for all attacks.

    References
    ----------
    Bulusu, Gandikota, Mazumdar, Rawat, Varshney, *Byzantine resilient distributed clustering with redundant data
    assignment*, Section V.

    Examples
    --------
    >>> from robustcore.clustering import fractional_repetition
    >>> from robustcore.clustering.experiment import compare
    >>> from robustcore.clustering.mixture import gaussians
    >>> X, truth, _ = gaussians(600, 3)
    >>> made = compare(X, 3, {"ours": fractional_repetition(m=5, n=600, s=3)}, t=1)
    >>> [solution.name for solution in made.solutions]
    ['centralised', 'no redundancy', 'no redundancy, in order', 'plain average', 'ours']
    >>> made.relative(made.solutions[-1]) < 1.05 < made.relative(made.solutions[3])
    True
    """
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
    estimator, solver, power = METHODS[method]
    lies = {attack: make_attack(attack) for attack in attacks}
    machines = {assignment.m for assignment in assignments.values()}
    if len(machines) != 1:
        raise ValueError("compare needs an assignment, or several of as many machines")
    (m,) = machines
    X = check_array(X, dtype=[np.float64, np.float32], order="C")
    n, rng = len(X), as_generator("compare", seed)
    if not 1 <= k <= n:
        raise ValueError(f"k must be from 1 to n; here n = {n} and k = {k}")
    for assignment in assignments.values():
        resilience(assignment, t, strict=False)
    largest = max(abs(float(X.min())), abs(float(X.max())))
    if baselines and largest and not 1 / FAR < largest < FAR:
        raise ValueError("compare: numbers so large or so small must be brought to another scale, or no baselines")
    who = drawn_liars("compare", t if byzantine is None else byzantine, m, rng).tolist()
    partitions = {NO_REDUNDANCY: _partition(rng.permutation(n), m), IN_ORDER: _partition(np.arange(n), m)}
    sizes = [STARTS * n, *[LOCAL_STARTS * n] * len(partitions)] if baselines else []
    steps = _Steps(progress, [*sizes, *(LOCAL_STARTS * int(made.load.sum()) for made in assignments.values())])
    solutions: list[Solution] = []

    def priced(name: str, centers: Floats, attack: str | None = None) -> None:
        finite = np.isfinite(centers).all()
        of_all = cost(X, None, None, centers, power)[0] if finite else math.inf
        solutions.append(Solution(name, np.asarray(centers, np.float64), of_all, attack))

    def solved(points: Floats) -> Floats:
        model = solver(k, n_init=STARTS, random_state=int(rng.integers(2**31)))
        with threadpool_limits(1, "openmp"), warnings.catch_warnings():  # scikit-learn's threads add in any order
            warnings.simplefilter("ignore", ConvergenceWarning)  # where fewer points than k are different
            return np.asarray(model.fit(points).cluster_centers_)

    def fitted(assignment: Assignment, attacked: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """What machines honestly say, and an estimator for each attack."""
        once, state = _Once(replace(engine or Local(), progress=steps.share)), int(rng.integers(2**31))
        fresh: dict[str, Any] = {"t": t, "assignment": assignment, "byzantine": who, "strict": False, "engine": once}
        models = [estimator(k, attack=attack, random_state=state, **fresh).fit(X) for attack in attacked]
        steps.next()
        return once.replies, models

    if baselines:
        priced(CENTRALISED, solved(X))
        steps.next()
        for name, partition in partitions.items():
            replies, _ = fitted(partition, ["random"])
            honest = [reply for i, reply in enumerate(replies) if i not in who and isinstance(reply, np.ndarray)]
            priced(name, solved(np.vstack(honest)) if honest else np.full((k, X.shape[1]), np.nan))
            scene = Scene(X, None, partition, replies, np.array(who, np.int64), k, t, power)
            if name == NO_REDUNDANCY:
                heard = {
                    attack: [*(dict(enumerate(replies)) | lie(scene, seed)).values()] for attack, lie in lies.items()
                }
        for attack, said in heard.items():
            priced(PLAIN_AVERAGE, _average(said, k, X.shape[1]), attack)
    for name, assignment in assignments.items():
        _, models = fitted(assignment, list(lies.values()))
        solutions += [
            Solution(name, model.cluster_centers_, model.inertia_, attack, model)
            for attack, model in zip(lies, models, strict=True)
        ]
    return Comparison(method, n, X.shape[1], k, m, t, extent_of(X), tuple(who), solutions)


def _partition(order: Ints, m: int) -> Assignment:
    """Each point at one machine, those that follow each other at the same one, as many at each."""
    n = len(order)
    holder = np.empty(n, np.int64)
    holder[order] = np.arange(n) * m // n
    return Assignment.of(csr_array((np.ones(n, np.uint8), (holder, np.arange(n))), shape=(m, n)))


def _average(replies: Sequence[Any], k: int, d: int) -> Floats:
    """The mean of all that has the right shape, center by center, each matched to one of the first machine's."""
    usable = [reply for reply in replies if isinstance(reply, np.ndarray) and reply.shape == (k, d)]
    if not usable:
        return np.full((k, d), np.nan)
    first, total = usable[0], np.zeros((k, d))
    for reply in usable:
        apart = np.linalg.norm(first[:, None] - reply[None], axis=2)
        total += reply[linear_sum_assignment(apart)[1]] if np.isfinite(apart).all() else reply
    return total / len(usable)


@dataclass(eq=False)
class _Once:
    """An engine that lets machines work once, and says the same again to whoever asks again."""

    engine: Local | Dask
    replies: list[Any] = field(default_factory=list)

    def solve(self, tasks: Any) -> list[Any]:
        self.replies = self.replies or self.engine.solve(tasks)
        return list(self.replies)


class _Steps:
    """The share of all the work that is done, from that of one step after the other."""

    def __init__(self, progress: Progress, sizes: Sequence[int]):
        self._progress, self._ends, self._at = progress, np.cumsum([0, *sizes]) / sum(sizes), 0
        self.share(0.0)

    def share(self, done: float) -> None:
        low, high = self._ends[self._at : self._at + 2]
        if self._progress is not None:
            self._progress(float(low + done * (high - low)))

    def next(self) -> None:
        self.share(1.0)
        self._at += 1


@contextmanager
def local_workers(count: int, deadline: float | None = None) -> Iterator[Dask]:
    """An engine with so many processes of this machine, which end with it.

    Parameters
    ----------
    count : int
        Processes, each with a thread.
    deadline : float, optional
        Seconds after which a machine counts as Byzantine.

    Raises
    ------
    ImportError
        Without dask.distributed, the extra ``dask``.
    """
    with extra("dask", "workers need dask.distributed"):
        from distributed import Client, LocalCluster
    quiet: dict[str, Any] = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with (
        LocalCluster(n_workers=count, threads_per_worker=1, **quiet) as cluster,  # type: ignore[no-untyped-call]
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield Dask(client, deadline)


def assignments(
    m: int,
    n: int,
    t: int,
    kind: str | None = None,
    *,
    p: Sequence[float] = (),
    s: int | None = None,
    degree: int | None = None,
    seed: int = 0,
) -> dict[str, Assignment]:
    """The matrices that a few words ask for, by name.

    Parameters
    ----------
    m, n, t : int
        Machines, points, and how many Byzantine machines are to be withstood.
    kind : {"fractional_repetition", "bernoulli", "expander"}, optional
        By default what the other parameters are for.
    p : sequence of float
        For a Bernoulli matrix each.
    s : int, optional
        Machines that hold a point; by default 2t + 1, so that 1 + delta < 2.
    degree : int, optional
        Machines that hold a point, of an expander.
    seed : int
        Where Bernoulli matrices and expanders come from.

    Returns
    -------
    dict of str to Assignment

    Raises
    ------
    ValueError
        When parameters are not for this kind, or those that it needs are missing, or (ConstraintError) there is no such
        matrix.

    Examples
    --------
    >>> from robustcore.clustering.experiment import assignments
    >>> assignments(10, 5000, 3)
    {'repetition, s = 7': Assignment(fractional_repetition, m=10, n=5000, load 3500, weight 7)}
    >>> list(assignments(10, 5000, 3, p=[0.1, 0.2]))
    ['Bernoulli, p = 0.1', 'Bernoulli, p = 0.2']
    """
    t, seed = as_count("assignments", "t", t), as_count("assignments", "seed", seed)
    given = {"bernoulli": bool(p), "fractional_repetition": s is not None, "expander": degree is not None}
    needs = {"bernoulli": "p", "fractional_repetition": "s", "expander": "degree"}
    kind = kind or next((name for name, asked in given.items() if asked), "fractional_repetition")
    if kind not in given:
        raise ValueError(f"there is no assignment {kind!r}; there are {', '.join(given)}")
    for name, asked in given.items():
        if asked and name != kind:
            raise ValueError(f"{needs[name]} is for {name}, and the assignment is {kind}")
    if kind == "fractional_repetition":
        s = min(m, 2 * t + 1) if s is None else s
        return {f"repetition, s = {s}": fractional_repetition(m, n, s)}
    if not given[kind]:
        raise ValueError(f"{kind} needs {needs[kind]}")
    if degree is not None:
        return {f"expander, degree {degree}": expander(m, degree, n, rng=seed)}
    return {
        f"Bernoulli, p = {each:g}": bernoulli(m, n, each, np.random.default_rng([seed, at]))
        for at, each in enumerate(p)
    }


MOST_NUMBERS = 5_000_000  # up to which there are baselines if nobody says


def run(
    X: Floats,
    k: int,
    *,
    t: int = 0,
    m: int = 10,
    method: str = "k-medians",
    kind: str | None = None,
    p: Sequence[float] = (),
    s: int | None = None,
    degree: int | None = None,
    byzantine: int | Sequence[int] | None = None,
    attack: str | None = None,
    truth: Floats | None = None,
    baselines: bool | None = None,
    workers: int | None = None,
    deadline: float | None = None,
    seed: int = 0,
    progress: Progress = None,
) -> Comparison:
    """What ``robustcore cluster`` does.

    Parameters
    ----------
    X, k, t, method, seed, progress
        As `compare`.
    byzantine : int or sequence of int, optional
        How many machines are made to lie, or which; by default none, or t if there is an attack.
    m, kind, p, s, degree
        As `assignments`.
    attack : str, optional
        What they do; by default "random", if there are any.
    truth : (q, d) array, optional
        The true centers, which must have as many dimensions.
    baselines : bool, optional
        As `compare`; by default for up to 5 million numbers.
    workers : int, optional
        How many processes work; without it, this one does.
    deadline : float, optional
        Seconds after which a machine counts as Byzantine, if there are workers.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, ImportError
        As those.

    Examples
    --------
    >>> from robustcore.clustering.experiment import run
    >>> from robustcore.clustering.mixture import gaussians
    >>> run(gaussians(300, 3)[0], 3, t=1, m=5, baselines=False).solutions[0].name
    'repetition, s = 3'
    """
    if truth is not None and truth.shape[1] != X.shape[1]:
        raise ValueError(
            f"true centres must have as many numbers as points; here {truth.shape[1]}, and points have {X.shape[1]}"
        )
    if byzantine is None:
        byzantine = 0 if attack is None else t
    if attack is not None and byzantine in (0, []):
        raise ValueError(f"the attack {attack!r} needs machines that are made to lie: -t or --byzantine says how many")
    if deadline is not None and workers is None:
        raise ValueError("a deadline needs workers, which can be late")
    chosen = assignments(m, len(X), t, kind, p=p, s=s, degree=degree, seed=seed)
    with nullcontext() if workers is None else local_workers(workers, deadline) as engine:
        return compare(
            X,
            k,
            chosen,
            t=t,
            byzantine=byzantine,
            attacks=[attack or "random"],
            method=method,
            baselines=X.size <= MOST_NUMBERS if baselines is None else baselines,
            engine=engine,
            seed=seed,
            progress=progress,
        )
