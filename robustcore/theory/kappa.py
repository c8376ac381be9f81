"""The robustness coefficient kappa*: how far an aggregate can be from the mean of the honest, against their variance.

kappa* of a rule F is the largest |F(X) - mean(S)|^2 / variance(S), over all inputs X and all choices S of n - f honest
ones among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from robustcore._constraints import KRUM_F, KRUM_M, MAJORITY
from robustcore.theory._numbers import Floats, closed_form

SILVER = 1 + math.sqrt(2)  # its square is the least of 2 (1 + a) + 1 + 1 / a over a > 0


@closed_form(MAJORITY)
def universal_lower_bound(n: Floats, f: Floats) -> Floats:
    """Lower bound on the robustness coefficient kappa* of every rule: f / (n - 2f).

    Parameters
    ----------
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        No unit. A rule that withstands f Byzantine clients has no smaller coefficient.

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
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Proposition 1.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.universal_lower_bound(n=100, f=10)
    0.125
    >>> theory.universal_lower_bound(n=10, f=[0, 2, 4])
    array([0.        , 0.33333333, 2.        ])
    """
    return f / (n - 2 * f)


@closed_form(KRUM_F["theory"], KRUM_M["theory"])
def kappa_upper_bound(n: Floats, f: Floats, m: Floats) -> Floats:
    """Upper bound on the robustness coefficient kappa* of m-MultiKrum (Krum is m = 1).

    ``(n-f)/(n-2f) * min((1 + sqrt(2))^2, (sqrt((n-2f)/m) + sqrt(2f/m) + f/m)^2)``: whichever n - f clients are honest,
    the squared distance of the aggregate from their mean is at most this times their variance.

    Parameters
    ----------
    n, f, m : int or array of int
        Clients, Byzantine clients, clients averaged; n > 2f and 1 <= m <= n - f.

    Returns
    -------
    float or array of float64
        No unit. The same for all m up to `transition_m`, and decreasing from there on: m = n - f has the best bound.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Condition: n > 2f, 1 <= m <= n - f.

    References
    ----------
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Theorem 1 (printed with the inequality the wrong way round).

    Examples
    --------
    >>> from robustcore import theory
    >>> round(theory.kappa_upper_bound(n=100, f=10, m=90), 3)
    2.617
    >>> theory.kappa_upper_bound(n=100, f=10, m=[1, 40, 90]).round(3)  # Krum first
    array([6.557, 6.326, 2.617])
    """
    bound: Floats = (n - f) / (n - 2 * f) * np.minimum(SILVER, _root(n, f, f, m)) ** 2
    return bound


def _root(n: Floats, f: Floats, u: Floats, m: Floats) -> Floats:
    """Theorem 6 with u Byzantine ones among the m chosen, without its factor and its square."""
    return (np.sqrt(n - 2 * f) + np.sqrt(2 * u)) / np.sqrt(m) + u / m


@closed_form(KRUM_F["theory"])
def kappa_1(n: Floats, f: Floats) -> Floats:
    """The bound on kappa* of m-MultiKrum that holds for every m: (1 + sqrt(2))^2 (n - f) / (n - 2f).

    Parameters
    ----------
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        No unit.

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
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Theorem 5 (the proof of Theorem 1 has it
    without its factor).

    Examples
    --------
    >>> from robustcore import theory
    >>> round(theory.kappa_1(n=100, f=10), 3)
    6.557
    """
    return SILVER**2 * (n - f) / (n - 2 * f)


@closed_form(KRUM_F["theory"], KRUM_M["theory"])
def kappa_2(n: Floats, f: Floats, m: Floats) -> Floats:
    """The bound on kappa* of m-MultiKrum that decreases with m.

    ``(n-f)/(n-2f) * (sqrt((n-2f)/m) + sqrt(2u/m) + u/m)^2``, with u = min(m, f) Byzantine ones among the m chosen. The
    smaller of it and `kappa_1` is `kappa_upper_bound`; where m <= f, that is `kappa_1`.

    Parameters
    ----------
    n, f, m : int or array of int
        Clients, Byzantine clients, clients averaged; n > 2f and 1 <= m <= n - f.

    Returns
    -------
    float or array of float64
        No unit.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Condition: n > 2f, 1 <= m <= n - f.

    References
    ----------
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Theorem 6, both branches.

    Examples
    --------
    >>> from robustcore import theory
    >>> round(theory.kappa_2(n=100, f=10, m=90), 3), round(theory.kappa_2(n=100, f=10, m=4), 3)
    (2.617, 53.35)
    """
    bound: Floats = (n - f) / (n - 2 * f) * _root(n, f, np.minimum(m, f), m) ** 2
    return bound


@closed_form(KRUM_F["theory"])
def krum_lower_bound(n: Floats, f: Floats) -> Floats:
    """Lower bound on the robustness coefficient kappa* of Krum, "theory" neighbours.

    (n - 2) / (n - 2f + 2) for even n, (n - 1) / (n - 2f + 1) for odd n: `krum_worst_case` attains it.

    Parameters
    ----------
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        No unit.

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
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Theorem 3.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.krum_lower_bound(n=9, f=2), theory.krum_lower_bound(n=10, f=2)
    (1.3333333333333333, 1.0)
    """
    outvoted = np.ceil(n / 2) - 1  # the largest minority
    bound: Floats = outvoted / (n - f - outvoted)
    return bound


@closed_form(KRUM_F["theory"], KRUM_M["theory"])
def two_point_lower_bound(n: Floats, f: Floats, m: Floats) -> Floats:
    """Lower bound on kappa* of m-MultiKrum by inputs of two points: k / (n - f - k), k = min(n - m, ceil(n/2) - 1).

    For m <= n/2 + 1 it is Krum's (`krum_lower_bound`), for more it is (n - m) / (m - f), down to the universal one at
    m = n - f. `krum_worst_case` attains it.

    Parameters
    ----------
    n, f, m : int or array of int
        Clients, Byzantine clients, clients averaged; n > 2f and 1 <= m <= n - f.

    Returns
    -------
    float or array of float64
        No unit.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Condition: n > 2f, 1 <= m <= n - f.

    Proof: k updates at e, a minority, and n - k >= m at 0, whose scores are smaller: the m chosen are 0. Of the n - f
    honest ones, the k are p = k / (n - f): their mean is p e, their variance p (1 - p), and p^2 / (p (1 - p)) is the
    bound.

    References
    ----------
    The inputs of the proof of Theorem 3 of Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning:
    MultiKrum and an optimal notion of robustness*, with m chosen ones.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.two_point_lower_bound(n=100, f=10, m=[1, 51, 70, 90]).round(3)
    array([1.195, 1.195, 0.5  , 0.125])
    """
    k = np.minimum(n - m, np.ceil(n / 2) - 1)
    bound: Floats = k / (n - f - k)
    return bound


@closed_form(KRUM_F["theory"], KRUM_M["theory"])
def multi_krum_lower_bound(n: Floats, f: Floats, m: Floats) -> Floats:
    """Lower bound on the robustness coefficient kappa* of m-MultiKrum, as the paper proves it.

    The largest of `universal_lower_bound`; for n > 3f of f / (n - 2f) (1 + (m - a) (n - f) / (m f))^2 with
    a = min(m, n - 2f), which is 4f / (n - 2f) for m = n - f (`multi_krum_worst_case` attains it); and of
    `krum_lower_bound` for m = 1. For 1 < m < n - f, `two_point_lower_bound` is often larger.

    Parameters
    ----------
    n, f, m : int or array of int
        Clients, Byzantine clients, clients averaged; n > 2f and 1 <= m <= n - f.

    Returns
    -------
    float or array of float64
        No unit.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Condition: n > 2f, 1 <= m <= n - f.

    References
    ----------
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Proposition 1, Theorems 3 and 4, Proposition B.1 (printed with a wrong mean of the chosen ones; with
    the right one, it meets Theorem 4).

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.multi_krum_lower_bound(n=100, f=10, m=[1, 50, 90]).round(3)
    array([1.195, 0.125, 0.5  ])
    """
    universal = f / (n - 2 * f)
    outside = m - np.minimum(m, n - 2 * f)  # of the chosen ones, those that are no zeros; none for f = 0
    constructed = np.where(n > 3 * f, universal * (1 + outside * (n - f) / (m * np.maximum(f, 1))) ** 2, universal)
    outvoted = np.ceil(n / 2) - 1
    return np.where(m == 1, np.maximum(constructed, outvoted / (n - f - outvoted)), constructed)


@closed_form(KRUM_F["theory"])
def transition_m(n: Floats, f: Floats) -> Floats:
    """The number m up to which the bound on kappa* of m-MultiKrum is that of Krum, and from which it decreases.

    ``((A + sqrt(A^2 + 4 (1 + sqrt(2)) f)) / (2 (1 + sqrt(2))))^2`` with A = sqrt(n - 2f) + sqrt(2f), where
    kappa_2^>(m) = (1 + sqrt(2))^2.

    Parameters
    ----------
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        Clients, not rounded. Divided by n it depends on f / n alone: (1 + sqrt(2))^-2 = 0.1716 where that tends to 0,
        more for more f up to 0.41, and 1/2 where it tends to 1/2. Above f / n = 0.4056 it is more than n - f: there the
        bound is that of Krum for all m.

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

    Proof: the root of kappa_2^>(x^2) = (1 + sqrt(2))^2 is (1 + sqrt(2)) x^2 - A x - f = 0.

    References
    ----------
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Theorem 2 (which
    bounds it; the closed form is ours).

    Examples
    --------
    >>> from robustcore import theory
    >>> round(theory.transition_m(n=100, f=10), 4)
    38.7243
    """
    A = np.sqrt(n - 2 * f) + np.sqrt(2 * f)
    m: Floats = ((A + np.sqrt(A**2 + 4 * SILVER * f)) / (2 * SILVER)) ** 2
    return m


@closed_form(KRUM_F["theory"])
def transition_m_bounds(n: Floats, f: Floats) -> tuple[Floats, Floats]:
    """The bounds on `transition_m` that the paper prints: (low, high).

    Parameters
    ----------
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    tuple of two floats or arrays of float64
        Clients, not rounded.

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
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Theorem 2.

    Examples
    --------
    >>> from robustcore import theory
    >>> low, high = theory.transition_m_bounds(n=100, f=10)
    >>> round(low, 2), round(high, 2)
    (31.43, 62.32)
    """
    A2, C = (np.sqrt(n - 2 * f) + np.sqrt(2 * f)) ** 2, SILVER**2
    return (A2 + np.sqrt(A2**2 + 4 * C * f**2)) / (2 * C), (A2 + np.sqrt(A2**2 + 2 * C * f**2)) / C


# Of x = f / (n - 2f).
_ALLOUAH: dict[str, Callable[[Floats], Floats]] = {
    "krum": lambda x: 6 * (1 + x),
    "geometric_median": lambda x: 4 * (1 + x) ** 2,
    "median": lambda x: 4 * (1 + x) ** 2,
    "trimmed_mean": lambda x: 6 * x * (1 + x),
}


@closed_form(MAJORITY)
def allouah_upper_bound(rule: str, n: Floats, f: Floats) -> Floats:
    """Upper bound on the robustness coefficient kappa* of a rule, as Allouah et al. prove it.

    With x = f / (n - 2f): 6 (1 + x) for Krum, 4 (1 + x)^2 for the geometric and the coordinate-wise median, and
    6 x (1 + x) for the trimmed mean.

    Parameters
    ----------
    rule : {"krum", "geometric_median", "median", "trimmed_mean"}
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        No unit.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.
    ValueError
        When they prove nothing about such a rule.

    Notes
    -----
    Cost: a handful of operations for each result. `kappa_upper_bound` is the better bound for Krum.

    References
    ----------
    Allouah, Farhadkhani, Guerraoui, Gupta, Pinot, Stephan, *Fixing by mixing: a recipe for optimal Byzantine ML under
    heterogeneity*, AISTATS 2023, Table 1.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.allouah_upper_bound("trimmed_mean", n=10, f=2)
    2.6666666666666665
    """
    if rule not in _ALLOUAH:
        raise ValueError(f"there is no bound for {rule!r}; there are {', '.join(sorted(_ALLOUAH))}")
    return _ALLOUAH[rule](f / (n - 2 * f))


_SHARP: dict[str, Callable[[Floats, Floats], Floats]] = {
    "trimmed_mean": lambda n, f: f / (n - 2 * f),
    "median": lambda n, f: np.where(n % 2 == 1, (n - 1) / (n - 2 * f + 1), (n - 2) / (n - 2 * f + 2)),
    "geometric_median": lambda n, f: np.where(n % 2 == 1, (n - 1) / (n - 2 * f + 1), n / (n - 2 * f)),
    "medoid": lambda n, f: 2 * (n - f) * (n - f - 1) / (n - 2 * f) ** 2,
    "mda": lambda n, f: 8 * f**2 / (n - f),
}


@closed_form(MAJORITY)
def sharp_upper_bound(rule: str, n: Floats, f: Floats) -> Floats:
    """Upper bound on the robustness coefficient kappa* of a rule, as sharp as we can prove it.

    The trimmed mean: f / (n - 2f), so that no rule is better. The coordinate-wise median: (n - 1) / (n - 2f + 1) for n
    odd and (n - 2) / (n - 2f + 2) for n even. The geometric median: (n - 1) / (n - 2f + 1) for n odd and n / (n - 2f)
    for n even. These three are exact: there are inputs that reach them, or come as near as one likes. The medoid:
    2 (n - f) (n - f - 1) / (n - 2f)^2. MDA: 8 f^2 / (n - f).

    Parameters
    ----------
    rule : {"trimmed_mean", "median", "geometric_median", "medoid", "mda"}
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        No unit.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.
    ValueError
        When nothing is proved here of such a rule.

    Notes
    -----
    Cost: a handful of operations for each result. Never more than `allouah_upper_bound`.

    Proof for the trimmed mean: it is enough to look at one coordinate, where it is largest when the Byzantine values
    are beyond all others; then it is the mean of the n - 2f largest of the n - f honest ones. With a mean of e above
    that of all, these leave the other f below it by e (n - 2f) / f on average: the variance is e^2 (n - 2f) / f at
    least. The other proofs are in docs/worst.md.

    References
    ----------
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of robustness*,
    Section 6, which asks for these coefficients.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.sharp_upper_bound("trimmed_mean", n=10, f=2), theory.allouah_upper_bound("trimmed_mean", n=10, f=2)
    (0.3333333333333333, 2.6666666666666665)
    """
    if rule not in _SHARP:
        raise ValueError(f"there is no bound for {rule!r}; there are {', '.join(sorted(_SHARP))}")
    return _SHARP[rule](n, f)


@closed_form(MAJORITY)
def smea_upper_bound(n: Floats, f: Floats) -> Floats:
    """Upper bound on the robustness coefficient kappa* of SMEA: 4f / (n - 2f).

    Whichever n - f clients are honest, the squared distance of the aggregate from their mean is at most this times the
    largest eigenvalue of their covariance, which is at most their variance.

    Parameters
    ----------
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        No unit. No rule has less than a quarter of it: f / (n - 2f).

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Proof: let m points have the mean mu and vary by at most v in every direction, and let a of them go: the rest has
    its mean at mu + e, those gone at mu - e (m - a) / a, and along e the m points vary by |e|^2 (m - a) / a at least;
    so that |e|^2 <= v a / (m - a). The subset that SMEA takes and the honest one have n - f points each, vary by at
    most v, the largest eigenvalue of the honest one, and share all but a <= f points: their means are within
    2 sqrt(v f / (n - 2f)).

    References
    ----------
    Allouah, Guerraoui, Gupta, Pinot, Stephan, *On the privacy-robustness-utility trilemma in distributed learning*,
    ICML 2023, where SMEA comes from; Allouah, Farhadkhani, Guerraoui, Gupta, Pinot, Stephan, *Fixing by mixing*,
    AISTATS 2023, for the lower bound.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.smea_upper_bound(n=10, f=2)
    1.3333333333333333
    """
    return 4 * f / (n - 2 * f)


@closed_form(MAJORITY)
def nnm_upper_bound(kappa: Floats, n: Floats, f: Floats) -> Floats:
    """Upper bound on kappa* of a rule behind nearest-neighbour mixing (`NNM`): 8f / (n - f) (kappa + 1).

    Parameters
    ----------
    kappa : float or array of float
        A bound on kappa* of the rule without it, at least 0.
    n, f : int or array of int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float or array of float64
        No unit.

    Raises
    ------
    ConstraintError
        When the numbers do not fit; of arrays, the first that do not.
    ValueError, TypeError
        When kappa is not finite or below 0, or the counts are not whole.

    Notes
    -----
    Cost: a handful of operations for each result.

    Condition: n > 2f.

    References
    ----------
    Allouah, Farhadkhani, Guerraoui, Gupta, Pinot, Stephan, *Fixing by mixing: a recipe for optimal Byzantine ML under
    heterogeneity*, AISTATS 2023 (its Algorithm 2 is NNM).

    Examples
    --------
    >>> from robustcore import theory
    >>> round(theory.nnm_upper_bound(theory.kappa_1(n=100, f=10), n=100, f=10), 3)
    6.717
    """
    return 8 * f / (n - f) * (kappa + 1)
