"""The protocols: what a node makes of the vectors that it has received, and how many rounds are needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, log2, sqrt
from sys import float_info
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from robustcore import validity
from robustcore._constraints import AGREEMENT, AGREEMENT_MDA, TOGETHER, Inequality, safe_agreement
from robustcore._hull import programme
from robustcore.rules.centroids import centroid_ball
from robustcore.rules.columns import box_midpoint, rbtm, trimmed_mean
from robustcore.rules.diameter import mda
from robustcore.rules.distances import pairwise_sqdist
from robustcore.rules.minmax import minmax_meb

Floats = NDArray[Any]
Vectors = Sequence[Floats]


@dataclass(frozen=True)
class Setting:
    """What all nodes know.

    Attributes
    ----------
    n, t : int
        Nodes, and how many of them may be Byzantine.
    d : int
        Dimensions.
    epsilon : float
        How far apart, in Euclidean distance, the outputs of honest nodes may be.
    synchronous : bool
        Whether all messages of honest nodes arrive within the round.
    """

    n: int
    t: int
    d: int
    epsilon: float
    synchronous: bool = True

    @property
    def quorum(self) -> int:
        """So many vectors every node can wait for: n - t."""
        return self.n - self.t

    def lies(self, received: int) -> int:
        """How many of the vectors received may be Byzantine: t; synchronous, where n - t are honest, the others."""
        return received - self.quorum if self.synchronous else self.t


class Protocol(ABC):
    """What all protocols share.

    Attributes
    ----------
    name : str
        What it is called in ``PROTOCOLS``.
    method : str or None
        The row of `theory.centroid_ratio` with its centroid ratio; None where none is proved.
    claims : tuple of str
        The validity conditions that its outputs satisfy.
    together : bool
        Whether honest nodes must end within a round of each other, as vectors may leave the hull of the honest ones.
    opening : int
        Rounds before those that contract.
    """

    name: ClassVar[str]
    method: ClassVar[str | None] = None
    claims: ClassVar[tuple[str, ...]] = ("weak",)
    together: ClassVar[bool] = False
    opening: ClassVar[int] = 0

    @abstractmethod
    def needs(self, d: int, synchronous: bool) -> Inequality:
        """What n and t must satisfy in d dimensions."""

    @abstractmethod
    def contraction(self, setting: Setting) -> float:
        """By which factor the spread of the honest vectors shrinks in a round, at least."""

    @abstractmethod
    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        """The new vector, from at least n - t received."""

    def spread(self, received: Vectors) -> float:
        """A bound on the spread of the honest vectors, from those received in the first round: the longest edge.

        It is that of all received, as any of them may be honest. (The paper has that of the local trusted box, which
        may be a point for one node while others are far apart.)
        """
        X = np.asarray(received, np.float64)
        return 2 * float((X.max(axis=0) / 2 - X.min(axis=0) / 2).max(initial=0.0))

    def tolerance(self, setting: Setting) -> float:
        """Which spread is near enough: edges of at most epsilon / sqrt(d)."""
        return setting.epsilon / sqrt(max(setting.d, 1))

    def rounds(self, setting: Setting, spread: float) -> int:
        """How many rounds are needed by honest vectors so far apart; asynchronous, by those of the second round.

        In an asynchronous network the first round brings all honest vectors into the spread of what each of them has
        received in it, which need not have been all.
        """
        factor = self.contraction(setting)
        excess = log2(min(spread, float_info.max)) - log2(self.tolerance(setting)) if spread else -inf
        needed = 1 if excess <= 0 or not factor else ceil(excess / -log2(factor))
        return needed + (not setting.synchronous)


@dataclass(frozen=True)
class Box(Protocol):
    """Algorithms 3 and 6: the midpoint of the local trusted box and the local centroid box, again and again."""

    name: ClassVar[str] = "box"
    method: ClassVar[str | None] = "box"
    claims: ClassVar[tuple[str, ...]] = ("weak", "strong", "box")

    def needs(self, d: int, synchronous: bool) -> Inequality:
        return AGREEMENT

    def contraction(self, setting: Setting) -> float:
        n, t = setting.n, setting.t
        return 0.0 if t == 0 else 1 / 2 if setting.synchronous else n / (2 * (n - t))

    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        return np.asarray(box_midpoint(received, setting.lies(len(received))))


@dataclass(frozen=True)
class RBTM(Protocol):
    """The trimmed mean, again and again."""

    name: ClassVar[str] = "rbtm"
    method: ClassVar[str | None] = "rbtm"
    claims: ClassVar[tuple[str, ...]] = ("weak", "strong", "box")

    def needs(self, d: int, synchronous: bool) -> Inequality:
        return AGREEMENT

    def contraction(self, setting: Setting) -> float:
        n, t = setting.n, setting.t
        return t / (n - t) if setting.synchronous else t / (n - 2 * t)

    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        lies = setting.lies(len(received))
        # Asynchronous, t are left out of any number from n - t on: the same mean, for which `rbtm` wants n > 3f.
        return np.asarray(rbtm(received, lies) if setting.synchronous else trimmed_mean(received, lies))


class _Euclidean(Protocol):
    """Spread is the largest distance."""

    def spread(self, received: Vectors) -> float:
        largest = sqrt(float(pairwise_sqdist(received).max(initial=0.0)))
        return largest if np.isfinite(largest) else super().spread(received) * sqrt(len(received[0]))

    def tolerance(self, setting: Setting) -> float:
        return setting.epsilon


@dataclass(frozen=True)
class MDA(_Euclidean):
    """Algorithms 2 and 5: minimum-diameter averaging, again and again."""

    name: ClassVar[str] = "mda"
    method: ClassVar[str | None] = "mda"
    claims: ClassVar[tuple[str, ...]] = ("weak", "strong")
    together: ClassVar[bool] = True

    def needs(self, d: int, synchronous: bool) -> Inequality:
        return AGREEMENT_MDA[synchronous]

    def contraction(self, setting: Setting) -> float:
        n, t = setting.n, setting.t
        return 2 * t / (n - t) if setting.synchronous else 3 * t / (n - 2 * t)

    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        n, t = setting.n, setting.t
        return np.asarray(mda(received, len(received) - (n - t if setting.synchronous else n - 2 * t)))


@dataclass(frozen=True)
class CentroidSafeArea(Protocol):
    """Algorithms 1 and 4: the best guess at the centroid, then middles of safe areas, again and again."""

    name: ClassVar[str] = "centroid_safe_area"
    method: ClassVar[str | None] = "centroid_and_safe_area"
    opening: ClassVar[int] = 1

    def needs(self, d: int, synchronous: bool) -> Inequality:
        return safe_agreement(d, synchronous)

    def contraction(self, setting: Setting) -> float:
        return 1 - 1 / (2 * setting.d) if setting.t else 0.0

    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        if round <= self.opening:
            return np.asarray(centroid_ball(received, len(received) - setting.quorum).center)
        return _middle(received, setting.lies(len(received)))


def _middle(received: Vectors, f: int) -> Floats:
    """The mean of the 2d points of the safe area with the largest and the smallest value of a coordinate.

    Linear programmes over as many hulls as matter: where a point is not in the hull of all but some (`in_safe_area`
    says which), that hull is added.
    """
    X = np.asarray(received, np.float64)
    m, d = X.shape
    low = X.min(axis=0)
    size = float((X / 2 - low / 2).max(initial=0.0)) * 2
    if not size:
        return np.array(received[0])
    inner = X / size - low / size
    hulls, found = [np.arange(m)], np.zeros(d)
    for costs in (*np.eye(d), *-np.eye(d)):
        while True:
            x = _extreme(inner, hulls, costs)
            asked = validity.in_safe_area(inner, x, f)
            if asked.inside or not len(asked.removed):
                break
            hulls.append(np.setdiff1d(np.arange(m), asked.removed))
        found += x / (2 * d)
    return np.asarray(low + found * size).astype(received[0].dtype)


def _extreme(points: Floats, hulls: list[NDArray[np.int64]], costs: Floats) -> Floats:
    """The point x of all these hulls with the smallest costs . x."""
    d = points.shape[1]
    width = d + sum(len(hull) for hull in hulls)
    equations, right, at = np.zeros((len(hulls) * (d + 1), width)), np.zeros(len(hulls) * (d + 1)), d
    for i, hull in enumerate(hulls):
        rows, weights = slice(i * (d + 1), (i + 1) * (d + 1)), slice(at, at + len(hull))
        equations[rows, :d] = -np.eye(d + 1, d)
        equations[rows, weights] = np.vstack([points[hull].T, np.ones(len(hull))])
        right[rows.stop - 1] = 1.0
        at += len(hull)
    found = programme(
        np.append(costs, np.zeros(width - d)),
        A_eq=equations,
        b_eq=right,
        bounds=[(None, None)] * d + [(0.0, None)] * (width - d),
    )
    return np.asarray(found.x[:d])


@dataclass(frozen=True)
class MinMaxMEB(_Euclidean):
    """MinMax-MEB, again and again: new here, and nothing is claimed."""

    pace: float = 0.75
    name: ClassVar[str] = "minmax_meb"
    claims: ClassVar[tuple[str, ...]] = ()
    together: ClassVar[bool] = True

    def needs(self, d: int, synchronous: bool) -> Inequality:
        return AGREEMENT if synchronous else TOGETHER

    def contraction(self, setting: Setting) -> float:
        return self.pace if setting.t else 0.0

    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        return np.asarray(minmax_meb(received, setting.lies(len(received))))


PROTOCOLS: dict[str, type[Protocol]] = {
    protocol.name: protocol for protocol in (Box, MDA, RBTM, CentroidSafeArea, MinMaxMEB)
}
