"""Mixing (pre-aggregation): what is done to the vectors before a rule sees them.

A mixing replaces the n vectors by affine combinations of them and the origin. It never touches the data: it is decided
by the matrix of distances, and so is the rule that follows; the weights that the rule gives to the mixed vectors are
traced back to the updates. ``mixing=`` of any rule takes one of these, or a sequence, applied from left to right.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from robustcore import theory
from robustcore._constraints import MAJORITY, as_count, as_number, check_dropped, check_f
from robustcore._geometry import Floats, Geometry
from robustcore._registry import make


class Mixing(ABC):
    """Something done to the vectors before a rule sees them: `NNM`, `Bucketing`, `Clipping`, `ARC`.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[1.0], [2.0], [3.0], [-90.0]])
    >>> rc.Median(mixing=[rc.Clipping(c=10.0), rc.NNM(f=1)])(X)  # of the means 2, 2, 2 and -4/3
    array([2.])
    """

    name: ClassVar[str]
    needs_origin: ClassVar[bool] = False

    def count(self, n: int) -> int:
        """How many vectors there are after it."""
        return n

    def check(self, n: int) -> None:  # noqa: B027  # most have nothing to check
        """Raise ConstraintError if it does not work for n vectors."""

    def guarantee(self, kappa: float, n: int, f: int | None) -> float | None:
        """What becomes of a bound on kappa* of the rule behind it, for n vectors and f; None if unknown."""
        return None

    @abstractmethod
    def apply(self, geometry: Geometry) -> Geometry:
        """The mixed vectors. Where ``needs_origin``, the point behind the vectors is the origin."""


@dataclass(frozen=True)
class NNM(Mixing):
    """Nearest-neighbour mixing: every vector becomes the mean of its n - f nearest, itself among them.

    Ties go to the lowest index. In front of most rules it brings the robustness coefficient down to the best order that
    is possible, O(f / n).

    Parameters
    ----------
    f : int
        How many clients may be Byzantine, n > 2f. Each update that is dropped lowers n and f by one.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.

    Notes
    -----
    Cost: O(n^2 (n + f^2)) in front of rules that are decided by distances, which are formed anyway. In front of
    coordinate-wise rules the distances, and n (n - f) d multiply-adds.

    Guarantee: a kappa* of the rule behind it becomes at most 8f / (n - f) (kappa* + 1)
    (`robustcore.theory.nnm_upper_bound`).

    References
    ----------
    Allouah, Farhadkhani, Guerraoui, Gupta, Pinot, Stephan, *Fixing by mixing: a recipe for optimal Byzantine ML under
    heterogeneity*, AISTATS 2023, Algorithm 2.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[0.0], [1.0], [3.0], [90.0]])
    >>> rc.Median(mixing=rc.NNM(f=1))(X)  # of the means 4/3, 4/3, 4/3, 94/3
    array([1.33333333])
    """

    f: int
    name: ClassVar[str] = "nnm"

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", as_count(self.name, "f", self.f))

    def check(self, n: int) -> None:
        check_f(self.name, MAJORITY, n, self.f)

    def guarantee(self, kappa: float, n: int, f: int | None) -> float | None:
        return theory.nnm_upper_bound(kappa, n, self.f) if f == self.f else None

    def apply(self, geometry: Geometry) -> Geometry:
        n = geometry.n
        k = n - check_dropped(self.name, geometry.total, self.f, geometry.dropped)
        distances = geometry.distances[:n, :n].copy()
        np.fill_diagonal(distances, -1.0)  # itself first, whoever equals it
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
        M = np.zeros((n, len(geometry.full)))
        np.put_along_axis(M, nearest, 1 / k, axis=1)
        return geometry.mix(M, np.arange(n))


@dataclass(frozen=True)
class Bucketing(Mixing):
    """Bucketing: a random permutation of the vectors, cut into buckets of s; each bucket becomes its mean.

    The last bucket may be smaller. There are ceil(n / s) vectors left and at most f of them are Byzantine, so that the
    rule behind it must withstand f among these.

    Parameters
    ----------
    s : int
        Vectors in a bucket, at least 1.
    rng : int or numpy.random.Generator
        Where the permutation comes from. A seed gives the same permutation in every call, a Generator the next one.

    Raises
    ------
    ValueError
        When s is 0.

    Notes
    -----
    Condition: the rule behind it must withstand f of ceil(n / s) vectors.

    Cost: O((n / s)^2 (n + s^2)) in front of rules that are decided by distances; n * d multiply-adds in front of
    coordinate-wise ones.

    References
    ----------
    Karimireddy, He, Jaggi, *Byzantine-robust learning on heterogeneous datasets via bucketing*, ICLR 2022, Algorithm 1.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[1.0], [1.0], [1.0], [1.0], [1.0], [9.0]])
    >>> rc.Median(mixing=rc.Bucketing(s=2, rng=0))(X)
    array([1.])
    """

    s: int
    rng: int | np.random.Generator
    name: ClassVar[str] = "bucketing"

    def __post_init__(self) -> None:
        object.__setattr__(self, "s", as_count(self.name, "s", self.s))
        if self.s == 0:
            raise ValueError("bucketing: s must be at least 1")
        if not isinstance(self.rng, np.random.Generator):
            try:
                object.__setattr__(self, "rng", as_count(self.name, "rng", self.rng))
            except (TypeError, ValueError):
                raise TypeError(f"bucketing: rng must be a seed >= 0 or a numpy Generator, not {self.rng!r}") from None

    def count(self, n: int) -> int:
        return -(-n // self.s)

    def apply(self, geometry: Geometry) -> Geometry:
        n, k = geometry.n, self.count(geometry.n)
        owner = np.empty(n, np.int64)
        owner[np.random.default_rng(self.rng).permutation(n)] = np.arange(n) // self.s
        M = np.zeros((k, len(geometry.full)))
        M[owner, np.arange(n)] = 1 / np.bincount(owner)[owner]
        return geometry.mix(M, owner)


class _Scaling(Mixing):
    """A mixing that shortens vectors that are longer than a bound."""

    needs_origin: ClassVar[bool] = True

    @abstractmethod
    def bound(self, norms: Floats, geometry: Geometry) -> float:
        """The norm that no vector exceeds afterwards."""

    def apply(self, geometry: Geometry) -> Geometry:
        n = geometry.n
        norms = geometry.distances[n, :n]
        bound = self.bound(norms, geometry)
        long = norms > bound
        if not long.any():
            return geometry
        share = np.where(long, bound / np.where(long, norms, 1.0), 1.0)
        M = np.zeros((n, len(geometry.full)))
        M[np.arange(n), np.arange(n)] = share
        M[:, n] = 1.0 - share
        return geometry.mix(M, np.arange(n))


@dataclass(frozen=True)
class Clipping(_Scaling):
    """Static clipping: vectors longer than c are shortened to that norm.

    Parameters
    ----------
    c : float
        The largest norm, in the unit of the updates; positive.

    Raises
    ------
    ValueError
        When c is not a finite number > 0.

    Notes
    -----
    Cost: one more point, the origin, in the distances, and O(n^2). Where vectors are clipped to less than about a
    hundredth of their norm, distances alone no longer tell their directions: one more pass over the data, in float64.

    References
    ----------
    Allouah, Guerraoui, Gupta, Jellouli, Rizk, Stephan, *Adaptive gradient clipping for robust federated learning*,
    ICLR 2025, section 3 (static clipping).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.Mean(mixing=rc.Clipping(c=1.0))(np.array([[0.0, 3.0], [0.0, -1.0], [0.5, 0.0], [0.5, 0.0]]))
    array([0.25, 0.  ])
    """

    c: float
    name: ClassVar[str] = "clipping"

    def __post_init__(self) -> None:
        object.__setattr__(self, "c", as_number(self.name, "c", self.c))

    def bound(self, norms: Floats, geometry: Geometry) -> float:
        return self.c


@dataclass(frozen=True)
class ARC(_Scaling):
    """Adaptive robust clipping: the k = floor(2f (n - f) / n) longest vectors are shortened to the next norm.

    Parameters
    ----------
    f : int
        How many clients may be Byzantine, n > 2f. Each update that is dropped lowers n and f by one.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.

    Notes
    -----
    Cost: as `Clipping`.

    Guarantee: a kappa* of the rule behind it becomes at most kappa* + 2f / (n - 2f).

    References
    ----------
    Allouah, Guerraoui, Gupta, Jellouli, Rizk, Stephan, *Adaptive gradient clipping for robust federated learning*,
    ICLR 2025, Algorithm 2.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.Mean(mixing=rc.ARC(f=1))(np.array([[1.0], [2.0], [3.0], [-90.0]]))  # k = 1: -90 becomes -3
    array([0.75])
    """

    f: int
    name: ClassVar[str] = "arc"

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", as_count(self.name, "f", self.f))

    def check(self, n: int) -> None:
        check_f(self.name, MAJORITY, n, self.f)

    def guarantee(self, kappa: float, n: int, f: int | None) -> float | None:
        return kappa + 2 * self.f / (n - 2 * self.f) if f == self.f else None

    def bound(self, norms: Floats, geometry: Geometry) -> float:
        n, f = geometry.n, check_dropped(self.name, geometry.total, self.f, geometry.dropped)
        return float(np.sort(norms)[n - 1 - 2 * f * (n - f) // n])


MIXINGS: dict[str, type[Mixing]] = {mixing.name: mixing for mixing in (NNM, Bucketing, Clipping, ARC)}


def make_mixing(text: str, f: int | None = None) -> Mixing:
    """The mixing of a name, with parameters behind a colon: ``"nnm"``, ``"nnm:f=2"``, ``"bucketing:s=2,rng=0"``.

    Where it has an f that is not given, that is the ``f`` of the rule behind it.
    """
    name, _, rest = text.partition(":")
    parameters: dict[str, float] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        try:
            parameters[key.strip()] = int(value) if value.strip().lstrip("-").isdigit() else float(value)
        except ValueError:
            raise ValueError(f"{text}: parameters are written name:key=number,key=number") from None
    if name in MIXINGS and f is not None and "f" in MIXINGS[name].__annotations__:
        parameters.setdefault("f", f)
    return make("mixing", MIXINGS, name, parameters)
