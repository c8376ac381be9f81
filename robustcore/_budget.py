"""What a search may spend before it must answer with the best that it has found."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from robustcore._constraints import as_count, as_number


@dataclass(frozen=True)
class Budget:
    """What an exact search may spend; then the best that it has found comes back, with a bound on what is better.

    Wherever a ``budget`` is asked for, a number means seconds, and None as long as it takes.

    Parameters
    ----------
    seconds : float, optional
        Time, on a clock: what is found within it depends on the machine.
    steps : int, optional
        Steps of the search, on one thread: what is found within them is the same everywhere.

    Raises
    ------
    ValueError, TypeError
        When a number is not positive.

    Examples
    --------
    >>> import robustcore as rc
    >>> rc.Budget(seconds=2.5)
    Budget(seconds=2.5, steps=None)
    """

    seconds: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None:
            object.__setattr__(self, "seconds", as_number("Budget", "seconds", self.seconds))
        if self.steps is not None:
            object.__setattr__(self, "steps", as_count("Budget", "steps", self.steps))
            if not 1 <= self.steps < 2**63:
                raise ValueError(f"Budget: steps must be a positive whole number of 63 bits, not {self.steps}")

    @property
    def limits(self) -> tuple[int, float]:
        """(steps, seconds) as the core counts them: 0 for as much as it takes."""
        return self.steps or 0, self.seconds or 0.0


def as_budget(rule: str, budget: Any) -> Budget:
    """The budget as one, from seconds, None or a Budget; ValueError or TypeError if it is none."""
    if budget is None or isinstance(budget, Budget):
        return budget or Budget()
    if not isinstance(budget, Real):
        raise TypeError(f"{rule}: budget must be a number of seconds, a Budget or None, not {budget!r}")
    return Budget(seconds=as_number(rule, "budget", budget))
