"""Convex hulls of few points in any dimension: coordinates that keep their digits, and the nearest point of a hull."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import check_dropped
from robustcore._geometry import NOT_FINITE, Floats
from robustcore._threads import get_num_threads
from robustcore._updates import InMemory

TOLERANCE = 1e-8  # of how far the n - f nearest points reach from the coordinate-wise median
SPACING = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
SMALLEST = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14, "bfloat16": 2.0**-126}
BLOCK = 2**21  # numbers of a block of columns
FARTHEST = 2.0**40  # times the scale: whoever is farther away is seen there, in the same direction
BEYOND = 2.0**300  # the same for a point that is asked about, which must not be moved where it might be in a hull
NOTHING = 1e-15  # a share that is a rounding error
DIGITS = 1e-13  # of a direction: so much of its distance a point may be ahead of where it is seen


def optional(what: str, name: str) -> Any:
    """A function of scipy.optimize; ImportError that says what to install."""
    try:
        from scipy import optimize
    except ImportError:
        raise ImportError(f'{what} needs scipy: pip install "robustcore[geometry]"') from None
    return getattr(optimize, name)


def programme(costs: Floats, **constraints: Any) -> Any:
    """What scipy says of a linear programme that has a solution, as precisely as HiGHS will."""
    linprog = optional("a convex hull", "linprog")
    for precision in (1e-10, 1e-9, 1e-7):  # the finest that there is, and what is taken by default
        options = {"primal_feasibility_tolerance": precision, "dual_feasibility_tolerance": precision}
        found = linprog(costs, **constraints, method="highs", options=options)
        if found.x is not None:
            return found
    raise ArithmeticError(f"a linear programme was not solved: {found.message}")


@dataclass(frozen=True)
class Points:
    """Updates, and a point y that is asked about, in no more coordinates than they are.

    Attributes
    ----------
    updates, f
        Those that are finite, and how many Byzantine ones may be left among them.
    points : (n, k) float64
        ``scale`` times the distances between them are those of the updates.
    y : (k,) float64 or None
    is_far : (n,) bool
        Whether a point is farther away than it is seen.
    scale : float
        A power of two; n - f of the points are within 1 of the origin.
    rounding : float
        What rounding to the dtypes may have moved y.
    """

    updates: InMemory
    f: int
    points: Floats
    y: Floats | None
    is_far: NDArray[np.bool_]
    scale: float
    rounding: float

    @property
    def tolerance(self) -> float:
        """How far y may be from a hull that it is taken to be in."""
        return (TOLERANCE if self.points.any() else 0.0) + self.rounding


def columns(rows: list[list[Any]], names: list[str]) -> Iterator[tuple[int, slice, Floats]]:
    """Rows in float64 by blocks of columns: the segment, the part of it, and the (n, b) numbers."""
    step = max(BLOCK // len(rows), 1)
    for segment, name in enumerate(names):
        flat = [np.asarray(row[segment]).reshape(-1) for row in rows]
        for begin in range(0, len(flat[0]), step):
            part = slice(begin, begin + step)
            yield segment, part, np.array([numbers(array[part], name) for array in flat], np.float64)


def numbers(array: NDArray[Any], name: str) -> NDArray[Any]:
    """What an array of this dtype stands for: bfloat16 comes as bits."""
    return (array.astype(np.uint32) << 16).view(np.float32) if name == "bfloat16" else array


def rounded(values: Floats, name: str) -> NDArray[Any]:
    """The nearest numbers of this dtype, bfloat16 as bits."""
    if name != "bfloat16":
        return values.astype(name)
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def finite(name: str, updates: InMemory, f: int) -> tuple[InMemory, int, list[NDArray[Any]]]:
    """The updates that are finite, what is left of f, and their coordinate-wise median."""
    for _ in range(2):
        left = check_dropped(name, updates.n, f, updates.dropped)
        middle = [out for out in updates.empty() if out.size]
        if updates.core.columns("median", 0, middle, get_num_threads(), None):
            break
        updates = updates.keep(updates.core.finite_rows(get_num_threads(), None), NOT_FINITE)
    return updates, left, middle


def read_points(name: str, updates: InMemory, f: int, y: list[Any] | None = None) -> Points:
    """The finite ones among the updates as points, and y among them.

    Differences from the coordinate-wise median keep their digits at any offset, and orthogonal transformations of them
    do, each relative to its own length. Numbers are halved twice, so that no difference overflows.
    """
    updates, f, middle = finite(name, updates, f)
    rows, names, n = updates.rows if y is None else [*updates.rows, y], updates.names, len(updates.rows)

    def differences() -> Iterator[tuple[str, Floats, Floats]]:
        for segment, part, block in columns(rows, names):
            center = numbers(middle[segment].reshape(-1)[part], names[segment]).astype(np.float64)
            yield names[segment], block[-1] / 4, block / 4 - center / 4

    reach = np.zeros(len(rows))
    for _, _, block in differences():
        np.maximum(reach, np.abs(block).max(axis=1), out=reach)
    unit = _power(_typical(reach, n, f))
    farthest = np.where(np.arange(len(rows)) < n, FARTHEST, BEYOND)
    exponents = [np.frexp(x)[1] for x in (reach, farthest, unit)]
    share = np.ldexp(1.0, np.minimum(exponents[1] - exponents[0], 1 - exponents[2]))
    found, width, squares = np.zeros((len(rows), 0)), sum(out.size for out in middle), 0.0
    for dtype, last, block in differences():
        block *= share[:, np.newaxis]
        squares += float(np.square(np.minimum(np.abs(last) * share[-1], BEYOND) * SPACING[dtype]).sum())
        found = np.hstack([found, block])
        if width > len(rows) and found.shape[1] > len(rows):
            found = np.ascontiguousarray(np.transpose(np.linalg.qr(found.T, mode="r")))
    scale = _power(_typical(np.linalg.norm(found, axis=1), n, f))
    found /= scale
    rounding = 0.0 if y is None else math.sqrt(squares) / scale
    is_far = (share < 1.0 / unit) & (reach > 0.0)
    return Points(updates, f, found[:n], None if y is None else found[n], is_far[:n], scale * unit * 4, rounding)


def _typical(lengths: Floats, n: int, f: int) -> float:
    """How far n - f of the first n reach; where these are equal, how far y is, or the next one; else 1."""
    near = np.sort(lengths[:n])[n - f - 1 :]
    return next((float(length) for length in (near[0], *lengths[n:], *near) if length > 0.0), 1.0)


def _power(x: float) -> float:
    """The power of two from x on, where it can be divided by."""
    return math.ldexp(1.0, max(min(math.frexp(x)[1], 1000), -1000))


@dataclass(frozen=True)
class Nearest:
    """The point of a hull that is nearest to y, or nearly.

    Attributes
    ----------
    weights : (n,) float64
        Its convex weights.
    distance : float
        How far it is from y.
    ahead : (k,) float64
        A direction, that of the nearest point seen from y.
    bound : float
        How far ahead all of the hull is: at most its distance from y.
    """

    weights: Floats
    distance: float
    ahead: Floats
    bound: float


class Around:
    """Points as they are seen from y.

    With d_i = p_i - y, the weights a of the nearest point are, up to a factor, those that minimise
    |sum a_i d_i|^2 + u^2 (1 - sum a_i)^2 in a >= 0, whatever u: it is how near they are. Columns are scaled to a length
    near one: a far point is a direction.
    """

    def __init__(self, points: Floats, y: Floats):
        self.nnls = optional("a convex hull", "nnls")
        self.seen = points - y
        self.equal = np.asarray((self.seen == 0.0).all(axis=1))
        self.reach = np.maximum(np.linalg.norm(self.seen, axis=1), 1.0)
        self.unit = float(self.reach.min())
        directions = (self.seen / self.reach[:, np.newaxis]).T
        self.system = np.asfortranarray(np.vstack([directions, self.unit / self.reach]))
        self.target = np.zeros(len(self.system))
        self.target[-1] = 1.0

    def nearest(self, kept: NDArray[np.int64]) -> Nearest:
        """The nearest point of the hull of these points; where it is one of them, that is it."""
        if self.equal[kept].any():
            return self._point(kept, np.eye(len(kept))[self.equal[kept].argmax()])
        try:
            shares = self.nnls(self.system[:, kept], self.target)[0]
        except RuntimeError:  # too many iterations
            shares = np.zeros(0)
        if not shares.any():
            return self._judged(kept)
        found = self._point(kept, shares)
        if found.distance <= TOLERANCE / 8 + DIGITS * self.unit or found.bound >= found.distance / 2:
            return found
        judged = self._judged(kept)  # what each proves holds
        near, along = min(found, judged, key=lambda it: it.distance), max(found, judged, key=lambda it: it.bound)
        return Nearest(near.weights, near.distance, along.ahead, along.bound)

    def _point(self, kept: NDArray[np.int64], shares: Floats, ahead: Floats | None = None) -> Nearest:
        shares[shares < NOTHING * shares.max()] = 0.0
        found = self.system[:, kept] @ shares
        total = found[-1] / self.unit
        at, weights = found[:-1] / total, np.zeros(len(self.seen))
        weights[kept] = shares / self.reach[kept] / total
        ahead = at if ahead is None else ahead
        bound = float(self.along(ahead)[kept].min()) if ahead.any() else 0.0
        return Nearest(weights, math.sqrt(at @ at), ahead, bound)

    def _judged(self, kept: NDArray[np.int64]) -> Nearest:
        """The same by linear programming, in the maximum norm: a hull that holds y does in every norm."""
        system = self.system[:, kept]
        (m, n), slack = system.shape, -np.ones((len(system) - 1, 1))
        found = programme(
            np.append(np.zeros(n), 1.0),
            A_ub=np.vstack([np.hstack([system[:-1], slack]), np.hstack([-system[:-1], slack])]),
            b_ub=np.zeros(2 * (m - 1)),
            A_eq=np.append(system[-1], 0.0)[np.newaxis],
            b_eq=[1.0],
            bounds=(0, None),
        )
        prices = found.ineqlin.marginals
        return self._point(kept, found.x[:n], prices[m - 1 :] - prices[: m - 1])

    def along(self, ahead: Floats) -> Floats:
        """(n,): how far ahead the points are in this direction."""
        ahead = ahead / (np.abs(ahead).max() or 1.0)  # whose squares might vanish
        return np.asarray((self.seen @ ahead) / (math.sqrt(ahead @ ahead) or 1.0) + DIGITS * self.reach)
