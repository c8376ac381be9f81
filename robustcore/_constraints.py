"""Every inequality between n (clients), f (Byzantine ones) and m (chosen ones), once."""

from __future__ import annotations

import math
import operator
from bisect import bisect_left
from collections.abc import Callable
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class ConstraintError(ValueError):
    """The numbers of clients do not allow what was asked for.

    The message names the inequality, the numbers, and the largest value that would be valid.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.krum(np.zeros((4, 3)), f=2)
    Traceback (most recent call last):
        ...
    robustcore.ConstraintError: krum needs n > 2f; here n = 4 and f = 2 (with n = 4, f can be at most 1)
    """

    __module__ = "robustcore"


class Inequality(NamedTuple):
    """Something that n and f, or n, f and m must satisfy; with fewer f, or fewer m >= 1, it holds as well."""

    text: str
    holds: Callable[..., bool]


# More honest clients than Byzantine ones: what coordinate-wise rules need, and what must be left without an f.
MAJORITY = Inequality("n > 2f", lambda n, f: n > 2 * f)
# One honest client: where all that is asked is what n - f of the clients could say.
SOMEBODY = Inequality("n > f", lambda n, f: n > f)
# Two conventions of the Krum family (robustcore.rules.krum says what they count). A single client has nobody to
# disagree with: for n = 1, f = 0 the classic convention has no neighbours to count, and the update is returned.
KRUM_F = {
    "theory": MAJORITY,
    "classic": Inequality("n >= 2f + 3 (or n = 1)", lambda n, f: n >= 2 * f + 3 or (n == 1 and f == 0)),
}
KRUM_M = {
    "theory": Inequality("1 <= m <= n - f", lambda n, f, m: (m >= 1) & (m <= n - f)),
    "classic": Inequality("1 <= m <= n - f - 2 (or n = 1)", lambda n, f, m: 1 <= m <= max(n - f - 2, n == 1)),
}
# What Bulyan's second step needs of the n - 2f that its first has chosen.
BULYAN = Inequality("n >= 4f + 3", lambda n, f: n >= 4 * f + 3)
# The resilience of approximate agreement (centroid-agreement, Table 1), which the step of RB-TM is made for; and what
# the worst inputs for Multi-Krum need (multikrum, Theorem 4 and Proposition B.1).
AGREEMENT = Inequality("n > 3f", lambda n, f: n > 3 * f)
# Agreement by minimum-diameter averaging (centroid-agreement, Theorems 4.9 and 5.8): synchronous, and not.
AGREEMENT_MDA = {
    True: Inequality("n > 4f", lambda n, f: n > 4 * f),
    False: Inequality("n > 7f", lambda n, f: n > 7 * f),
}
# Asynchronous nodes that end together: of n - t votes to end, t may be withheld, and 2t + 1 are needed.
TOGETHER = Inequality("n > 4f", lambda n, f: n > 4 * f)


def safe_agreement(d: int, synchronous: bool, mda: bool = False) -> Inequality:
    """Agreement in safe areas, which must not be empty in d dimensions (centroid-agreement, Theorems 4.4 and 5.4).

    With a round of minimum-diameter averaging before it (Observations 4.10 and 5.9), what that needs as well.
    """
    least = max((4 if synchronous else 7) if mda else 3, d + (1 if synchronous else 2))
    return Inequality(f"n > {least}f", lambda n, f: n > least * f)


def as_count(rule: str, name: str, value: Any) -> int:
    """The value as an int, which it must be: a non-negative whole number."""
    try:
        if isinstance(value, bool):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        shown = repr(value)
        what = shown if len(shown) <= 60 else f"a {type(value).__name__}"  # such as a whole matrix
        raise TypeError(f"{rule}: {name} must be a whole number, not {what}") from None
    _not_negative(rule, name, count)
    return count


LARGEST_COUNT = 2**53


def as_counts(rule: str, name: str, value: Any) -> int | NDArray[np.int64]:
    """As `as_count`, also for an array, all of whose entries must be non-negative whole numbers."""
    if not (isinstance(value, (np.ndarray, list, tuple, range)) and np.ndim(value)):
        count = as_count(rule, name, value)
        if count > LARGEST_COUNT:
            raise ConstraintError(f"{rule} needs {name} <= 2^53, up to which float64 counts; here {name} = {count}")
        return count
    array = np.asarray(value)
    if array.size and (array.dtype.kind != "i" or array.min() < 0 or array.max() > LARGEST_COUNT):
        entries = [as_counts(rule, name, entry) for entry in np.asarray(value, object).flat]
        array = np.array(entries, np.int64).reshape(array.shape)
    return array.astype(np.int64)


def check_least(rule: str, name: str, count: int, least: int) -> None:
    """Raise ConstraintError unless the count is at least so much."""
    if count < least:
        raise ConstraintError(f"{rule} needs {name} >= {least}; here {name} = {count}")


def _not_negative(rule: str, name: str, count: int) -> None:
    check_least(rule, name, count, 0)


def as_number(rule: str, name: str, value: Any, wanted: Literal["> 0", ">= 0", ""] = "> 0") -> float:
    """The value as a float, which it must be: a finite number, positive or not negative or any."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{rule}: {name} must be a finite number {wanted}".rstrip() + f", not {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or (wanted == "> 0" and number <= 0) or (wanted == ">= 0" and number < 0):
        raise ValueError(f"{rule}: {name} must be a finite number {wanted}".rstrip() + f", not {value!r}")
    return number


def check_f(rule: str, inequality: Inequality, n: int, f: int, letter: str = "f") -> None:
    """Raise ConstraintError unless the inequality holds for n and f, which may be called by another letter."""
    _not_negative(rule, letter, f)
    if inequality.holds(n, f):
        return
    best = bisect_left(range(n + 1), True, key=lambda g: not inequality.holds(n, g)) - 1
    advice = f"with n = {n}, {letter} can be at most {best}" if best >= 0 else f"no {letter} is valid with n = {n}"
    text = inequality.text.replace("f", letter)
    raise ConstraintError(f"{rule} needs {text}; here n = {n} and {letter} = {f} ({advice})")


def check_m(rule: str, inequality: Inequality, n: int, f: int, m: int) -> None:
    """Raise ConstraintError unless the inequality holds for n, f and m."""
    if inequality.holds(n, f, m):
        return
    best = bisect_left(range(1, n + 1), True, key=lambda g: not inequality.holds(n, f, g))
    advice = f"with these n and f, m can be at most {best}"
    raise ConstraintError(f"{rule} needs {inequality.text}; here n = {n}, f = {f} and m = {m} ({advice})")


def check_dropped(rule: str, n: int, f: int | None, dropped: dict[int, str]) -> int:
    """How many Byzantine rows may be left once those dropped are counted against f.

    Dropping a row lowers n and f by one each: n - f, and with it every guarantee, stays. Where a rule has no f,
    the rows dropped must be a minority.
    """
    if f is None:
        f = (n - 1) // 2
        bound = f"a minority of {n}"
    else:
        bound = f"f = {f}"
    if len(dropped) > f:
        raise ConstraintError(f"{rule}: {_unusable(n, dropped, f', more than {bound}')}")
    return f - len(dropped)


def none_left(n: int, dropped: dict[int, str]) -> ConstraintError:
    """The error for input without a single usable update."""
    return ConstraintError(_unusable(n, dropped))


def _unusable(n: int, dropped: dict[int, str], comparison: str = "") -> str:
    some = "; ".join(f"client {i}: {why}" for i, why in list(dropped.items())[:3])
    more = "" if len(dropped) <= 3 else f"; and {len(dropped) - 3} more"
    return f"{len(dropped)} of {n} updates cannot be used{comparison} ({some}{more})"
