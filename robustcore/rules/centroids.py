"""The smallest ball around the centroids of all n - f of the updates: how well any rule can know the honest mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustcore import _core
from robustcore._budget import Budget, as_budget
from robustcore._constraints import SOMEBODY, as_count, check_dropped, check_f
from robustcore._geometry import Geometry
from robustcore._result import CentroidBall
from robustcore._threads import get_num_threads
from robustcore._updates import read
from robustcore._view import view_from_the_midst
from robustcore.rules._base import add_up, by_client


def centroid_ball(X: Any, f: int, *, budget: Budget | float | None = None) -> CentroidBall:
    """The smallest ball that holds the centroids of all subsets of n - f points, with its proof.

    Whoever the n - f honest ones are, their mean is one of these centroids. So the center is the best guess at it for
    those who know nothing else: nobody can be sure to be nearer than the radius.

    Parameters
    ----------
    X
        n points, in any of the structures of `krum`. Each that is not finite is left out, and lowers n and f by one.
    f : int
        How many of them may be Byzantine, n > f. The paper's algorithms need n > 3f, the ball does not.
    budget : float or Budget, optional
        Seconds, or a `Budget`, for the search; by default as long as it takes. Where it is spent, the ball is one that
        holds all centroids, and `CentroidBall.gap` says how much too large it may be.

    Returns
    -------
    CentroidBall

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f points are not finite.
    ValueError, TypeError
        When X is malformed, as in `krum`, or the budget is none.

    Notes
    -----
    Exact: the gap is a little above 1e-12 (up to 1e-11 for f in the hundreds), for the distances as a pass in float64
    forms them. Where many centroids lie on the sphere, other subsets than those in ``subsets`` may prove as much.

    Cost: distances as for `Krum`, once more in float64 for updates in float32. Then searches among the C(n, f)
    centroids for some that stick out of the ball around those known, by branch and bound: exponential at worst, as for
    independent points in high dimensions (half a second on two cores at n = 50, f = 10); 0.1 s at n = 100, f = 20
    in five dimensions. At last, one read of the points for the center.

    Condition: n > f.

    Source: Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Definitions
    3.4 and 3.7; the solver of `minimum_enclosing_ball`, which sees the centroids one by one.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [9.0, 9.0]])
    >>> ball = rc.centroid_ball(X, f=1)
    >>> ball.center.round(3), round(ball.radius, 3)
    (array([2.5, 2.5]), 2.121)
    """
    name, updates = "centroid_ball", read(X)
    f = as_count(name, "f", f)
    check_f(name, SOMEBODY, updates.n, f)
    steps, seconds = as_budget(name, budget).limits
    geometry = Geometry(updates, exact=True)
    left = check_dropped(name, geometry.total, f, geometry.dropped)
    seen = view_from_the_midst(geometry, exact=True)
    points, scale = seen.coordinates()
    chosen, shares, radius, gap = _core.centroid_ball(points, left, get_num_threads(), steps, seconds)
    weights = np.zeros(len(points))
    np.add.at(weights, chosen, shares[:, np.newaxis] / chosen.shape[1])
    of_rows, outputs = geometry.weights(weights), updates.empty()
    add_up(updates, geometry.core, of_rows, outputs, None)
    return CentroidBall(
        center=updates.rebuild(outputs, geometry.dropped),
        radius=radius / scale,
        weights=by_client(updates, of_rows, 0.0),
        subsets=updates.clients[geometry.kept[chosen]],
        shares=shares,
        gap=gap,
        dropped=dict(sorted(geometry.dropped.items())),
    )
