from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

class _BuildFacts(TypedDict):
    compiler: str
    openmp: int

class Mismatch(ValueError):
    row: int
    segment: int
    def __init__(self, row: int, segment: int) -> None: ...

@disjoint_base
class Updates:
    def __new__(cls, rows: list[list[Any]], dtypes: list[str]) -> Updates: ...
    @property
    def n(self) -> int: ...
    @property
    def d(self) -> int: ...
    def sqdist(self, threads: int, progress: Callable[[float], object] | None = None) -> NDArray[np.float64]: ...
    def sqdist_scaled(
        self,
        out: NDArray[np.float64],
        scale: float,
        threads: int,
        progress: Callable[[float], object] | None = None,
    ) -> None: ...
    def finite_rows(self, threads: int, progress: Callable[[float], object] | None = None) -> NDArray[np.bool_]: ...
    def combine(
        self,
        weights: NDArray[np.float64],
        origin: int,
        outputs: list[np.ndarray[Any, np.dtype[Any]]],
        threads: int,
        progress: Callable[[float], object] | None = None,
    ) -> bool: ...
    def columns(
        self,
        rule: str,
        f: int,
        outputs: list[np.ndarray[Any, np.dtype[Any]]],
        threads: int,
        progress: Callable[[float], object] | None = None,
    ) -> bool: ...

def krum_scores(D: NDArray[np.float64], neighbors: int, divisor: float) -> NDArray[np.float64]: ...
def select_lowest(keys: list[NDArray[np.float64]], m: int) -> NDArray[np.int64]: ...
def default_threads() -> int: ...
def isa() -> str: ...
def use_isa(name: str) -> None: ...
def available_isas() -> list[str]: ...
def build_facts() -> _BuildFacts: ...
