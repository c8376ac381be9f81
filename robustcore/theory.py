"""Closed-form guarantees: what a rule is worth before any data is seen."""

from __future__ import annotations

import math
from collections.abc import Callable

from robustcore._constraints import KRUM_F, KRUM_M, MAJORITY, as_count, check_f, check_m

__all__ = ["allouah_upper_bound", "kappa_upper_bound", "smea_upper_bound"]


def kappa_upper_bound(n: int, f: int, m: int) -> float:
    """Upper bound on the robustness coefficient kappa* of m-MultiKrum (Krum is m = 1).

    ``(n-f)/(n-2f) * min((1 + sqrt(2))^2, (sqrt((n-2f)/m) + sqrt(2f/m) + f/m)^2)``: whichever n - f clients are honest,
    the squared distance of the aggregate from their mean is at most this times their variance.

    Parameters
    ----------
    n, f, m : int
        Clients, Byzantine clients, clients averaged; n > 2f and 1 <= m <= n - f.

    Returns
    -------
    float
        No unit. The same for all m up to the transition of Theorem 2 (0.17 n to 0.6 n, more for more f), and decreasing
        from there on: m = n - f has the best bound.

    Raises
    ------
    ConstraintError
        When n, f and m do not fit.

    Notes
    -----
    Cost: a handful of operations.

    References
    ----------
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Theorem 1 (printed with the inequality the wrong way round).

    Examples
    --------
    >>> from robustcore import theory
    >>> round(theory.kappa_upper_bound(n=100, f=10, m=90), 3)
    2.617
    >>> round(theory.kappa_upper_bound(n=100, f=10, m=1), 3)  # Krum
    6.557
    """
    n, f, m = (as_count("kappa_upper_bound", name, value) for name, value in (("n", n), ("f", f), ("m", m)))
    check_f("kappa_upper_bound", KRUM_F["theory"], n, f)
    check_m("kappa_upper_bound", KRUM_M["theory"], n, f, m)
    one = 1 + math.sqrt(2)
    two = (math.sqrt(n - 2 * f) + math.sqrt(2 * f)) / math.sqrt(m) + f / m
    return (n - f) / (n - 2 * f) * min(one, two) ** 2


# Of x = f / (n - 2f).
_ALLOUAH: dict[str, Callable[[float], float]] = {
    "krum": lambda x: 6 * (1 + x),
    "geometric_median": lambda x: 4 * (1 + x) ** 2,
    "median": lambda x: 4 * (1 + x) ** 2,
    "trimmed_mean": lambda x: 6 * x * (1 + x),
}


def allouah_upper_bound(rule: str, n: int, f: int) -> float:
    """Upper bound on the robustness coefficient kappa* of a rule, as Allouah et al. prove it.

    With x = f / (n - 2f): 6 (1 + x) for Krum, 4 (1 + x)^2 for the geometric and the coordinate-wise median, and
    6 x (1 + x) for the trimmed mean.

    Parameters
    ----------
    rule : {"krum", "geometric_median", "median", "trimmed_mean"}
    n, f : int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float
        No unit.

    Raises
    ------
    ConstraintError
        When n and f do not fit.
    ValueError
        When they prove nothing about such a rule.

    Notes
    -----
    Cost: a handful of operations. `kappa_upper_bound` is the better bound for Krum.

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
    n, f = (as_count("allouah_upper_bound", name, value) for name, value in (("n", n), ("f", f)))
    check_f("allouah_upper_bound", MAJORITY, n, f)
    return _ALLOUAH[rule](f / (n - 2 * f))


def smea_upper_bound(n: int, f: int) -> float:
    """Upper bound on the robustness coefficient kappa* of SMEA: 4f / (n - 2f).

    Whichever n - f clients are honest, the squared distance of the aggregate from their mean is at most this times the
    largest eigenvalue of their covariance, which is at most their variance.

    Parameters
    ----------
    n, f : int
        Clients, and Byzantine clients; n > 2f.

    Returns
    -------
    float
        No unit. No rule has less than a quarter of it: f / (n - 2f).

    Raises
    ------
    ConstraintError
        When n and f do not fit.

    Notes
    -----
    Cost: a handful of operations.

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
    n, f = (as_count("smea_upper_bound", name, value) for name, value in (("n", n), ("f", f)))
    check_f("smea_upper_bound", MAJORITY, n, f)
    return 4 * f / (n - 2 * f)
