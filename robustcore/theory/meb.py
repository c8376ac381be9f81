"""Relaxation factors: how many radii an aggregate can be from the center of the smallest ball around the honest ones.

A rule is c-MEB valid when, whichever n - f updates are honest, the aggregate is within c radii of the center of their
minimum enclosing ball.
"""

from __future__ import annotations

import numpy as np

from robustcore._constraints import MAJORITY
from robustcore.theory._numbers import Floats, closed_form

ENOUGH = 60  # steps: C(n, f) > 2^60 for n > 2f >= 120, and with more dimensions the factor is sqrt(2) to the last digit


@closed_form(MAJORITY)
def minmax_meb_factor(n: Floats, f: Floats, d: Floats) -> Floats:
    """The relaxation factor that the optimal rule, `MinMaxMEB`, never exceeds: less than sqrt(2).

    ``1 + (k - 1) / (k + 1 + sqrt(2 k (k + 1)))`` with k = min(d, C(n, f) - 1), one less than there are balls if that is
    less than the dimension; 1 on a line, and for f = 0, where there is one ball.

    Parameters
    ----------
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.
    d : int or array of int
        Dimensions, at least 1.

    Returns
    -------
    float or array of float64
        Radii, no unit.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Condition: n > 2f, d >= 1. It is tight for k = 2, where three unit discs touch. For n > (d + 1) f no relaxation is
    needed at all (Lemma 5.1), which `MinMaxMEB.meb_factor` takes into account and this formula does not.

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Theorem 5.4.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.minmax_meb_factor(n=10, f=4, d=[1, 2, 3, 1000]).round(4)
    array([1.    , 1.1547, 1.2247, 1.4108])
    """
    subsets = np.ones_like(n)  # C(n, f), but where that is more than d + 1: it grows with every step up to f < n / 2
    for i in range(1, 1 + int(min(np.max(f, initial=0), ENOUGH))):
        subsets = np.where(i <= f, np.minimum(subsets * (n - i + 1) / i, d + 1), subsets)
    k = np.maximum(np.minimum(d, subsets - 1), 1)
    factor: Floats = 1 + (k - 1) / (k + 1 + np.sqrt(2 * k) * np.sqrt(k + 1))
    return factor


@closed_form(MAJORITY)
def mda_meb_factor(n: Floats, f: Floats) -> Floats:
    """The relaxation factor of minimum-diameter averaging (`MDA`): 1 + 2f / (n - f), at most 3.

    Parameters
    ----------
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        Radii, no unit.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Condition: n > 2f.

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Theorem 6.4.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.mda_meb_factor(n=9, f=[0, 1, 3])
    array([1.  , 1.25, 2.  ])
    """
    return 1 + 2 * f / (n - f)


@closed_form(MAJORITY)
def medoid_meb_factor(n: Floats, f: Floats) -> Floats:
    """The relaxation factor of the medoid (`Medoid`): (3n - 2f) / (n - 2f).

    No factor up to sqrt(5) = 2.236 is possible for all n and f (`medoid_worst_case`).

    Parameters
    ----------
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        Radii, no unit.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Condition: n > 2f.

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Theorems 6.5 and 6.6.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.medoid_meb_factor(n=10, f=2)
    4.333333333333333
    """
    return (3 * n - 2 * f) / (n - 2 * f)


@closed_form(MAJORITY)
def geometric_median_meb_factor(n: Floats, f: Floats) -> Floats:
    """The relaxation factor of the geometric median (`GeometricMedian`): 2 (n - f) / (n - 2f).

    No factor up to 1.0857 is possible for all n and f (`geometric_median_worst_case`).

    Parameters
    ----------
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        Radii, no unit.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Condition: n > 2f. Without smoothing.

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Theorems 6.7 and 6.8.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.geometric_median_meb_factor(n=10, f=2)
    2.6666666666666665
    """
    return 2 * (n - f) / (n - 2 * f)


@closed_form()
def box_meb_factor(d: Floats) -> Floats:
    """The relaxation factor of every point of the trusted box, the smallest around the honest updates: sqrt(d).

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
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Condition: d >= 1.

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Lemma 7.5.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.box_meb_factor(d=[1, 100])
    array([ 1., 10.])
    """
    return np.sqrt(d)


@closed_form()
def kappa_meb_factor(kappa: Floats) -> Floats:
    """The relaxation factor of every rule with a bound on its robustness coefficient: sqrt(1 + kappa).

    Parameters
    ----------
    kappa : float or array of float
        A bound on the robustness coefficient, at least 0.

    Returns
    -------
    float or array of float64
        Radii, no unit.

    Raises
    ------
    ValueError, TypeError
        When kappa is not finite or below 0.

    Notes
    -----
    Cost: a handful of operations for each result.

    Proof: with mean mu and variance s^2 of the honest ones, and center c and radius r of their ball, |mu - c|^2 + s^2
    is the mean of their |x - c|^2 <= r^2, so that |y - c| <= |mu - c| + sqrt(kappa) s <= sqrt(1 + kappa) r.

    References
    ----------
    Ours; kappa* is that of Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal
    notion of robustness*, Definition 2.

    Examples
    --------
    >>> from robustcore import theory
    >>> round(theory.kappa_meb_factor(theory.kappa_upper_bound(n=100, f=10, m=90)), 3)
    1.902
    """
    return np.sqrt(1 + kappa)
