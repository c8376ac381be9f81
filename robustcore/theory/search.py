"""Inputs for which a rule is as wrong as can be found: proven lower bounds on its robustness coefficient."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustcore import _core
from robustcore._budget import Budget, as_budget
from robustcore._constraints import MAJORITY, as_count, check_f

if TYPE_CHECKING:
    from robustcore.rules._base import Rule

__all__ = ["Place", "WorstFound", "rows", "search_kappa"]

Floats = NDArray[np.float64]
Progress = Callable[[float], object] | None

STEPS = 20_000  # inputs tried where no budget is given
RULE_STEPS = 20_000  # of a rule that searches itself, for one input; where they do not suffice the input does not count
SEEDS = 0.25  # share of the budget for the inputs to begin with
CHAINS = 16  # of those, how many are refined; then half as many, and so on
AXES = 3  # coordinates of a place, where there are as many
MOST_PLACES = 7
FAR = 1e3  # no place is farther away, in any coordinate
LONGEST = 10.0  # a step, in any coordinate, but for a factor of a few
NARROW = 1e-4  # honest clients that differ, but by less than this share of the farthest coordinate, are not looked at
APART = 1e-6  # of the farthest coordinate: the value is elsewhere, where all honest clients agree
ROUNDING = 1e-10  # of kappa: what a simpler input may cost, and what is no progress
SURE = 200_000  # steps for the certificate; its kappa is attained also where they do not suffice


class Place(NamedTuple):
    """Clients that send the same, or vertices of a regular simplex in dimensions that are nobody else's.

    Attributes
    ----------
    clients : int
        How many.
    honest : bool
        Whether they are among the n - f.
    at : tuple of float
        Their center.
    spread : float
        Their distance from it.

    Examples
    --------
    >>> from robustcore import theory
    >>> theory.rows([theory.Place(2, True, (1.0, 0.0)), theory.Place(1, False, (5.0, 5.0))])
    array([[1., 0.],
           [1., 0.],
           [5., 5.]])
    """

    clients: int
    honest: bool
    at: tuple[float, ...]
    spread: float = 0.0


def rows(places: Sequence[Place], d: int | None = None) -> Floats:
    """(n, d): the updates that clients at these places send, in this order.

    Parameters
    ----------
    places : sequence of Place
        All with as many coordinates.
    d : int, optional
        At least as many; a simplex without enough dimensions left for it is seen from the side. By default as many as
        it takes.

    Returns
    -------
    (n, d) float64

    Notes
    -----
    Cost: n d numbers; the same bits everywhere.

    Examples
    --------
    >>> from robustcore.theory.search import Place, rows
    >>> rows([Place(1, False, (2.0,)), Place(2, True, (0.0,), spread=1.0)])
    array([[ 2.,  0.],
           [ 0.,  1.],
           [ 0., -1.]])
    """
    axes = len(places[0].at)
    wide = [place.clients - 1 if place.spread else 0 for place in places]
    X = np.zeros((sum(place.clients for place in places), axes + sum(wide) if d is None else d))
    row, column = 0, axes
    for place, dimensions in zip(places, wide, strict=True):
        X[row : row + place.clients, :axes] = place.at
        seen = min(dimensions, X.shape[1] - column)
        if seen:
            X[row : row + place.clients, column : column + seen] = place.spread * _simplex(place.clients)[:, :seen]
        row, column = row + place.clients, column + seen
    return X


def _simplex(count: int) -> Floats:
    """(count, count - 1): the vertices of a regular simplex around 0, of norm 1 (Helmert's contrasts, scaled)."""
    if count not in _SIMPLICES:
        vertices = np.zeros((count, count - 1))
        for j in range(1, count):
            vertices[:j, j - 1] = 1.0
            vertices[j, j - 1] = -j
            vertices[:, j - 1] *= math.sqrt(count / ((count - 1) * j * (j + 1)))
        _SIMPLICES[count] = vertices
    return _SIMPLICES[count]


_SIMPLICES: dict[int, Floats] = {}


@dataclass(frozen=True, eq=False)
class WorstFound:
    """The input that a rule was found to be most wrong on.

    Attributes
    ----------
    kappa : float
        ``|y - mean(S)|^2 / variance(S)`` for y the value of the rule on X and S the honest rows: no more than the
        robustness coefficient kappa* of the rule. Infinite where the honest clients agree and y is elsewhere.
    X : (n, d) float64
        The input.
    honest : (n - f,) int64
        Its honest rows, in increasing order.
    places : tuple of Place
        X in few words: ``rows(places, d)``.
    rule : Rule
        The rule.
    evaluations : int
        How many inputs were tried.

    Examples
    --------
    >>> import robustcore as rc
    >>> from robustcore.theory.search import search_kappa
    >>> found = search_kappa("median", 5, 1, budget=rc.Budget(steps=500))
    >>> round(found.kappa, 9)  # (n - 1) / (n - 2f + 1)
    1.0
    >>> found.X.shape[0], len(found.honest)
    (5, 4)
    """

    kappa: float
    X: Floats = field(repr=False)
    honest: NDArray[np.int64] = field(repr=False)
    places: tuple[Place, ...]
    rule: Rule
    evaluations: int


def search_kappa(
    rule: Rule | str,
    n: int,
    f: int,
    *,
    d: int | None = None,
    rng: int | np.random.Generator = 0,
    budget: Budget | float | None = None,
    progress: Progress = None,
) -> WorstFound:
    """Look for the input on which a rule is most wrong: a proven lower bound on its robustness coefficient kappa*.

    Parameters
    ----------
    rule : Rule or str
        A rule, with its mixing if it has any, or a name as in `aggregate`: ``"krum"``, ``"krum+nnm"``.
    n, f : int
        Clients, and Byzantine clients among them; n > 2f, and what the rule needs.
    d : int, optional
        Dimensions; by default as many as turn out to be useful.
    rng : int or Generator
        Where the random choices come from.
    budget : float or Budget, optional
        Seconds, or a `Budget`, whose steps are the inputs that are tried; by default 20 000 steps. With steps alone,
        the answer for an rng does not depend on how fast the machine is.
    progress
        Called now and then with the share that is done, from 0 to 1. What it raises stops the search and is passed on.

    Returns
    -------
    WorstFound

    Raises
    ------
    ConstraintError
        When n and f do not fit, or do not fit the rule.
    ValueError, TypeError
        When there is no such rule, the rule is for another f, or a parameter is malformed.

    Notes
    -----
    The inputs: few places with many clients at each, honest or Byzantine, in a line, or each spread out to a simplex;
    the rule's own tie-break decides where they are equally good. Then the best are refined by random steps of all
    sizes: places move, join or part, clients change place, rows change order. What is found is attained: it is what the
    rule returns for X, compared with those rows; of other choices of n - f rows, `certify` finds the worst.

    Condition: n > 2f, and that of the rule.

    Cost: one call of the rule on an n x d array for each step, 20 to 100 microseconds for most at n <= 30, and at the
    end some hundred calls more, by which the input becomes simpler, and one of `certify`. An input on which a rule that
    searches itself (`MDA`, `SMEA`, `MinMaxMEB`) does not come to an end soon is passed over.

    References
    ----------
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of robustness*,
    Definition 2, and Theorems 3 and 4 for two such inputs.

    Examples
    --------
    >>> import robustcore as rc
    >>> from robustcore.theory.search import search_kappa
    >>> found = search_kappa("multi_krum", n=10, f=2, budget=rc.Budget(steps=500))
    >>> round(found.kappa, 9)  # 4f / (n - 2f), of Theorem 4
    1.333333333
    >>> round(rc.certify(found.X, found.rule(found.X), f=2).kappa, 9)
    1.333333333
    """
    name = "search_kappa"
    n, f = as_count(name, "n", n), as_count(name, "f", f)
    check_f(name, MAJORITY, n, f)
    made = _as_rule(rule, f)
    made.check(n)
    if d is not None and as_count(name, "d", d) == 0:
        raise ValueError(f"{name}: d must be at least 1, not 0")
    spend = as_budget(name, budget)
    if spend == Budget():
        spend = Budget(steps=STEPS)
    search = _Search(made, n, f, d, np.random.default_rng(rng), spend, progress)
    return _certified(search.simplified(search.run()), search, made)


def _as_rule(rule: Rule | str, f: int) -> Rule:
    from robustcore.rules import RULES, make_rule  # which import the bounds that this package has
    from robustcore.rules._base import Rule

    if isinstance(rule, str):
        kind = RULES.get(rule.partition("+")[0])
        parameters: dict[str, Any] = {"f": f} if kind is None or "f" in kind.__dataclass_fields__ else {}
        return make_rule(rule, **parameters)
    if not isinstance(rule, Rule):
        raise TypeError(f"search_kappa: rule must be a name such as 'krum', or a rule such as Krum(f=1), not {rule!r}")
    if rule.f not in (None, f):
        raise ValueError(f"search_kappa: {rule!r} is for f = {rule.f}, not {f}")
    return rule


def _certified(best: _Found, search: _Search, rule: Rule) -> WorstFound:
    """The same, with the worst choice of honest clients that the certificate knows."""
    from robustcore._certify import certify

    if math.isfinite(best.kappa) and search.n <= _core.MOST_POINTS:
        X = rows(best.places, search.d)
        worst = certify(X, rule(X), search.f, budget=Budget(steps=SURE)).worst["kappa"]
        if worst.low > best.kappa * (1.0 + ROUNDING):
            best = search.better(best, _told_apart(best.places, worst.honest))
    return WorstFound(
        best.kappa, rows(best.places, search.d), _honest(best.places).nonzero()[0], best.places, rule, search.tried
    )


def _told_apart(places: Sequence[Place], honest: NDArray[np.int64]) -> list[Place]:
    """The same rows, of which these are honest; a simplex stays whole, and what it was."""
    out, row = [], 0
    for place in places:
        end = row + place.clients
        runs = [(place.honest, place.clients)]
        if not place.spread:
            members = np.isin(np.arange(row, end), honest).tolist()
            runs = [(flag, len(list(run))) for flag, run in itertools.groupby(members)]
        out += [place._replace(clients=clients, honest=flag) for flag, clients in runs]
        row = end
    return out


def _honest(places: Sequence[Place]) -> NDArray[np.bool_]:
    """(n,): whether each row is honest."""
    return np.repeat([place.honest for place in places], [place.clients for place in places])


class _Found(NamedTuple):
    kappa: float
    places: tuple[Place, ...]


class _Search:
    """One search: what it may spend, and what it is about."""

    def __init__(
        self,
        rule: Rule,
        n: int,
        f: int,
        d: int | None,
        rng: np.random.Generator,
        budget: Budget,
        progress: Progress,
    ):
        from robustcore.rules._base import SearchRule

        self.n, self.f, self.d, self.rng, self.progress = n, f, d, rng, progress
        self.rule, self.is_stopped = rule, False
        if isinstance(rule, SearchRule) and rule.budget is None:
            self.rule, self.is_stopped = replace(rule, budget=Budget(steps=RULE_STEPS)), True
        self.axes = AXES if d is None else min(d, AXES)
        self.can_spread = d is None or d > 1
        self.steps, self.seconds = budget.limits
        self.start, self.tried = time.monotonic(), 0
        self.step = self.tried_step = 0.1  # the last that helped, and the last

    def spent(self) -> float:
        """The share of the budget that is used up."""
        shares = [0.0]
        if self.steps:
            shares.append(self.tried / self.steps)
        if self.seconds:
            shares.append((time.monotonic() - self.start) / self.seconds)
        return max(shares)

    def kappa(self, places: Sequence[Place]) -> float:
        """How wrong the rule is when these are the clients; -inf where that says nothing."""
        self.tried += 1
        if self.progress is not None and self.tried % 64 == 0:
            self.progress(min(self.spent(), 1.0))
        X = rows(places, self.d)
        answer = self.rule.aggregate(X)
        if self.is_stopped and answer.optimum is not None and not answer.optimum.exact:
            return -math.inf
        honest = _honest(places)
        first = X[honest.argmax()]  # from which the mean of equal rows is 0
        S = X[honest] - first
        away = answer.value - first - S.mean(axis=0)
        variance = float(((S - S.mean(axis=0)) ** 2).sum()) / len(S)
        error, scale = float(away @ away), float(np.abs(X).max())
        if not math.isfinite(error):
            return -math.inf
        if variance == 0.0:
            return math.inf if error > (APART * scale) ** 2 else -math.inf
        return error / variance if variance > (NARROW * scale) ** 2 else -math.inf

    def run(self) -> _Found:
        found: dict[tuple[Place, ...], float] = {}
        for places in self.seeds():
            found[places] = self.kappa(places)
            if found[places] == math.inf or self.spent() >= SEEDS:
                break
        chains = sorted((_Found(kappa, places) for places, kappa in found.items()), key=lambda one: -one.kappa)
        chains = self.different(chains)
        rounds = len(chains).bit_length()
        for left in range(rounds, 0, -1):
            begin = self.spent()
            share = (1.0 - begin) / left / len(chains)
            for i, chain in enumerate(chains):
                chains[i] = self.refine(chain, begin + (i + 1) * share)
            chains.sort(key=lambda one: -one.kappa)
            if chains[0].kappa == math.inf:
                break
            chains = chains[: max(len(chains) // 2, 1)]
        return chains[0]

    def different(self, chains: list[_Found]) -> list[_Found]:
        """The best of each kind of input, then the second best of each, and so on; no two that are equally good."""
        kinds: dict[tuple[int, ...], list[_Found]] = {}
        for chain in chains:
            lying = sum(not place.honest for place in chain.places)
            wide = sum(place.spread > 0.0 for place in chain.places)
            alike = kinds.setdefault((lying, len(chain.places) - lying, min(wide, 1)), [])
            if not alike or chain.kappa < alike[-1].kappa * (1.0 - 1e-9):
                alike.append(chain)
        ranked = [one for rank in itertools.zip_longest(*kinds.values()) for one in rank if one is not None]
        return ranked[:CHAINS]

    def seeds(self) -> Iterator[tuple[Place, ...]]:
        """Structured inputs, those that have been worst for most rules first; then random ones as long as is wanted."""
        yield from self.agreeing()
        lies, lines, simplices = self.parts()
        for some, others in ((lies[:3], lines), (lies[:3], simplices), (lies[3:], lines), (lies[3:], simplices)):
            known = [one for two in itertools.product(some, others) for one in self.orders(*two)]
            for i in self.rng.permutation(len(known)):
                yield known[i]
        while True:
            yield self.random()

    def place(self, clients: int, honest: bool, x: float, spread: float = 0.0) -> Place:
        return Place(clients, honest, (x, *[0.0] * (self.axes - 1)), spread)

    def agreeing(self) -> Iterator[tuple[Place, ...]]:
        """Honest clients that all send the same: a rule that is elsewhere has no bound at all."""
        N, f = self.n - self.f, self.f
        for at, lie in ((0.0, 1.0), (5.0, 6.0), (0.0, FAR)):
            yield (*([self.place(f, False, lie)] if f else []), self.place(N, True, at))

    def parts(self) -> tuple[list[list[Place]], list[list[Place]], list[list[Place]]]:
        """Byzantine clients at one or two places of a line; honest ones at 0 and 1; and those around 0 and at 1."""
        N, f = self.n - self.f, self.f
        lies: list[list[Place]] = [[]]
        if f:
            lies = [[self.place(f, False, t)] for t in (2.0, 1.0, 0.0, 0.5, 1.5, 3.0, -1.0, FAR, -FAR)]
            lies += [
                [self.place(b, False, s), self.place(f - b, False, t)]
                for b in range(1, f)
                for s, t in ((0.0, 1.0), (1.0, 2.0))
            ]
        lines = [[self.place(a, True, 0.0), self.place(N - a, True, 1.0)] for a in range(1, N)]
        simplices: list[list[Place]] = []
        if self.can_spread and N > 1:
            simplices = [[self.place(N, True, 0.0, 1.0)]]
            simplices += [
                [self.place(a, True, x, spread), self.place(N - a, True, 1.0 - x)]
                for a in range(2, N)
                for x, spread in ((0.0, 0.5), (1.0, 0.35), (1.0, 0.7))
            ]
        return lies, lines, simplices

    @staticmethod
    def orders(lying: list[Place], telling: list[Place]) -> Iterator[tuple[Place, ...]]:
        """Ties go to the lowest index, in most rules."""
        yield (*lying, *telling)
        yield (*lying, *telling[::-1])
        yield (*telling, *lying)

    def random(self) -> tuple[Place, ...]:
        rng, N, f = self.rng, self.n - self.f, self.f
        places = []
        for honest, total in ((False, f), (True, N)):
            cuts = np.sort(rng.integers(0, total + 1, rng.integers(0, 3)))
            for clients in np.diff([0, *cuts, total]):
                if clients:
                    at = rng.normal(size=self.axes) * (rng.random(self.axes) < 0.5)
                    spread = float(rng.random() < 0.3) * rng.random() if self.can_spread and clients > 1 else 0.0
                    places.append(Place(int(clients), honest, tuple(at.tolist()), spread))
        return tuple(places[i] for i in rng.permutation(len(places)))

    def refine(self, chain: _Found, until: float) -> _Found:
        """The best that random changes lead to, never to worse."""
        kappa, places = chain
        farther = None
        while self.spent() < until:
            changed = farther or self.changed(places)
            farther, value = None, self.kappa(changed)
            if value > kappa * (1.0 + ROUNDING):  # the next step goes the same way, farther
                farther, self.step = _beyond(places, changed), self.tried_step
            if value >= kappa:
                kappa, places = value, changed
                if kappa == math.inf:
                    break
        return _Found(kappa, places)

    def changed(self, places: tuple[Place, ...]) -> tuple[Place, ...]:
        """The same with one random change."""
        rng, new = self.rng, list(places)
        kind = rng.random()
        i, j = (int(k) for k in rng.integers(0, len(new), 2))
        one, other = new[i], new[j]
        if kind < 0.6:
            return self.moved(new)
        if kind < 0.7 and i != j:  # one joins another, for good or not, or comes as far out
            how = rng.random()
            if how < 0.4 and one.honest == other.honest:
                new[i], new[j] = self.resized(one, 0), self.resized(other, one.clients + other.clients)
            else:
                new[i] = one._replace(at=other.at if how < 0.7 else (other.at[0], *one.at[1:]))
        elif kind < 0.8 and i != j:
            new[i], new[j] = other, one
        elif kind < 0.9 and i != j and one.honest == other.honest:
            moving = int(rng.integers(1, one.clients + 1)) if rng.random() < 0.3 else 1
            new[i] = self.resized(one, one.clients - moving)
            new[j] = self.resized(other, other.clients + moving)
        elif kind < 0.95 and one.clients > 1 and len(new) < MOST_PLACES:  # some of them leave
            part = int(rng.integers(1, one.clients))
            new[i] = self.resized(one, one.clients - part)
            [leaving] = self.moved([self.resized(one, part)])
            new.insert(int(rng.integers(0, len(new) + 1)), leaving)
        elif self.can_spread and one.clients > 1:
            new[i] = one._replace(spread=0.0 if one.spread else float(10.0 ** rng.uniform(-3, 0.5)))
        return tuple(place for place in new if place.clients)

    def moved(self, new: list[Place]) -> tuple[Place, ...]:
        """Some places move and grow, by a step of any size."""
        rng = self.rng
        step = 10.0 ** rng.uniform(-7.0, 0.3) if rng.random() < 0.5 else self.step * 10.0 ** (0.5 * rng.normal())
        self.tried_step = step = min(step, LONGEST)
        chosen = rng.random(len(new)) < 1.0 / len(new)
        chosen[rng.integers(len(new))] = True
        axes = 1 if rng.random() < 0.4 else self.axes
        for i in np.flatnonzero(chosen):
            place = new[i]
            at = list(place.at)
            size = step * (1.0 if rng.random() < 0.8 else max(map(abs, at)))
            for axis in range(axes):
                at[axis] = _near(at[axis] + size * float(rng.normal()))
            spread = place.spread * math.exp(step * float(rng.normal())) if rng.random() < 0.7 else place.spread
            new[i] = place._replace(at=tuple(at), spread=_near(spread))
        return tuple(new)

    def simplified(self, found: _Found) -> _Found:
        """As good an input that is easier to read: fewer places, fewer dimensions, rounder numbers."""
        best = found
        i = 0
        while i < len(best.places):  # each takes in all that it can of those behind it
            one = best.places[i]
            for j in range(len(best.places) - 1, i, -1):
                if best.places[j][1:] == one[1:] and not one.spread:
                    more = best.places[i].clients + best.places[j].clients
                    joined = _put(best.places, i, one._replace(clients=more))
                    best = self.if_as_good(best, joined[:j] + joined[j + 1 :])
            i += 1
        origin = max(best.places, key=lambda place: (place.honest, place.clients))
        for other in best.places:
            unit = self.if_as_good(best, _normalised(best.places, origin, other))
            if unit is not best:
                best = unit
                break
        for axis in range(1, self.axes):
            best = self.if_as_good(best, [_with(place, axis, 0.0) for place in best.places])
        for i, place in enumerate(best.places):
            if place.spread:
                best = self.if_as_good(best, _put(best.places, i, place._replace(spread=0.0)))
        for i, axis in itertools.product(range(len(best.places)), range(self.axes)):
            for digits in (0, 1, 2, 3, 6, 9):
                x = round(best.places[i].at[axis], digits) + 0.0
                if x == best.places[i].at[axis]:
                    break
                rounder = self.if_as_good(best, _put(best.places, i, _with(best.places[i], axis, x)))
                if rounder is not best:
                    best = rounder
                    break
        used = max((axis for place in best.places for axis, x in enumerate(place.at, 1) if x), default=1)
        return best._replace(places=tuple(place._replace(at=place.at[:used]) for place in best.places))

    def better(self, best: _Found, places: Sequence[Place]) -> _Found:
        """Whichever is worse for the rule; these only if n - f of them are honest."""
        if np.count_nonzero(_honest(places)) != self.n - self.f:
            return best
        return max(best, _Found(self.kappa(places), tuple(places)), key=lambda one: one.kappa)

    def if_as_good(self, best: _Found, places: Sequence[Place]) -> _Found:
        kappa = self.kappa(places)
        return _Found(kappa, tuple(places)) if kappa >= best.kappa * (1.0 - ROUNDING) else best

    @staticmethod
    def resized(place: Place, clients: int) -> Place:
        return place._replace(clients=clients, spread=place.spread if clients > 1 else 0.0)


def _near(x: float) -> float:
    return min(max(x, -FAR), FAR)


def _beyond(before: Sequence[Place], after: Sequence[Place]) -> tuple[Place, ...] | None:
    """Where one and a half more such steps lead to; None where more than positions has changed."""
    if [place[:2] for place in before] != [place[:2] for place in after]:
        return None
    return tuple(
        b._replace(
            at=tuple(_near(y + 1.5 * (y - x)) for x, y in zip(a.at, b.at, strict=True)),
            spread=max(_near(b.spread + 1.5 * (b.spread - a.spread)), 0.0),
        )
        for a, b in zip(before, after, strict=True)
    )


def _put(places: Sequence[Place], i: int, place: Place) -> list[Place]:
    return [*places[:i], place, *places[i + 1 :]]


def _with(place: Place, axis: int, x: float) -> Place:
    return place._replace(at=(*place.at[:axis], x, *place.at[axis + 1 :]))


def _normalised(places: Sequence[Place], origin: Place, other: Place) -> list[Place]:
    """The same but for a motion and a scale, which bring one place to 0 and another to (1, 0, ...)."""
    at = np.array([place.at for place in places]) - origin.at
    axis = np.subtract(other.at, origin.at)
    length = float(np.linalg.norm(axis))
    if length == 0.0:
        return list(places)
    at, axis = at / length, axis / length
    mirror = axis - np.eye(len(axis))[0]
    if mirror.any():
        at -= np.outer(at @ mirror, 2.0 * mirror / (mirror @ mirror))
    return [
        place._replace(at=tuple(where.tolist()), spread=place.spread / length)
        for place, where in zip(places, at, strict=True)
    ]
