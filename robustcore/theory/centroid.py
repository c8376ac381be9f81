"""Centroid approximation: how near to the mean of the honest a rule or an agreement comes, against what is possible.

Whoever the n - f honest ones are, their mean is a candidate centroid, the mean of some n - f of the vectors. Nobody can
be sure to be nearer to it than the radius of the smallest ball around all candidates (`centroid_ball`). A ratio is the
distance from the true centroid in these radii.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from robustcore._constraints import ConstraintError
from robustcore.theory._numbers import Counts, Floats, closed_form

# The ratio of every point between candidate centroids, such as the mean of any n - f vectors: the ball that holds the
# candidates holds all that is between them, and no two of its points are more than two radii apart.
BETWEEN_CANDIDATES = 2.0

Ratio = Callable[[Floats, Floats, Floats], Any]  # of n, f and d


class Setting(NamedTuple):
    """What an agreement gives in a synchronous or in an asynchronous network."""

    divisor: Callable[[Floats], Any]  # f < n / divisor(d)
    ratio: Ratio


class Method(NamedTuple):
    """A row of Table 1."""

    synchronous: Setting
    asynchronous: Setting


def _at_least(least: int, more: int | None = None) -> Callable[[Floats], Any]:
    """F < n / least; where a safe area must not be empty, f < n / (d + more) too."""
    return lambda d: np.maximum(least, d + more) if more else least + 0 * d


def _box(d: Floats) -> Floats:
    return 2 * np.sqrt(d)


METHODS = {
    "safe_area_algorithm": Method(
        Setting(_at_least(3, 1), lambda n, f, d: np.inf + 0 * n),
        Setting(_at_least(3, 2), lambda n, f, d: np.inf + 0 * n),
    ),
    "safe_area": Method(
        Setting(_at_least(3, 1), lambda n, f, d: 2 * d),
        Setting(_at_least(3, 2), lambda n, f, d: 2 * (d + 1)),
    ),
    "centroid_and_safe_area": Method(
        Setting(_at_least(3, 1), lambda n, f, d: 1 + 0 * n),
        Setting(_at_least(3, 2), lambda n, f, d: BETWEEN_CANDIDATES + 0 * n),
    ),
    "mda": Method(
        Setting(_at_least(4), lambda n, f, d: 2 * (n - 2 * f) / (n - 3 * f)),
        Setting(_at_least(7), lambda n, f, d: 4 * (n - f) * (n - 4 * f) / ((n - 2 * f) * (n - 5 * f))),
    ),
    "mda_and_safe_area": Method(
        Setting(_at_least(4, 1), lambda n, f, d: BETWEEN_CANDIDATES + 0 * n),
        Setting(_at_least(7, 2), lambda n, f, d: 4 * (n - f) / (n - 2 * f)),
    ),
    "box": Method(
        Setting(_at_least(3), lambda n, f, d: _box(d)),
        Setting(_at_least(3), lambda n, f, d: 2 * _box(d)),
    ),
    "rbtm": Method(
        Setting(_at_least(3), lambda n, f, d: _box(d)),
        Setting(_at_least(3), lambda n, f, d: 2 * _box(d)),
    ),
}


def _setting(name: str, method: str, synchronous: bool) -> Setting:
    if method not in METHODS:
        raise ValueError(f"{name}: there is no method {method!r}; there are {', '.join(METHODS)}")
    return METHODS[method].synchronous if synchronous else METHODS[method].asynchronous


@closed_form()
def resilience(method: str, n: Floats, d: Floats, *, synchronous: bool = True) -> Counts:
    """The most Byzantine nodes that an agreement on the centroid withstands.

    Parameters
    ----------
    method
        As in `centroid_ratio`.
    n : int or array of int
        Nodes.
    d : int or array of int
        Dimensions, at least 1.
    synchronous : bool
        Whether every node waits for all honest ones, or only for n - f messages.

    Returns
    -------
    int or array of int64
        The largest f < n/3 for the boxes, < n/4 for MDA (asynchronous: n/7), < n/(d + 1) (asynchronous: n/(d + 2)) as
        well wherever there must be a safe area.

    Raises
    ------
    ConstraintError
        When n or d is 0.
    ValueError, TypeError
        When there is no such method, or the numbers are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    The paper's Table 1 has n/(d + 1) for asynchronous safe areas as well, where its Section 5 and Theorem 5.4 have
    n/(d + 2); and n/7 for MDA with the safe area, where Observation 4.10 has n/4 for the synchronous one.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Table 1.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.resilience("box", n=100, d=50), theory.resilience("safe_area", n=100, d=[1, 2, 50])
    (33, array([33, 33,  1]))
    """
    return np.asarray((n - 1) // _setting("resilience", method, synchronous).divisor(d)).astype(np.int64)


@closed_form()
def centroid_ratio(method: str, n: Floats, f: Floats, d: Floats, *, synchronous: bool = True) -> Floats:
    """How far from the true centroid an agreement can end, in radii of the ball around the candidates.

    Parameters
    ----------
    method : str
        A row of Table 1:

        - "safe_area_algorithm": any algorithm that agrees on a barycenter of the safe area. Unbounded.
        - "safe_area": convex validity. A **lower** bound, 2d (asynchronous: 2 (d + 1)).
        - "centroid_and_safe_area": a round of `centroid_ball` (asynchronous: of means of n - f), then within a safe
          area. 1 (asynchronous: 2).
        - "mda": `MDA`, again and again. 2 (n - 2f) / (n - 3f) < 4 (asynchronous:
          4 (n - f) (n - 4f) / ((n - 2f) (n - 5f)) < 7.2).
        - "mda_and_safe_area": a round of `MDA`, then within a safe area. 2 (asynchronous: 4 (n - f) / (n - 2f) < 4.8).
        - "box", "rbtm": `BoxMidpoint` or `RBTM`, again and again. 2 sqrt(d) (asynchronous: 4 sqrt(d)).
    n, f : int or array of int
        Nodes, and Byzantine nodes, at most `resilience` of them.
    d : int or array of int
        Dimensions, at least 1.
    synchronous : bool
        Whether every node waits for all honest ones, or only for n - f messages.

    Returns
    -------
    float or array of float64
        Radii, no unit.

    Raises
    ------
    ConstraintError
        When there are more Byzantine nodes than the method withstands; of arrays, for the first such numbers.
    ValueError, TypeError
        When there is no such method, or the numbers are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Where we differ from the paper. Synchronous MDA: the paper has 3.8, from 2 + 4f^2 n / ((n - f)^2 (n - 3f)) (Lemma
    4.11), but its geometric series begins two terms too late and has lost a factor of 2; put right, it proves 2 + 2n /
    (n - 3f) < 10. Ours: after one round the honest vectors are between candidates, and D <= 2 radii apart. A round
    later they are 2f / (n - f) D apart, and none is farther than f / (n - f) D from their hull before, as at most f of
    the n - f averaged are Byzantine, each within D of an honest one. That adds up to 2 + 2f / (n - 3f).

    Asynchronous MDA: the paper has 10.4. The same proof starts from means of n - 2f vectors, which have the true
    centroid between them and are D <= 4 (n - f) / (n - 2f) radii apart. Two such subsets differ in up to 2f vectors, of
    which up to f pairs are 2 D apart and the others D: 3f / (n - 2f) D is left after a round, and f / (n - 2f) D is the
    step.

    Asynchronous ratios, but that of "centroid_and_safe_area", are for runs in which all n nodes have broadcast a
    vector: where only the n - f honest ones have, there is one candidate and no radius, and the others still leave out
    f of them (n = 4, f = 1, honest 1, 0, 0: all agree on 0, and the mean is 1/3).

    Asynchronous boxes: Lemma 5.15 has the larger box within twice the edges of the smaller. It may have three times
    those (n = 4, f = 1, values -1, -1, 1, 1); but it reaches no farther from a point of the smaller than twice its
    edges, so that the ratio stands.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Table 1: Observation
    4.2; Theorems 4.1 and 5.3; 4.4 and 5.4; 4.9 and 5.8; Observations 4.10 and 5.9; Theorems 4.18 and 5.13; Corollaries
    4.25 and 5.17 (the latter printed with the words of the former).

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.centroid_ratio("mda", n=100, f=10, d=3), theory.centroid_ratio("box", n=100, f=10, d=[1, 4, 9])
    (2.2857142857142856, array([2., 4., 6.]))
    """
    setting = _setting("centroid_ratio", method, synchronous)
    wrong = np.flatnonzero(f * setting.divisor(d) >= n)
    if len(wrong):
        first = {key: int(np.ravel(value)[wrong[0]]) for key, value in (("n", n), ("f", f), ("d", d))}
        most = resilience(method, first["n"], first["d"], synchronous=synchronous)
        here = ", ".join(f"{key} = {value}" for key, value in first.items())
        raise ConstraintError(f"centroid_ratio: {method} withstands f = {most} at most; here {here}")
    ratio: Floats = setting.ratio(n, f, d)
    return ratio


@closed_form()
def box_centroid_ratio(d: Floats) -> Floats:
    """The centroid ratio of every point of the centroid box, the smallest around all candidates: 2 sqrt(d).

    Parameters
    ----------
    d : int or array of int
        Dimensions, at least 1.

    Returns
    -------
    float or array of float64
        Radii, no unit.

    Raises
    ------
    ConstraintError
        When d is 0.
    TypeError
        When it is not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Lemma 4.23.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.box_centroid_ratio(d=[1, 100])
    array([ 2., 20.])
    """
    return _box(d)
