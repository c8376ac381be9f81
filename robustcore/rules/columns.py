"""Coordinate-wise rules: each coordinate of the result depends on the n values of that coordinate alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from robustcore._constraints import AGREEMENT, MAJORITY, Inequality, check_dropped, check_f
from robustcore._result import Aggregation
from robustcore._threads import get_num_threads
from robustcore._updates import OnMalformed, Updates
from robustcore.rules._base import NOT_FINITE, Progress, Rule, own_count


class ColumnRule(Rule):
    """A rule of the columns wing: one pass; no client has a weight.

    A row with a NaN or an infinity anywhere is a Byzantine row for the whole vector, wherever in the pass it shows: the
    pass is run again without it.
    """

    f: int | None
    kernel: ClassVar[str]
    needs: ClassVar[Inequality] = MAJORITY

    def __post_init__(self) -> None:
        own_count(self, "f", optional=self._f_is_optional)

    _f_is_optional: ClassVar[bool] = False

    def check(self, n: int) -> None:
        if self.f is not None:
            check_f(self.name, self.needs, n, self.f)

    def _aggregate(self, updates: Updates, progress: Progress) -> Aggregation:
        outputs = updates.empty()
        targets = [out for out in outputs if out.size]
        for _ in range(2):
            left = check_dropped(self.name, updates.n, self.f, updates.dropped)
            f = 0 if self.f is None else left
            if updates.core.columns(self.kernel, f, targets, get_num_threads(), progress):
                break
            updates = updates.keep(updates.core.finite_rows(get_num_threads(), progress), NOT_FINITE)
        return Aggregation(
            value=updates.rebuild(outputs),
            weights=None,
            selected=updates.clients,
            scores=None,
            dropped=dict(sorted(updates.dropped.items())),
            rule=self,
            guarantee=self.guarantee(updates.n),
        )


@dataclass(frozen=True)
class Median(ColumnRule):
    """The coordinate-wise median: the middle value, or the mean of the two.

    Parameters
    ----------
    f : int, optional
        How many clients may be Byzantine, n > 2f. The median has no use for it but to judge how many unusable updates
        are too many; without it, a minority may be.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more updates are not finite.

    Notes
    -----
    Cost: one read of the n*d numbers, about n/4 log2(n)^2 minima and maxima for each coordinate.

    References
    ----------
    Yin, Chen, Ramchandran, Bartlett, *Byzantine-robust distributed learning*, ICML 2018, Definition 1.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.Median()(np.array([[1.0, 5.0], [2.0, 4.0], [3.0, -1e30]]))
    array([2., 4.])
    """

    f: int | None = None
    name: ClassVar[str] = "median"
    kernel: ClassVar[str] = "median"
    _f_is_optional: ClassVar[bool] = True


@dataclass(frozen=True)
class TrimmedMean(ColumnRule):
    """The coordinate-wise trimmed mean: the mean of what is left without the f smallest and the f largest values.

    Parameters
    ----------
    f : int
        How many clients may be Byzantine, n > 2f.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite. Each of those lowers n and f by one.

    Notes
    -----
    Cost: as `Median`.

    References
    ----------
    Yin, Chen, Ramchandran, Bartlett, *Byzantine-robust distributed learning*, ICML 2018, Definition 2.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.TrimmedMean(f=1)(np.array([[1.0], [2.0], [3.0], [99.0]]))
    array([2.5])
    """

    f: int
    name: ClassVar[str] = "trimmed_mean"
    kernel: ClassVar[str] = "trimmed_mean"


@dataclass(frozen=True)
class RBTM(TrimmedMean):
    """The step of the RB-TM agreement: the trimmed mean, for n > 3f.

    Of the values received, as many as may be Byzantine are left out on each side; the mean of the rest lies in the
    local trusted box and in the local centroid box, and so within 2 sqrt(d) of the best approximation of the centroid.

    Parameters
    ----------
    f : int
        How many nodes may be Byzantine, n > 3f.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.

    Notes
    -----
    Cost: as `Median`.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Corollary 4.25 and
    the vector V_k of Lemma 4.19.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.RBTM(f=1)(np.array([[1.0], [2.0], [3.0], [99.0]]))
    array([2.5])
    """

    name: ClassVar[str] = "rbtm"
    needs: ClassVar[Inequality] = AGREEMENT


@dataclass(frozen=True)
class Meamed(ColumnRule):
    """Mean around the median: for each coordinate, the mean of the n - f values nearest the median.

    Of two values at the same distance, the smaller counts as nearer.

    Parameters
    ----------
    f : int
        How many clients may be Byzantine, n > 2f.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.

    Notes
    -----
    Cost: as `Median`, and a search of at most f steps for each coordinate.

    References
    ----------
    Xie, Koyejo, Gupta, *Generalized Byzantine-tolerant SGD*, 2018, Definition 6 (mean around median).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.Meamed(f=1)(np.array([[1.0], [2.0], [3.0], [4.0], [99.0]]))
    array([2.5])
    """

    f: int
    name: ClassVar[str] = "meamed"
    kernel: ClassVar[str] = "meamed"


@dataclass(frozen=True)
class Phocas(ColumnRule):
    """For each coordinate, the mean of the n - f values nearest the trimmed mean.

    Of two values at the same distance, the smaller counts as nearer.

    Parameters
    ----------
    f : int
        How many clients may be Byzantine, n > 2f.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.

    Notes
    -----
    Cost: as `Meamed`.

    References
    ----------
    Xie, Koyejo, Gupta, *Phocas: dimensional Byzantine-resilient stochastic gradient descent*, 2018, Definition 7.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.Phocas(f=1)(np.array([[1.0], [2.0], [3.0], [4.0], [99.0]]))
    array([2.5])
    """

    f: int
    name: ClassVar[str] = "phocas"
    kernel: ClassVar[str] = "phocas"


@dataclass(frozen=True)
class BoxMidpoint(ColumnRule):
    """The midpoint of the intersection of the local trusted box and the local centroid box.

    For each coordinate, the trusted interval leaves out f values on each side, and the centroid interval reaches from
    the mean of the n - f smallest values to the mean of the n - f largest.

    Parameters
    ----------
    f : int
        How many of n nodes may be Byzantine (t in the paper), n > 2f. Where only m_i <= n vectors were received, at
        most m_i - (n - f) of them are Byzantine: pass those m_i and that number.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.

    Notes
    -----
    Cost: as `Median`.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Definitions 3.11 and
    4.14, Observation 4.15 and Algorithm 3, step 6.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.BoxMidpoint(f=1)(np.array([[0.0], [1.0], [2.0], [3.0]]))
    array([1.5])
    """

    f: int
    name: ClassVar[str] = "box_midpoint"
    kernel: ClassVar[str] = "box_midpoint"


def median(X: Any, f: int | None = None, *, malformed: OnMalformed = "raise") -> Any:
    """The coordinate-wise median: `Median` as a function.

    Parameters
    ----------
    X, malformed
        As in `krum`.
    f : int, optional
        How many clients may be Byzantine, n > 2f; see `Median`.

    Returns
    -------
    One update, in the structure, shapes and dtype of the input.

    Raises
    ------
    ConstraintError
        When the numbers do not fit, or more updates are unusable than may be.
    ValueError, TypeError
        When an update is malformed, or X is no collection of updates.

    Notes
    -----
    Cost and source: see `Median`.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.median(np.array([[1.0, 5.0], [2.0, 4.0], [3.0, -1e30], [4.0, 5.0]]))
    array([2.5, 4.5])
    """
    return Median(f)(X, malformed=malformed)


def trimmed_mean(X: Any, f: int, *, malformed: OnMalformed = "raise") -> Any:
    """The coordinate-wise trimmed mean: `TrimmedMean` as a function.

    Parameters
    ----------
    X, malformed
        As in `krum`.
    f : int
        How many clients may be Byzantine, n > 2f.

    Returns
    -------
    One update, in the structure, shapes and dtype of the input, summed in float64.

    Raises
    ------
    ConstraintError
        When the numbers do not fit, or more updates are unusable than may be.
    ValueError, TypeError
        When an update is malformed, or X is no collection of updates.

    Notes
    -----
    Cost and source: see `TrimmedMean`.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.trimmed_mean(np.array([[1.0], [2.0], [3.0], [99.0]]), f=1)
    array([2.5])
    """
    return TrimmedMean(f)(X, malformed=malformed)


def rbtm(X: Any, f: int, *, malformed: OnMalformed = "raise") -> Any:
    """The step of the RB-TM agreement: `RBTM` as a function.

    Parameters
    ----------
    X, malformed
        As in `krum`.
    f : int
        How many nodes may be Byzantine, n > 3f.

    Returns
    -------
    One update, in the structure, shapes and dtype of the input, summed in float64.

    Raises
    ------
    ConstraintError
        When the numbers do not fit, or more updates are unusable than may be.
    ValueError, TypeError
        When an update is malformed, or X is no collection of updates.

    Notes
    -----
    Cost and source: see `RBTM`.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.rbtm(np.array([[1.0], [2.0], [3.0], [99.0]]), f=1)
    array([2.5])
    """
    return RBTM(f)(X, malformed=malformed)


def meamed(X: Any, f: int, *, malformed: OnMalformed = "raise") -> Any:
    """The mean around the median: `Meamed` as a function.

    Parameters
    ----------
    X, malformed
        As in `krum`.
    f : int
        How many clients may be Byzantine, n > 2f.

    Returns
    -------
    One update, in the structure, shapes and dtype of the input, summed in float64.

    Raises
    ------
    ConstraintError
        When the numbers do not fit, or more updates are unusable than may be.
    ValueError, TypeError
        When an update is malformed, or X is no collection of updates.

    Notes
    -----
    Cost and source: see `Meamed`.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.meamed(np.array([[1.0], [2.0], [3.0], [4.0], [99.0]]), f=1)
    array([2.5])
    """
    return Meamed(f)(X, malformed=malformed)


def phocas(X: Any, f: int, *, malformed: OnMalformed = "raise") -> Any:
    """The mean of the n - f values nearest the trimmed mean: `Phocas` as a function.

    Parameters
    ----------
    X, malformed
        As in `krum`.
    f : int
        How many clients may be Byzantine, n > 2f.

    Returns
    -------
    One update, in the structure, shapes and dtype of the input, summed in float64.

    Raises
    ------
    ConstraintError
        When the numbers do not fit, or more updates are unusable than may be.
    ValueError, TypeError
        When an update is malformed, or X is no collection of updates.

    Notes
    -----
    Cost and source: see `Phocas`.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.phocas(np.array([[1.0], [2.0], [3.0], [4.0], [99.0]]), f=1)
    array([2.5])
    """
    return Phocas(f)(X, malformed=malformed)


def box_midpoint(X: Any, f: int, *, malformed: OnMalformed = "raise") -> Any:
    """The midpoint of trusted and centroid box: `BoxMidpoint` as a function.

    Parameters
    ----------
    X, malformed
        As in `krum`.
    f : int
        How many nodes may be Byzantine, n > 2f; see `BoxMidpoint` for fewer than n vectors.

    Returns
    -------
    One update, in the structure, shapes and dtype of the input, summed in float64.

    Raises
    ------
    ConstraintError
        When the numbers do not fit, or more updates are unusable than may be.
    ValueError, TypeError
        When an update is malformed, or X is no collection of updates.

    Notes
    -----
    Cost and source: see `BoxMidpoint`.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.box_midpoint(np.array([[0.0], [1.0], [2.0], [3.0]]), f=1)
    array([1.5])
    """
    return BoxMidpoint(f)(X, malformed=malformed)
