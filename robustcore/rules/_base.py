"""What every rule shares: reading, counting Byzantine rows, mixing, and turning weights into a value."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from robustcore import theory
from robustcore._budget import Budget, as_budget
from robustcore._constraints import MAJORITY, ConstraintError, Inequality, as_count, check_dropped, check_f, check_least
from robustcore._geometry import ORIGIN, Floats, Geometry, Progress
from robustcore._result import Aggregation, Optimum
from robustcore._threads import get_num_threads
from robustcore._updates import Core, OnMalformed, Updates, read
from robustcore.mixing import Mixing

Mixings = Mixing | Sequence[Mixing]


@dataclass(frozen=True)
class Weights:
    """A rule's answer for the points of a Geometry: their weights, which sum to 1, and the scores of its vectors.

    Extra points may be left out of ``weights``: they have none then. ``gap``, ``optimum``: as in `Aggregation`.
    """

    weights: Floats
    scores: Floats | None = None
    gap: float | None = None
    optimum: Optimum | None = None


class _Tolerant:
    """What every rule has, with a default or without."""

    f: int | None


@dataclass(frozen=True, repr=False)
class Rule(_Tolerant, ABC):
    """An aggregation rule: frozen parameters, and a call.

    ``rule(X)`` is the value alone, ``rule.aggregate(X)`` the whole `Aggregation`. X and the result are as in
    `robustcore.krum`. ``mixing=`` is what is done to the updates first: a mixing (`NNM`, `Bucketing`, `Clipping`,
    `ARC`), or a sequence of them.
    """

    mixing: Mixings = field(default=(), kw_only=True)
    name: ClassVar[str]
    needs: ClassVar[Inequality] = MAJORITY  # of n and f
    exact: ClassVar[bool] = False  # whether distances are formed in float64 also from shorter numbers
    minimised: ClassVar[str] = ""  # what `Aggregation.gap` and `Aggregation.optimum` are about, where there is one

    def __post_init__(self) -> None:
        own_count(self, "f", optional=hasattr(type(self), "f"))  # which a default makes it
        if self.mixing == ():
            return
        several = isinstance(self.mixing, Sequence) and not isinstance(self.mixing, str)
        chain = tuple(self.mixing) if several else (self.mixing,)  # type: ignore[arg-type]  # looked at next
        for mixing in chain:
            if not isinstance(mixing, Mixing):
                raise TypeError(
                    f"{self.name}: mixing must be a mixing such as NNM(f=1), or several, not {mixing!r}"
                    " (names are for robustcore.aggregate)"
                )
        object.__setattr__(self, "mixing", chain)

    def __repr__(self) -> str:
        own = sorted(
            (known for known in fields(self) if known.repr), key=lambda known: known.kw_only is True
        )  # as it is called
        given = {known.name: getattr(self, known.name) for known in own}
        given["mixing"] = self.mixings[0] if len(self.mixings) == 1 else self.mixings
        plain = {known.name: () if known.name == "mixing" else known.default for known in own}
        said = (f"{name}={value!r}" for name, value in given.items() if plain[name] is MISSING or value != plain[name])
        return f"{type(self).__name__}({', '.join(said)})"

    @property
    def mixings(self) -> tuple[Mixing, ...]:
        """``mixing`` as a tuple, applied from left to right."""
        return self.mixing  # type: ignore[return-value]  # __post_init__ has made it a tuple

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

    def check(self, n: int) -> None:
        """Raise ConstraintError if the rule, with its mixing, does not work for n clients."""
        if not self.mixing:
            return self._check(n)
        left = n
        for mixing in self.mixings:
            mixing.check(left)
            left = mixing.count(left)
        try:
            self._check(left)
        except ConstraintError as error:
            if left == n:
                raise
            raise ConstraintError(f"{error}; mixing leaves {left} vectors of {n} updates") from None

    def _check(self, n: int) -> None:
        """Raise ConstraintError if the rule does not work for n vectors."""
        if self.f is not None:
            check_f(self.name, self.needs, n, self.f)

    @abstractmethod
    def _aggregate(self, updates: Updates, progress: Progress) -> Aggregation: ...

    def guarantee(self, n: int) -> float | None:
        """Upper bound on the robustness coefficient kappa* for n clients, where one is known."""
        self.check(n)
        if not self.mixings:
            return self._guarantee(n)
        counts = [n]
        for mixing in self.mixings:
            counts.append(mixing.count(counts[-1]))
        kappa = self._guarantee(counts[-1])
        for mixing, count in zip(reversed(self.mixings), reversed(counts[:-1]), strict=True):
            kappa = None if kappa is None else mixing.guarantee(kappa, count, self.f)
        return kappa

    def _guarantee(self, n: int) -> float | None:
        return None

    def meb_factor(self, n: int, d: int) -> float | None:
        """Upper bound on the radii from the center of the smallest ball around the honest, where one is known.

        For n clients and d dimensions. From the rule's own analysis, and from its robustness coefficient
        (`theory.kappa_meb_factor`), which is what is left behind a mixing. A search must have been finished.
        """
        own = self._known(self._meb_factor, n, d)
        kappa = self.guarantee(n)
        known = (own, None if kappa is None else theory.kappa_meb_factor(kappa))
        return min((factor for factor in known if factor is not None), default=None)

    def centroid_ratio(self, n: int, d: int) -> float | None:
        """Upper bound on the distance from the mean of the honest, in radii of `centroid_ball`, where one is known.

        For n clients and d dimensions, and nothing mixed.
        """
        return self._known(self._centroid_ratio, n, d)

    def _known(self, bound: Callable[[int, int], float | None], n: int, d: int) -> float | None:
        d = as_count(self.name, "d", d)
        check_least(self.name, "d", d, 1)
        self.check(n)
        return None if self.mixings or self.f is None else bound(n, d)

    def _meb_factor(self, n: int, d: int) -> float | None:
        return None

    def _centroid_ratio(self, n: int, d: int) -> float | None:
        return None

    def geometry(self, updates: Updates, progress: Progress = None) -> Geometry:
        """What the rule sees: the distances between the mixed updates."""
        origin = [ORIGIN] if any(mixing.needs_origin for mixing in self.mixings) else []
        geometry = Geometry(updates, [*origin, *self._extra(updates)], progress, self.exact)
        self._left(geometry)
        for mixing in self.mixings:
            geometry = mixing.apply(geometry)
        return geometry

    def _extra(self, updates: Updates) -> list[Any]:
        """The points that the rule itself wants to see behind the vectors."""
        return []

    def _left(self, geometry: Geometry) -> int:
        """How many Byzantine rows may be left among those of the geometry; ConstraintError if too many were dropped."""
        return check_dropped(self.name, geometry.total, self.f, geometry.dropped)


class LinearRule(Rule):
    """A rule that is decided by the distances: n x n in, n weights out."""

    @abstractmethod
    def weigh(self, geometry: Geometry, f: int) -> Weights:
        """The weights of the vectors, at most f of which are Byzantine."""

    def _aggregate(self, updates: Updates, progress: Progress) -> Aggregation:
        geometry = self.geometry(updates, progress)
        answer = self.weigh(geometry, self._left(geometry))
        weights, outputs = geometry.weights(answer.weights), updates.empty()
        add_up(updates, geometry.core, weights, outputs, progress)
        return aggregation(
            self,
            updates,
            outputs,
            dropped=geometry.dropped,
            weights=weights[: len(updates.clients)],
            scores=None if answer.scores is None else client_scores(updates, geometry, answer.scores),
            gap=answer.gap,
            optimum=answer.optimum,
        )


@dataclass(frozen=True, repr=False)
class SearchRule(LinearRule):
    """A linear rule that searches among subsets, for as long as its budget lasts."""

    budget: Budget | float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.budget is not None:
            object.__setattr__(self, "budget", as_budget(self.name, self.budget))

    @property
    def limits(self) -> tuple[int, float]:
        """What `Budget.limits` says."""
        return as_budget(self.name, self.budget).limits


def aggregation(
    rule: Rule,
    updates: Updates,
    outputs: list[Any],
    *,
    dropped: dict[int, str] | None = None,
    weights: Floats | None = None,
    selected: NDArray[np.int64] | None = None,
    scores: Floats | None = None,
    gap: float | None = None,
    optimum: Optimum | None = None,
) -> Aggregation:
    """The answer around these outputs; weights are those of the rows of updates, scores those of all clients."""
    if weights is not None:
        selected = updates.clients[weights.nonzero()[0]]
    return Aggregation(
        value=updates.rebuild(outputs, dropped or ()),
        weights=None if weights is None else by_client(updates, weights, 0.0),
        selected=updates.clients if selected is None else selected,
        scores=scores,
        dropped=dict(sorted((updates.dropped if dropped is None else dropped).items())),
        rule=rule,
        guarantee=rule.guarantee(updates.n) if optimum is None or optimum.exact else None,
        gap=gap,
        optimum=optimum,
    )


def add_up(updates: Updates, core: Core, weights: Floats, outputs: list[Any], progress: Progress) -> bool:
    """The rows of core times their weights, which sum to 1, into outputs; whether all of it is finite."""
    targets = [out for out in outputs if out.size]
    # The row of largest weight stands for what the others leave of 1: see passes/combine.hpp.
    finite = core.combine(weights, int(weights.argmax()), targets, get_num_threads(), progress)
    if not finite and updates.is_wide:  # float64 numbers may be too far apart to subtract
        finite = core.combine(weights, -1, targets, get_num_threads(), progress)
    return finite


def client_scores(updates: Updates, geometry: Geometry, scores: Floats) -> Floats:
    """(n,): for each client the score of the vector that its update went into."""
    if geometry.is_plain:
        return by_client(updates, scores, np.nan)
    out = np.full(len(updates.clients), np.nan)
    out[geometry.kept[: len(geometry.owner)]] = scores[geometry.owner]
    return by_client(updates, out, np.nan)


def by_client(updates: Updates, values: Floats, otherwise: float) -> Floats:
    """(n,): the values of the rows that could be read, at the clients they belong to."""
    if len(values) == updates.n:
        return values
    out = np.full(updates.n, otherwise)
    out[updates.clients] = values
    return out


def own_count(rule: Rule, name: str, optional: bool = False) -> None:
    """Check a count among a rule's own parameters when the rule is made."""
    value = getattr(rule, name)
    if not (optional and value is None):
        object.__setattr__(rule, name, as_count(rule.name, name, value))


F = TypeVar("F", bound=Callable[..., Any])

_X = """\
X
    n updates: an (n, d) array, or a sequence of n arrays or of n lists, tuples or dicts of arrays, in float16,
    bfloat16, float32 or float64; see `krum`."""
_MORE = """\
mixing : Mixing or sequence of Mixing
    What is done to the updates first: `NNM`, `Bucketing`, `Clipping`, `ARC`, or several from left to right.
malformed : {"raise", "drop"}
    What to do about updates that have not the structure, shapes and dtypes of the majority: raise, or drop them and
    count them against f."""
_RETURNS = """\
Returns
-------
One update, in the structure, shapes and dtype of the input, summed in float64.

"""
_RAISES = """\
ValueError, TypeError
    When a parameter or an update is malformed, or X is no collection of updates.
"""


def face_of(rule: type[Rule]) -> Callable[[F], F]:
    """Decorate the function that is the face of a rule: its docstring is the rule's, and what calling adds to it."""

    def decorate(function: F) -> F:
        summary, rest = inspect.getdoc(rule).split("\n", 1)  # type: ignore[union-attr]
        before, after = rest.split("Parameters\n----------\n", 1)
        parameters, after = after.split("Raises\n------\n", 1)
        raises, after = after.split("Notes\n-----\n", 1)
        function.__doc__ = (
            f"{summary[:-1]}: `{rule.__name__}` as a function.\n{before}Parameters\n----------\n{_X}\n"
            f"{parameters.rstrip()}\n{_MORE}\n\n{_RETURNS}Raises\n------\n{raises.rstrip()}\n{_RAISES}\n"
            f"Notes\n-----\n{after}"
        )
        return function

    return decorate
