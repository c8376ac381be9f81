"""A point of the safe area that moves little where a vector more or less is seen: the step of agreements within it."""

from __future__ import annotations

from collections.abc import Sequence
from sys import float_info
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore import validity
from robustcore._hull import programme

Floats = NDArray[Any]

FAR, NOTHING = 1e12, 1e-30  # in sizes of the trusted box: so far away points are seen at most, and so near not at all


def safe_area_middle(received: Sequence[Floats], f: int) -> Floats:
    """The mean of the 2d points of the safe area with the largest and the smallest value of a coordinate.

    ``received`` are at least n - f vectors (d,), all finite, of which f may be Byzantine, and which have a safe area;
    the result has their dtype. Linear programmes over as many hulls as matter: where a point is not in the hull of all
    but some (`in_safe_area` says which), that hull is added. The safe area is in the trusted box, whose size is the
    unit.
    """
    box, m = validity.trusted_box(received, f), len(received)
    low, high = np.asarray(box.low, np.float64), np.asarray(box.high, np.float64)
    X, unit = np.asarray(received, np.float64), 1.0
    if np.abs(X).max(initial=0.0) > float_info.max / 4:  # differences may be beyond the range
        X, low, high, unit = X / 4, low / 4, high / 4, 4.0
    size = float((high - low).max(initial=0.0))
    if not size:
        return np.asarray(box.low)
    points = X - low
    length = np.abs(points).max(axis=1, keepdims=True)
    far = length > FAR * size
    points = points / np.where(far, length, size) * np.where(far, FAR, 1.0)
    points[np.abs(points) < NOTHING] = 0.0
    hulls, found = [np.arange(m)], np.zeros(len(low))
    for costs in (*np.eye(len(low)), *-np.eye(len(low))):
        while True:
            x = _extreme(points, hulls, costs, (high - low) / size)
            removed = validity.in_safe_area(points, x, f).removed
            if not len(removed):
                break
            hulls.append(np.setdiff1d(np.arange(m), removed))
        found += x / (2 * len(low))
    return np.asarray(np.clip(low + found * size, low, high) * unit).astype(received[0].dtype)


def _extreme(points: Floats, hulls: list[NDArray[np.int64]], costs: Floats, high: Floats) -> Floats:
    """The point x of all these hulls, and between 0 and high, with the smallest costs . x.

    The programme has a weight for each point of each hull, in units of one over how far away the point is.
    """
    d = points.shape[1]
    reach = np.maximum(np.abs(points).max(axis=1), 1.0)
    columns = np.vstack([points.T, np.ones(len(points))]) / reach
    width = d + sum(len(hull) for hull in hulls)
    equations, right, at = np.zeros((len(hulls) * (d + 1), width)), np.zeros(len(hulls) * (d + 1)), d
    for i, hull in enumerate(hulls):
        rows = slice(i * (d + 1), (i + 1) * (d + 1))
        equations[rows, :d] = -np.eye(d + 1, d)
        equations[rows, at : at + len(hull)] = columns[:, hull]
        right[rows.stop - 1] = 1.0
        at += len(hull)
    bounds = [*((0.0, end) for end in high), *[(0.0, None)] * (width - d)]
    found = programme(np.append(costs, np.zeros(width - d)), A_eq=equations, b_eq=right, bounds=bounds)
    return np.where(np.abs(found.x[:d]) > NOTHING, found.x[:d], 0.0)
