"""What the fusion centre does with the centres that the machines send: Algorithms 1 and 2 up to their last step.

It holds all of the points, so it can say what each machine's centres cost on that machine's own points. The t machines
with the highest costs are left aside, whoever they are: a Byzantine machine that stays is no worse than an honest one
that goes. Of the others, every center stands for the points that are nearest to it::

    cost_i = sum of w(x) * distance(x, Y_i)^power over the points x of machine i      (power 1: k-medians, 2: k-means)
    weight of y in Y_i = rho * sum of w(x) over the points x of machine i whose nearest center in Y_i is y

What is left, the weighted problem on all these centers, is solved by the estimators in `robustcore.clustering`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import ConstraintError, as_number
from robustcore.clustering.assignment import Assignment
from robustcore.clustering.kmedians import nearest, total

__all__ = ["Missing", "Summary", "approximation", "cost", "summarise"]

Floats = NDArray[np.float64]
BLOCK = 1 << 20  # numbers that are read at a time


@dataclass(frozen=True)
class Missing:
    """In the place of a reply that did not come: why not.

    Examples
    --------
    >>> from robustcore.clustering import Missing
    >>> Missing("not back within 60 s").why
    'not back within 60 s'
    """

    why: str


@dataclass(frozen=True, eq=False)
class Summary:
    """What the fusion centre has made of the replies.

    Attributes
    ----------
    centers : (q, d) float64
        Y: the centers of the machines kept that are nearest to some of their points; those of several machines may
        be equal, and then count as often.
    weights : (q,) float64
        rho times the sample weights of the points that are nearest to each, all positive.
    kept : (m - t,) int64
        The machines kept, in the order of their costs, and of their numbers where costs are equal.
    costs : (m,) float64
        What each machine's centers cost on its own points; infinite where there were none that could be used.
    malformed : dict of int to str
        The machines that sent nothing that could be used, and why.
    uncovered : (u,) int64
        The points that no machine kept holds, in order: nothing is known about them. None of them, where the matrix
        is resilient.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment, summarise
    >>> X, A = np.array([[0.0], [9.0]]), Assignment(np.eye(2))
    >>> summarise(X, None, A, [[[0.0]], [[5.0]]], k=1, t=1, rho=1.0, power=1)
    Summary(kept=array([0]), costs=array([0., 4.]), malformed={}, uncovered=array([1]))
    """

    centers: Floats = field(repr=False)
    weights: Floats = field(repr=False)
    kept: NDArray[np.int64]
    costs: Floats
    malformed: dict[int, str]
    uncovered: NDArray[np.int64]


def summarise(
    X: NDArray[Any],
    sample_weight: Floats | None,
    assignment: Assignment,
    replies: Sequence[Any],
    *,
    k: int,
    t: int,
    rho: float,
    power: int,
) -> Summary:
    """Steps 7 to 10 of Algorithms 1 and 2.

    Parameters
    ----------
    X : (n, d) floating
        All points, finite: an array or memory map, read a block at a time.
    sample_weight : (n,) float64, optional
        The weights of the points, not negative.
    assignment : Assignment
        Which points each of the m machines holds.
    replies : sequence of m
        What each machine has sent: its k centers, or anything else. None or `Missing` where nothing came.
    k : int
        The number of centers.
    t : int
        How many machines may be Byzantine.
    rho : float
        The matrix's reconstruction coefficient, from `resilience`.
    power : {1, 2}
        1 for k-medians, 2 for k-means.

    Returns
    -------
    Summary

    Raises
    ------
    ConstraintError
        When more than t machines sent nothing that can be used.
    ValueError
        When there are not m replies.

    Notes
    -----
    A reply is used if it is an array of k x d finite real numbers, or what numpy makes one of. A cost beyond float64
    is infinite, and comes after all others. Where costs are equal, the lowest machine comes first; a point that is as
    near to several centers belongs to the first of them.

    Cost: k distances for each point of each machine.

    Source: Bulusu, Gandikota, Mazumdar, Rawat, Varshney, *Byzantine resilient distributed clustering with redundant
    data assignment*, Algorithms 1 and 2, in which Y must be read as a multiset: with fractional repetition, s machines
    hold the same points and send the same centers.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment, summarise
    >>> X = np.array([[0.0], [2.0], [9.0], [9.0]])
    >>> everything = Assignment.of(np.ones((3, 4)))
    >>> summary = summarise(X, None, everything, [[[1], [9]], [[0], [10]], "lies"], k=2, t=1, rho=1 / 2, power=2)
    >>> summary.kept, summary.costs, summary.malformed
    (array([0, 1]), array([ 2.,  6., inf]), {2: 'its centers are no numbers'})
    >>> summary.centers.ravel(), summary.weights
    (array([ 1.,  9.,  0., 10.]), array([1., 1., 1., 1.]))
    """
    m, d = assignment.m, X.shape[1]
    if len(replies) != m:
        raise ValueError(f"summarise needs one reply from each of {m} machines, not {len(replies)}")
    costs, malformed = np.full(m, math.inf), {}
    centers: dict[int, Floats] = {}
    weights: dict[int, Floats] = {}
    for i, reply in enumerate(replies):
        sent = read(reply, k, d)
        if isinstance(sent, str):
            malformed[i] = sent
            continue
        centers[i] = sent
        costs[i], weights[i] = cost(X, sample_weight, assignment.points(i), sent, power)
    if len(malformed) > t:
        some = "; ".join(f"machine {i}: {why}" for i, why in list(malformed.items())[:3])
        more = "" if len(malformed) <= 3 else f"; and {len(malformed) - 3} more"
        raise ConstraintError(
            f"{len(malformed)} of {m} machines sent nothing that can be used, more than t = {t} ({some}{more})"
        )
    kept = np.lexsort((costs, np.isin(np.arange(m), list(malformed))))[: m - t].astype(np.int64)
    Y = np.concatenate([np.empty((0, d)), *(centers[i] for i in kept.tolist())])
    g = np.concatenate([np.empty(0), *(weights[i] for i in kept.tolist())])
    covered = np.asarray(assignment.matrix[kept].sum(axis=0)).ravel()
    return Summary(Y[g > 0.0], rho * g[g > 0.0], kept, costs, malformed, np.flatnonzero(covered == 0))


def cost(
    X: NDArray[Any], sample_weight: Floats | None, points: NDArray[np.int64] | None, centers: Floats, power: int
) -> tuple[float, Floats]:
    """What the centers cost on some of the points (or all), and the (k,) weights of the points nearest to each.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering.fusion import cost
    >>> cost(np.array([[0.0], [2.0], [9.0]]), None, np.array([0, 1]), np.array([[0.0], [5.0]]), power=2)
    (4.0, array([2., 0.]))
    """
    paid, weights = 0.0, np.zeros(len(centers))
    for block in blocks(X, points):
        labels, distances = nearest(X[block], centers)
        w = np.ones(len(labels)) if sample_weight is None else sample_weight[block]
        weights += np.bincount(labels, w, len(centers))
        counted = w > 0.0  # a point of no weight may be infinitely far away
        with np.errstate(over="ignore"):
            paid += total(w[counted], distances[counted] ** power)
    return paid, weights


def blocks(X: NDArray[Any], points: NDArray[np.int64] | None) -> Iterator[Any]:
    """These rows (or all) in order, as slices or indices of a few megabytes of numbers each."""
    rows = max(1, BLOCK // max(1, X.shape[1]))
    for start in range(0, len(X) if points is None else len(points), rows):
        yield slice(start, start + rows) if points is None else points[start : start + rows]


def read(reply: Any, k: int, d: int) -> Floats | str:
    """The reply's centers, or why it has none. Whatever a Byzantine machine has made, it must not stop us."""
    if reply is None:
        return "it sent nothing"
    try:
        if isinstance(reply, Missing):
            return str(reply.why)
        if isinstance(reply, np.ma.MaskedArray) and np.ma.getmaskarray(reply).any():
            return "some of its numbers are masked"
        array = np.asarray(reply)
        if array.dtype.kind not in "fiu":
            return "its centers are no numbers"
        if array.shape != (k, d):
            return f"its centers have shape {array.shape}, not {(k, d)}"
        with np.errstate(over="ignore", invalid="ignore"):
            centers = np.array(array, np.float64)
    except Exception as error:
        return f"its centers cannot be read ({type(error).__name__})"
    return centers if np.isfinite(centers).all() else "its centers are not finite"


def approximation(delta: float, power: int, local: float = 1.0, final: float = 1.0) -> float:
    """How many times the optimal cost the result may cost.

    Parameters
    ----------
    delta : float
        Of a (t, delta)-resilient matrix.
    power : {1, 2}
        1 for k-medians, 2 for k-means.
    local : float
        alpha: the centers of each honest machine cost at most so many times as much as the best for its points.
    final : float
        beta: the same of the last step, the weighted problem on the centers of the machines kept.

    Returns
    -------
    float
        (a + b (a + 1))^power (1 + delta), where a and b are the power-th roots of alpha and beta: 3 (1 + delta) for
        k-medians and 9 (1 + delta) for k-means, where solvers are optimal.

    Notes
    -----
    Condition: delta >= 0, alpha >= 1, beta >= 1.

    Let R be m - t honest machines that cost at least as much as the kept ones (for each Byzantine machine kept, an
    honest one was left aside that costs no less). For any centers C,
    S = sum of rho cost(P_i, Y_i) over the kept <= the same over R <= alpha (1 + delta) cost(P, C), as every point is
    held by at most (1 + delta) / rho machines of R. Moving the points of each kept machine to their nearest center in
    Y_i costs S. Roots of costs obey the triangle inequality (Minkowski), so with r the root,
    r(cost(P, result)) <= r(S) + r(cost(Y, g, result)) <= r(S) + b r(cost(Y, g, C)) <= r(S) + b (r(S) + r((1 + delta)
    cost(P, C))).

    Source: Bulusu, Gandikota, Mazumdar, Rawat, Varshney, *Byzantine resilient distributed clustering with redundant
    data assignment*, Theorems III.4 and III.5 and their proofs. For k-means the paper has 2 (x^2 + y^2) for (x + y)^2,
    twice, and so 2 alpha + 4 beta (alpha + 1), which is 10, in place of 9.

    Examples
    --------
    >>> from robustcore.clustering import approximation
    >>> approximation(delta=0.5, power=1), approximation(delta=0.5, power=2), approximation(0.0, 2, local=4.0)
    (4.5, 13.5, 25.0)
    """
    name = "approximation"
    delta = as_number(name, "delta", delta, ">= 0")
    alpha, beta = as_number(name, "local", local), as_number(name, "final", final)
    if min(alpha, beta) < 1.0:
        raise ValueError(f"{name}: no solver is better than the best; local = {alpha} and final = {beta} must be >= 1")
    if power not in (1, 2):
        raise ValueError(f"{name}: power is 1 for k-medians, 2 for k-means, not {power!r}")
    if power == 2:
        alpha, beta = math.sqrt(alpha), math.sqrt(beta)
    factor: float = (alpha + beta * (alpha + 1.0)) ** power * (1.0 + delta)
    return factor
