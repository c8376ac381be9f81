"""How far exact searches get: MDA, MinMax-MEB and the ball of all centroids against trying all subsets, as n grows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import comb
from typing import NamedTuple

import numpy as np
import pytest

import robustcore as rc
from bench import reference


class Problem(NamedTuple):
    """The search and its naive twin, both from the data; f for n; and up to which n the naive one is run."""

    ours: Callable[[np.ndarray, int], object]
    naive: Callable[[np.ndarray, int], object]
    f: Callable[[int], int]
    sizes: tuple[int, ...]
    naive_up_to: int


PROBLEMS = {
    "mda": Problem(rc.mda, reference.mda, lambda n: 2 * n // 5, (10, 15, 20, 50, 100, 200, 400), 20),
    "minmax_meb": Problem(rc.minmax_meb, reference.minmax_meb, lambda n: n // 3, (9, 12, 15, 18, 30, 45, 60, 80), 18),
    "centroid_ball": Problem(
        rc.centroid_ball, lambda X, f: rc.minimum_enclosing_ball(reference.centroids(X, f)), lambda n: n // 5,
        (10, 15, 20, 25, 40, 50, 75, 100), 25,
    ),
}  # fmt: skip
GROWTH = {name: f"growth of {name}" for name in PROBLEMS}
NAIVE = {name: f"growth of {name}, all subsets" for name in PROBLEMS}


def data(n: int, f: int) -> np.ndarray:
    """Standard normal in 10 dimensions, half of f three times as far out."""
    X = np.random.default_rng(0).standard_normal((n, 10))
    X[: f // 2] *= 3
    return X


@pytest.mark.parametrize(("name", "n"), [(name, n) for name, p in PROBLEMS.items() for n in p.sizes])
def test_growth(name, n, cycle, clock):
    f = PROBLEMS[name].f(n)
    clock(GROWTH[name], str(n), partial(PROBLEMS[name].ours, data(n, f), f), rounds=3)


@pytest.mark.parametrize(
    ("name", "n"), [(name, n) for name, p in PROBLEMS.items() for n in p.sizes if n <= p.naive_up_to]
)
def test_all_subsets(name, n, cycle, clock):
    f = PROBLEMS[name].f(n)
    clock(NAIVE[name], str(n), partial(PROBLEMS[name].naive, data(n, f), f), rounds=1)


def test_same_answer():
    X = data(12, 4)
    np.testing.assert_allclose(rc.MinMaxMEB(4).aggregate(X).optimum.value, reference.minmax_meb(X, 4), rtol=1e-9)


def rows(seconds: dict[str, dict[str, float]]) -> list[list[str]]:
    """The report's table: n, f, how many subsets, and both times in ms; what was not run is reckoned by the count."""
    out = []
    for name, problem in PROBLEMS.items():
        ours, naive = seconds.get(GROWTH[name], {}), seconds.get(NAIVE[name], {})
        for n in (n for n in problem.sizes if str(n) in ours):
            f = problem.f(n)
            known = naive.get(str(n))
            tried = reckoned(problem, naive, n)
            said = "-" if tried is None else f"{1e3 * tried:.3g}" if known else f"({1e3 * tried:.1e})"
            out.append([name, str(n), str(f), f"{float(comb(n, f)):.1e}", f"{1e3 * ours[str(n)]:.3g}", said])
    return out


def reckoned(problem: Problem, naive: dict[str, float], n: int) -> float | None:
    """Seconds for all subsets of n: measured, or as many times those of the largest measured as there are subsets."""
    if str(n) in naive:
        return naive[str(n)]
    if not naive:
        return None
    m = max(map(int, naive))
    return naive[str(m)] * float(comb(n, problem.f(n))) / float(comb(m, problem.f(m)))


def picture(seconds: dict[str, dict[str, float]], path: object) -> None:
    """Seconds against n, logarithmically: ours in full lines, all subsets dashed, as far as they were run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for color, name in zip(("#4269d0", "#ff725c", "#3ca951"), PROBLEMS, strict=True):
        for group, style in ((GROWTH[name], "o-"), (NAIVE[name], "s--")):
            points = sorted((int(n), value) for n, value in seconds.get(group, {}).items())
            if points:
                axes.plot(*zip(*points, strict=True), style, color=color, markersize=4, linewidth=1.5)
                label = name if group == GROWTH[name] else "all subsets"
                axes.annotate(f" {label}", points[-1], color=color, va="center", fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel="n, the number of updates", ylabel="seconds", xlim=(8, 900))
    axes.set_xticks([10, 20, 50, 100, 200, 400], ["10", "20", "50", "100", "200", "400"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
