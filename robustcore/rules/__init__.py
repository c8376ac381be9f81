"""The rules, one file per family, and the registry that everything else finds them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from robustcore._constraints import ConstraintError
from robustcore._registry import make
from robustcore._result import Aggregation, Bound
from robustcore._updates import OnMalformed
from robustcore.mixing import Mixing, make_mixing
from robustcore.rules._base import Rule
from robustcore.rules.ball import MEBCenter
from robustcore.rules.bulyan import Bulyan
from robustcore.rules.clip import CenteredClip
from robustcore.rules.columns import RBTM, BoxMidpoint, Meamed, Median, Phocas, SignMajority, TrimmedMean
from robustcore.rules.diameter import MDA
from robustcore.rules.filter import CAF
from robustcore.rules.krum import Krum, MultiKrum
from robustcore.rules.mean import Mean
from robustcore.rules.medians import GeometricMedian, Medoid
from robustcore.rules.minmax import MinMaxMEB
from robustcore.rules.nearest import MoNNA
from robustcore.rules.variance import SMEA

RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        *(Mean, Krum, MultiKrum, MDA, SMEA, MinMaxMEB, MEBCenter),
        *(Bulyan, MoNNA, Medoid, GeometricMedian, CenteredClip, CAF),
        *(Median, TrimmedMean, Meamed, Phocas, BoxMidpoint, RBTM, SignMajority),
    )
}


def make_rule(name: str, *, mixing: str | Mixing | Sequence[str | Mixing] = (), **parameters: Any) -> Rule:
    """The rule of this name with these parameters; ValueError or TypeError with the choices if there is none.

    A mixing may be a name as well, as `robustcore.mixing.make_mixing` reads it; its f is that of the rule. Mixings may
    also stand behind the rule's name: ``"krum+nnm"``.
    """
    name, *behind = name.split("+")
    if behind:
        mixing = behind
    chain = [mixing] if isinstance(mixing, (str, Mixing)) else mixing
    made = [make_mixing(one, parameters.get("f")) if isinstance(one, str) else one for one in chain]
    return make("rule", RULES, name, parameters | ({"mixing": made} if made else {}))


def bound_of(rule: Rule, n: int, d: int, name: str) -> Bound:
    """What is proved of a rule for any input of n clients in d dimensions."""
    return Bound(name, rule.meb_factor(n, d), rule.guarantee(n), rule.centroid_ratio(n, d))


def known_bounds(n: int, f: int, d: int) -> tuple[Bound, ...]:
    """What is proved of every rule of the registry that needs no more than f, and works for this n."""
    known = []
    for name, rule in RULES.items():
        own = {one.name: one for one in fields(rule)}
        if any(one.default is MISSING for one in own.values() if one.name != "f"):
            continue
        parameters: dict[str, Any] = {"f": f} if "f" in own else {}
        made = rule(**parameters)
        try:
            made.check(n)
        except ConstraintError:
            continue
        known.append(bound_of(made, n, d, name))
    return tuple(known)


def aggregate(X: Any, rule: str | Rule, *, malformed: OnMalformed = "raise", **parameters: Any) -> Aggregation:
    """Aggregate X by the rule of a name.

    Parameters
    ----------
    X, malformed
        As in `krum`.
    rule : str or Rule
        A name in ``robustcore.RULES``, with mixings behind it if need be: ``"krum+nnm"``; or a rule itself.
    **parameters
        The rule's own. A ``mixing`` may be given by name: ``"nnm"``, ``"bucketing:s=2,rng=0"``, or several.

    Returns
    -------
    Aggregation
        The value, and how it came about.

    Raises
    ------
    ConstraintError
        When n and the parameters do not fit, or more updates are unusable than may be.
    ValueError, TypeError
        When there is no such rule or parameter, an update is malformed, or X is no collection of updates.

    Notes
    -----
    Condition on n, f and m, cost and source: those of the rule, e.g. `Krum`.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.aggregate(np.array([[1.0], [2.0], [4.0], [99.0]]), "multi_krum", f=1, m=2).value
    array([1.5])
    >>> rc.aggregate(np.array([[1.0], [2.0], [4.0], [99.0]]), "median", f=1, mixing="nnm").value
    array([2.33333333])
    """
    return as_rule(rule, **parameters).aggregate(X, malformed=malformed)


def as_rule(rule: str | Rule, **parameters: Any) -> Rule:
    """The rule of a name, with its parameters, or a rule itself."""
    if isinstance(rule, Rule):
        if parameters:
            raise TypeError(f"{rule!r} has its parameters already; {', '.join(parameters)} cannot be given again")
        return rule
    if not isinstance(rule, str):
        raise TypeError(f"rule must be a name such as 'krum', or a rule such as Krum(f=1), not {rule!r}")
    return make_rule(rule, **parameters)
