"""The inputs that all contenders share, and what a contender is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import pytest

import robustcore as rc

THREADS = rc.get_num_threads()
CYCLES = 3  # how often all contenders of a case take turns


@dataclass(frozen=True)
class Case:
    """n standard normal updates of d numbers, at most a fifth of them Byzantine."""

    n: int
    d: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.n}x{self.d}-{self.dtype}"

    @property
    def f(self) -> int:
        return self.n // 5

    @property
    def nbytes(self) -> int:
        return self.n * self.d * np.dtype(self.dtype).itemsize

    @property
    def pairs(self) -> int:
        return self.n * (self.n - 1) // 2


SHAPES = [(10, 10**6), (20, 10**6), (50, 10**6), (100, 2 * 10**5)]
CASES = [Case(n, d, dtype) for dtype in ("float32", "float64") for n, d in SHAPES]


@lru_cache(maxsize=1)  # the benches run case by case: one array at a time is enough
def data(case: Case) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((case.n, case.d), dtype=case.dtype)


class Contender(NamedTuple):
    """``prepare(X, f)`` does what is not to be timed and returns the call that is."""

    threads: int
    prepare: Callable[[np.ndarray, int], Callable[[], Any]]
    slow: bool = False  # one round a cycle has to do where n > 10
    needs: tuple[str, ...] = ()  # modules


def names(contenders: dict[str, Contender]) -> list[Any]:
    """The names, as parameters of a test; skipped is who is not installed."""
    return [
        pytest.param(
            name,
            marks=[
                pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")
                for module in contender.needs
            ],
        )
        for name, contender in contenders.items()
    ]


def alone(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """The call on one thread, for those who compare with what has no threads."""

    def call() -> Any:
        with rc.num_threads(1):
            return function(*args)

    return call
