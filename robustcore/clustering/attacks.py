"""What Byzantine machines send instead of their centers.

An attack is a frozen dataclass, found by name. The Byzantine machines work together and know everything: the points,
who holds which, and what every machine would honestly send (`Scene`)::

    attack = make_attack("shift", by=0.5)    # or Shift(by=0.5)
    replies = attack(scene, rng=0)           # machine -> what it sends, for the Byzantine machines

============ ============= ============================================================================
"random"     `Random`      centers drawn in the box around the data
"shift"      `Shift`       the own honest centers, all moved by the same vector
"borrow"     `Borrow`      the honest centers of another machine
"attract"    `Attract`     the own honest centers, of which one moves as far as the filter lets it pass
"nan"        `NaN`         no numbers
"silent"     `Silent`      nothing
"malformed"  `Malformed`   wrong shapes, words, too many centers, too few
============ ============= ============================================================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import as_number
from robustcore._registry import make
from robustcore.clustering.assignment import Assignment
from robustcore.clustering.fusion import blocks, cost, read

__all__ = [
    "ATTACKS",
    "Attack",
    "Attract",
    "Borrow",
    "Malformed",
    "NaN",
    "Random",
    "Scene",
    "Shift",
    "Silent",
    "make_attack",
]

Floats = NDArray[np.float64]
HALVINGS = 24  # of how far to go
VICTIMS = 4  # clusters that are tried


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that the Byzantine machines know.

    Attributes
    ----------
    X : (n, d) floating
        The points.
    sample_weight : (n,) float64 or None
        Their weights.
    assignment : Assignment
        Who holds which of them.
    honest : list of m
        What every machine would honestly send: (k, d) centers, or nothing (None or `Missing`).
    byzantine : (b,) int64
        The machines that lie, in order.
    k, t, power : int
        The number of centers, how many machines may lie, and 1 for k-medians, 2 for k-means.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment, Scene
    >>> X, everything = np.array([[0.0], [4.0]]), Assignment(np.ones((3, 2)))
    >>> scene = Scene(X, None, everything, [np.array([[2.0]])] * 3, np.array([1]), k=1, t=1, power=2)
    >>> scene.diagonal, scene.cost(0, np.array([[1.0]]))
    (4.0, (10.0, array([2.])))
    """

    X: NDArray[Any]
    sample_weight: Floats | None
    assignment: Assignment
    honest: list[Any]
    byzantine: NDArray[np.int64]
    k: int
    t: int
    power: int

    @cached_property
    def box(self) -> tuple[Floats, Floats]:
        """The least and the greatest of each coordinate, (d,) each."""
        low, high = self.X[0].astype(np.float64), self.X[0].astype(np.float64)
        for block in blocks(self.X, None):
            rows = self.X[block]
            low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
        return low, high

    @property
    def diagonal(self) -> float:
        """The diagonal of the box around the data."""
        low, high = self.box
        return float(np.linalg.norm(high - low))

    def centers(self, machine: int) -> Floats:
        """What the machine would honestly send; a point in the middle, k times, where it would send nothing."""
        reply = read(self.honest[machine], self.k, self.X.shape[1])
        return np.repeat(np.mean(self.box, axis=0)[np.newaxis], self.k, axis=0) if isinstance(reply, str) else reply

    def cost(self, machine: int, centers: Floats) -> tuple[float, Floats]:
        """What centers would cost on the machine's points, and the weight that each would have, before rho."""
        return cost(self.X, self.sample_weight, self.assignment.points(machine), centers, self.power)


class Attack(ABC):
    """What every attack shares: how it is called.

    Attributes
    ----------
    name : str
        What the attack is called in ``ATTACKS``.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment
    >>> from robustcore.clustering.attacks import Scene, make_attack
    >>> X = np.array([[0.0], [2.0], [9.0], [9.0]])
    >>> everything, honest = Assignment.of(np.ones((3, 4))), [np.array([[1.0], [9.0]])] * 3
    >>> scene = Scene(X, None, everything, honest, byzantine=np.array([1]), k=2, t=1, power=2)
    >>> for name in ["borrow", "nan", "silent"]:
    ...     print(name, make_attack(name)(scene, rng=0))
    borrow {1: array([[1.],
           [9.]])}
    nan {1: array([[nan],
           [nan]])}
    silent {1: None}
    """

    name: ClassVar[str]

    def __call__(self, scene: Scene, rng: np.random.Generator | int | None = None) -> dict[int, Any]:
        """What each Byzantine machine sends.

        Parameters
        ----------
        scene : Scene
        rng : numpy.random.Generator or seed, optional
            Where attacks that draw do so.

        Returns
        -------
        dict of int to object
            machine -> reply, for the Byzantine machines.
        """
        return self._attack(scene, np.random.default_rng(rng)) if len(scene.byzantine) else {}

    @abstractmethod
    def _attack(self, scene: Scene, rng: np.random.Generator) -> dict[int, Any]: ...


@dataclass(frozen=True)
class Random(Attack):
    """Centers drawn uniformly in the box around the data, by each machine for itself.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment, Scene, make_attack
    >>> X, A, honest = np.array([[0.0], [4.0]]), Assignment(np.ones((3, 2))), [np.array([[2.0]])] * 3
    >>> scene = Scene(X, None, A, honest, byzantine=np.array([1]), k=1, t=1, power=2)
    >>> make_attack("random")(scene, rng=0)[1].round(2)
    array([[2.55]])
    """

    name: ClassVar[str] = "random"

    def _attack(self, scene: Scene, rng: np.random.Generator) -> dict[int, Any]:
        low, high = scene.box
        return {i: low + rng.random((scene.k, len(low))) * (high - low) for i in scene.byzantine.tolist()}


@dataclass(frozen=True)
class Shift(Attack):
    """The own honest centers, all moved by the same vector of a direction that is drawn.

    Parameters
    ----------
    by : float
        Its length, as a share of the diagonal of the box around the data.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment, Scene, make_attack
    >>> X, A, honest = np.array([[0.0], [4.0]]), Assignment(np.ones((3, 2))), [np.array([[2.0]])] * 3
    >>> scene = Scene(X, None, A, honest, byzantine=np.array([1]), k=1, t=1, power=2)
    >>> make_attack("shift", by=1.5)(scene, rng=0)[1]
    array([[8.]])
    """

    by: float = 0.25
    name: ClassVar[str] = "shift"

    def __post_init__(self) -> None:
        as_number(self.name, "by", self.by, "")

    def _attack(self, scene: Scene, rng: np.random.Generator) -> dict[int, Any]:
        direction = rng.standard_normal(scene.X.shape[1])
        move = direction * (self.by * scene.diagonal / np.linalg.norm(direction))
        return {i: scene.centers(i) + move for i in scene.byzantine.tolist()}


@dataclass(frozen=True)
class Borrow(Attack):
    """The honest centers of another machine, which each machine draws for itself.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment, Scene, make_attack
    >>> X, A, honest = np.array([[0.0], [4.0]]), Assignment(np.ones((3, 2))), [np.array([[2.0]])] * 3
    >>> scene = Scene(X, None, A, honest, byzantine=np.array([1]), k=1, t=1, power=2)
    >>> make_attack("borrow")(scene, rng=0)[1]
    array([[2.]])
    """

    name: ClassVar[str] = "borrow"

    def _attack(self, scene: Scene, rng: np.random.Generator) -> dict[int, Any]:
        m = scene.assignment.m
        return {i: scene.centers((i + int(rng.integers(1, max(m, 2)))) % m) for i in scene.byzantine.tolist()}


@dataclass(frozen=True)
class Attract(Attack):
    """The own honest centers, of which one moves towards a common far target, as far as the filter lets it pass.

    The colluders agree on a cluster, and on a target away from the other centers. Some of them move their center of
    that cluster by the same vector towards the target, so far that their costs are still among the m - t smallest, and
    that these centers have as much pull, the weight of what is nearest to them times the distance, as they can. The
    others, whose honest centers cost most already, send the target alone: they are left aside in the place of honest
    machines with high costs, which makes room for the first. Which cluster it is, of some that are drawn, and how many
    move, is what gives most pull. If none can move, all are honest.

    Parameters
    ----------
    reach : float
        How far off the target is, in diagonals of the box around the data.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment, Scene, make_attack
    >>> X, A = np.array([[0.0], [0.0], [0.0], [4.0], [0.0], [6.0]]), np.kron(np.eye(3), [1.0, 1.0])
    >>> honest = [np.array([[0.0]]), np.array([[2.0]]), np.array([[3.0]])]  # at costs of 0, 8 and 18
    >>> scene = Scene(X, None, Assignment(A), honest, byzantine=np.array([0]), k=1, t=1, power=2)
    >>> abs(make_attack("attract")(scene, rng=0)[0].round(3))  # at a cost of just below 18
    array([[3.]])
    """

    reach: float = 10.0
    name: ClassVar[str] = "attract"

    def __post_init__(self) -> None:
        as_number(self.name, "reach", self.reach)

    def _attack(self, scene: Scene, rng: np.random.Generator) -> dict[int, Any]:
        m, own = scene.assignment.m, {i: scene.centers(i) for i in range(scene.assignment.m)}
        costs = {i: scene.cost(i, centers)[0] for i, centers in own.items()}
        liars = sorted(scene.byzantine.tolist(), key=lambda i: (costs[i], i))
        honest = sorted(costs[i] for i in range(m) if i not in liars)
        most, best = 0.0, {i: own[i] for i in liars}
        for victim in own[liars[0]][rng.permutation(scene.k)[:VICTIMS]]:
            target = victim + self._away(victim, own[liars[0]], rng) * (self.reach * scene.diagonal)
            for count in range(1, len(liars) + 1):
                # If so many liars are kept, this honest machine is the first that is not.
                first = m - scene.t - count
                limit = honest[first] if 0 <= first < len(honest) else (-np.inf if first < 0 else np.inf)
                moving = {i: own[i] for i in liars[:count]}
                pull, moved = _moved(scene, moving, victim, target, limit)
                if pull > most:
                    aside = np.repeat(target[np.newaxis], scene.k, axis=0)
                    most, best = pull, dict.fromkeys(liars, aside) | moved
        return best

    @staticmethod
    def _away(victim: Floats, centers: Floats, rng: np.random.Generator) -> Floats:
        away = victim - centers.mean(axis=0)
        if not np.linalg.norm(away) > 0.0:
            away = rng.standard_normal(len(victim))
        direction: Floats = away / np.linalg.norm(away)
        return direction


def _moved(
    scene: Scene, own: dict[int, Floats], victim: Floats, target: Floats, limit: float
) -> tuple[float, dict[int, Floats]]:
    """The most pull that centers of these machines can have together at costs below the limit, and such centers."""
    chosen = {i: int(np.linalg.norm(centers - victim, axis=1).argmin()) for i, centers in own.items()}

    def at(share: float) -> dict[int, Floats]:
        moved = {i: centers.copy() for i, centers in own.items()}
        for i, one in chosen.items():
            moved[i][one] += share * (target - victim)
        return moved

    def pull(share: float) -> float:
        total = 0.0
        for i, centers in at(share).items():
            cost, weights = scene.cost(i, centers)
            if not cost < limit:
                return -1.0
            total += share * float(weights[chosen[i]])
        return total

    if pull(0.0) < 0.0:
        return 0.0, own
    low, high = 0.0, 1.0  # low passes the filter
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if pull(middle) >= 0.0 else (low, middle)
    best = max((low * 0.5**i for i in range(8)), key=pull)
    return pull(best), at(best)


@dataclass(frozen=True)
class NaN(Attack):
    """No numbers at all.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment, Scene, make_attack
    >>> X, A, honest = np.array([[0.0], [4.0]]), Assignment(np.ones((3, 2))), [np.array([[2.0]])] * 3
    >>> scene = Scene(X, None, A, honest, byzantine=np.array([1]), k=1, t=1, power=2)
    >>> make_attack("nan")(scene)[1]
    array([[nan]])
    """

    name: ClassVar[str] = "nan"

    def _attack(self, scene: Scene, rng: np.random.Generator) -> dict[int, Any]:
        return {i: np.full((scene.k, scene.X.shape[1]), np.nan) for i in scene.byzantine.tolist()}


@dataclass(frozen=True)
class Silent(Attack):
    """Nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment, Scene, make_attack
    >>> X, A, honest = np.array([[0.0], [4.0]]), Assignment(np.ones((3, 2))), [np.array([[2.0]])] * 3
    >>> scene = Scene(X, None, A, honest, byzantine=np.array([1]), k=1, t=1, power=2)
    >>> make_attack("silent")(scene)
    {1: None}
    """

    name: ClassVar[str] = "silent"

    def _attack(self, scene: Scene, rng: np.random.Generator) -> dict[int, Any]:
        return dict.fromkeys(scene.byzantine.tolist())


@dataclass(frozen=True)
class Malformed(Attack):
    """What has not the shape of k centers, each machine in its own way: too many, too few, too long, flat, words.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Assignment, Scene, make_attack
    >>> X, A, honest = np.array([[0.0], [4.0]]), Assignment(np.ones((3, 2))), [np.array([[2.0]])] * 3
    >>> scene = Scene(X, None, A, honest, byzantine=np.array([1]), k=1, t=1, power=2)
    >>> make_attack("malformed")(scene)[1]
    array([[0.],
           [0.]])
    """

    name: ClassVar[str] = "malformed"

    def _attack(self, scene: Scene, rng: np.random.Generator) -> dict[int, Any]:
        k, d = scene.k, scene.X.shape[1]
        ways = [np.zeros((k + 1, d)), np.zeros((k - 1, d)), np.zeros((k, d + 1)), np.zeros(k * d), "centers", [[0], []]]
        return {i: ways[at % len(ways)] for at, i in enumerate(scene.byzantine.tolist())}


ATTACKS: dict[str, type[Attack]] = {
    attack.name: attack for attack in (Random, Shift, Borrow, Attract, NaN, Silent, Malformed)
}


def make_attack(name: str, **parameters: Any) -> Attack:
    """The attack of a name.

    Parameters
    ----------
    name : str
        A name in ``ATTACKS``.
    **parameters
        The attack's own.

    Returns
    -------
    Attack

    Raises
    ------
    ValueError, TypeError
        When there is no such attack or parameter, with the choices; or when the attack refuses a parameter.

    Examples
    --------
    >>> from robustcore.clustering.attacks import make_attack
    >>> make_attack("shift", by=0.5)
    Shift(by=0.5)
    >>> make_attack("shift", scale=2)
    Traceback (most recent call last):
        ...
    TypeError: shift has no parameter 'scale'; it has by
    """
    return make("attack", ATTACKS, name, parameters)
