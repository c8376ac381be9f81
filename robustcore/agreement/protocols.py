"""The protocols: what a node makes of the vectors that it has received, and how many rounds are needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, log2
from sys import float_info
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from robustcore import validity
from robustcore._constraints import AGREEMENT, AGREEMENT_MDA, TOGETHER, Inequality, as_number, safe_agreement
from robustcore._safe_middle import safe_area_middle
from robustcore.rules.centroids import centroid_ball
from robustcore.rules.columns import box_midpoint, rbtm, trimmed_mean
from robustcore.rules.diameter import mda
from robustcore.rules.distances import pairwise_sqdist
from robustcore.rules.minmax import minmax_meb

Floats = NDArray[Any]
Vectors = Sequence[Floats]


def longest_edge(vectors: Vectors) -> float:
    """That of the box around the vectors; infinite where float64 has no number for it."""
    differences, exponent = _differences(vectors)
    with np.errstate(over="ignore"):
        return float(np.ldexp(differences.max(initial=0.0), exponent))


def diameter(vectors: Vectors) -> float:
    """The largest distance of two vectors, also where its square vanishes or overflows."""
    differences, exponent = _differences(vectors)
    with np.errstate(over="ignore"):
        return float(np.ldexp(np.sqrt(pairwise_sqdist(differences).max(initial=0.0)), exponent))


def _differences(vectors: Vectors) -> tuple[Floats, int]:
    """Those from the smallest value of each coordinate, in units of 2^exponent, so that the largest is around 1."""
    X = np.asarray(vectors, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        differences, down = X - X.min(axis=0), 0
        if not np.isfinite(differences).all():
            differences, down = X / 4 - X.min(axis=0) / 4, 2
    exponent = int(np.frexp(differences.max(initial=0.0))[1])
    return np.ldexp(differences, -exponent), exponent + down


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
    """What all protocols share: a frozen dataclass, alike for all nodes.

    Attributes
    ----------
    name : str
        What it is called in ``PROTOCOLS``.
    method : str or None
        The row of `theory.centroid_ratio` that bounds its centroid ratio; None where nothing does.
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
        """By which factor the spread of the honest vectors shrinks in a round, at least, until the first node ends."""

    @abstractmethod
    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        """The new vector, from at least n - t received."""

    def spread(self, received: Vectors) -> float:
        """A bound on the spread of the honest vectors, from those received in a round: the longest edge.

        It is that of all received, as any of them may be honest. (The paper has that of the local trusted box, which
        may be a point for one node while others are far apart.)
        """
        return longest_edge(received)

    def log2_tolerance(self, setting: Setting) -> float:
        """The logarithm of the spread that is near enough, which may be too small itself: of epsilon / sqrt(d)."""
        return log2(setting.epsilon) - log2(max(setting.d, 1)) / 2

    def rounds(self, setting: Setting, spread: float) -> int:
        """How many rounds are needed, at most, from one on in which a node has received vectors so far apart.

        In an asynchronous network it need not have received all. But its round brings all honest vectors into the
        spread of what it has received, which is then what the others have to shrink.
        """
        factor = self.contraction(setting)
        excess = log2(min(spread, float_info.max)) - self.log2_tolerance(setting) if spread else -inf
        needed = ceil(excess / -log2(factor)) if excess > 0 and factor else 0
        # Nodes that end together may leave what has been received, so that one more is needed even where it is near.
        return max(needed, 1) if setting.synchronous else 1 + max(needed, self.together or (excess > 0))


@dataclass(frozen=True)
class Box(Protocol):
    """Algorithms 3 and 6: the middle of the local trusted box and the local centroid box, again and again.

    Notes
    -----
    Cost: that of `box_midpoint` in each round.

    Condition: n > 3t.

    Guarantee: box validity; a centroid ratio of 2 sqrt(d), asynchronous 4 sqrt(d). The longest edge shrinks by (n - 1)
    / (2 (n - t)) < 3/4 in each round; asynchronous, by n / (2 (n - t)) < 3/4. Both are attained, the former for t >= 2.

    Where we differ from the paper. Lemma 4.20 has 1/2, which it proves of the middles of trusted boxes. Their
    intersections with centroid boxes need not meet: of n = 7 with t = 2 and the honest values 0, 0, 0, 0, 1, a node
    that has also received 6 is at 0.6, and one that has received -5 instead is at 0. Where the interval of node i
    begins above the end of that of node j, it begins with the mean of the n - t smallest values received by i (or the
    mirror image): of n - t values, none above the honest ones and at most t - 1 above the end of j's interval, so that
    the gap is at most (t - 1) / (n - t) edges. (If all t were, i would have received the honest values only, be at
    their mean, and less than half an edge from j.) The middles are half the gap and half an edge apart, at most.
    Asynchronous, two nodes may have missed others, and t takes the place of t - 1.

    Algorithm 6 goes on with the first n - t vectors. With n <= 4t it does not converge, as two nodes then need not
    share more than n - 2t: of 0, 0, 1, 1 one may have three with the median 0, and another three with the median 1.
    (Lemma 5.14 takes over a proof in which all honest vectors are received.) Witnesses mend it: see
    `robustcore.agreement.node.Node`. Of m >= n - t vectors received, t are left out on each side, and centroids are of
    m - t: means of those of n - 2t, so that the centroid ratio stands.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Theorems 4.18 and
    5.13; Abraham, Amit, Dolev, *Optimal resilience asynchronous approximate agreement*, OPODIS 2004, for witnesses.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.agreement import PROTOCOLS, Setting
    >>> setting = Setting(n=4, t=1, d=1, epsilon=0.001)
    >>> PROTOCOLS["box"]().contraction(setting), PROTOCOLS["box"]().rounds(setting, spread=1.0)  # 2^-10 < 0.001
    (0.5, 10)
    """

    name: ClassVar[str] = "box"
    method: ClassVar[str | None] = "box"
    claims: ClassVar[tuple[str, ...]] = ("weak", "strong", "box")

    def needs(self, d: int, synchronous: bool) -> Inequality:
        return AGREEMENT

    def contraction(self, setting: Setting) -> float:
        n, t = setting.n, setting.t
        return (n - setting.synchronous) / (2 * (n - t)) if t else 0.0

    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        return np.asarray(box_midpoint(received, setting.lies(len(received))))


@dataclass(frozen=True)
class RBTM(Protocol):
    """RB-TM: the trimmed mean, again and again.

    Notes
    -----
    Cost: that of `rbtm` in each round.

    Condition: n > 3t.

    Guarantee: box validity; a centroid ratio of 2 sqrt(d), asynchronous 4 sqrt(d). The longest edge shrinks by t / (n -
    t) in each round, asynchronous by t / (n - 2t). For a trimmed mean is linear in values as long as their order stays,
    so that the largest difference of two is one of values 0 and 1; and of those that is the worst.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Corollaries 4.25 and
    5.17; El-Mhamdi, Farhadkhani, Guerraoui, Guirguis, Hoang, Rouault, *Collaborative learning in the jungle*, NeurIPS
    2021.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.agree(np.array([[0.0], [1.0], [5.0], [9.0]]), "rbtm", t=1, epsilon=0.1).outputs[0]
    array([3.])
    """

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
        return diameter(received)

    def log2_tolerance(self, setting: Setting) -> float:
        return log2(setting.epsilon)


@dataclass(frozen=True)
class MDA(_Euclidean):
    """Algorithms 2 and 5: minimum-diameter averaging, again and again.

    Notes
    -----
    Cost: that of `mda` in each round, exponential in t at worst.

    Condition: n > 4t; asynchronous, n > 7t.

    Guarantee: strong validity; the centroid ratio of `theory.centroid_ratio`, below 4, asynchronous below 7.2. The
    diameter shrinks by 2t / (n - t) in each round, asynchronous by 3t / (n - 2t).

    Where we differ from the paper: a mean may lie t / (n - t) diameters outside of the hull of the honest vectors. So
    nodes that go on after another one has ended may leave it behind, and nodes have to end together
    (`robustcore.agreement.node.Node`). When two of them end in rounds that follow each other, they are 1 + t / (n - t)
    diameters apart at most, asynchronous 1 + t / (n - 2t); and that of the diameter after one round more than is
    needed.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Theorems 4.9 and
    5.8.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.agree(np.array([[0.0], [1.0], [5.0], [6.0], [99.0]]), "mda", t=1, epsilon=0.1).outputs[0]
    array([3.])
    """

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
class SafeArea(Protocol):
    """Agreement in safe areas: points that are in the hull of any m - f of the m vectors received.

    Of the points of the safe area, each node takes the mean of those 2d that have the largest or the smallest value of
    a coordinate.

    Notes
    -----
    Cost: in each round and node, linear programmes over hulls of up to n points in d dimensions and `in_safe_area`, 2d
    times or more; exponential in t at worst.

    Condition: n > max(3, d + 1) t; asynchronous, n > max(3, d + 2) t.

    Guarantee: convex validity, and so a centroid ratio that may be 2d (Theorem 4.1) or more. The longest edge shrinks
    by 1 - 1/(2d) in each round: the safe areas of two nodes have a point in common, and each mean is 1/(2d) of the way
    from it to the farthest value in a coordinate, or more. (Any point of the safe area will not do: where half of the
    nodes miss a vector, the geometric medians of both halves may stay where they are. For the average in the paper's
    SafeAlg, 1 - 1 / (n C(n, t)) is proved.)

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Definitions 3.2 and
    5.1; Mendes, Herlihy, Vaidya, Garg, *Multidimensional agreement in Byzantine systems*, Distributed Computing 28,
    2015.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.agree(np.array([[0.0], [1.0], [6.0], [9.0]]), "safe_area", t=1, epsilon=0.1).outputs[0]
    array([3.5])
    """

    name: ClassVar[str] = "safe_area"
    claims: ClassVar[tuple[str, ...]] = ("weak", "strong", "box", "convex")

    def needs(self, d: int, synchronous: bool) -> Inequality:
        return safe_agreement(d, synchronous)

    def contraction(self, setting: Setting) -> float:
        return 1 - 1 / (2 * setting.d) if setting.t else 0.0

    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        lies = setting.lies(len(received))
        try:
            return safe_area_middle(received, lies)
        except ArithmeticError:  # the digits do not suffice, or more than t are Byzantine and there is no safe area
            point = validity.safe_area_point(received, lies).point
            return np.asarray(validity.trusted_box(received, lies).midpoint if point is None else point)


@dataclass(frozen=True)
class CentroidSafeArea(SafeArea):
    """Algorithms 1 and 4: a round for the best guess at the centroid, then as `SafeArea`.

    Notes
    -----
    Cost: that of `centroid_ball`, exponential in t at worst; then as `SafeArea`.

    Condition: that of `SafeArea`.

    Guarantee: weak validity; a centroid ratio of 1, asynchronous 2. Where a node has received n - t vectors, the ball
    around the candidates is their mean, which is the first step of Algorithm 4.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Theorems 4.4 and
    5.4.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> trace = rc.agree(np.array([[0.0], [1.0], [6.0], [9.0]]), "centroid_safe_area", t=1, epsilon=0.1)
    >>> trace.outputs[0].round(6), round(trace.ratio, 6) <= 1
    (array([3.833333]), True)
    """

    name: ClassVar[str] = "centroid_safe_area"
    method: ClassVar[str | None] = "centroid_and_safe_area"
    claims: ClassVar[tuple[str, ...]] = ("weak",)
    opening: ClassVar[int] = 1

    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        if round > self.opening:
            return super().step(received, round, setting)
        return np.asarray(centroid_ball(received, len(received) - setting.quorum).center)


@dataclass(frozen=True)
class MDASafeArea(SafeArea):
    """A round of minimum-diameter averaging, then as `SafeArea`.

    Notes
    -----
    Cost: that of `mda`, then as `SafeArea`.

    Condition: n > max(4, d + 1) t; asynchronous, n > max(7, d + 2) t.

    Guarantee: strong validity; a centroid ratio of 2, asynchronous 4.8.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Observations 4.10
    and 5.9.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.agree(np.array([[0.0], [1.0], [5.0], [6.0], [99.0]]), "mda_safe_area", t=1, epsilon=0.1).outputs[0]
    array([3.])
    """

    name: ClassVar[str] = "mda_safe_area"
    method: ClassVar[str | None] = "mda_and_safe_area"
    claims: ClassVar[tuple[str, ...]] = ("weak", "strong")
    opening: ClassVar[int] = 1

    def needs(self, d: int, synchronous: bool) -> Inequality:
        return safe_agreement(d, synchronous, mda=True)

    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        return super().step(received, round, setting) if round > self.opening else MDA().step(received, round, setting)


@dataclass(frozen=True)
class MinMaxMEB(_Euclidean):
    """MinMax-MEB, again and again: new here, measured, and nothing is claimed.

    Parameters
    ----------
    pace : float
        By how much the diameter is taken to shrink in each round, which decides how many there are.

    Notes
    -----
    Cost: that of `minmax_meb` in each round, exponential in t at worst.

    Condition: n > 3t; asynchronous, n > 4t.

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Algorithm 1, for the step.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.agree(np.array([[0.0], [1.0], [5.0], [99.0]]), "minmax_meb", t=1, epsilon=0.1).agreed
    True
    """

    pace: float = 0.75
    name: ClassVar[str] = "minmax_meb"
    claims: ClassVar[tuple[str, ...]] = ()
    together: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not as_number("MinMaxMEB", "pace", self.pace) < 1:
            raise ValueError(f"MinMaxMEB: pace must be less than 1, not {self.pace!r}")

    def needs(self, d: int, synchronous: bool) -> Inequality:
        return AGREEMENT if synchronous else TOGETHER

    def contraction(self, setting: Setting) -> float:
        return self.pace if setting.t else 0.0

    def step(self, received: Vectors, round: int, setting: Setting) -> Floats:
        return np.asarray(minmax_meb(received, setting.lies(len(received))))


PROTOCOLS: dict[str, type[Protocol]] = {
    protocol.name: protocol for protocol in (Box, RBTM, MDA, SafeArea, CentroidSafeArea, MDASafeArea, MinMaxMEB)
}
