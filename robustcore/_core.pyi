from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

VANISHING: float
SUPERBLOCK: int
BLOCK: int

class _BuildFacts(TypedDict):
    compiler: str
    openmp: int

class Mismatch(ValueError):
    row: int
    segment: int
    def __init__(self, row: int, segment: int) -> None: ...

@disjoint_base
class Updates:
    def __new__(cls, rows: Sequence[list[Any] | None] | None = ..., dtypes: list[str] | None = ...) -> Updates: ...
    @property
    def n(self) -> int: ...
    @property
    def d(self) -> int: ...
    def mixed(self, M: NDArray[np.float64], relative: bool = False) -> Updates: ...
    def sqdist(
        self, threads: int, progress: Callable[[float], object] | None = None, exact: bool = False
    ) -> NDArray[np.float64]: ...
    def sqdist_parts(
        self, threads: int, progress: Callable[[float], object] | None = None, exact: bool = False
    ) -> NDArray[np.float64]: ...
    def sqdist_scaled_parts(
        self,
        D: NDArray[np.float64],
        scale: float,
        threads: int,
        progress: Callable[[float], object] | None = None,
    ) -> NDArray[np.float64]: ...
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

def enclose(
    points: NDArray[np.floating[Any]],
    weights: NDArray[np.float64] | None,
    threads: int,
    progress: Callable[[float], object] | None = None,
) -> tuple[float, float, NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], int] | None: ...
def finite_points(points: NDArray[np.floating[Any]]) -> NDArray[np.bool_]: ...
def carry_parts(
    parts: NDArray[np.float64], carried: NDArray[np.float64] | None = None, threads: int = 1
) -> NDArray[np.float64]: ...
def carried_sum(carried: NDArray[np.float64]) -> NDArray[np.float64]: ...
def nearest_centers(
    points: NDArray[np.floating[Any]], centers: NDArray[np.float64], threads: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]: ...
def costs_with(
    points: NDArray[np.floating[Any]],
    weights: NDArray[np.float64] | None,
    distances: NDArray[np.float64],
    candidates: NDArray[np.float64],
    threads: int,
) -> NDArray[np.float64]: ...
def cluster_medians(
    points: NDArray[np.floating[Any]],
    weights: NDArray[np.float64] | None,
    labels: NDArray[np.int32],
    centers: NDArray[np.float64],
    tolerance: float,
    threads: int,
) -> NDArray[np.float64]: ...
def coordinates(D: NDArray[np.float64], stretch: NDArray[np.float64], reference: int) -> NDArray[np.float64]: ...

MOST_POINTS: int

def minmax_meb(
    x: NDArray[np.float64],
    t: int,
    threads: int = 1,
    steps: int = 0,
    seconds: float = 0.0,
    progress: Callable[[float], object] | None = None,
) -> tuple[
    NDArray[np.float64],
    float,
    float,
    list[tuple[NDArray[np.int64], float, float, NDArray[np.float64]]],
    int,
    int,
]: ...
def krum_scores(D: NDArray[np.float64], neighbors: int, divisor: float) -> NDArray[np.float64]: ...
def select_lowest(keys: list[NDArray[np.float64]], m: int) -> NDArray[np.int64]: ...
def bulyan_select(
    D: NDArray[np.float64], f: int, count: int, progress: Callable[[float], object] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...
def mixed_sqdist(
    D: NDArray[np.float64],
    M: NDArray[np.float64],
    threads: int = 1,
    progress: Callable[[float], object] | None = None,
) -> NDArray[np.float64] | None: ...
def product(A: NDArray[np.float64], B: NDArray[np.float64]) -> NDArray[np.float64]: ...
def sums_of_distances(D: NDArray[np.float64], stretch: NDArray[np.float64], reference: int) -> NDArray[np.float64]: ...
def geometric_median(
    D: NDArray[np.float64],
    stretch: NDArray[np.float64],
    reference: int,
    medoid: int,
    smoothing: float,
    tolerance: float,
) -> tuple[NDArray[np.float64], float, int, int]: ...
def centered_clip(
    D: NDArray[np.float64], stretch: NDArray[np.float64], reference: int, tau: float, iterations: int
) -> NDArray[np.float64]: ...
def covariance_filter(
    D: NDArray[np.float64], f: int, progress: Callable[[float], object] | None = None
) -> NDArray[np.float64]: ...
def subset_rank(subset: list[int]) -> int: ...
def subset_unrank(rank: int, k: int) -> list[int]: ...
def walk_subsets(
    n: int,
    k: int,
    values: NDArray[np.float64] | None = None,
    threads: int = 1,
    steps: int = 0,
    seconds: float = 0.0,
    progress: Callable[[float], object] | None = None,
) -> tuple[list[int], float, float, list[int]]: ...
def smallest_diameter(
    D: NDArray[np.float64],
    f: int,
    steps: int = 0,
    seconds: float = 0.0,
    progress: Callable[[float], object] | None = None,
) -> tuple[NDArray[np.int64], float, float]: ...
def smallest_variance(
    D: NDArray[np.float64],
    f: int,
    threads: int = 1,
    steps: int = 0,
    seconds: float = 0.0,
    progress: Callable[[float], object] | None = None,
) -> tuple[NDArray[np.int64], float, float]: ...
def top_eigenpair(A: Any) -> tuple[float, NDArray[np.float64]]: ...
def local_search(
    G: NDArray[np.float64], h: NDArray[np.float64], t: int, progress: Callable[[float], object] | None = None
) -> tuple[NDArray[np.int64], float]: ...
def largest_quadratic(
    G: NDArray[np.float64],
    h: NDArray[np.float64],
    t: int,
    threads: int = 1,
    threshold: float = ...,
    steps: int = 0,
    seconds: float = 0.0,
    progress: Callable[[float], object] | None = None,
) -> tuple[NDArray[np.int64] | None, float, float]: ...
def centroid_ball(
    x: NDArray[np.float64],
    f: int,
    threads: int = 1,
    steps: int = 0,
    seconds: float = 0.0,
    progress: Callable[[float], object] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64], float, float]: ...
def worst_subset(
    of: str,
    x: NDArray[np.float64],
    t: int,
    y: NDArray[np.float64],
    exponents: NDArray[np.int32] | None = None,
    threads: int = 1,
    steps: int = 0,
    seconds: float = 0.0,
    progress: Callable[[float], object] | None = None,
) -> tuple[NDArray[np.int64], float, float]: ...
def default_threads() -> int: ...
def isa() -> str: ...
def use_isa(name: str) -> None: ...
def available_isas() -> list[str]: ...
def build_facts() -> _BuildFacts: ...
