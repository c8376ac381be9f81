"""Coordinate-wise rules: each coordinate of the result depends on the n values of that coordinate alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robustcore import theory
from robustcore._constraints import AGREEMENT, Inequality, check_dropped
from robustcore._geometry import NOT_FINITE, Progress
from robustcore._result import Aggregation
from robustcore._threads import get_num_threads
from robustcore._updates import Core, OnMalformed, Updates
from robustcore.rules._base import Mixings, Rule, aggregation, face_of


class ColumnRule(Rule):
    """A rule of the columns wing: one pass; no client has a weight.

    A row with a NaN or an infinity anywhere is a Byzantine row for the whole vector, wherever in the pass it shows: the
    pass is run again without it. Mixed vectors are formed in float64 within the pass, block by block.
    """

    kernel: ClassVar[str]
    bound: ClassVar[str | None] = None  # whose in theory.sharp_upper_bound
    # What holds whoever is honest: whether the result is within the box around them ("trusted"), or around as far as
    # MDA's is for each coordinate ("near"); and whether it is within the box around the candidate centroids.
    box: ClassVar[str] = ""
    in_centroid_box: ClassVar[bool] = False

    def _guarantee(self, n: int) -> float | None:
        if self.f is None or self.bound is None:
            return None
        return theory.sharp_upper_bound(self.bound, n, self.f)

    def _meb_factor(self, n: int, d: int) -> float | None:
        if not self.box or self.f is None:
            return None
        return theory.box_meb_factor(d) * (theory.mda_meb_factor(n, self.f) if self.box == "near" else 1.0)

    def _centroid_ratio(self, n: int, d: int) -> float | None:
        return theory.box_centroid_ratio(d) if self.in_centroid_box else None

    def _aggregate(self, updates: Updates, progress: Progress) -> Aggregation:
        outputs = updates.empty()
        targets = [out for out in outputs if out.size]
        if self.mixings:
            geometry = self.geometry(updates, progress)
            core = geometry.core.mixed(geometry.M[: geometry.n])
            if geometry.dropped.keys() != updates.dropped.keys():
                updates = updates.keep(np.isin(np.arange(len(updates.clients)), geometry.kept), NOT_FINITE)
            if not self._run(core, updates, targets, progress):
                raise ValueError(f"{self.name}: the mixed updates are beyond the range of float64")
        elif not self._run(updates.core, updates, targets, progress):
            updates = updates.keep(updates.core.finite_rows(get_num_threads(), progress), NOT_FINITE)
            self._run(updates.core, updates, targets, progress)
        return aggregation(self, updates, outputs)

    def _run(self, core: Core, updates: Updates, targets: list[Any], progress: Progress) -> bool:
        left = check_dropped(self.name, updates.n, self.f, updates.dropped)
        f = 0 if self.f is None else left
        return core.columns(self.kernel, f, targets, get_num_threads(), progress)


@dataclass(frozen=True, repr=False)
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

    Guarantee: kappa* = (n - 1) / (n - 2f + 1) for n odd, (n - 2) / (n - 2f + 2) for n even
    (`robustcore.theory.sharp_upper_bound`). In the trusted box, as `BoxMidpoint`.

    References
    ----------
    Yin, Chen, Ramchandran, Bartlett, *Byzantine-robust distributed learning*, ICML 2018, Definition 1.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.median(np.array([[1.0, 5.0], [2.0, 4.0], [3.0, -1e30]]))
    array([2., 4.])
    """

    f: int | None = None
    name: ClassVar[str] = "median"
    kernel: ClassVar[str] = "median"
    bound: ClassVar[str | None] = "median"
    box: ClassVar[str] = "trusted"


@dataclass(frozen=True, repr=False)
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

    Guarantee: kappa* = f / (n - 2f) (`robustcore.theory.sharp_upper_bound`): no rule has less. In the trusted box and
    in the centroid box, as `BoxMidpoint`.

    References
    ----------
    Yin, Chen, Ramchandran, Bartlett, *Byzantine-robust distributed learning*, ICML 2018, Definition 2.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.trimmed_mean(np.array([[1.0], [2.0], [3.0], [99.0]]), f=1)
    array([2.5])
    """

    f: int
    name: ClassVar[str] = "trimmed_mean"
    kernel: ClassVar[str] = "trimmed_mean"
    bound: ClassVar[str | None] = "trimmed_mean"
    box: ClassVar[str] = "trusted"
    in_centroid_box: ClassVar[bool] = True


@dataclass(frozen=True, repr=False)
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

    Guarantee: that of `TrimmedMean`; as an agreement, a 2 sqrt(d)-approximation of the centroid (Corollary 4.25).

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Corollary 4.25 and
    the vector V_k of Lemma 4.19.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.rbtm(np.array([[1.0], [2.0], [3.0], [99.0]]), f=1)
    array([2.5])
    """

    name: ClassVar[str] = "rbtm"
    needs: ClassVar[Inequality] = AGREEMENT


@dataclass(frozen=True, repr=False)
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

    Guarantee: within sqrt(d) (1 + 2f / (n - f)) radii of the centre of the honest updates' smallest enclosing ball: for
    each coordinate, the values taken are within the honest range of the median, which is in it, and so at most f of
    them are up to three times its half from its middle. In the centroid box, as `BoxMidpoint`.

    References
    ----------
    Xie, Koyejo, Gupta, *Generalized Byzantine-tolerant SGD*, 2018, Definition 6 (mean around median).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.meamed(np.array([[1.0], [2.0], [3.0], [4.0], [99.0]]), f=1)
    array([2.5])
    """

    f: int
    name: ClassVar[str] = "meamed"
    box: ClassVar[str] = "near"
    in_centroid_box: ClassVar[bool] = True
    kernel: ClassVar[str] = "meamed"


@dataclass(frozen=True, repr=False)
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

    Guarantee: that of `Meamed`: the trimmed mean is in the honest range as well.

    References
    ----------
    Xie, Koyejo, Gupta, *Phocas: dimensional Byzantine-resilient stochastic gradient descent*, 2018, Definition 7.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.phocas(np.array([[1.0], [2.0], [3.0], [4.0], [99.0]]), f=1)
    array([2.5])
    """

    f: int
    name: ClassVar[str] = "phocas"
    box: ClassVar[str] = "near"
    in_centroid_box: ClassVar[bool] = True
    kernel: ClassVar[str] = "phocas"


@dataclass(frozen=True, repr=False)
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

    Guarantee: in the trusted box, the smallest around the honest updates, and so within sqrt(d) radii of the centre of
    their smallest enclosing ball (Lemma 7.5 of Cambus et al., *Practical validity conditions for Byzantine-tolerant
    federated learning*); in the centroid box, and so within 2 sqrt(d) radii of `centroid_ball` of the true centroid
    (Lemma 4.23).

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Definitions 3.11 and
    4.14, Observation 4.15 and Algorithm 3, step 6.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.box_midpoint(np.array([[0.0], [1.0], [2.0], [3.0]]), f=1)
    array([1.5])
    """

    f: int
    name: ClassVar[str] = "box_midpoint"
    box: ClassVar[str] = "trusted"
    in_centroid_box: ClassVar[bool] = True
    kernel: ClassVar[str] = "box_midpoint"


@dataclass(frozen=True, repr=False)
class SignMajority(ColumnRule):
    """The majority vote on the sign of each coordinate: 1, -1, or 0 where as many vote for as against.

    A zero votes for neither.

    Parameters
    ----------
    f : int, optional
        How many clients may be Byzantine, n > 2f; as in `Median`.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more updates are not finite.

    Notes
    -----
    Cost: one read of the n*d numbers and two comparisons for each.

    References
    ----------
    Bernstein, Zhao, Azizzadenesheli, Anandkumar, *signSGD with majority vote is communication efficient and fault
    tolerant*, ICLR 2019, Algorithm 1.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.sign_majority(np.array([[2.0, -1.0, 0.0], [3.0, -0.1, 5.0], [-90.0, 7.0, -1.0]]))
    array([ 1., -1.,  0.])
    """

    f: int | None = None
    name: ClassVar[str] = "sign_majority"
    kernel: ClassVar[str] = "sign_majority"


@face_of(Median)
def median(X: Any, f: int | None = None, *, mixing: Mixings = (), malformed: OnMalformed = "raise") -> Any:
    return Median(f, mixing=mixing)(X, malformed=malformed)


@face_of(TrimmedMean)
def trimmed_mean(X: Any, f: int, *, mixing: Mixings = (), malformed: OnMalformed = "raise") -> Any:
    return TrimmedMean(f, mixing=mixing)(X, malformed=malformed)


@face_of(RBTM)
def rbtm(X: Any, f: int, *, mixing: Mixings = (), malformed: OnMalformed = "raise") -> Any:
    return RBTM(f, mixing=mixing)(X, malformed=malformed)


@face_of(Meamed)
def meamed(X: Any, f: int, *, mixing: Mixings = (), malformed: OnMalformed = "raise") -> Any:
    return Meamed(f, mixing=mixing)(X, malformed=malformed)


@face_of(Phocas)
def phocas(X: Any, f: int, *, mixing: Mixings = (), malformed: OnMalformed = "raise") -> Any:
    return Phocas(f, mixing=mixing)(X, malformed=malformed)


@face_of(BoxMidpoint)
def box_midpoint(X: Any, f: int, *, mixing: Mixings = (), malformed: OnMalformed = "raise") -> Any:
    return BoxMidpoint(f, mixing=mixing)(X, malformed=malformed)


@face_of(SignMajority)
def sign_majority(X: Any, f: int | None = None, *, mixing: Mixings = (), malformed: OnMalformed = "raise") -> Any:
    return SignMajority(f, mixing=mixing)(X, malformed=malformed)
