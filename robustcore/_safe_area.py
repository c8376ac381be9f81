"""The safe area: what the convex hulls of all n - f of n points have in common.

A point y is in it exactly when no f points can be removed so that y is outside the hull of the others: when its Tukey
depth, the smallest number of points in a closed halfspace around y, is at least f + 1.

Of the points of a simplex that holds y, one has to be removed. So the search for who can be removed branches over the
points of one simplex; in each branch, the points of the branches before it stay. And of simplices that have no
removable points in common, each has to lose one: where more of them are found than points may still be removed, nobody
can be. That is so nearly always after two or three removals.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustcore._budget import Budget
from robustcore._geometry import Floats, Progress
from robustcore._hull import Around, programme

# In the scale of `Points`, a point that is found is in the hulls to CLOSE, and hulls that miss each other by EMPTY have
# no common point: linear programmes tell the two apart, and the point rounded is still in the hulls to TOLERANCE.
CLOSE, EMPTY = 2e-9, 5e-10
LIGHT = 1e-10  # weights of halfspaces that are rounding errors
STILL = 1e-12  # a candidate that moves by no more will not move again
FLAT = 1e-11  # of directions that points do not span
STEEPEST = 1e6  # of the normals of facets, one over how near to the middle they are
DIRECTIONS = 4  # at random, for each dimension, to begin with
SOON = 0.1  # seconds between reports


class Spent(Exception):
    """The budget is; or the digits are, and cannot decide."""


class Clock:
    """Counts the steps of a search, reports on them, and stops it."""

    def __init__(self, budget: Budget, progress: Progress):
        self.steps, seconds = budget.limits
        self.until = time.monotonic() + seconds if seconds else None
        self.progress, self.taken, self.said = progress, 0, time.monotonic()

    def step(self, share: float) -> None:
        """One more, that share of the search at hand being done; raises Spent."""
        self.taken += 1
        now = time.monotonic()
        if (self.steps and self.taken > self.steps) or (self.until is not None and now > self.until):
            raise Spent
        if self.progress is not None and now >= self.said + SOON:
            self.said = now
            self.progress(share)


class Removal:
    """The search for at most f points without which y is farther than the tolerance from the hull of the others.

    Sets of points are the bits of a number.
    """

    def __init__(self, around: Around, f: int, tolerance: float, clock: Clock):
        self.around, self.f, self.tolerance, self.clock = around, f, tolerance, clock
        self.everybody = (1 << len(around.seen)) - 1
        self.simplices: list[int] = []
        self.ahead: Floats | None = None  # where all but f points are, seen from y, once that is found
        self.done = 0.0

    def run(self) -> NDArray[np.int64] | None:
        """These points, or None where there are none; raises Spent."""
        nodes = [(0, 0, self.f, 1.0)]  # removed, staying, how many more may be removed, share of the search
        while nodes:
            removed, stay, left, share = nodes.pop()
            removable = self._removable(removed, stay, left)
            if self.ahead is not None:
                return self._behind(self.ahead)
            if not removable:
                self.done += share
                continue
            share /= removable.bit_count()
            for point in _bits(removable):
                nodes.append((removed | point, stay, left - 1, share))
                stay |= point
        return None

    def _removable(self, removed: int, stay: int, left: int) -> int:
        """The removable points of a simplex with few of them; 0 where more than are left need to be removed."""
        smallest, met, count = self.everybody, 0, 0
        known = iter(self.simplices)
        while simplex := next(known, 0) or self._simplex(removed | met):
            if simplex & removed:
                continue
            removable = simplex & ~stay
            if not removable & met:
                count += 1
                met |= removable
            if not removable or count > left:
                return 0
            if removable.bit_count() < smallest.bit_count():
                smallest = removable
        return smallest

    def _simplex(self, taken: int) -> int:
        """A simplex of other points that holds y; 0 where their hull does not."""
        self.clock.step(self.done)
        kept = _indices(self.everybody & ~taken)
        if not len(kept):
            return 0
        nearest = self.around.nearest(kept)
        if nearest.bound > self.tolerance:
            if len(self._behind(nearest.ahead)) <= self.f:
                self.ahead = nearest.ahead
            return 0
        if nearest.distance > 2 * self.tolerance:
            raise Spent
        simplex = sum(1 << i for i in np.flatnonzero(nearest.weights).tolist())
        self.simplices.append(simplex)
        return simplex

    def _behind(self, ahead: Floats) -> NDArray[np.int64]:
        return np.flatnonzero(self.around.along(ahead) <= self.tolerance)


def _bits(points: int) -> list[int]:
    return [1 << i for i in _indices(points).tolist()]


def _indices(points: int) -> NDArray[np.int64]:
    data = np.frombuffer(points.to_bytes(points.bit_length() // 8 + 1, "little"), np.uint8)
    return np.flatnonzero(np.unpackbits(data, bitorder="little"))


class Common(NamedTuple):
    """A point that all hulls have in common, or some of them that have none."""

    point: Floats | None
    subsets: NDArray[np.int64]  # (s, n - f); none where there is a point


class Cuts:
    """Halfspaces that hold the safe area: a . x <= the (f + 1)-th largest a . p, the largest of some n - f points."""

    def __init__(self, points: Floats, f: int):
        self.points, self.f = points, f
        self.normals, self.offsets = np.zeros((0, points.shape[1])), np.zeros(0)

    def add(self, directions: Floats) -> None:
        lengths = np.linalg.norm(directions, axis=1, keepdims=True)
        normals = directions[lengths[:, 0] > 0.0] / lengths[lengths > 0.0][:, np.newaxis]
        at = len(self.points) - 1 - self.f
        self.normals = np.vstack([self.normals, normals])
        self.offsets = np.append(self.offsets, np.partition(normals @ self.points.T, at, axis=1)[:, at])

    def begin(self) -> None:
        """Those of the axes, of directions at random, and of the rows of the inverse of the points.

        Where the points are independent, one of them being the origin, the latter are their barycentric coordinates,
        which prove that there is no safe area.
        """
        k = self.points.shape[1]
        lengths = np.linalg.norm(self.points, axis=1, keepdims=True)
        lengths[lengths == 0.0] = 1.0
        own = np.linalg.pinv(self.points / lengths).T
        at_random = np.random.default_rng(0).standard_normal((DIRECTIONS * k, k))
        directions = np.vstack([np.eye(k), own, (own / lengths).sum(axis=0), at_random])
        self.add(np.vstack([directions, -directions]))

    def facet(self, y: Floats, kept: NDArray[np.int64]) -> Floats:
        """The normal of the facet of the hull of these points that y is farthest behind, as seen from their middle.

        There are finitely many facets, so that the cuts come to an end also where the safe area is flat.
        """
        nearness = 1.0 / np.maximum(np.linalg.norm(self.points[kept], axis=1), 1.0)
        middle = nearness @ self.points[kept] / nearness.sum()
        differences = self.points[kept] - middle
        lengths = np.maximum(np.linalg.norm(differences, axis=1), FLAT)
        rows = differences / lengths[:, np.newaxis]
        return np.asarray(programme(middle - y, A_ub=rows, b_ub=1.0 / lengths, bounds=(-STEEPEST, STEEPEST)).x)

    def deepest(self) -> tuple[Floats, float, Floats]:
        """The point deepest in all halfspaces, how deep, and convex weights of them that prove it."""
        k = self.points.shape[1]
        found = programme(
            np.append(np.zeros(k), -1.0),
            A_ub=np.hstack([self.normals, np.ones((len(self.normals), 1))]),
            b_ub=self.offsets,
            bounds=(None, None),
        )
        weights = -found.ineqlin.marginals
        return found.x[:k], float(found.x[k]), np.where(weights > LIGHT, weights, 0.0)

    def subsets(self, weights: Floats) -> NDArray[np.int64]:
        """The n - f points within each halfspace that has a weight."""
        order = np.argsort(self.normals[weights > 0.0] @ self.points.T, axis=1, kind="stable")
        return np.unique(np.sort(order[:, : len(self.points) - self.f], axis=1), axis=0)

    def exclude_all(self, weights: Floats) -> bool:
        """Whether the weighted sum of the halfspaces leaves out every point within 2 of the origin."""
        normal, offset = weights @ self.normals, weights @ self.offsets
        return bool(offset + 2.0 * np.linalg.norm(normal) < 0.0)


def span(points: Floats) -> tuple[Floats, Floats]:
    """A point to start from, and a basis (k, dimensions) of the differences from it."""
    origin = points[np.linalg.norm(points, axis=1).argmin()]
    differences = points - origin
    lengths = np.linalg.norm(differences, axis=1, keepdims=True)
    different = lengths[:, 0] > 0.0
    if not different.any():
        return origin, np.zeros((0, points.shape[1]))
    _, values, basis = np.linalg.svd(differences[different] / lengths[different], full_matrices=False)
    return origin, basis[values > FLAT * values[0]]


def dimension(points: Floats) -> int:
    """That of the smallest flat that holds all of them."""
    return len(span(points)[1])


def common_point(points: Floats, f: int, start: Floats, clock: Clock) -> Common:
    """A point of the safe area of points, or the proof that it is empty; ``start`` is tried first; raises Spent."""
    origin, basis = span(points)
    inner = (points - origin) @ basis.T
    n = len(inner)
    y, cuts = (start - origin) @ basis.T, Cuts(inner, f)
    while True:
        search = Removal(Around(inner, y), f, CLOSE, clock)
        removed = search.run()
        if search.ahead is None or removed is None:
            return Common(origin + y @ basis, np.zeros((0, n - f), np.int64))
        if not len(cuts.offsets):
            cuts.begin()
        kept = np.setdiff1d(np.arange(n), removed)
        cuts.add(np.array([-search.ahead, cuts.facet(y, kept)]))
        before = y
        y, depth, weights = cuts.deepest()
        if depth < -EMPTY and cuts.exclude_all(weights):
            return Common(None, cuts.subsets(weights))
        if np.abs(y - before).max() <= STILL:
            raise Spent
