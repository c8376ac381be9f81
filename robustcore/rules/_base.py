"""What every rule shares: reading, counting Byzantine rows, and turning weights into a value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import as_count, check_dropped
from robustcore._result import Aggregation
from robustcore._threads import get_num_threads
from robustcore._updates import OnMalformed, Updates, read

Progress = Callable[[float], object] | None
NOT_FINITE = "not finite"
NEAR, FAR = 2.0**600, 2.0**-600
TINY = 2.0**-900  # squares below this may have lost digits: `vanishing` of passes/distances.cpp


class Geometry:
    """What n-space sees of the data: the squared distances between the rows that are left.

    Attributes
    ----------
    n : int
        The number of rows left.
    clients : (n,) int64
        Who they are.
    not_finite : list of int
        The clients that were dropped for a NaN or an infinity.
    sqdist : (n, n) float64
        Infinite where float64 rows are more than about 1e154 apart; inaccurate below 2^-900, where they are closer than
        about 1e-135.
    """

    def __init__(self, updates: Updates, progress: Progress = None):
        self._updates = updates
        self._progress = progress
        self._all = updates.core.sqdist(get_num_threads(), progress)
        self.clients = updates.clients
        self.not_finite: list[int] = []
        self.sqdist = self._all
        if np.isnan(self._all.trace()):
            bad = np.isnan(self._all.diagonal())
            self.not_finite = self.clients[bad].tolist()
            self.clients = self.clients[~bad]
            self.sqdist = self._left(self._all)
        self.n = len(self.clients)

    @property
    def is_wide(self) -> bool:
        """Whether there are float64 numbers, whose squares may leave the range of a float64."""
        return self._updates.is_wide

    def scaled(self, scale: float) -> NDArray[np.float64]:
        """(n, n): the squared distances times ``scale`` squared; FAR tells the infinite apart, NEAR the vanishing."""
        D = np.where(np.isnan(self._all), 1.0, self._all)  # rows that were dropped need no scale
        self._updates.core.sqdist_scaled(D, scale, get_num_threads(), self._progress)
        return self._left(D)

    def _left(self, D: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.flatnonzero(~np.isnan(self._all.diagonal()))
        return np.ascontiguousarray(D[np.ix_(rows, rows)])


@dataclass(frozen=True)
class Weights:
    """A rule's answer for the rows of a Geometry: their weights, which sum to 1, and their scores."""

    weights: NDArray[np.float64]
    scores: NDArray[np.float64] | None = None


class Rule(ABC):
    """An aggregation rule: frozen parameters, and a call.

    ``rule(X)`` is the value alone, ``rule.aggregate(X)`` the whole `Aggregation`. X and the result are as in
    `robustcore.krum`.
    """

    name: ClassVar[str]

    def __call__(self, X: Any, *, malformed: OnMalformed = "raise") -> Any:
        """Aggregate and return the value alone."""
        return self.aggregate(X, malformed=malformed).value

    def aggregate(self, X: Any, *, malformed: OnMalformed = "raise", progress: Progress = None) -> Aggregation:
        """Aggregate X.

        Parameters
        ----------
        X
            n updates; see `robustcore.krum`.
        malformed : {"raise", "drop"}
            What to do about an update that has not the structure, shapes and dtypes of the majority: raise a
            ValueError that names the client and the layer, or drop it and count it against f.
        progress
            Called now and then during long work with the share that is done of the pass at hand, from 0 to 1. What
            it raises stops the work and is passed on, as Ctrl-C is.
        """
        updates = read(X, malformed)
        self.check(updates.n)
        return self._aggregate(updates, progress)

    @abstractmethod
    def check(self, n: int) -> None:
        """Raise ConstraintError if the rule does not work for n clients."""

    @abstractmethod
    def _aggregate(self, updates: Updates, progress: Progress) -> Aggregation: ...

    def guarantee(self, n: int) -> float | None:
        """Upper bound on the robustness coefficient kappa* for n clients, where one is known."""
        return None


class LinearRule(Rule):
    """A rule that is decided by the distances: n x n in, n weights out."""

    f: int | None

    @abstractmethod
    def weigh(self, geometry: Geometry, f: int) -> Weights:
        """The weights of the rows left, at most f of which are Byzantine."""

    def decide(self, updates: Updates, progress: Progress = None) -> tuple[NDArray[np.int64], Weights, dict[int, str]]:
        """Who is left, what the rule makes of them, and who was dropped why."""
        geometry = Geometry(updates, progress)
        dropped = updates.dropped | dict.fromkeys(geometry.not_finite, NOT_FINITE)
        f = check_dropped(self.name, updates.n, self.f, dropped)
        return geometry.clients, self.weigh(geometry, f), dropped

    def _aggregate(self, updates: Updates, progress: Progress) -> Aggregation:
        return combine(self, updates, *self.decide(updates, progress), progress)[0]


def combine(
    rule: Rule,
    updates: Updates,
    clients: NDArray[np.int64],
    answer: Weights,
    dropped: dict[int, str],
    progress: Progress = None,
) -> tuple[Aggregation, bool]:
    """The aggregate of the weights of these clients, and whether all of it is finite."""
    weights = spread(updates.n, clients, answer.weights, 0.0)
    scores = None if answer.scores is None else spread(updates.n, clients, answer.scores, np.nan)
    # The row of largest weight stands for what the others leave of 1: see passes/combine.hpp.
    rows = weights if not updates.dropped else weights[updates.clients]
    outputs = updates.empty()
    targets = [out for out in outputs if out.size]
    finite = updates.core.combine(rows, int(rows.argmax()), targets, get_num_threads(), progress)
    if not finite and updates.is_wide:  # float64 numbers may be too far apart to subtract
        finite = updates.core.combine(rows, -1, targets, get_num_threads(), progress)
    aggregation = Aggregation(
        value=updates.rebuild(outputs),
        weights=weights,
        selected=weights.nonzero()[0],
        scores=scores,
        dropped=dict(sorted(dropped.items())),
        rule=rule,
        guarantee=rule.guarantee(updates.n),
    )
    return aggregation, finite


def spread(n: int, clients: NDArray[np.int64], values: NDArray[np.float64], otherwise: float) -> NDArray[np.float64]:
    """(n,): the values at the clients they belong to."""
    if len(clients) == n:
        return values
    out = np.full(n, otherwise)
    out[clients] = values
    return out


def own_count(rule: Rule, name: str, optional: bool = False) -> None:
    """Check a count among a rule's own parameters when the rule is made."""
    value = getattr(rule, name)
    if not (optional and value is None):
        object.__setattr__(rule, name, as_count(rule.name, name, value))
