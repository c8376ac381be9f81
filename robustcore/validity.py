"""Validity conditions: where an aggregate may lie, given the honest updates, and where it must, without knowing them.

Given the honest updates, `weak`, `strong`, `box`, `convex`, `relaxed_convex` and `meb` say whether y satisfies the
condition. Without knowing who is honest, `trusted_box`, `centroid_box`, `in_safe_area` and `safe_area_point` say what
can be sure::

    from robustcore import validity

    validity.convex(y, honest)                  # is y in the convex hull of the honest updates?
    validity.in_safe_area(X, y, f=3)            # is it so whichever 3 of all updates are Byzantine?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore import _core
from robustcore._budget import Budget, as_budget
from robustcore._constraints import MAJORITY, SOMEBODY, as_count, as_number, check_f
from robustcore._geometry import Floats, Progress
from robustcore._hull import SPACING, Around, Nearest, Points, columns, finite, programme, read_points, rounded
from robustcore._safe_area import Clock, Removal, Spent, common_point, dimension
from robustcore._updates import InMemory, read_here
from robustcore.rules._base import add_up, by_client
from robustcore.rules.ball import minimum_enclosing_ball
from robustcore.rules.medians import geometric_median

__all__ = [
    "Box",
    "SafeArea",
    "SafeMembership",
    "box",
    "centroid_box",
    "convex",
    "in_safe_area",
    "meb",
    "relaxed_convex",
    "safe_area_point",
    "strong",
    "trusted_box",
    "weak",
]


def weak(y: Any, honest: Any, *, f: int = 0) -> bool:
    """Whether y is weakly valid: if nobody is Byzantine and all updates are equal, y must be that update.

    Parameters
    ----------
    y
        One update.
    honest
        The n - f honest updates, in any of the structures of `krum`.
    f : int
        How many Byzantine clients there really are: with any, every y is weakly valid.

    Returns
    -------
    bool

    Raises
    ------
    ConstraintError
        When an honest update is not finite.
    ValueError, TypeError
        When the updates or y are malformed, as in `krum`.

    Notes
    -----
    Cost: as `strong`.

    Condition: none.

    Source: Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Section 3.1.

    Examples
    --------
    >>> from robustcore import validity
    >>> validity.weak([9.0], [[1.0], [1.0]]), validity.weak([9.0], [[1.0], [1.0]], f=1)
    (False, True)
    """
    found = _asked("weak", y, honest)
    return as_count("weak", "f", f) > 0 or _strong(found)


def strong(y: Any, honest: Any) -> bool:
    """Whether y is strongly valid: if all honest updates are equal, y must be that update.

    Parameters
    ----------
    y
        One update. One that is not finite satisfies no condition but the weak one where somebody is Byzantine.
    honest
        The honest updates, in any of the structures of `krum`.

    Returns
    -------
    bool

    Raises
    ------
    ConstraintError, ValueError, TypeError
        As in `weak`.

    Notes
    -----
    Tolerance: a unit in the last place of each number of y, as its Euclidean norm.

    Cost: three reads of the updates in numpy.

    Condition: none.

    Source: Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Definition
    3.1.

    Examples
    --------
    >>> from robustcore import validity
    >>> validity.strong([9.0], [[1.0], [1.0]]), validity.strong([9.0], [[1.0], [2.0]])
    (False, True)
    """
    return _strong(_asked("strong", y, honest))


def _strong(found: Points | None) -> bool:
    if found is None or found.y is None:
        return False
    return bool(found.points.any() or np.linalg.norm(found.y) <= found.tolerance)


def _asked(name: str, y: Any, honest: Any) -> Points | None:
    """The honest updates and y as points; None where y is not finite."""
    updates = read_here(honest)
    leaves = _like(updates, y)
    return None if leaves is None else read_points(name, updates, 0, leaves)


def _like(updates: InMemory, y: Any) -> list[Any] | None:
    """The arrays of y, None where it is not finite."""
    leaves = updates.like(y, "y", finite=False)
    return leaves if _core.Updates([leaves], updates.names).finite_rows(1)[0] else None


def box(y: Any, honest: Any) -> bool:
    """Whether y is in the trusted box: in each coordinate between the smallest and the largest honest value.

    Parameters
    ----------
    y
        One update.
    honest
        The honest updates, in any of the structures of `krum`.

    Returns
    -------
    bool
        That of ``trusted_box(honest, 0).contains(y)``.

    Raises
    ------
    ConstraintError, ValueError, TypeError
        As in `weak`.

    Notes
    -----
    Tolerance: as in `Box.contains`.

    Cost: as `trusted_box`.

    Condition: none.

    Source: Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Definition
    3.9.

    Examples
    --------
    >>> from robustcore import validity
    >>> validity.box([0.0, 1.0], [[0.0, 0.0], [1.0, 1.0]]), validity.box([0.0, 2.0], [[0.0, 0.0], [1.0, 1.0]])
    (True, False)
    """
    return _box("box", honest, 0, _trusted).contains(y)


def convex(y: Any, honest: Any) -> bool:
    """Whether y is in the convex hull of the honest updates.

    Parameters
    ----------
    y
        One update.
    honest
        The honest updates, in any of the structures of `krum`.

    Returns
    -------
    bool

    Raises
    ------
    ConstraintError, ValueError, TypeError
        As in `weak`.
    ImportError
        Without scipy, the extra ``geometry``.

    Notes
    -----
    Tolerance: y may be 1e-8 of the spread from the hull (the spread is how far the honest updates reach from their
    coordinate-wise median), and what rounding to its dtype may have moved it, a unit in the last place of each number.

    Cost: two reads of the updates in numpy and, with d > n, 2 n^2 d multiply-adds for coordinates in n dimensions; then
    non-negative least squares among n points in min(n, d) dimensions.

    Condition: none.

    Source: *Practical validity conditions for Byzantine-tolerant federated learning*, Section 7.

    Examples
    --------
    >>> from robustcore import validity
    >>> triangle = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    >>> validity.convex([0.3, 0.3], triangle), validity.convex([0.6, 0.6], triangle)
    (True, False)
    """
    found = _asked("convex", y, honest)
    return found is not None and _nearest(found).distance <= found.tolerance


def _nearest(found: Points) -> Nearest:
    """The point of the hull of all that is nearest to y."""
    assert found.y is not None
    return Around(found.points, found.y).nearest(np.arange(len(found.points)))


def relaxed_convex(y: Any, honest: Any, delta: float, p: float = 2) -> bool:
    """Whether y is at most delta away from the convex hull of the honest updates, in the p-norm.

    The (delta, p)-relaxed convex validity of Xiang and Vaidya, where *some* point of the hull has to be that near. (As
    Cambus et al. print the condition, all points of the hull have to be; their lemmas are about the distance from it.)

    Parameters
    ----------
    y
        One update.
    honest
        The honest updates, in any of the structures of `krum`.
    delta : float
        A distance in the unit of the updates, at least 0.
    p : {1, 2, inf}
        The norm.

    Returns
    -------
    bool

    Raises
    ------
    ConstraintError, ValueError, TypeError
        As in `weak`, or when delta or p is none.
    ImportError
        Without scipy, the extra ``geometry``.

    Notes
    -----
    Tolerance: as in `convex`; for p = 1, times sqrt(d).

    Cost: as `convex`. For p = 1 and inf, where the Euclidean distance does not decide it, a linear programme with n + 1
    rows and up to 2d columns, and memory for it.

    Condition: none.

    Source: Xiang, Vaidya, *Relaxed Byzantine vector consensus*, OPODIS 2016; *Practical validity conditions for
    Byzantine-tolerant federated learning*, Section 7.

    Examples
    --------
    >>> from math import inf
    >>> from robustcore import validity
    >>> line = [[0.0, 0.0], [1.0, 0.0]]
    >>> [validity.relaxed_convex([2.0, 1.0], line, delta=1.5, p=p) for p in (1, 2, inf)]
    [False, True, True]
    """
    name = "relaxed_convex"
    delta = as_number(name, "delta", delta, ">= 0")
    if isinstance(p, bool) or p not in (1, 2, inf):
        raise ValueError(f"{name}: p must be 1, 2 or inf, not {p!r}")
    updates = read_here(honest)
    leaves = _like(updates, y)
    if leaves is None:
        return False
    found, root = read_points(name, updates, 0, leaves), updates.core.d**0.5
    nearest = _nearest(found)
    allowed = delta / found.scale + found.tolerance * (root if p == 1 else 1.0)
    least = nearest.distance / (root if p == inf else 1.0)
    if p == 2 or least > allowed:
        return least <= allowed
    differences = _differences(updates, leaves, found.scale)
    away = np.abs(nearest.weights @ differences)
    return bool((away.sum() if p == 1 else away.max()) <= allowed) or _separation(differences, p) <= allowed


def _differences(updates: InMemory, leaves: list[Any], scale: float) -> Floats:
    """(n, d): the updates as seen from y."""
    found = [block[:-1] / 4 - block[-1] / 4 for _, _, block in columns([*updates.rows, leaves], updates.names)]
    return np.hstack(found) / (scale / 4)


def _separation(differences: Floats, p: float) -> float:
    """The distance of the origin from a hull in the 1-norm or the maximum norm: how far a plane can separate the two.

    That is the largest over z, of length at most 1 in the other norm, of the smallest z . x in the hull.
    """
    n, d = differences.shape
    ones, zeros = np.ones((n, 1)), np.zeros(n)
    bounds: list[tuple[float | None, float | None]]
    if p == 1:
        bounds = [(-1.0, 1.0)] * d + [(None, None)]
        rows, most = np.hstack([-differences, ones]), zeros
    else:  # z as the difference of two that are not negative
        bounds = [(0.0, None)] * (2 * d) + [(None, None)]
        rows = np.vstack([np.hstack([-differences, differences, ones]), np.append(np.ones(2 * d), 0.0)])
        most = np.append(zeros, 1.0)
    costs = np.zeros(rows.shape[1])
    costs[-1] = -1.0
    return float(-programme(costs, A_ub=rows, b_ub=most, bounds=bounds).fun)


def meb(y: Any, honest: Any, c: float = 1.0) -> bool:
    """Whether y is at most c radii away from the center of the smallest ball around the honest updates.

    Parameters
    ----------
    y
        One update.
    honest
        The honest updates, in any of the structures of `krum`.
    c : float
        The relaxation factor, at least 0; with 1, y must be in the ball.

    Returns
    -------
    bool

    Raises
    ------
    ConstraintError, ValueError, TypeError
        As in `weak`, or when c is none.

    Notes
    -----
    Tolerance: as in `convex`.

    Cost: as `convex` and `minimum_enclosing_ball`, without the least squares.

    Condition: none.

    Source: *Practical validity conditions for Byzantine-tolerant federated learning*, Definitions 3.3 and 3.4.

    Examples
    --------
    >>> from robustcore import validity
    >>> pair = [[0.0, 0.0], [0.0, 1.0]]
    >>> validity.meb([0.5, 0.5], pair), validity.meb([1.0, 0.5], pair), validity.meb([1.0, 0.5], pair, c=2.0)
    (True, False, True)
    """
    c = as_number("meb", "c", c, ">= 0")
    found = _asked("meb", y, honest)
    if found is None:
        return False
    ball = minimum_enclosing_ball(honest)
    assert found.y is not None
    away = np.linalg.norm(found.y - ball.weights @ found.points)
    return bool(away <= c * (ball.radius / found.scale) + found.tolerance)


@dataclass(frozen=True, eq=False)
class Box:
    """An interval for each coordinate.

    Attributes
    ----------
    low, high
        The smallest and the largest values, in the structure and dtype of one update.
    dropped : dict of int to str
        The clients whose update could not be used, and why.
    rounding
        By how much sums in float64 may be off, in the same structure; None where there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore import validity
    >>> box = validity.Box(np.array([0.0, 1.0]), np.array([2.0, 1.0]))
    >>> box.contains(np.array([1.0, 1.0])), box.contains(np.array([1.0, 1.1])), box.midpoint
    (True, False, array([1., 1.]))
    """

    low: Any
    high: Any
    dropped: dict[int, str] = field(default_factory=dict)
    rounding: Any = field(default=None, repr=False)

    def contains(self, y: Any) -> bool:
        """Whether y is in the box, give or take a unit in the last place of the larger end, and what sums are off."""
        updates = read_here([self.low, self.high])
        leaves = _like(updates, y)
        if leaves is None:
            return False
        rows = [*updates.rows, leaves] + ([] if self.rounding is None else [updates.like(self.rounding, "rounding")])
        for segment, _, (low, high, value, *rounding) in columns(rows, updates.names):
            slack = np.maximum(np.abs(low), np.abs(high)) * SPACING[updates.names[segment]] + sum(rounding)
            if not ((low - slack <= value) & (value <= high + slack)).all():
                return False
        return True

    @property
    def midpoint(self) -> Any:
        """The middle of all intervals, in the structure and dtype of one update."""
        return _filled(read_here([self.low, self.high]), lambda ends: (ends[0] / 2 + ends[1] / 2,))[0]


def trusted_box(X: Any, f: int) -> Box:
    """The local trusted box: in each coordinate, what is left without the f smallest and the f largest values.

    Whoever is honest, it lies in the box of their updates.

    Parameters
    ----------
    X
        n updates, in any of the structures of `krum`.
    f : int
        How many clients may be Byzantine, n > 2f. Each update that is not finite lowers n and f by one.

    Returns
    -------
    Box

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.
    ValueError, TypeError
        When X is malformed, as in `krum`.

    Notes
    -----
    Exact. The results of `median`, `trimmed_mean`, `rbtm` and `box_midpoint` are in it.

    Cost: a read of the n*d numbers by the core, and one in numpy with a partial sort.

    Condition: n > 2f.

    Source: Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Definition
    3.11.

    Examples
    --------
    >>> from robustcore import validity
    >>> box = validity.trusted_box([[1.0], [2.0], [3.0], [99.0]], f=1)
    >>> box.low, box.high
    (array([2.]), array([3.]))
    """
    return _box("trusted_box", X, f, _trusted)


def centroid_box(X: Any, f: int) -> Box:
    """The local centroid box: in each coordinate, from the mean of the n - f smallest values to that of the largest.

    The smallest box around the means of all n - f of the updates: whoever is honest, their mean is in it.

    Parameters
    ----------
    X
        n updates, in any of the structures of `krum`.
    f : int
        How many clients may be Byzantine, n > 2f. Each update that is not finite lowers n and f by one.

    Returns
    -------
    Box

    Raises
    ------
    ConstraintError, ValueError, TypeError
        As in `trusted_box`.

    Notes
    -----
    Summed in float64, and rounded once; `Box.rounding` is for other sums. The results of `rbtm` and `box_midpoint`
    are in it.

    Cost: as `trusted_box`.

    Condition: n > 2f.

    Source: Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Definition
    4.14 and Observation 4.15.

    Examples
    --------
    >>> from robustcore import validity
    >>> box = validity.centroid_box([[1.0], [2.0], [3.0], [7.0]], f=1)
    >>> box.low, box.high
    (array([2.]), array([4.]))
    """
    return _box("centroid_box", X, f, _centroids)


def _trusted(block: Floats, f: int) -> tuple[Floats, ...]:
    last = len(block) - 1 - f
    values = np.partition(block, sorted({f, last}), axis=0)
    return values[f], values[last]


def _centroids(block: Floats, f: int) -> tuple[Floats, ...]:
    h = len(block) - f
    values = np.partition(block, sorted({max(f - 1, 0), h - 1}), axis=0)
    low, high = values[:h], values[f:]
    largest = np.minimum(np.abs(low).max(axis=0), np.abs(high).max(axis=0))  # without those far to one side
    return _mean(low), _mean(high), largest * (h * SPACING["float64"])


def _mean(values: Floats) -> Floats:
    with np.errstate(over="ignore"):
        means = values.mean(axis=0)
    if np.isinf(means).any():  # sums near the end of the range
        means = (values / len(values)).sum(axis=0)
    return np.asarray(np.clip(means, values.min(axis=0), values.max(axis=0)))


def _box(name: str, X: Any, f: int, ends: Callable[[Floats, int], tuple[Floats, ...]]) -> Box:
    updates = read_here(X)
    f = as_count(name, "f", f)
    check_f(name, MAJORITY, updates.n, f)
    updates, left, _ = finite(name, updates, f)
    low, high, *rounding = _filled(updates, lambda block: ends(block, left))
    return Box(low, high, dict(sorted(updates.dropped.items())), *rounding)


def _filled(updates: InMemory, compute: Callable[[Floats], tuple[Floats, ...]]) -> list[Any]:
    """What is computed from each block of columns, as updates."""
    outputs: list[list[NDArray[Any]]] = []
    for segment, part, block in columns(updates.rows, updates.names):
        values = compute(block)
        outputs = outputs or [updates.empty() for _ in values]
        for output, found in zip(outputs, values, strict=True):
            target = [out for out in output if out.size][segment]
            target.reshape(-1)[part] = rounded(found, updates.names[segment])
    return [updates.rebuild(output) for output in outputs]


@dataclass(frozen=True, eq=False)
class SafeMembership:
    """Whether a point is in the safe area, and who it depends on if not; true where it is.

    Attributes
    ----------
    inside : bool
        Whether it is proved to be in the hull of any n - f of the updates. Its Tukey depth is then at least f + 1.
    exact : bool
        Whether the question is decided; False where the budget was spent, or, hardly ever, rounding leaves it open.
    removed : (k,) int64
        At most f clients; the point is outside the hull of the others. Empty where there are none.
    distance : float
        How far it is from that hull, at least, in the unit of the updates; 0 where it is in it, or nothing is decided.
    dropped : dict of int to str
        The clients whose update could not be used, and why. They count against f.

    Examples
    --------
    >>> from robustcore import validity
    >>> asked = validity.in_safe_area([[0.0], [1.0], [2.0], [9.0]], [0.5], f=1)
    >>> bool(asked), asked.removed, round(asked.distance, 6)  # without client 0, the others start at 1
    (False, array([0]), 0.5)
    """

    inside: bool
    exact: bool
    removed: NDArray[np.int64]
    distance: float
    dropped: dict[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.inside


def in_safe_area(
    X: Any, y: Any, f: int, *, budget: Budget | float | None = None, progress: Progress = None
) -> SafeMembership:
    """Whether y is in the convex hull of any n - f of the updates: convex validity, whoever is honest.

    Parameters
    ----------
    X
        n updates, in any of the structures of `krum`.
    y
        One update; where it is not finite, it is outside, infinitely far.
    f : int
        How many clients may be Byzantine, n > f. Each update that is not finite lowers n and f by one.
    budget : float or Budget, optional
        Seconds, or a `Budget`, for the search; by default as long as it takes.
    progress
        Called now and then with the share that is done of the search, from 0 to 1. What it raises stops the search.

    Returns
    -------
    SafeMembership
        True in a condition where y is in the safe area.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.
    ValueError, TypeError
        When the updates or y are malformed, as in `krum`, or the budget is none.
    ImportError
        Without scipy, the extra ``geometry``.

    Notes
    -----
    Exact: y is found outside where it is proved to be farther from a hull than 1e-8 of how far the n - f nearest
    updates reach from their coordinate-wise median, and what rounding to its dtype may have moved it, a unit in the
    last place of each number. Updates 1e12 times farther away are seen at that distance.

    Cost: reads and coordinates as `convex`; then a search for the clients to remove, exponential at worst: milliseconds
    for a hundred updates in ten dimensions.

    Condition: n > f.

    Source: *Practical validity conditions for Byzantine-tolerant federated learning*, Section 7; Cambus, Melnyk,
    *Centroid approximation with multidimensional approximate agreement protocols*, Definition 3.2.

    Examples
    --------
    >>> from robustcore import validity
    >>> X = [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [1.0, 1.0]]
    >>> bool(validity.in_safe_area(X, [1.0, 1.0], f=1)), bool(validity.in_safe_area(X, [1.0, 0.9], f=1))
    (True, False)
    """
    name, updates = "in_safe_area", read_here(X)
    f, clock = as_count(name, "f", f), Clock(as_budget(name, budget), progress)
    check_f(name, SOMEBODY, updates.n, f)
    leaves, nobody = _like(updates, y), np.zeros(0, np.int64)
    found = read_points(name, updates, f, leaves)
    dropped = dict(sorted(found.updates.dropped.items()))
    if found.y is None:
        return SafeMembership(False, True, nobody, inf, dropped)
    around = Around(found.points, found.y)
    try:
        removed = Removal(around, found.f, found.tolerance, clock).run()
    except Spent:
        return SafeMembership(False, False, nobody, 0.0, dropped)
    if removed is None:
        return SafeMembership(True, True, nobody, 0.0, dropped)
    left = around.nearest(np.setdiff1d(np.arange(len(found.points)), removed))
    return SafeMembership(False, True, found.updates.clients[removed], left.bound * found.scale, dropped)


@dataclass(frozen=True, eq=False)
class SafeArea:
    """A point of the safe area, or the proof that it is empty.

    Attributes
    ----------
    point
        In the convex hulls of all n - f of the updates, in the structure and dtype of one update; None where they have
        no point in common, or none was found within the budget.
    empty : bool
        Whether it is proved that there is no such point.
    guaranteed : bool
        Whether there had to be one: n > (k + 1) f, where k is the dimension that the updates span.
    weights : (n,) float64 or None
        ``point`` is the sum of ``weights[i]`` times update i: not negative, summing to 1.
    subsets : (s, n - f) int64
        Where the area is empty, at most k + 1 subsets of the clients whose hulls have no point in common; else none.
    dropped : dict of int to str
        The clients whose update could not be used, and why. They count against f, and are in no subset.

    Examples
    --------
    >>> from robustcore import validity
    >>> area = validity.safe_area_point([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], f=1)
    >>> area.point, area.empty, area.guaranteed, area.subsets.tolist()  # the sides of a triangle
    (None, True, False, [[0, 1], [0, 2], [1, 2]])
    """

    point: Any = field(repr=False)
    empty: bool
    guaranteed: bool
    weights: Floats | None = field(repr=False)
    subsets: NDArray[np.int64] = field(repr=False)
    dropped: dict[int, str] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether a point was found, or proved not to be there; else as in `SafeMembership`."""
        return self.empty or self.point is not None


def safe_area_point(X: Any, f: int, *, budget: Budget | float | None = None, progress: Progress = None) -> SafeArea:
    """A point that is in the convex hull of any n - f of the updates, or the proof that there is none.

    Parameters
    ----------
    X
        n updates, in any of the structures of `krum`.
    f : int
        How many clients may be Byzantine, n > f. Each update that is not finite lowers n and f by one.
    budget : float or Budget, optional
        Seconds, or a `Budget`, for the search; by default as long as it takes.
    progress
        As in `in_safe_area`, for the search at hand.

    Returns
    -------
    SafeArea

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.
    ValueError, TypeError
        When X is malformed, as in `krum`, or the budget is none.
    ImportError
        Without scipy, the extra ``geometry``.

    Notes
    -----
    The point is the geometric median where that is safe; else one that is deep in the halfspaces, each around n - f of
    the updates, that were found to cut candidates off. Proved as in `in_safe_area`; hulls that miss each other by less
    than 1e-9 of that may count as meeting.

    Cost: as `in_safe_area`, and a linear programme for each candidate: milliseconds at n = 60, f = 9 in five
    dimensions, or n = 64, f = 3 in twenty; a second where the area is nearly empty.

    Condition: n > f. With
    n > (d + 1) f there always is a point (Helly).

    Source: Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Definition
    3.2; the cuts are those of Tukey's halfspace depth.

    Examples
    --------
    >>> from robustcore import validity
    >>> area = validity.safe_area_point([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [1.0, 1.0], [99.0, 99.0]], f=1)
    >>> area.point.round(6), area.guaranteed
    (array([1., 1.]), True)
    """
    name, updates = "safe_area_point", read_here(X)
    f, clock = as_count(name, "f", f), Clock(as_budget(name, budget), progress)
    check_f(name, SOMEBODY, updates.n, f)
    found = read_points(name, updates, f)
    updates, points = found.updates, found.points
    equal = np.count_nonzero(~points.any(axis=1)) >= len(points) - found.f  # the only point that can be safe
    start = np.zeros(points.shape[1]) if equal else geometric_median(points)
    dropped, guaranteed = dict(sorted(updates.dropped.items())), len(points) > (dimension(points) + 1) * found.f
    try:
        area = common_point(points, found.f, start, clock)
    except Spent:
        area = None
    if area is None or area.point is None:
        subsets = np.zeros((0, len(points) - found.f), np.int64) if area is None else area.subsets
        return SafeArea(None, area is not None, guaranteed, None, updates.clients[subsets], dropped)
    near = np.flatnonzero(~found.is_far)  # n - f of them hold the point
    weights, outputs = Around(points, area.point).nearest(near).weights, updates.empty()
    add_up(updates, updates.core, weights, outputs, None)
    return SafeArea(
        updates.rebuild(outputs),
        False,
        guaranteed,
        by_client(updates, weights, 0.0),
        updates.clients[area.subsets],
        dropped,
    )
